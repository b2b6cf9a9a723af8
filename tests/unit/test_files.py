"""Files from outside, files written whole, and streams that take any text."""

import errno
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from utils import files
from utils.errors import RunError, UsageError

ROOT = Path(__file__).resolve().parents[2]


CONTENTS = {"latin": b"a\xe9", "binary": b"\x00\xff\xfe", "half UTF-16": b"\xff\xfea"}


def make_odd(kind: str, path: Path, monkeypatch) -> None:
    """Put something of that kind in the place of a text file."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(path.parent)  # a socket's path is short
        socket.socket(socket.AF_UNIX).bind(path.name)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "circle":
        path.symlink_to(path)
    elif kind == "dangling link":
        path.symlink_to("nothing")
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 2**40)
    else:
        path.write_bytes(
            {"latin": b"a\xe9", "binary": b"\x00\xff\xfe", "half UTF-16": b"\xff\xfea"}[kind]
        )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("pipe", "is no regular file"),
        ("socket", "is no regular file"),
        ("folder", "is a folder"),
        ("device", "is no regular file"),
        ("circle", "symbolic links lead in a circle"),
        ("dangling link", "No such file"),
        ("sparse", "has 1099511627776 bytes, and at most"),
        ("latin", "is no UTF-8 text: byte 1 is 0xe9"),
        ("binary", "is no UTF-8 text: byte 1 is 0xff"),
        ("half UTF-16", ""),
    ],
)
def test_what_is_no_text_file_gets_one_line_and_never_hangs(kind, told, tmp_path, monkeypatch):
    path = tmp_path / "classInd.txt"
    make_odd(kind, path, monkeypatch)
    for read in (files.read_text, files.read_lines, files.read_json):
        with pytest.raises(UsageError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: can't be read ({told}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_names_that_no_file_can_have_get_one_line(name, tmp_path):
    with pytest.raises(UsageError, match="can't be read"):
        files.read_text(tmp_path / name)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 5000, "'a'", "{1: 2}", "\0"]
)
def test_damaged_json_gets_one_line(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"config\.json: can't be read as JSON"):
        files.read_json(path)


def test_lines_end_as_any_system_writes_them(tmp_path):
    path = tmp_path / "lists.txt"
    path.write_bytes("\ufeffa b\r\n1\r\x0b\u2028\n\n2".encode())
    assert files.read_lines(path) == ["a b", "1", "\x0b\u2028", "", "2"]


def fail(number: int):
    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return failing


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_folders_that_know_no_fsync_are_written_into(number, tmp_path, monkeypatch):
    whole = os.fsync

    def fsync(handle: int) -> None:
        fail(number)() if os.path.isdir(f"/proc/self/fd/{handle}") else whole(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_whole(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "new"
    monkeypatch.setattr(os, "fsync", fail(number))
    with pytest.raises(RunError, match=r"can't write .*a\.csv: "):  # a file must reach the disk
        files.write_whole(tmp_path / "a.csv", "newer")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_other_errors_of_a_folder_are_told(number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        files.flush(tmp_path)


def test_texts_that_are_no_utf8_are_written_escaped(tmp_path):
    files.write_whole(tmp_path / "a", "é\udcff")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "é\\udcff"


SAY = (
    "import sys; from utils.logs import open_streams, start_logging, log; open_streams();"
    "start_logging('info'); log.info('log \\u2026 \\udcff'); print('out \\u2026 \\udcff');"
    "opened = open('/dev/null'); assert opened.fileno() > 2; print('whole', file=sys.stderr)"
)


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        ("", "out \\u2026 \\udcff\n", "log \\u2026 \\udcff\nwhole\n"),
        (">&-", "", "log \\u2026 \\udcff\nwhole\n"),
        ("2>&-", "out \\u2026 \\udcff\n", ""),
        ("<&- >&- 2>&-", "", ""),
    ],
)
def test_ascii_terminals_and_closed_streams_take_any_text(closed, out, err):
    command = f'"$0" -OO -c "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, SAY],
        cwd=ROOT,
        env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, out, err)


def test_streams_that_stand_in_for_a_terminal_are_left_alone(monkeypatch):
    from utils.logs import open_streams

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    open_streams()
    print("…")
    assert sys.stdout.getvalue() == "…\n"
