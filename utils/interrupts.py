"""Ctrl-C that never cuts through a step, a record or a checkpoint."""

import signal
from collections.abc import Iterable, Iterator
from typing import Any


class Interrupts:
    """Within this context Ctrl-C waits for the next batch; a second one comes at once."""

    def __init__(self):
        self.asked = False

    def __enter__(self) -> "Interrupts":
        self.previous = signal.signal(signal.SIGINT, self.receive)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.previous)

    def receive(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def watch(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches; raises KeyboardInterrupt before the first one after Ctrl-C."""
        for batch in batches:
            if self.asked:
                raise KeyboardInterrupt
            yield batch
