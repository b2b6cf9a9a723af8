"""Locks on run folders, so that no two programs run the same run."""

import errno
import fcntl
import os
import platform
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from utils.errors import UsageError
from utils.files import reason, regular_only
from utils.logs import log

LOCK_FILE = ".lock"
LOCK_FORM = "hhqqi"  # Linux' struct flock: type, whence, start, length, process


class RunInUseError(UsageError):
    """Another program runs this run."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a run folder; raises RunInUseError if another process has locked it.

    The lock ends with the process, however that ends. On disks without locks nothing is locked.
    """
    path = folder / LOCK_FILE
    try:
        file = open(path, "a+b", buffering=0, opener=regular_only)  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{folder}: can't be written ({reason(error)})") from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                holder = file.read(100).decode(errors="replace").strip()
                raise RunInUseError(f"{folder}: is being run by {holder}") from error
        if not os.path.exists(path) or not os.path.samestat(os.stat(path), os.fstat(file.fileno())):
            raise RunInUseError(f"{folder}: has just been replaced by a new run (--overwrite)")
        with suppress(OSError):  # the lock holds even if a full disk takes no text
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        yield


def holder_of(folder: Path) -> str:
    """Return which other process has locked a run folder, or nothing; nothing is changed.

    Raises UsageError for a folder that can't be written, as `held` does.
    """
    path = folder / LOCK_FILE
    if sys.platform != "linux":  # where the structure is another one
        return ""
    if not os.access(path if os.path.lexists(path) else folder, os.W_OK):
        raise UsageError(f"{folder}: can't be written ({os.strerror(errno.EACCES)})")
    with suppress(OSError), open(path, "rb", opener=regular_only) as file:
        asked = struct.pack(LOCK_FORM, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_ = struct.unpack(LOCK_FORM, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        if kind != fcntl.F_UNLCK:
            return file.read(100).decode(errors="replace").strip() or "another process"
    return ""


class RunLocks(ExitStack):
    """Locks on run folders, kept until the context ends, so that no other program runs them."""

    def hold(self, folder: Path) -> None:
        """Lock a run folder; raises RunInUseError if another program has locked it."""
        self.enter_context(held(folder))

    def hold_first_free(self, folders: Sequence[Path]) -> Path | None:
        """Lock and return the first folder that no other program has locked."""
        for folder in folders:
            try:
                self.hold(folder)
            except RunInUseError as error:
                log.info("%s", error)
            else:
                return folder
        return None


class NoLocks(RunLocks):
    """Looks at run folders as if to lock them, and locks none."""

    def hold(self, folder: Path) -> None:
        """Raise RunInUseError if another program has locked a run folder."""
        if holder := holder_of(folder):
            raise RunInUseError(f"{folder}: is being run by {holder}")
