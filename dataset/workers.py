"""Data workers: how they send batches on small machines, how they are lost, how they are ended."""

import multiprocessing
import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.data import default_collate
from torch.utils.data._utils.signal_handling import _error_if_any_worker_fails

from utils.errors import LostWorkerError, RunError
from utils.files import reason
from utils.logs import log
from utils.runtime.interrupts import STOPPING
from utils.samples import Batch

SHARED_MEMORY = "/dev/shm"
AHEAD = 2  # batches that each worker makes ahead
# open files that a run needs in all, and for the pipes and shared batches of a worker
FILES, FILES_OF_WORKER = 128, 24
DYING_SECONDS = 5  # until the system tells of a worker whose socket is gone


def collate(samples: list[Batch], stack: Callable = default_collate) -> Batch:
    """Return one batch of the samples that have a clip, with the faults of all samples."""
    faults = tuple(fault for sample in samples for fault in sample.faults)
    read = [sample[:4] for sample in samples if sample.clip is not None]
    if not read:
        return Batch(None, None, torch.zeros(0, dtype=torch.int64), faults=faults)
    *parts, windows = zip(*read, strict=True)
    clip, labels, item = map(stack, parts)
    return Batch(clip, labels, item, stack(windows) if windows[0] is not None else None, faults)


@dataclass(frozen=True)
class Sending:
    """Collate a batch in one of `workers` workers, in shared memory if there is room for more.

    Otherwise, or if the batch's open files are too many to share, it is pickled: bytes go through
    a pipe.
    """

    workers: int
    may_share: bool

    def __call__(self, samples: list[Batch]) -> Batch | bytes:
        """Return the batch, or its bytes."""
        size = sum(sample.clip.nbytes for sample in samples if sample.clip is not None)
        if self.may_share and shared_memory_holds(AHEAD * self.workers * size):
            return collate(samples)
        return pickle.dumps(collate(samples, torch.stack))


def shared_memory_holds(size: int) -> bool:
    """Whether so many bytes are free in shared memory; True where that can't be known."""
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError:
        return True
    return room.f_bavail * room.f_frsize >= size


def enough_files(workers: int) -> bool:
    """Whether enough files may be opened to share memory; the limit is raised if it can be."""
    files = FILES + FILES_OF_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not 0 <= soft < files:  # -1: no limit
        return True
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        return True
    return False


@cache
def warn_of_pipes(may_share: bool) -> None:
    """Warn once that batches don't come by shared memory."""
    cause, remedy = "few open files are allowed", "raise the limit (ulimit -n)"
    if may_share:
        cause, remedy = f"{SHARED_MEMORY} has little room", "give it more (docker: --shm-size)"
    log.warning(
        "%s: batches come through pipes, which is slower; %s, or lower --num_workers or "
        "--batch_size",
        cause,
        remedy,
    )


@contextmanager
def told_of_start(workers: int) -> Iterator[None]:
    """Raise RunError if the workers can't be started."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = reason(error)
        # torch's half-made iterator ends here, and fails at that, which Python would print
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        traceback.clear_frames(error.__traceback__)
        sys.unraisablehook = hook
        raise RunError(
            f"can't start {workers} data workers ({cause}): lower --num_workers (0 needs none), or "
            f"raise the limits (ulimit -n, ulimit -u, room in {SHARED_MEMORY})"
        ) from None


@contextmanager
def told_of_workers() -> Iterator[None]:
    """Raise LostWorkerError for a data worker that died or hangs, within this context alone.

    torch's own handler raises wherever the program happens to be, also halfway through a step.
    """

    def look(*_: object) -> None:
        _error_if_any_worker_fails()

    try:
        signal.signal(signal.SIGCHLD, look)
        look()
        try:
            yield
        except (ConnectionError, FileNotFoundError, EOFError) as error:  # of a socket to a worker
            if not str(error).startswith("Caught "):  # which was read in the worker
                for _ in range(DYING_SECONDS * 10):
                    time.sleep(0.1)
                    look()
            raise
    except RuntimeError as error:
        texts = [str(each).strip().split("\n")[0] for each in (error.__cause__, error)]
        texts = [text for text in texts if text.startswith(("DataLoader ", "Too many open files"))]
        if not texts:
            raise
        text = texts[0].rstrip(".")  # the cause knows the signal
        if "timed out" in text:
            remedy = "look at the disk that holds the data, or raise --worker_timeout"
        elif "open files" in text:
            remedy = "raise the limit (ulimit -n), or lower --num_workers"
        elif "Bus error" in text:
            remedy = (
                f"{SHARED_MEMORY} was full: give it more room (docker: --shm-size), or lower "
                "--num_workers or --batch_size"
            )
        else:
            remedy = "often memory (or ulimit -u) is too small: lower --num_workers or --batch_size"
        raise LostWorkerError(f"a data worker was lost: {text}; {remedy}") from error
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def leave_to_main_process(worker: int) -> None:
    """Leave the signals that stop a run, and what is told of errors, to the main process."""
    for number in STOPPING:  # a terminal and Slurm send them to every process
        signal.signal(number, signal.SIG_IGN)
    # Python would print a traceback where a worker may start no thread that sends
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def end_workers() -> None:
    """Kill the data workers of all loaders. They may hang and then ignore a polite signal."""
    children = multiprocessing.active_children()
    workers = [child for child in children if isinstance(child, multiprocessing.Process)]
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
