"""Rar archives, which Python can't read: programs of the system list and extract them.

Those in `RAR_TOOLS` are tried in that order, since some read only a few rar files: Debian's `unrar`
may be unrar-free, its 7z lacks a plug-in.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from members import FILE, FOLDER, OTHER, ArchiveError, Member
from utils.errors import UsageError


def parse_unrar(printed: str) -> list[Member]:
    """Parse what `unrar lt` prints: lines `Name: NAME`, `Type: File`, `Size: 7` for each member."""
    members = []
    for block in re.split(r"^ *Name: ", printed, flags=re.M)[1:]:
        name, _, facts = block.partition("\n")
        types, sizes = (re.findall(rf"^ *{key}: (.*)$", facts, re.M) for key in ("Type", "Size"))
        if len(types) != 1:  # a name with a line end may pretend to have one
            raise ArchiveError("its list is not understood")
        kind = {"File": FILE, "Directory": FOLDER}.get(types[0], OTHER)
        members.append(Member(name, kind, sum(map(_size, sizes))))
    return members


def _size(printed: str) -> int:
    return int(printed) if printed.strip().isdecimal() else 0


def parse_bsdtar(printed: str) -> list[Member]:
    """Parse what `bsdtar -tv` prints: `-rw-r--r--  0 owner group size Jan  1  2020 NAME`."""
    rows = [line.split(maxsplit=8) for line in printed.splitlines()]
    if any(len(row) < 9 for row in rows):
        raise ArchiveError("its list is not understood")
    kinds = {"-": FILE, "d": FOLDER}
    return [Member(row[8], kinds.get(row[0][0], OTHER), _size(row[4])) for row in rows]


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
            kind = FOLDER if facts.get("Folder") == "+" else FILE
            members.append(Member(name, kind, _size(facts.get("Size", ""))))
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
