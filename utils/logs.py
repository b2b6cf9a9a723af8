"""Logging: one logger, to the terminal and to the run folder's log.txt."""

import io
import logging
import logging.handlers
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from utils.files import writing

log = logging.getLogger("dpc")
MANY_RECORDS = 10_000


def open_streams() -> None:
    """Let stdout and stderr take any text; every script calls this first.

    What an encoding lacks, such as … in ASCII or a file name that is no UTF-8, is escaped. Streams
    that were closed lead nowhere, or else the next files that are opened would take their place.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(handle, True)
    os.close(handle)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w", errors="backslashreplace"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print to stderr, if anybody reads it."""
    with suppress(OSError):
        print(text, file=sys.stderr)


def start_logging(level: str) -> None:
    """Log to the terminal, and keep the records until `log_to_folder` names a file for them."""
    log.handlers.clear()
    log.setLevel(level.upper())
    log.propagate = False
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(terminal)
    # it has no target to flush to, so no level makes it flush
    log.addHandler(logging.handlers.MemoryHandler(MANY_RECORDS, flushLevel=logging.CRITICAL + 1))


class LogFile(logging.FileHandler):
    """A log file that warns once if the disk is full, and leaves out what can't be written."""

    failed = False

    def _open(self) -> Any:
        """Open the file, but don't wait for a reader if it is a pipe."""
        return open(
            self.baseFilename,
            self.mode,
            encoding=self.encoding,
            errors=self.errors,
            opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK, 0o666),
        )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Warn at the first record that can't be written."""
        if not self.failed:
            self.failed = True
            log.warning("can't write %s (%s); going on", self.baseFilename, sys.exc_info()[1])


def log_to_folder(folder: Path) -> None:
    """Log to log.txt too, from the program's first record on; raises RunError."""
    with writing(folder / "log.txt"):
        file = LogFile(folder / "log.txt", encoding="utf-8", errors="backslashreplace")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for handler in list(log.handlers):
        if isinstance(handler, logging.handlers.MemoryHandler):
            handler.setTarget(file)
            handler.close()
            log.removeHandler(handler)
    log.addHandler(file)


class Progress:
    """The progress of a pass: a bar on a terminal, else a line every `log_freq` batches.

    `first` is the number of batches that were done before.
    """

    def __init__(self, label: str, total: int, log_freq: int, first: int = 0):
        self.label = label
        self.total = total
        self.first = first
        self.log_freq = log_freq
        self.start = time.perf_counter()
        self.bar: tqdm | None = None
        if log.isEnabledFor(logging.INFO) and sys.stderr.isatty():
            self.bar = tqdm(
                None, label, total, leave=False, unit="batch", initial=first, dynamic_ncols=True
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def due(self, done: int) -> bool:
        """Whether the loss should be read and shown after `done` batches."""
        return done % self.log_freq == 0 or done == self.total

    def advance(self) -> None:
        """Move the bar on by a batch."""
        if self.bar is not None:
            self.bar.update()

    def show(self, done: int, loss: float, top1: float | None, waited: float) -> None:
        """Show the means so far and the seconds spent waiting for data."""
        seconds = time.perf_counter() - self.start
        facts = f"loss {loss:.4f}"
        if top1 is not None:
            facts += f", top-1 {top1:.1%}"
        facts += f", data wait {waited / seconds:.0%}"
        if self.bar is not None:
            self.bar.set_postfix_str(facts)
        else:
            left = seconds / (done - self.first) * (self.total - done)
            log.info("  %s %d/%d: %s, %s left", self.label, done, self.total, facts, duration(left))


def duration(seconds: float) -> str:
    """Return a text such as 12 s, 3:05 min, 2:10 h or 3.4 days."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f}:{seconds % 60:02.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f} h"
    return f"{seconds / 86400:.1f} days"
