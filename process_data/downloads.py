"""Files over http: a download goes on where it stopped, and its size is checked."""

import os
import re
import shutil
import ssl
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, InvalidURL
from itertools import count
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

from tqdm import tqdm

from command_line import log
from folders import shown
from members import ArchiveError
from utils.files import with_file

ATTEMPTS = 5  # in a row that bring nothing new
MOST_ATTEMPTS = 1000  # for a file that never ends
PAUSE = 5  # seconds before the second attempt; doubles
TIMEOUT = 60  # seconds without a byte
CHUNK = 1 << 20  # bytes
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may pass
NETWORK_ERRORS = (OSError, HTTPException)


class DownloadError(Exception):
    """A file that cannot be fetched, in one line."""


class BrokenTransferError(Exception):
    """An attempt that failed and may be repeated."""


class RefusedError(Exception):
    """An answer that would be the same again."""


class Source(NamedTuple):
    """A server's answer, where in the file it starts, and the size of the whole file if known."""

    answer: HTTPResponse
    start: int
    size: int | None


class Store:
    """A data set's folder: where its archives are, and which of them are done."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archives = root / "archives"

    def get(self, url: str, name: str) -> Path:
        """Return the archive; it is downloaded unless somebody placed it. Raises DownloadError."""
        if placed := self.placed(name):
            return placed
        path = self.archives / name
        download(url, path)
        self.note(name, "downloaded")
        return path

    def placed(self, name: str) -> Path | None:
        """Return the archive if it is there: among the others, in a folder there, or beside it."""
        folders = (self.archives, self.root, *sorted(self.archives.glob("[!.]*/")))
        return next((path for folder in folders if (path := folder / name).is_file()), None)

    def is_done(self, name: str, folder: str, note: str = "done") -> bool:
        """Return whether an archive has such a note, and the folder that it fills is there."""
        return self._path(name, note).is_file() and (self.root / folder).is_dir()

    def note(self, name: str, note: str, text: str = "") -> Path:
        """Write a note on an archive and return its path."""
        path = self._path(name, note)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path

    def forget(self, name: str) -> None:
        """Let an archive be unpacked again."""
        self._path(name, "done").unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove an archive that was downloaded; one that somebody placed stays."""
        downloaded = self._path(name, "downloaded")
        if downloaded.is_file():
            (self.archives / name).unlink(missing_ok=True)
            downloaded.unlink()

    def _path(self, name: str, note: str) -> Path:
        return self.archives / ".done" / f"{name}.{note}"


def succeeds(step: Callable[..., object], *arguments: object) -> bool:
    """Run a step and return whether it succeeded; log a failure in one line."""
    try:
        step(*arguments)
    except (DownloadError, ArchiveError) as error:
        log.error("%s", error)
    except OSError as error:
        log.error("%s", with_file(error))
    else:
        return True
    return False


def file_name(url: str) -> str:
    """Return the name of the file at an address."""
    return PurePosixPath(urlsplit(url).path).name


def download(url: str, path: Path) -> None:
    """Download a file to `path`, by way of `path.part`, which a later call goes on with.

    Raises DownloadError if the server refuses, or if attempts bring nothing more.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: is no http address")
    part = path.with_name(path.name + ".part")
    for place in (path, part):  # a pipe would block; a folder can't be replaced
        if os.path.lexists(place) and not place.is_file():
            raise DownloadError(f"{place}: is no regular file; remove it")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetch_with_patience(url, part)
    except (BrokenTransferError, RefusedError, HTTPError, ValueError) as error:
        told = shown(" ".join(str(error).split()))  # the server's words, perhaps of several lines
        raise DownloadError(
            f"{url}: cannot be downloaded ({told}); place the file by hand at {path}"
        ) from error
    os.replace(part, path)


def fetch_with_patience(url: str, part: Path) -> None:
    """Fetch a file, with `ATTEMPTS` attempts in a row that bring nothing new."""
    failed, furthest = 0, size_of(part)
    for attempt in count(1):
        try:
            return fetch(url, part)
        except BrokenTransferError as error:
            failed = 1 if size_of(part) > furthest else failed + 1
            furthest = max(furthest, size_of(part))
            if failed == ATTEMPTS or attempt == MOST_ATTEMPTS:
                raise
            log.warning("%s: %s; trying again", url, error)
            time.sleep(PAUSE * 2 ** (failed - 1))


def fetch(url: str, part: Path) -> None:
    """Fetch what is missing of a file, in one attempt."""
    source = connect(url, size_of(part))
    if source is None:
        return
    room = shutil.disk_usage(part.parent).free
    if source.size is not None and source.size - source.start > room:
        raise RefusedError(f"it has {source.size} bytes, and the disk has room for {room} more")
    try:
        with source.answer, part.open("ab" if source.start else "wb") as file:
            copy(source, file, part.name.removesuffix(".part"))
    except OSError as error:  # the disk is full
        if source.size is None:  # there is no way to go on, and it may never end
            part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(part)) from error
    had = size_of(part)
    if not had:
        raise BrokenTransferError("nothing came")
    if source.size is not None and source.size != had:
        if had > source.size:
            part.unlink()
        raise BrokenTransferError(f"{had} bytes came instead of {source.size}")


def copy(source: Source, file: BinaryIO, label: str) -> None:
    """Copy an answer to a file, with a progress bar."""
    with tqdm(
        total=source.size, initial=source.start, unit="B", unit_scale=True, desc=label, disable=None
    ) as progress:
        while chunk := read_chunk(source.answer):
            file.write(chunk)
            progress.update(len(chunk))


def read_chunk(answer: HTTPResponse) -> bytes:
    """Read what has arrived; raises BrokenTransferError."""
    try:
        return answer.read1(CHUNK)
    except NETWORK_ERRORS as error:
        raise BrokenTransferError(str(error) or type(error).__name__) from error


def connect(url: str, have: int) -> Source | None:
    """Ask for what follows the first `have` bytes; return None if the file ends there."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == 416 and have:
            is_whole = error.headers.get("Content-Range") == f"bytes */{have}"
            return None if is_whole else connect(url, 0)
        if error.code in TRANSIENT:
            raise BrokenTransferError(str(error)) from error
        raise
    except NETWORK_ERRORS as error:
        cause = getattr(error, "reason", None)
        if isinstance(error, InvalidURL) or isinstance(cause, ssl.SSLCertVerificationError):
            raise RefusedError(str(error)) from error
        raise BrokenTransferError(str(error) or type(error).__name__) from error
    try:
        return source_of(url, answer, have)
    except BaseException:
        answer.close()
        raise


def source_of(url: str, answer: HTTPResponse, have: int) -> Source | None:
    """Return the answer's place in the file; a server may send all of it though asked for a part.

    If that place is another one, the whole file is asked for. Raises RefusedError for what can't be
    the file.
    """
    if answer.status not in (200, 206):
        raise RefusedError(f"the server's answer has the status {answer.status}")
    if answer.headers.get_content_type() == "text/html":
        raise RefusedError("the server sends a web page in its place")
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity" and not url.endswith(("gz", "rar", "zip")):
        raise RefusedError(f"the server sends it encoded as {encoding}")
    if answer.status == 200:
        size = answer.headers.get("Content-Length", "")
        return Source(answer, 0, int(size) if size.isdecimal() else None)
    sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if sent and int(sent[1]) == have:
        return Source(answer, have, int(sent[2]))
    answer.close()
    if not have:
        raise BrokenTransferError("the server sent a part of it that wasn't asked for")
    return connect(url, 0)


def size_of(path: Path) -> int:
    """Return a file's size; 0 if there is none."""
    return path.stat().st_size if path.exists() else 0
