"""Archives that no publisher makes: told in one line, and nothing of them is left."""

import errno
import gzip
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

import archives
from archive_files import files_below, write_rar, write_tar, write_zip
from archives import unpack
from members import ArchiveError
from rar import parse_unrar
from utils.errors import UsageError

TOO_LONG = ["a/" + "x" * 300, "a/" * 900 + "x", "é" * 130, ("y" * 200 + "/") * 8 + "x"]
END = bytes(1024)


def as_they_are(names: list[str]) -> dict[str, str]:
    return {name: name for name in names}


def member(name: str, data: bytes = b"x", **facts: object) -> bytes:
    """A member of a tar file, with facts that needn't be true."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def extended(key: str, value: bytes) -> bytes:
    """A header that gives the next member another fact."""
    length = len(f" {key}=\n") + len(value)
    length += len(str(length + 2))
    return member("header", f"{length} {key}=".encode() + value + b"\n", type=tarfile.XHDTYPE)


def tar_gz(*members: bytes) -> bytes:
    return gzip.compress(b"".join(members) + END)


TARS = {
    "a petabyte": (tar_gz(member("a.avi", size=10**15)), "the disk has room for"),
    "a name of a petabyte": (tar_gz(member("x", type=b"L", size=10**15)), "MemoryError"),
    "a zero byte in a name": (tar_gz(extended("path", b"a\0b.avi"), member("b")), "null byte"),
    "no time": (tar_gz(extended("mtime", b"nan"), member("b.avi")), "NaN"),
    "zeros without end": (tar_gz(member("a.avi"), bytes(70 << 20)), "goes on behind its last"),
    "a file that is a folder too": (tar_gz(member("a"), member("a/b.avi")), "[Nn]ot a directory"),
    "nothing": (b"", "could not be opened"),
    "text": (b"not found\n", "could not be opened"),
    "a web page": (b"\n<!DOCTYPE html>\n<html>", "is a web page; delete it"),
    "no members": (tar_gz(), "none of its 0 files"),
}
REFUSED = {
    "two members of one name": tar_gz(member("a/b.avi"), member("a/b.avi")),
    "two spellings of a name": tar_gz(member("a/b.avi"), member("./a//b.avi")),
    "a negative size": tar_gz(member("a.avi", size=-1024), member("b.avi")),
    "a negative size that is told before": tar_gz(extended("size", b"-1024"), member("a.avi")),
    "a link to a folder": tar_gz(member("d", b"", type=b"2", linkname="/tmp"), member("d/x.avi")),
}


@pytest.mark.parametrize("kind", TARS)
def test_a_tar_that_cannot_be_unpacked(kind, tmp_path):
    content, told = TARS[kind]
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match=told) as caught:
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", as_they_are)
    assert "\n" not in str(caught.value)
    assert not files_below(tmp_path).keys() - {"a.tar.gz"}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_tar_that_is_refused(kind, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(REFUSED[kind])
    with pytest.raises(UsageError, match="refused") as caught:
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", as_they_are)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize("name", TOO_LONG)
def test_too_long_a_path_is_refused_and_told_in_short(write, name, tmp_path):
    archive = write(tmp_path / ("a.zip" if write is write_zip else "a.tar.gz"), {name: b"x"})
    with pytest.raises(UsageError, match="is too long a path") as caught:
        unpack(archive, tmp_path / "out", as_they_are)
    assert len(str(caught.value)) < 700


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a/b.avi", "a/b.avi"), ("a/b.avi", "./a/b.avi")])
def test_two_members_of_a_zip_with_one_place_are_refused(names, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        for name in names:
            opened.writestr(name, b"x")
    with pytest.raises(UsageError, match=r"2 of its members would become 'a/b\.avi'"):
        unpack(tmp_path / "a.zip", tmp_path / "out", as_they_are)


@pytest.mark.parametrize(
    ("offset", "form", "number", "told"),
    [
        (8, "<H", 1, "is encrypted"),
        (10, "<H", 99, "compression method"),
        (16, "<I", 1, "CRC"),
        (42, "<I", 2**31, "header"),
    ],
)
def test_a_zip_with_a_wrong_list(offset, form, number, told, tmp_path):
    raw = bytearray(write_zip(tmp_path / "a.zip", {"a.avi": b"x" * 1000}).read_bytes())
    struct.pack_into(form, raw, raw.index(b"PK\1\2") + offset, number)
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(ArchiveError, match=told) as caught:
        unpack(tmp_path / "a.zip", tmp_path / "out", as_they_are)
    assert "\n" not in str(caught.value)
    assert not files_below(tmp_path).keys() - {"a.zip"}


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("nowhere")])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.rar"])
def test_what_is_no_file_is_told_at_once(make, name, tmp_path):
    make(tmp_path / name)
    with pytest.raises(ArchiveError, match=rf"{name}: can't be read \(\w"):
        unpack(tmp_path / name, tmp_path / "out", as_they_are)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_not_blamed_on_the_archive(number, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    archive = write_tar(tmp_path / "a.tar.gz", {"a.avi": b"x"})
    monkeypatch.setattr(archives.shutil, "copyfileobj", refuse)
    monkeypatch.setattr(tarfile, "copyfileobj", refuse)
    with pytest.raises(ArchiveError) as caught:
        unpack(archive, tmp_path / "out", as_they_are)
    assert str(caught.value) == (
        f"{archive}: can't be unpacked in {tmp_path / 'out'} ({os.strerror(number)})"
    )
    assert files_below(tmp_path).keys() == {"a.tar.gz"}


def test_odd_names_come_out_as_they_are(tmp_path):
    names = ["a/caf\udce9.avi", "a/x\ny.avi", "a/\x1b[31m.avi", "None/nan.avi", "1e5/$x,'\".avi"]
    archive = write_tar(tmp_path / "a.tar.gz", dict.fromkeys(names, b"x"))
    unpack(archive, tmp_path / "out", as_they_are)
    assert files_below(tmp_path / "out").keys() == set(names)


def test_a_name_in_a_rar_cannot_pretend_to_be_a_file():
    printed = " Name: d\n Type: File\n Type: Unix symbolic link\n Size: 5\n"
    with pytest.raises(ArchiveError, match="not understood"):
        parse_unrar(printed)


def test_a_rar_that_says_it_is_huge_is_left(tmp_path, monkeypatch):
    archive = write_rar(tmp_path / "a.rar", {"a.avi": b"x"})
    monkeypatch.setattr(archives, "rar_programs", lambda: ["unrar"])
    listed = parse_unrar(f" Name: a.avi\n Type: File\n Size: {10**15}\n")
    monkeypatch.setattr(archives, "rar_members", lambda program, archive: listed)
    with pytest.raises(ArchiveError, match="the disk has room for"):
        unpack(archive, tmp_path / "out", as_they_are)
    assert not (tmp_path / "out").exists()
