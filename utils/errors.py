"""Exceptions that end the program with one line instead of a traceback, and its exit statuses."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: run the same command again
START, END = 400, 200  # characters of a message that are kept


class OneLineError(Exception):
    """An error whose message is one line; of a long one, its start and its end alone.

    A `command` that ends the message is whole.
    """

    def __init__(self, message: str = "", command: str = ""):
        super().__init__(message)
        self.command = command

    def __str__(self) -> str:
        text = super().__str__()
        cut = text if len(text) <= START + END else f"{text[:START]} … {text[-END:]}"
        return cut + self.command


class UsageError(OneLineError):
    """Wrong input: the message says what is wrong and how to mend it. Nothing was written."""

    status = 2


class RunError(OneLineError):
    """A run that can't go on; its folder stays as it is."""

    status = 1


class LostWorkerError(RunError):
    """A data worker died or hangs. It is raised between two steps alone."""


class Stopped(Exception):  # noqa: N818  (no error)
    """A stop by Ctrl-C or, with the status PREEMPTED, by SIGTERM, SIGUSR1 or SIGHUP."""

    status = 130

    def __init__(self, message: str, status: int = status):
        super().__init__(message)
        self.status = status


def leave(status: int) -> NoReturn:
    """End the program at once, without the second that unloading all modules takes."""
    with suppress(OSError):  # nobody reads it
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError:  # the reader is gone, or the disk is full
        status = status or RunError.status
    os._exit(status)
