"""A temporary folder of the program's own, so that its end leaves nothing behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # where $TMPDIR can't be used
SOCKET = "/pymp-12345678/listener-12345678"  # by which a data worker shares a batch
LONGEST = 107 - len(SOCKET)  # bytes of a folder's path, as a socket's has at most 107


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Let this program and the processes that it starts keep temporary files in a folder of theirs.

    It is removed at the end, with what killed processes and libraries have left. It lies in
    $TMPDIR, or elsewhere if that can't be written or its path is too long for the workers' sockets.
    What --compile has made stays in $TMPDIR, for the next run.
    """
    usual = os.environ.get("TMPDIR") or PLACES[0]
    folder = _new_folder((usual, *PLACES))
    if folder is None:
        yield
        return
    environment, default = dict(os.environ), tempfile.tempdir
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    compiled = f"{usual}/torchinductor_{os.getuid()}"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled)
    try:
        yield
    finally:
        tempfile.tempdir = default
        for name in ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR"):
            del os.environ[name]
            os.environ.update({name: environment[name]} if name in environment else {})
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # torch makes it without --compile too
            os.rmdir(compiled)  # if it is empty


def _new_folder(places: tuple[str, ...]) -> str | None:
    """Return a new folder in the first place that takes one, or None."""
    for place in places:
        with suppress(OSError):
            folder = tempfile.mkdtemp(prefix="dpc-", dir=os.path.abspath(place))
            if len(os.fsencode(folder)) <= LONGEST:
                return folder
            os.rmdir(folder)
    return None
