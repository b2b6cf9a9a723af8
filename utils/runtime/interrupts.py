"""Signals that stop a run between two steps, so that records and checkpoints stay whole."""

import signal
import time
from types import FrameType

from utils.errors import PREEMPTED, Stopped
from utils.runtime.processes import Processes

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interrupts:
    """A context in which SIGINT, SIGTERM and SIGUSR1 are only noted, in `asked` (0: none so far).

    A loop checks `asked` between two steps. A second Ctrl-C raises KeyboardInterrupt at once,
    unless `repeats` says that a launcher sends each signal more than once.
    """

    def __init__(self, repeats: bool = False):
        self.repeats = repeats
        self.asked = 0

    def __enter__(self) -> "Interrupts":
        self.previous = {number: signal.signal(number, self.receive) for number in STOPPING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def receive(self, number: int, _: FrameType | None) -> None:
        """Note the signal."""
        if number == signal.SIGINT and self.asked and not self.repeats:
            raise KeyboardInterrupt
        self.asked = number

    def stop_if_asked(self, processes: Processes, remedy: str) -> None:
        """Raise Stopped in all processes if any of them received a signal."""
        (asked,) = processes.largest(self.asked)
        if asked:
            raise stopped(asked, remedy)


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
