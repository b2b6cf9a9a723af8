"""Unpacking: what comes out, what is refused, and programs that read rar or do not.

Rar files are written here, stored (RAR 4). Where a program is meant, a stand-in for it reads them:
it prints and does what the real one did with such files, so that none needs to be installed.
"""

import random
import sys
import tarfile
from itertools import repeat
from pathlib import Path

import pytest

import archives
import rar
from archive_files import SYMLINK, files_below, stand_in, write_rar, write_tar, write_zip
from archives import unpack, unsafe
from members import FILE, FOLDER, OTHER, ArchiveError, Member
from utils.errors import UsageError

VIDEOS = {"UCF-101/Walk/v_Walk (1) #+!&;[x].avi": b"walking", "UCF-101/Run/v_Run.avi": b"r" * 70000}
NOISE = random.Random(0).randbytes(33000)
UNSAFE = ["../evil.avi", "a/../../evil.avi", "/evil.avi", "C:/evil.avi", "..\\evil.avi"]


# ------------------------------------------------------------------ archives to unpack


WRITERS = {"a.zip": write_zip, "a.tar.gz": write_tar, "a.rar": write_rar}


# ------------------------------------------------------------------ stand-ins


def failing(folder: Path, program: str, text: str) -> None:
    (folder / program).write_text(f"#!{sys.executable}\n{text}\n")
    (folder / program).chmod(0o755)


@pytest.fixture(params=["installed", *rar.RAR_TOOLS])
def rar_tool(request, tmp_path, monkeypatch) -> None:
    """Each program as a stand-in, and what this machine has (if it reads rar: else a stand-in)."""
    if request.param != "installed":
        stand_in(tmp_path / "programs", request.param, monkeypatch=monkeypatch)
    elif not any(map(reads_rar, rar.RAR_TOOLS, repeat(tmp_path / "probe.rar"))):
        stand_in(tmp_path / "programs", "unrar", monkeypatch=monkeypatch)


def reads_rar(program: str, probe: Path) -> bool:
    try:
        return bool(rar.rar_members(program, write_rar(probe, VIDEOS)))
    except (OSError, ArchiveError):
        return False


@pytest.fixture
def any_rar_tool(tmp_path, monkeypatch) -> None:
    stand_in(tmp_path / "programs", "unrar", monkeypatch=monkeypatch)


def as_they_are(names: list[str]) -> dict[str, str]:
    return {name: name for name in names}


# ------------------------------------------------------------------ what comes out


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_comes_out_as_it_went_in(name, tmp_path):
    archive = WRITERS[name](tmp_path / name, VIDEOS)
    assert sorted(unpack(archive, tmp_path / "out", as_they_are)) == sorted(VIDEOS)
    assert files_below(tmp_path / "out") == VIDEOS


def test_a_rar_comes_out_as_it_went_in(rar_tool, tmp_path):
    archive = write_rar(tmp_path / "a.rar", VIDEOS)
    assert sorted(unpack(archive, tmp_path / "out", as_they_are)) == sorted(VIDEOS)
    assert files_below(tmp_path / "out") == VIDEOS


@pytest.mark.parametrize("name", WRITERS)
def test_the_plan_chooses_and_places(name, any_rar_tool, tmp_path):
    archive = WRITERS[name](tmp_path / name, VIDEOS)
    out = tmp_path / "out"
    (out / "Run").mkdir(parents=True)
    (out / "Run/v_Run.avi").write_bytes(b"old")
    (out / "Run/other.avi").write_bytes(b"other")
    unpack(archive, out, lambda names: {n: "Run/v_Run.avi" for n in names if "Run" in n})
    assert files_below(out) == {"Run/v_Run.avi": b"r" * 70000, "Run/other.avi": b"other"}
    with pytest.raises(ArchiveError, match="none of its 2 files is of use"):
        unpack(archive, out, lambda names: {})


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_in_place_before_everything_is_out(name, any_rar_tool, tmp_path, monkeypatch):
    archive, out = WRITERS[name](tmp_path / name, VIDEOS), tmp_path / "out"
    monkeypatch.setattr(archives.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, out, as_they_are)
    assert files_below(out) == {}
    monkeypatch.undo()
    stand_in(tmp_path / "programs", "unrar", monkeypatch=monkeypatch)
    (out / f".unpacking_{name}").mkdir()  # what a kill leaves
    (out / f".unpacking_{name}" / "half.avi").write_bytes(b"ha")
    unpack(archive, out, as_they_are)
    assert files_below(out) == VIDEOS


def killed(*_) -> None:
    raise KeyboardInterrupt


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("member", UNSAFE)
@pytest.mark.parametrize("name", WRITERS)
def test_a_member_that_would_leave_is_refused_before_anything_is_written(
    name, member, any_rar_tool, tmp_path
):
    archive = WRITERS[name](tmp_path / name, {"good.avi": b"good", member: b"evil"})
    before = files_below(tmp_path).keys() | {"programs/log"}
    with pytest.raises(UsageError, match=r"refused, its member .*evil.avi") as caught:
        unpack(archive, tmp_path / "deep" / "out", as_they_are)
    assert str(archive) in str(caught.value)
    assert not (tmp_path / "deep").exists()
    assert files_below(tmp_path).keys() <= before
    assert not Path("/evil.avi").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_links_are_refused(name, tmp_path):
    archive = WRITERS[name](tmp_path / name, {"x.avi": b"/etc/passwd"}, SYMLINK)
    with pytest.raises(UsageError, match=r"'x\.avi' is a link"):
        unpack(archive, tmp_path / "out", as_they_are)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tool", rar.RAR_TOOLS)
def test_links_in_a_rar_are_refused(tool, tmp_path, monkeypatch):
    stand_in(tmp_path / "programs", tool, monkeypatch=monkeypatch)
    archive = write_rar(tmp_path / "a.rar", {"x.avi": b"/etc/passwd"}, SYMLINK)
    with pytest.raises(UsageError, match=r"'x\.avi.* is a link"):
        unpack(archive, tmp_path / "out", as_they_are)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices_and_hard_links_in_a_tar_are_refused(kind, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as opened:
        info = tarfile.TarInfo("x.avi")
        info.type, info.linkname = kind, "/etc/passwd"
        opened.addfile(info)
    with pytest.raises(UsageError, match="is a link or device"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", as_they_are)


def test_names_that_only_look_odd_are_fine():
    for name in ("a..b/c.avi", "...avi", "a/x y.avi", "./a.avi", "ab:c.avi"):
        assert unsafe(Member(name, FILE)) is None
    assert unsafe(Member("a", OTHER)) is not None


# ------------------------------------------------------------------ damage


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_truncated_archive_is_told_and_leaves_nothing(name, share, any_rar_tool, tmp_path):
    noise = {"a/1.avi": NOISE[:3000], "a/2.avi": NOISE[3000:]}
    archive = WRITERS[name](tmp_path / name, noise)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    with pytest.raises(ArchiveError, match=r"cannot be unpacked.*run again") as caught:
        unpack(archive, tmp_path / "out", as_they_are)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or files_below(tmp_path / "out") == {}


@pytest.mark.parametrize("name", WRITERS)
def test_a_changed_byte_is_noticed(name, any_rar_tool, tmp_path):
    archive = WRITERS[name](tmp_path / name, {"a/1.avi": NOISE[:9000]})
    raw = bytearray(archive.read_bytes())
    raw[4000] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path / "out", as_they_are)
    assert not (tmp_path / "out").exists() or files_below(tmp_path / "out") == {}


# ------------------------------------------------------------------ programs for rar


def test_without_a_program_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"unrar.*libarchive-tools.*p7zip-full") as caught:
        unpack(write_rar(tmp_path / "a.rar", VIDEOS), tmp_path / "out", as_they_are)
    assert "\n" not in str(caught.value)


def test_the_first_program_that_reads_it_is_used(tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    log = stand_in(programs, "bsdtar", "7z", monkeypatch=monkeypatch)
    failing(programs, "unrar", "print(' UCF-101/Walk/v.avi')")  # as unrar-free: another list
    archive = write_rar(tmp_path / "a.rar", VIDEOS)
    unpack(archive, tmp_path / "out", as_they_are)
    assert files_below(tmp_path / "out") == VIDEOS
    assert {line.split()[0] for line in log.read_text().splitlines()} == {"bsdtar"}


def test_each_programs_complaint_is_told(tmp_path, monkeypatch):
    stand_in(tmp_path / "programs", monkeypatch=monkeypatch)
    failing(tmp_path / "programs", "unrar", "import sys; sys.exit('unrar: no such method\\nx')")
    failing(tmp_path / "programs", "7zz", "exit(2)")
    archive = write_rar(tmp_path / "a.rar", VIDEOS)
    with pytest.raises(ArchiveError, match=r"\(unrar: no such method; 7zz: status 2\)"):
        unpack(archive, tmp_path / "out", as_they_are)


def test_a_program_that_leaves_out_a_member_or_makes_a_link_is_noticed(tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    listing = "import os, sys\nif 'lt' in sys.argv: print(' Name: a.avi\\n Type: File')"
    stand_in(programs, monkeypatch=monkeypatch)
    archive = write_rar(tmp_path / "a.rar", {"a.avi": b"a"})
    for extraction in ("", "\nelse: os.symlink('/etc/passwd', sys.argv[-1] + 'a.avi')"):
        failing(programs, "unrar", listing + extraction)
        with pytest.raises(ArchiveError, match=r"'a\.avi' did not come out"):
            unpack(archive, tmp_path / "out", as_they_are)
        assert files_below(tmp_path / "out") == {}


def test_lists_as_real_programs_print_them():
    bsdtar = (
        "drwxr-xr-x  0 0      0           0 Apr 15  2025 UCF-101\n"
        "-rw-r--r--  0 0      0       70000 Apr 15 12:00 UCF-101/a b.avi\n"
        "lrwxrwxrwx  0 0      0           0 Apr 15  2025 l.avi -> /etc/passwd\n"
        "hrw-r--r--  0 0      0           0 Apr 15  2025 b link to a\n"
    )
    kinds = [FOLDER, FILE, OTHER, OTHER]
    assert [member.kind for member in rar.parse_bsdtar(bsdtar)] == kinds
    assert rar.parse_bsdtar(bsdtar)[1].name == "UCF-101/a b.avi"
    seven = (
        "Path = UCF-101\nFolder = +\nAttributes = D drwxr-xr-x\nCRC = \n\n"
        "Path = UCF-101/a b.avi\nFolder = -\nAttributes =  -rw-r--r--\nSymbolic Link = \n\n"
        "Path = l.avi\nFolder = -\nAttributes =  lrwxrwxrwx\n\n"
        "Path = b\nFolder = -\nAttributes = A\nHard Link = a\n\n"
        "Path = c.avi\nFolder = -\nAttributes = A\n\n"
    )
    assert [member.kind for member in rar.parse_7z(seven)] == [*kinds, FILE]
    assert rar.parse_7z(seven)[1].name == "UCF-101/a b.avi"
