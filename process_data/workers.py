"""Work in parallel: a call that kills its process ends no other, nor do too few processes."""

import logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import starmap
from multiprocessing import active_children
from threading import Thread
from typing import TypeVar

from joblib.externals.loky import ProcessPoolExecutor, cpu_count

from utils.files import reason
from utils.runtime.interrupts import STOPPING

log = logging.getLogger("process_data")
T = TypeVar("T")
Killed = Callable[..., T]
"""The result of a call that killed its process: reason, the call's arguments → result."""

ENVIRONMENT = {
    "PYTHONFAULTHANDLER": "",  # no traceback of a crash
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
}
PROCESSES_A_CORE = 4  # at most: the others would only take memory

# Loky's own process would complain of what a script that is stopped has left, which it removes
sys.warnoptions.append("ignore:resource_tracker:UserWarning")
# processes that were idle for long, or have grown, are replaced by new ones
warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")


def bounded(number: int) -> int:
    """Return a number of processes that this machine can use; -1 is one a core."""
    most = PROCESSES_A_CORE * cpu_count()
    if number > most:
        message = "--num_workers %d: taken as %d, %d for each core"
        log.warning(message, number, most, PROCESSES_A_CORE)
    return cpu_count() if number == -1 else min(number, most)


class NoProcessError(Exception):
    """A process that can't be started."""


def results(
    function: Callable[..., T], calls: list[tuple], number: int, killed: Killed[T]
) -> Iterator[T]:
    """Yield what `function(*call)` returns for each call, in any order.

    The calls that were in hand when a process died are made again, each in a new process that has
    nothing else to do. With 0 processes, and where none can be started, this process does the work.
    """
    left = calls[::-1]
    while left and number:
        in_hand: dict[Future, tuple] = {}
        try:
            yield from _in_processes(function, left, in_hand, number)
        except BrokenProcessPool:
            for call in in_hand.values():
                yield from _alone(function, call, killed)
        except NoProcessError as error:
            left += in_hand.values()
            number //= 2
            message = "can't start so many processes (%s); going on as with --num_workers %d"
            log.warning(message, error, number)
    yield from starmap(function, reversed(left))


def _alone(function: Callable[..., T], call: tuple, killed: Killed[T]) -> Iterator[T]:
    try:
        yield from _in_processes(function, [call], {}, 1)
    except BrokenProcessPool as error:
        yield killed(cause(error), *call)
    except NoProcessError:
        yield function(*call)


def cause(error: BrokenProcessPool) -> str:
    """Return how a call's process ended."""
    name = re.search(r"(SIG[A-Z0-9]+)\(-\d+\)", str(error))
    if not name:
        return "its process ended"
    return f"its process was killed by {name[1]}" + "; out of memory?" * (name[1] == "SIGKILL")


def _in_processes(
    function: Callable[..., T], left: list[tuple], in_hand: dict[Future, tuple], number: int
) -> Iterator[T]:
    """Make calls from the end of `left` on; those without a result stay `in_hand`.

    Each process has one call at a time, and another one waits for it. Raises BrokenProcessPool when
    a process died, and NoProcessError.
    """
    number = min(number, len(left))
    with _processes(number) as pool:
        while left or in_hand:
            while left and len(in_hand) < 2 * number:
                future = _submit(pool, function, left[-1])
                in_hand[future] = left.pop()
            done, _ = wait(in_hand, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda future: future.exception() is not None):
                result = future.result()
                del in_hand[future]
                yield result


@contextmanager
def _processes(number: int) -> Iterator[ProcessPoolExecutor]:
    try:
        pool = ProcessPoolExecutor(
            number, env=ENVIRONMENT, initializer=_end_with, initargs=(os.getpid(),)
        )
    except OSError as error:  # /dev/shm is full, or there are too many open files
        raise NoProcessError(reason(error)) from error
    whole = False
    try:
        yield pool
        whole = True
    finally:
        pool.shutdown(kill_workers=not whole)
        for process in active_children() if not whole else ():
            if process.pid:
                with suppress(ProcessLookupError):  # those of a pool that was never complete
                    os.kill(process.pid, signal.SIGKILL)
            process.join()


def _end_with(parent: int) -> None:
    """Let this process end soon after the one that started it, also if that is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    with suppress(RuntimeError):  # too many threads
        Thread(target=watch, daemon=True).start()


def _submit(pool: ProcessPoolExecutor, function: Callable[..., T], call: tuple) -> Future:
    # The processes inherit that signals are blocked: the parent decides what a signal means, and
    # kills them. Its own signals come when it is done here.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        return pool.submit(function, *call)
    except BrokenProcessPool:
        raise
    except (OSError, RuntimeError) as error:  # too many processes, open files, or threads
        raise NoProcessError(reason(error)) from error
    except UnboundLocalError as error:  # Loky cleans up after an OSError what isn't there yet
        raise NoProcessError(reason(error.__context__ or error)) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
