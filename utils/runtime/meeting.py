"""How the processes of a run meet, and what is told of one that does not come or is lost."""

import logging
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from utils.errors import RunError
from utils.files import reason
from utils.logs import log
from utils.runtime.interrupts import Interrupts, stopped
from utils.runtime.launchers import told_by
from utils.runtime.processes import Processes

PATIENCE = timedelta(minutes=10)  # how long a rank waits for another one's answer
CALL_SECONDS = 5  # within which every rank that is alive answers a roll call
QUIET_SECONDS = 2  # without a word that others are waited for


@contextmanager
def joined(processes: Processes, interrupts: Interrupts) -> Iterator[None]:
    """Connect the ranks while the context lasts.

    Raises Stopped after a signal while others are waited for, and RunError, naming the ranks that
    are gone, when one can't be reached any more.
    """
    if processes.count == 1:
        yield
        return
    import torch.distributed as dist

    store = _meet(processes, interrupts)
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        gone = ", ".join(map(str, _gone(store, processes))) or "unknown"
        raise RunError(
            f"another process can't be reached: rank {gone} has ended or hangs; its own messages "
            "say why; the last checkpoint is kept"
        ) from error
    finally:
        dist.destroy_process_group()


def _meet(processes: Processes, interrupts: Interrupts) -> Any:
    """Wait for all processes, and return the store that they share.

    torch waits in a thread, so that signals and a line about what is waited for get their turn.
    """
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    rank, count, env = processes.rank, processes.count, os.environ
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    place = f"{env['MASTER_ADDR']}:{env['MASTER_PORT']}"

    def connect() -> Any:
        store = next(rendezvous("env://", rank=rank, world_size=count, timeout=PATIENCE))[0]
        dist.init_process_group(backend, store=store, timeout=PATIENCE, rank=rank, world_size=count)
        return store

    meeting = ThreadPoolExecutor(1).submit(connect)
    quiet_until = time.monotonic() + QUIET_SECONDS
    while not wait([meeting], timeout=0.05).done:
        if interrupts.asked:
            raise stopped(interrupts.asked, "the processes had not met yet; start them again")
        if time.monotonic() > quiet_until:
            quiet_until = math.inf
            whom = f"rank {rank}: waiting for {count} processes at {place}"
            level = logging.WARNING if processes.leads else logging.ERROR  # all that others log
            log.log(level, "%s, as told by %s", whom, told_by())
    try:
        return meeting.result()
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise RunError(
            f"the {count} processes did not find each other at {place} (MASTER_ADDR, MASTER_PORT): "
            f"{reason(error)}"
        ) from error


def _is_lost_connection(error: RuntimeError) -> bool:
    import torch.distributed as dist

    words = ("gloo", "NCCL", "onnection closed", "onnection reset", "Broken pipe")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)


def _gone(store: Any, processes: Processes) -> list[int]:
    """Return the ranks that don't answer a roll call."""
    names = {rank: f"roll call/{rank}" for rank in range(processes.count)}
    try:
        store.set(names[processes.rank], "here")
        end = time.monotonic() + CALL_SECONDS
        while time.monotonic() < end and not store.check(list(names.values())):
            time.sleep(0.2)
        return [rank for rank, name in names.items() if not store.check([name])]
    except RuntimeError:  # the first process keeps the store
        return [0]
