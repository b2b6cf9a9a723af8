"""Archives written for tests, and stand-ins for the programs that read rar files.

Rar files are stored ones (RAR 4). A stand-in prints and does what the real program did with such
files, so that none needs to be installed.
"""

import io
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

SYMLINK = 0o120777


def rar_block(kind: int, flags: int, rest: bytes = b"", data: bytes = b"") -> bytes:
    header = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
    return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header + data


def rar_member(name: str, data: bytes, mode: int = 0o100644) -> bytes:
    """A stored file as made under Unix; folders are written with `\\`."""
    raw = name.replace("/", "\\").encode()
    facts = (len(data), len(data), 3, zlib.crc32(data), 0x5A8F6000, 20, 0x30, len(raw), mode)
    flags = 0x80E0 if stat.S_ISDIR(mode) else 0x8000
    return rar_block(0x74, flags, struct.pack("<IIBIIBBHI", *facts) + raw, data)


def write_rar(path: Path, files: dict[str, bytes], mode: int = 0o100644) -> Path:
    tame = [Path(name) for name in files if name.count("/") == 2]
    folders = dict.fromkeys(str(path.parents[i]) for path in tame for i in (1, 0))
    blocks = [rar_member(name, data, mode) for name, data in files.items()]
    blocks[:0] = [rar_member(name, b"", stat.S_IFDIR | 0o755) for name in folders]
    marker, start, end = b"Rar!\x1a\x07\x00", rar_block(0x73, 0, bytes(6)), rar_block(0x7B, 0x4000)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join([marker, start, *blocks, end]))
    return path


def write_zip(path: Path, files: dict[str, bytes], mode: int = 0o100644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            opened.writestr(info, data)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: int = 0o100644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if mode == SYMLINK:
                info.type, info.linkname = tarfile.SYMTYPE, data.decode()
                opened.addfile(info)
            else:
                info.size = len(data)
                opened.addfile(info, io.BytesIO(data))
    return path


STAND_IN = r"""#!{python}
import os, stat, struct, sys, zlib
from pathlib import Path

def members(raw):
    assert raw[:7] == b"Rar!\x1a\x07\x00", "not a rar"
    at = 7
    while raw[at + 2] != 0x7B:
        kind, flags, size = struct.unpack("<BHH", raw[at + 2 : at + 7])
        (checksum,) = struct.unpack("<H", raw[at : at + 2])
        assert checksum == zlib.crc32(raw[at + 2 : at + size]) & 0xFFFF
        packed = 0
        if kind == 0x74:
            packed, _, _, crc, _, _, _, length, mode = struct.unpack(
                "<IIBIIBBHI", raw[at + 7 : at + 32])
            name = raw[at + 32 : at + 32 + length].decode().replace("\\", "/")
            data = raw[at + size : at + size + packed]
            if zlib.crc32(data) != crc:
                sys.exit(name + ": checksum error")
            yield name, stat.filemode(mode), data
        at += size + packed

def extract(archive, folder):
    for name, mode, data in members(archive):
        path = folder / name.lstrip("/")
        if mode[0] == "d":
            path.mkdir(parents=True, exist_ok=True)
        elif ".." not in path.parts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

(archive,) = [Path(word).read_bytes() for word in sys.argv[2:] if os.path.isfile(word)]
program = Path(sys.argv[0]).name
with open(os.environ["STAND_IN_LOG"], "a") as log:
    print(program, *sys.argv[1:], file=log)
if program == "unrar":
    if sys.argv[1] == "x":
        extract(archive, Path(sys.argv[-1]))
    else:
        kinds = {{"-": "File", "d": "Directory", "l": "Unix symbolic link"}}
        print("\nUNRAR 6.21 freeware\n\nArchive: a.rar\nDetails: RAR 4\n")
        for name, mode, data in members(archive):
            print("        Name: " + name, "        Type: " + kinds[mode[0]], sep="\n")
            print("        Size: %d\n  Attributes: %s\n" % (len(data), mode))
elif program == "bsdtar":
    if "-xf" in sys.argv:
        extract(archive, Path(sys.argv[-1].removeprefix("-C")))
    else:
        for name, mode, data in members(archive):
            link = " -> " + data.decode() if mode[0] == "l" else ""
            print(mode + "  0 0      0 %11d Apr 15  2025 %s%s" % (len(data), name, link))
elif sys.argv[1] == "x":
    extract(archive, Path(sys.argv[-1].removeprefix("-o")))
else:
    for name, mode, data in members(archive):
        is_folder = mode[0] == "d"
        print("Path = " + name, "Folder = " + "-+"[is_folder], "Size = %d" % len(data), sep="\n")
        print("Attributes = " + "D"[:is_folder] + " " + mode, "CRC = 0", "Method = m0\n", sep="\n")
"""


def stand_in(folder: Path, *programs: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes these the only programs there are; returns the file that logs their calls."""
    folder.mkdir(exist_ok=True)
    for program in programs:
        path = folder / program
        path.write_text(STAND_IN.format(python=sys.executable))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("STAND_IN_LOG", str(folder / "log"))
    return folder / "log"


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir()
    }
