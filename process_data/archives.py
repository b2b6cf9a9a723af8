"""Unpack zip, tar.gz and rar archives: whole or not at all, never outside of the target folder."""

import errno
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from members import FILE, FOLDER, OTHER, ArchiveError, Member
from rar import RAR_TOOLS, rar_extract, rar_members, rar_programs
from utils.errors import UsageError
from utils.files import reason, regular_only

CHUNK = 1 << 20  # bytes
LONGEST_TAIL = 64 * CHUNK  # of a tar file, behind its last member
LONGEST_NAME, LONGEST_PATH, DEEPEST = 255, 1000, 50  # bytes of a name, of a path; folders
WEB_PAGE = re.compile(rb"\s*<(!doctype html|html|head|\?xml)", re.I)

Plan = Callable[[list[str]], dict[str, str]]  # all files' names → places of the wanted ones


class Reader(NamedTuple):
    """Functions that list an archive and extract some of its files (rar: all) into a folder."""

    members: Callable[[Path], Iterable[Member]]
    extract: Callable[[Path, Collection[str], Path], None]


def unpack(archive: Path, target: Path, plan: Plan) -> list[str]:
    """Put the files that `plan` wants in their places below `target`; return all files' names.

    They are extracted in a hidden folder and moved once all of them are there. Raises UsageError,
    with nothing written, for members that must not be unpacked, or else ArchiveError.
    """
    refuse_other_files(archive)
    failures = []
    for reader in readers(archive):
        try:
            return _unpack(reader, archive, target, plan)
        except ArchiveError as error:
            failures.append(str(error))
        except OSError as error:
            told = f"{archive}: can't be unpacked in {target} ({reason(error)})"
            raise ArchiveError(told) from error
    remedy = "if it is damaged, delete it and run again"
    if archive.name.endswith(".rar"):
        remedy += f", else install another of {', '.join(RAR_TOOLS)}"
    raise ArchiveError(f"{archive}: cannot be unpacked ({'; '.join(failures)}); {remedy}")


def _unpack(reader: Reader, archive: Path, target: Path, plan: Plan) -> list[str]:
    names = files_in(archive, reader.members(archive), free_room(target))
    places = plan(names)
    if not places:
        raise ArchiveError(f"none of its {len(names)} files is of use")
    refuse_shared_places(archive, names, places)
    hidden = target / f".unpacking_{archive.name}"
    shutil.rmtree(hidden, ignore_errors=True)  # of a run that was killed
    hidden.mkdir(parents=True)
    try:
        reader.extract(archive, places, hidden)
        move(hidden, target, places)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return names


def move(source: Path, target: Path, places: dict[str, str]) -> None:
    """Move plain files from `source` to their places below `target`, if all of them are there."""
    root = source.resolve()
    for name in places:
        path = root / name
        if not path.is_file() or path.resolve() != path:
            raise ArchiveError(f"{name!r} did not come out")
    for name, place in places.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        os.replace(source / name, target / place)


def readers(archive: Path) -> list[Reader]:
    """Return what may read the archive; raises UsageError for a rar without a program."""
    if archive.name.endswith(".zip"):
        return [Reader(zip_members, zip_extract)]
    if archive.name.endswith((".tar.gz", ".tgz")):
        return [Reader(tar_members, tar_extract)]
    return [Reader(partial(rar_members, p), partial(rar_extract, p)) for p in rar_programs()]


# ------------------------------------------------------------------ what is refused


def refuse_other_files(archive: Path) -> None:
    """Raise ArchiveError for what isn't a regular file, or is a web page saved as an archive."""
    try:
        with open(archive, "rb", opener=regular_only) as file:
            is_web_page = WEB_PAGE.match(file.read(CHUNK))
    except OSError as error:
        raise ArchiveError(f"{archive}: can't be read ({reason(error)})") from error
    if is_web_page:
        raise ArchiveError(f"{archive}: is a web page; delete it and run again, or replace it")


def files_in(archive: Path, members: Iterable[Member], room: int) -> list[str]:
    """Return the names of the files.

    Raises UsageError for a member that must not be unpacked, and ArchiveError once they have more
    bytes than there is room for.
    """
    names, size = [], 0
    for member in members:
        if fault := unsafe(member):
            raise UsageError(f"{archive}: refused, its member {member.name!r} {fault}")
        if member.kind == FILE:
            names.append(member.name)
        size += member.size
        if size > room:
            raise ArchiveError(f"the disk has room for {room} bytes, and it has {size} or more")
    return names


def free_room(folder: Path) -> int:
    """Return the free bytes on the disk of a folder that may be made yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def refuse_shared_places(archive: Path, names: list[str], places: dict[str, str]) -> None:
    """Raise UsageError if two files would have one place."""
    wanted = Counter(PurePosixPath(places[name]) for name in names if name in places)
    place, count = wanted.most_common(1)[0]
    if count > 1:
        raise UsageError(f"{archive}: refused, {count} of its members would become {str(place)!r}")


def unsafe(member: Member) -> str | None:
    """Return why a member must not be unpacked. Both slashes separate, whatever the system."""
    parts = re.split(r"[/\\]", member.name)
    sizes = [len(os.fsencode(part)) for part in parts]
    if max(sizes) > LONGEST_NAME or sum(sizes) > LONGEST_PATH or len(sizes) > DEEPEST:
        return "is too long a path"
    if parts[0] == "" or re.match("[A-Za-z]:", parts[0]):
        return "has an absolute path"
    if ".." in parts:
        return "would leave the target folder"
    if member.size < 0:
        return "has a negative size"
    return f"is a {OTHER}" if member.kind == OTHER else None


# ------------------------------------------------------------------ zip and tar.gz


DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(OSError, RuntimeError, ValueError, OverflowError, MemoryError, KeyError),
)


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


@contextmanager
def damage_as_archive_error() -> Iterator[None]:
    """Turn what zipfile and tarfile raise for damaged or encrypted files into ArchiveError."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise ArchiveError(reason(error).rstrip(":")) from error


def zip_members(archive: Path) -> list[Member]:
    """List a zip file."""
    with damage_as_archive_error(), zipfile.ZipFile(archive) as opened:
        return [
            Member(info.filename, _zip_kind(info), info.file_size) for info in opened.infolist()
        ]


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return OTHER
    return FOLDER if info.is_dir() else FILE


def zip_extract(archive: Path, names: Collection[str], folder: Path) -> None:
    """Extract these files of a zip file."""
    with damage_as_archive_error(), zipfile.ZipFile(archive) as opened:
        opened.extractall(folder, names)


def tar_members(archive: Path) -> Iterator[Member]:
    """List a tar file, which is read to its end, where the checksum is.

    A member is known before its content is read.
    """
    with damage_as_archive_error(), tarfile.open(archive) as opened:
        for info in opened:
            yield Member(info.name, _tar_kind(info), info.size)
        for _ in range(0, LONGEST_TAIL, CHUNK):
            if not opened.fileobj or not opened.fileobj.read(CHUNK):
                return
        raise ArchiveError("goes on behind its last member")


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return FOLDER
    return FILE if info.isreg() else OTHER


def tar_extract(archive: Path, names: Collection[str], folder: Path) -> None:
    """Extract these files of a tar file."""
    with damage_as_archive_error(), tarfile.open(archive) as opened:
        wanted = [info for info in opened if info.name in names]
        opened.extractall(folder, wanted, filter="data")
