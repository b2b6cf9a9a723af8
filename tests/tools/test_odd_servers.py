"""Answers that a server should not give: a download ends in one line, with nothing half-written."""

import errno
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.error import URLError

import pytest

import downloads
from archive_files import files_below
from downloads import DownloadError, download

CONTENT = bytes(range(200))


class Server(NamedTuple):
    """Gives the next of `answers`, the last one again and again, and closes; `{url}` is its own.

    An answer may be a function of what is asked.
    """

    url: str
    answers: list[bytes | Callable[[bytes], bytes]]
    asked: list[bytes]


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    served = Server(f"http://127.0.0.1:{listening.getsockname()[1]}", [], [])

    def serve() -> None:
        while True:
            with listening.accept()[0] as connection:
                asked = connection.recv(10000)
                if asked == b"end":
                    return
                served.asked.append(asked)
                answer = served.answers.pop(0) if len(served.answers) > 1 else served.answers[0]
                answer = answer(asked) if callable(answer) else answer
                connection.sendall(answer.replace(b"{url}", served.url.encode()))

    thread = threading.Thread(target=serve)
    thread.start()
    monkeypatch.setattr(downloads, "PAUSE", 0)
    yield served
    socket.create_connection(listening.getsockname()).sendall(b"end")
    thread.join()
    listening.close()


def answer(status: str, *headers: str, body: bytes = CONTENT) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


WHOLE = answer("200 OK", f"Content-Length: {len(CONTENT)}")
PART = "Content-Range: bytes {}-{}/{}"
CHUNKED = "Transfer-Encoding: chunked"
REFUSED = {
    "a longer body is told": ([answer("200 OK", "Content-Length: 250")], "200 bytes came instead"),
    "another range": ([answer("206 Partial", PART.format(5, 204, 205))], "wasn't asked for"),
    "a range without its size": ([answer("206 Partial", "Content-Range: bytes 0-199/*")], "wasn't"),
    "no range in a part": ([answer("206 Partial")], "wasn't asked for"),
    "a range of nonsense": ([answer("206 Partial", "Content-Range: x")], "wasn't asked for"),
    "unsatisfiable": ([answer("416 No")], "416"),
    "a web page": ([answer("200 OK", "Content-Type: text/html; charset=x")], "sends a web page"),
    "no content": ([answer("204 No Content", body=b"")], "status 204"),
    "an empty file": ([answer("200 OK", "Content-Length: 0", body=b"")], "nothing came"),
    "empty, without a length": ([answer("200 OK", body=b"")], "nothing came"),
    "packed": ([answer("200 OK", "Content-Encoding: gzip")], "encoded as gzip"),
    "a petabyte": ([answer("200 OK", f"Content-Length: {10**15}")], "the disk has room for"),
    "a circle": ([answer("302 Found", "Location: {url}/x.txt")], "redirect error.*infinite loop"),
    "to a file": ([answer("302 Found", "Location: file:///etc/passwd")], "not allowed"),
    "to nowhere": ([answer("302 Found")], "302"),
    "to no port": ([answer("302 Found", "Location: http://127.0.0.1:1/x")], "refused"),
    "no answer": ([b""], "closed connection"),
    "half a status": ([b"HTTP/1"], "HTTP/1"),
    "no http": ([b"SSH-2.0-x\r\n"], "SSH-2.0"),
    "half the headers": ([answer("200 OK", "Content-Length: 200")[:30]], "nothing came"),
    "an endless header": ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000], "header line"),
    "too many headers": ([answer("200 OK", *["X: x"] * 200)], "headers"),
    "chunks of nonsense": (
        [answer("200 OK", "Transfer-Encoding: chunked", body=b"zz\r\n")],
        "Read",
    ),
    "half a chunk": ([answer("200 OK", "Transfer-Encoding: chunked", body=b"ff\r\nabc")], "Read"),
    "a reason that acts on a terminal": ([answer("404 \x1b[31mred")], r"404: \\x1b\[31mred"),
    "busy for ever": ([answer("503 Busy")], "503"),
}
TAKEN = {
    "a length of nonsense": [answer("200 OK", "Content-Length: many")],
    "a negative length": [answer("200 OK", "Content-Length: -7")],
    "two lengths": [answer("200 OK", "Content-Length: 200", "Content-Length: 200")],
    "no length": [answer("200 OK")],
    "a part that is all": [answer("206 Partial", PART.format(0, 199, 200))],
    "after a redirect": [answer("301 Moved", "Location: {url}/other"), WHOLE],
    "after a cut": [answer("200 OK", "Content-Length: 200", body=CONTENT[:9]), WHOLE],
    "after another range": [
        answer("200 OK", "Content-Length: 200", body=CONTENT[:9]),
        answer("206 Partial", PART.format(3, 199, 200), body=CONTENT[3:]),
        WHOLE,
    ],
    "after silence": [b"", b"", WHOLE],
    "in parts": [
        answer("206 Partial", PART.format(start, 199, 200), body=CONTENT[start : start + 40])
        for start in range(0, 200, 40)
    ],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_odd_answer_is_told_in_one_line(kind, server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "ATTEMPTS", 2)
    answers, told = REFUSED[kind]
    server.answers.extend(answers)
    with pytest.raises(DownloadError, match=told) as caught:
        download(f"{server.url}/x.txt", tmp_path / "x.txt")
    assert "\n" not in str(caught.value)
    assert f"place the file by hand at {tmp_path / 'x.txt'}" in str(caught.value)
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize("kind", TAKEN)
def test_an_answer_that_holds_the_file_is_taken(kind, server, tmp_path):
    server.answers.extend(TAKEN[kind])
    download(f"{server.url}/x.txt", tmp_path / "x.txt")
    assert files_below(tmp_path) == {"x.txt": CONTENT}


def test_an_archive_that_is_told_to_be_packed_once_more_is_taken_as_it_is(server, tmp_path):
    server.answers.append(answer("200 OK", "Content-Encoding: x-gzip"))
    download(f"{server.url}/x.tar.gz", tmp_path / "x.tar.gz")
    assert files_below(tmp_path) == {"x.tar.gz": CONTENT}


def test_a_file_that_grows_with_each_answer_is_given_up(server, tmp_path, monkeypatch):
    def more(asked: bytes) -> bytes:
        start = int((re.findall(rb"bytes=(\d+)", asked) or [b"0"])[0])
        return answer("206 Partial", PART.format(start, start + 999, start + 1000))

    monkeypatch.setattr(downloads, "MOST_ATTEMPTS", 20)
    server.answers.append(more)
    with pytest.raises(DownloadError, match="bytes came instead"):
        download(f"{server.url}/x.txt", tmp_path / "x.txt")
    assert len(server.asked) == 20


def test_a_certificate_that_is_not_trusted_is_told_at_once(tmp_path, monkeypatch):
    asked = []

    def untrusted(*_: object, **__: object) -> None:
        asked.append(1)
        raise URLError(ssl.SSLCertVerificationError(1, "certificate verify failed"))

    monkeypatch.setattr(downloads.urllib.request, "urlopen", untrusted)
    with pytest.raises(DownloadError, match=r"certificate verify failed.*by hand"):
        download("https://example.org/x.txt", tmp_path / "x.txt")
    assert len(asked) == 1


@pytest.mark.parametrize("told", [True, False])
def test_a_full_disk_keeps_only_what_can_be_gone_on_with(told, server, tmp_path, monkeypatch):
    def full(_: object, file: BinaryIO, label: str) -> None:
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "copy", full)
    server.answers.append(WHOLE if told else answer("200 OK"))
    with pytest.raises(OSError, match=r"No space.*x\.txt\.part"):
        download(f"{server.url}/x.txt", tmp_path / "x.txt")
    assert files_below(tmp_path) == ({"x.txt.part": b"some"} if told else {})


@pytest.mark.parametrize("name", ["x.txt", "x.txt.part"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("nowhere")])
def test_a_place_that_is_no_file_is_refused_before_the_server_is_asked(make, name, tmp_path):
    make(tmp_path / name)
    with pytest.raises(DownloadError, match=rf"{name}: is no regular file; remove it"):
        download("http://127.0.0.1:1/x.txt", tmp_path / "x.txt")


@pytest.mark.parametrize(
    "url", ["http://[::1/x", "http://h/é", "http://h/a b", "http://h:port/x", "ftp:x"]
)
def test_an_address_that_is_none(url, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE", 1000)
    with pytest.raises(DownloadError, match=re.escape(url)) as caught:
        download(url, tmp_path / "x")
    assert "\n" not in str(caught.value)
