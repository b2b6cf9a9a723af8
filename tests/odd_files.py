"""Odd things in the place of a file or of a value, as they are met on users' machines."""

import gzip
import io
import math
import os
import shutil
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from small_runs import TINY

START = [*TINY, "--num_epochs", 0, "--output_dir", "runs"]  # a run that only makes its folder

# ---- files ----


def _archive(path: Path, kind: str) -> None:
    data = b"some text\n"
    if kind == "gzip":
        path.write_bytes(gzip.compress(data))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.txt", data)
    else:
        with tarfile.open(path, "w") as file:
            member = tarfile.TarInfo("a.txt")
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the address of a socket must be short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
    "a FIFO": os.mkfifo,
    "a socket": _socket,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "an empty device": lambda path: path.symlink_to(os.devnull),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "random bytes": lambda path: path.write_bytes(
        bytes((i * i * 7 + 13) % 256 for i in range(4096))
    ),
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "text": lambda path: path.write_text("This is text.\n"),
    "a web page": lambda path: path.write_text("<!DOCTYPE html><html>Sign in</html>\n"),
    "a pointer of Git LFS": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 175000000\n"
    ),
    "UTF-16": lambda path: path.write_bytes("a,b\n1,2\n".encode("utf-16")),
    "Latin-1": lambda path: path.write_bytes("Müller/é,5\n".encode("latin-1")),
    "a line without end": lambda path: path.write_bytes(b"a" * 3_000_000),
    "deep JSON": lambda path: path.write_text("[" * 100_000),
    "gzip": lambda path: _archive(path, "gzip"),
    "zip": lambda path: _archive(path, "zip"),
    "tar": lambda path: _archive(path, "tar"),
}


def replace(path: Path, make: Callable[[Path], object]) -> None:
    """Put an odd thing in the place of a file or folder, which need not be there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


def copy_data_set(source: Path, place: Path) -> Path:
    """Copy the folder of a data set; its root.txt then names the copy."""
    shutil.copytree(source, place)
    (place / "data" / "UCF101" / "root.txt").write_text(f"{place / 'frames_root' / 'UCF101'}\n")
    return place


# ---- values ----

ODD_VALUES: dict[str, object] = {
    "none": None,
    "a bool": True,
    "a large number": 10**30,
    "minus one": -1,
    "a fraction": 0.5,
    "NaN": math.nan,
    "infinity": math.inf,
    "text": "x",
    "empty text": "",
    "a list": [],
    "a list in a list": [[1, 2], "x"],
    "an object": {},
}
ODD_TENSORS = {
    "another shape": torch.zeros(3, 3, 3, 3, 3),
    "no dimension": torch.tensor(1.0),
    "no elements": torch.zeros(0),
    "NaN": torch.tensor([math.nan]),
    "whole numbers": torch.ones(2, dtype=torch.int64),
    "complex": torch.ones(2, dtype=torch.complex64),
    "sparse": torch.eye(2).to_sparse(),
}
ODD_NUMBERS = [
    "nan", "inf", "-inf", "-1", "0", "1e400", "-0.0", "2147483648", "9223372036854775808",
    "1" + "0" * 30, "1" * 5000, "x", "", " ", "1_0", "0x10", "1,5", "٣", "None", "1e9",
]  # fmt: skip
ODD_TEXTS = [
    "", " ", ".", "..", "../x", "/", "//", ".hidden", "-x", "a" * 300, "a/b", "~", "~nobody/x",
    "a\nb", "\x1b[31mred", "\t", "a\udcffb", "émile", "中文", "$(x)", "%s%d", "{0}", "a b",
    "'", '"', "NA", "nan", "null", "auto", "random", "*", "?", "con", "\\\\server\\x",
    "http://x/y", "-",
]  # fmt: skip
ODD_NAMES = [
    "None", "NA", "nan", "null", "1e5", "007", "$x$", "a_b^c{d", "50%", "a,b", "a b", " a ", "#x",
    "'q'", '"q"', "a;b", "é", "中文", "🐁", "-x", "a" * 200, "a\\b", "true", "index", "...",
]  # fmt: skip
ODD_ROWS = [
    "", ",", "x", "x,y", "frames/Dive/v,-1", "frames/Dive/v,1.5", "frames/Dive/v,2147483648",
    "frames/Dive/v,99999999999999999999", "frames/Dive/v,nan", "frames/Dive/v,", "/,5", "a/b/c,7",
    "../../../etc/Dive/passwd,50", "/frames/Dive/v,40", "frames/Dive/v\0x,40", "frames//v,40",
    "frames/Dive/v;40", "frames\\Dive\\v,40", '"frames/Dive/v","40"', "frames/Dive/v 40",
    "frames/NoClass/v,40", "frames/Dive/" + "v" * 300 + ",40", "frames/Dive/v,０４０",
    "é/Dive/v,40",
]  # fmt: skip
ODD_CLASS_LISTS = [
    "0 Dive", "0 Dive\n0 Jump\n0 Run", "0 Dive\n1 Dive\n2 Run", "Dive\nJump\nRun",
    "Dive 0\nJump 1", "1 Dive\n3 Jump\n2 Run", "5 Dive\n6 Jump\n7 Run", "-1 Dive\n0 Jump\n1 Run",
    "0,Dive\n1,Jump\n2,Run", "0 Dive\n1 Jump\n2 Run\n3 More", "1.0 Dive\n2.0 Jump\n3.0 Run",
    "x Dive", "0", "0 Dive 5\n1 Jump", "\ufeff0 Dive\n1 Jump\n2 Run\n", "0 Dive\r1 Jump\r2 Run\r",
    "99999999999999999999 Dive",
]  # fmt: skip
