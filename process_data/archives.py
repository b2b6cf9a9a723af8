"""Unpack zip, tar.gz and rar archives: whole or not at all, never outside of the target folder.

Python can't read rar; a program of the system does. Those in `RAR_TOOLS` are tried in that order,
since some read only a few rar files: Debian's `unrar` may be unrar-free, its 7z lacks a plug-in.
"""

import os
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from utils.errors import UsageError

FILE, FOLDER, OTHER = "file", "folder", "link or device"
CHUNK = 1 << 20  # bytes

Plan = Callable[[list[str]], dict[str, str]]  # all files' names → places of the wanted ones


class ArchiveError(Exception):
    """An archive that cannot be read, in one line."""


class Member(NamedTuple):
    """A file or folder in an archive."""

    name: str
    kind: str


class Reader(NamedTuple):
    """Functions that list an archive and extract some of its files (rar: all) into a folder."""

    members: Callable[[Path], list[Member]]
    extract: Callable[[Path, Collection[str], Path], None]


def unpack(archive: Path, target: Path, plan: Plan) -> list[str]:
    """Put the files that `plan` wants in their places below `target`; return all files' names.

    They are extracted in a hidden folder and moved once all of them are there. Raises UsageError,
    with nothing written, if a member is a link or would leave the folder, or else ArchiveError.
    """
    failures = []
    for reader in readers(archive):
        try:
            return _unpack(reader, archive, target, plan)
        except ArchiveError as error:
            failures.append(str(error))
    remedy = "if it is damaged, delete it and run again"
    if archive.name.endswith(".rar"):
        remedy += f", else install another of {', '.join(RAR_TOOLS)}"
    raise ArchiveError(f"{archive}: cannot be unpacked ({'; '.join(failures)}); {remedy}")


def _unpack(reader: Reader, archive: Path, target: Path, plan: Plan) -> list[str]:
    members = reader.members(archive)
    refuse_unsafe(archive, members)
    names = [member.name for member in members if member.kind == FILE]
    places = plan(names)
    if not places:
        raise ArchiveError(f"none of its {len(names)} files is of use")
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
            raise ArchiveError(f"{name} did not come out")
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


def refuse_unsafe(archive: Path, members: list[Member]) -> None:
    """Raise UsageError for a member that must not be unpacked."""
    for member in members:
        if reason := unsafe(member):
            raise UsageError(f"{archive}: refused, its member {member.name!r} {reason}")


def unsafe(member: Member) -> str | None:
    """Return why a member must not be unpacked. Both slashes separate, whatever the system."""
    parts = re.split(r"[/\\]", member.name)
    if parts[0] == "" or re.match("[A-Za-z]:", parts[0]):
        return "has an absolute path"
    if ".." in parts:
        return "would leave the target folder"
    return f"is a {OTHER}" if member.kind == OTHER else None


# ------------------------------------------------------------------ zip and tar.gz


@contextmanager
def damage_as_archive_error() -> Iterator[None]:
    """Turn what zipfile and tarfile raise for damaged or encrypted files into ArchiveError."""
    damage = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError)
    try:
        yield
    except damage as error:
        raise ArchiveError(f"{error}") from error


def zip_members(archive: Path) -> list[Member]:
    """List a zip file."""
    with damage_as_archive_error(), zipfile.ZipFile(archive) as opened:
        return [Member(info.filename, _zip_kind(info)) for info in opened.infolist()]


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return OTHER
    return FOLDER if info.is_dir() else FILE


def zip_extract(archive: Path, names: Collection[str], folder: Path) -> None:
    """Extract these files of a zip file."""
    with damage_as_archive_error(), zipfile.ZipFile(archive) as opened:
        opened.extractall(folder, names)


def tar_members(archive: Path) -> list[Member]:
    """List a tar file, which is read to its end, where the checksum is."""
    with damage_as_archive_error(), tarfile.open(archive) as opened:
        members = [Member(info.name, _tar_kind(info)) for info in opened]
        while opened.fileobj and opened.fileobj.read(CHUNK):
            pass
    return members


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return FOLDER
    return FILE if info.isreg() else OTHER


def tar_extract(archive: Path, names: Collection[str], folder: Path) -> None:
    """Extract these files of a tar file."""
    with damage_as_archive_error(), tarfile.open(archive) as opened:
        wanted = [info for info in opened if info.name in names]
        opened.extractall(folder, wanted, filter="data")


# ------------------------------------------------------------------ rar


def parse_unrar(printed: str) -> list[Member]:
    """Parse what `unrar lt` prints: lines `Name: NAME` and `Type: File` for each member."""
    names = re.findall(r"^ *Name: (.*)$", printed, re.M)
    types = re.findall(r"^ *Type: (.*)$", printed, re.M)
    if len(names) != len(types):
        raise ArchiveError("its list is not understood")
    kinds = {"File": FILE, "Directory": FOLDER}
    return [Member(n, kinds.get(t, OTHER)) for n, t in zip(names, types, strict=True)]


def parse_bsdtar(printed: str) -> list[Member]:
    """Parse what `bsdtar -tv` prints: `-rw-r--r--  0 owner group size Jan  1  2020 NAME`."""
    rows = [line.split(maxsplit=8) for line in printed.splitlines()]
    if any(len(row) < 9 for row in rows):
        raise ArchiveError("its list is not understood")
    kinds = {"-": FILE, "d": FOLDER}
    return [Member(row[8], kinds.get(row[0][0], OTHER)) for row in rows]


def parse_7z(printed: str) -> list[Member]:
    """Parse what `7z l -slt -ba` prints: lines `KEY = VALUE`, a member from each `Path` on."""
    members = []
    for block in re.split(r"^Path = ", printed, flags=re.M)[1:]:
        name, *lines = block.split("\n")
        facts = dict(line.partition(" = ")[::2] for line in lines)
        mode = re.search(r"[^-d][rwxsStT-]{9}$", facts.get("Attributes", "").strip())
        if mode or any(facts.get(f"{kind} Link") for kind in ("Symbolic", "Hard", "Copy")):
            members.append(Member(name, OTHER))
        else:
            members.append(Member(name, FOLDER if facts.get("Folder") == "+" else FILE))
    return members


class RarTool(NamedTuple):
    """Arguments before the archive, the one for the folder after it, the parser of the list."""

    listing: tuple[str, ...]
    extraction: tuple[str, ...]
    destination: str
    parse: Callable[[str], list[Member]]


_UNRAR = ("-cfg-", "-p-")  # no configuration of the user's, no question for a password
_7Z = RarTool(("l", "-slt", "-ba"), ("x", "-y"), "-o{}", parse_7z)
RAR_TOOLS = {
    "unrar": RarTool(("lt", *_UNRAR), ("x", "-o+", "-y", *_UNRAR), "{}/", parse_unrar),
    "bsdtar": RarTool(("--numeric-owner", "-tvf"), ("-xf",), "-C{}", parse_bsdtar),
    "7z": _7Z,
    "7zz": _7Z,
    "7za": _7Z,
}


def rar_programs() -> list[str]:
    """Return the names of those of `RAR_TOOLS` that are installed; raises UsageError for none."""
    found = [name for name in RAR_TOOLS if shutil.which(name)]
    if not found:
        raise UsageError(
            "a .rar needs unrar, bsdtar or 7z, and none is installed; "
            "Debian: apt install unrar, or libarchive-tools, or p7zip-full with p7zip-rar"
        )
    return found


def rar_members(program: str, archive: Path) -> list[Member]:
    """List a rar file."""
    tool = RAR_TOOLS[program]
    members = tool.parse(_run(program, *tool.listing, str(archive.resolve())))
    if not members:
        raise ArchiveError(f"{program} lists nothing in it")
    return members


def rar_extract(program: str, archive: Path, names: Collection[str], folder: Path) -> None:
    """Extract all files of a rar file."""
    _, extraction, destination, _ = RAR_TOOLS[program]
    _run(program, *extraction, str(archive.resolve()), destination.format(folder.resolve()))


def _run(program: str, *arguments: str) -> str:
    """Return what the program prints; raises ArchiveError with its first line of complaint."""
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    if done.returncode != 0:
        printed = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise ArchiveError(f"{program}: {printed[0].removeprefix(f'{program}: ')}")
    return done.stdout
