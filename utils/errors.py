"""Exceptions that end the program with one line instead of a traceback, and its exit statuses."""

import os
import re
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: run the same command again
START, END = 400, 200  # characters of a message that are kept
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # would break lines, or act on a terminal


class OneLineError(Exception):
    """An error whose message is one line; of a long one, its start and its end alone.

    Control characters in it are escaped. A `command` that ends the message is whole.
    """

    def __init__(self, message: str = "", command: str = ""):
        super().__init__(message)
        self.command = command

    def __str__(self) -> str:
        text = escaped(super().__str__())
        cut = text if len(text) <= START + END else f"{text[:START]} … {text[-END:]}"
        return cut + self.command


def escaped(text: str) -> str:
    """Return the text with control characters, line ends among them, as in Python's literals."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


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


def tell_failed_imports(program: str) -> None:
    """Let a package that can't be imported end the program in one line, from its start on."""

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        line = failed_import(error) if isinstance(error, Exception) else None
        if line is None:
            sys.__excepthook__(kind, error, trace)
        else:
            with suppress(OSError):
                print(f"{program}: {line}", file=sys.stderr)

    sys.excepthook = tell


def failed_import(error: Exception) -> str | None:
    """Return what is told of a package that is missing or fails as it is imported, else None."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    modules = [f.f_globals.get("__name__", "") for f in frames if f.f_code.co_name == "<module>"]
    if isinstance(error, ImportError):
        modules.append(error.name or "a package")
    ours = {path.stem for folder in (ROOT, ROOT / "process_data") for path in folder.iterdir()}
    package = next((m for m in modules if m.split(".")[0] not in {"__main__", *ours}), None)
    if package is None:
        return None
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    remedy = "pip install -r requirements.txt"
    if "failed to map segment" in lines[-1] or "annot allocate memory" in lines[-1]:
        remedy = "there is too little memory (ulimit -v)"
    elif "shared object" in lines[-1]:
        remedy += ", or the system's library that is named"
    elif not isinstance(error, ImportError):
        remedy += ", or correct the environment variable or the settings that it reads"
    return f"{package.split('.')[0]} can't be imported ({lines[-1].strip()}): {remedy}"
