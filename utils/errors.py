"""What ends the program with one line instead of a traceback; `status` is its exit status."""

import os
import sys
from typing import NoReturn

PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: run the same command again


class UsageError(Exception):
    """Wrong input: what is wrong, and how to mend it. Nothing is written."""

    status = 2


class RunError(Exception):
    """A run that can't go on. Its folder stays as it is."""

    status = 1


class Stopped(Exception):  # noqa: N818  (no error)
    """Ctrl-C; or, with PREEMPTED, SIGTERM or SIGUSR1."""

    status = 130

    def __init__(self, message: str, status: int = status):
        super().__init__(message)
        self.status = status


def leave(status: int) -> NoReturn:
    """Ends the program without clearing up all that was imported, which takes a second."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read it has gone, or the disk is full
        status = status or RunError.status
    os._exit(status)
