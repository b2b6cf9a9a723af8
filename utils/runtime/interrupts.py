"""Signals that stop a run between two steps, so that records and checkpoints stay whole."""

import os
import signal
import time
from contextlib import suppress
from functools import partial
from types import FrameType

from utils.errors import PREEMPTED, Stopped  # nothing slow: run_model.py imports this module first

# SIGHUP: the terminal was closed
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def hangup_is_ignored() -> bool:
    """Whether the program was started to outlive its terminal, as with nohup."""
    return signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def heard() -> list[signal.Signals]:
    """Return the signals that stop this program."""
    return [n for n in STOPPING if n != signal.SIGHUP or not hangup_is_ignored()]


def end_at_signals(program: str = "run_model.py") -> None:
    """Let signals end the program at once, with one line and their status, from its start on."""
    for number in heard():
        signal.signal(number, partial(_end, program))


def _end(program: str, number: int, _: FrameType | None) -> None:
    stop = stopped(number, "run the same command again")
    if (os.environ.get("RANK") or os.environ.get("SLURM_PROCID", "0")) == "0":
        with suppress(OSError):
            os.write(2, f"{program}: {stop}\n".encode(errors="replace"))
    os._exit(stop.status)


class Interrupts:
    """A context in which signals are only noted: the first in `asked` (0: none so far).

    A loop checks `asked` between two steps. A second Ctrl-C raises KeyboardInterrupt at once,
    unless `repeats` says that a launcher sends each signal more than once.
    """

    def __init__(self, repeats: bool = False):
        self.repeats = repeats
        self.asked = 0
        self.had_ctrl_c = False

    def __enter__(self) -> "Interrupts":
        self.previous = {number: signal.signal(number, self.receive) for number in heard()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def receive(self, number: int, _: FrameType | None) -> None:
        """Note the signal."""
        if number == signal.SIGINT and self.had_ctrl_c and not self.repeats:
            raise KeyboardInterrupt
        self.had_ctrl_c |= number == signal.SIGINT
        self.asked = self.asked or number


def stopped(number: int, remedy: str) -> Stopped:
    """Return the exception that ends the program after the signal."""
    if number == signal.SIGINT:
        return Stopped(f"stopped by Ctrl-C; {remedy}")
    return Stopped(f"stopped by {signal.Signals(number).name}; {remedy}", PREEMPTED)


class Clock:
    """A timer that is due once so many minutes have passed; with 0 minutes never."""

    def __init__(self, minutes: float):
        self.minutes = minutes
        self.restart()

    def restart(self) -> None:
        """Count the minutes from now."""
        self.start = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the minutes have passed since the last start."""
        return 0 < self.minutes <= (time.monotonic() - self.start) / 60
