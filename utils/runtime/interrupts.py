"""Signals that never cut through a step, a record or a checkpoint."""

import signal
import time
from types import FrameType

from utils.errors import PREEMPTED, Stopped
from utils.runtime.processes import Processes

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interrupts:
    """Within this context SIGINT, SIGTERM and SIGUSR1 are noted in `asked` (0: none); whoever loops
    looks there between two steps. A second Ctrl-C comes at once, unless a launcher `repeats` each.
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
        if number == signal.SIGINT and self.asked and not self.repeats:
            raise KeyboardInterrupt
        self.asked = number

    def stop_if_asked(self, processes: Processes, remedy: str) -> None:
        """Raises Stopped in all processes when one of them was asked to."""
        (asked,) = processes.largest(self.asked)
        if asked:
            raise stopped(asked, remedy)


def stopped(number: int, remedy: str) -> Stopped:
    """What to raise after the signal."""
    if number == signal.SIGINT:
        return Stopped(f"stopped by Ctrl-C; {remedy}")
    return Stopped(f"stopped by {signal.Signals(number).name}; {remedy}", PREEMPTED)


class Clock:
    """Is `due` every so many minutes; never with 0."""

    def __init__(self, minutes: float):
        self.minutes = minutes
        self.restart()

    def restart(self) -> None:
        self.start = time.monotonic()

    @property
    def due(self) -> bool:
        return 0 < self.minutes <= (time.monotonic() - self.start) / 60
