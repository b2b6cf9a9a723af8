"""Files from outside that are read with a plain reason for each failure; files written whole."""

import codecs
import csv
import errno
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utils.errors import RunError, UsageError

MOST_BYTES = 2**30  # of a text file that is read whole
# where the system's own words would puzzle a reader, or name nothing to mend
REASONS = {
    errno.ENAMETOOLONG: "the name is too long for the disk",
    errno.ELOOP: "symbolic links lead in a circle",
    errno.ENXIO: "is no regular file",  # a socket
    errno.EEXIST: "a file or a broken link has this name",
    errno.EMFILE: "too many files are open (ulimit -n)",
}
FOLDERS_WITHOUT_FSYNC = (errno.EINVAL, errno.ENOTSUP)  # of some network and translated disks


def reason(error: BaseException) -> str:
    """Return in a few words why a file can't be read or written."""
    if isinstance(error, OSError):
        return REASONS.get(error.errno or 0) or error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"is no UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"
    return str(error).split("\n")[0] or type(error).__name__


def with_file(error: OSError) -> str:
    """Return the reason, behind the file that the error names, if it names one."""
    return reason(error) if error.filename is None else f"{error.filename}: {reason(error)}"


def end_of_name(name: str, most: int) -> str:
    """Return a name, or of a longer one the end, of at most so many bytes and whole characters."""
    return os.fsencode(name)[-most:].decode(errors="ignore")


# ---- reading ----


def regular_only(path: str, flags: int) -> int:
    """Open a file for `open(path, opener=regular_only)`.

    Raises OSError at once for a pipe or a device, which could block.
    """
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = "is a folder" if stat.S_ISDIR(mode) else "is no regular file"
        raise OSError(errno.EINVAL, what, path)
    return handle


def read_text(path: Path, most: int = MOST_BYTES, errors: str = "strict") -> str:
    """Return the text of a regular UTF-8 file of at most so many bytes, without its mark (BOM).

    A mark may say UTF-16 too. Line ends are as in the file. `errors` is that of `bytes.decode`.
    Raises UsageError, which names the file.
    """
    try:
        with open(path, "rb", opener=regular_only) as file:
            if (size := os.fstat(file.fileno()).st_size) > most:
                raise OSError(errno.EFBIG, f"has {size} bytes, and at most {most} are read")
            content = file.read()
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        content = content.removeprefix(codecs.BOM_UTF8)
        return content.decode("utf-16" if is_utf16 else "utf-8", errors)
    except (OSError, ValueError, MemoryError) as error:  # ValueError: no text, or no path
        raise UsageError(f"{path}: can't be read ({reason(error)})") from error


def read_lines(path: Path, errors: str = "strict") -> list[str]:
    """Return a text file's lines, ended by LF, CRLF or CR; raises UsageError, which names it.

    Unlike `str.splitlines`, this ends no line at a character that a name may hold.
    """
    text = read_text(path, errors=errors)
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def read_json(path: Path, most: int = 2**24) -> Any:
    """Return what a JSON file holds; raises UsageError, which names the file."""
    text = read_text(path, most)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: can't be read as JSON ({reason(error)})") from error


# ---- writing ----


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise RunError for an error in writing to a file or a folder."""
    try:
        yield
    except OSError as error:
        raise RunError(f"can't write {path}: {reason(error)}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; the file written there then replaces `path`.

    After a kill or an error, the old file is still there, or the whole new one.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)  # so that the name survives a power failure too
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, or raise RunError and leave the old one.

    Names that are no UTF-8 are escaped.
    """
    with writing(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def flush(path: Path) -> None:
    """Make sure that a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in FOLDERS_WITHOUT_FSYNC or not path.is_dir():
            raise
    finally:
        os.close(handle)
