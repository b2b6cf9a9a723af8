"""Packed frames, and what verify.py finds in frames, packed or not."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

import conditions
import pack_frames
import verify
import write_csvs
from utils.errors import UsageError

LONG = "v_" + "long" * 40  # no room for this name in a plain tar header
CLIP = ["--num_seq_in", 2, "--pred_step", 1, "--seq_len", 2, "--ds", 1]  # more than 6 frames


class Prepared(NamedTuple):
    root: Path
    csv_root: Path

    @property
    def splits(self) -> Path:
        return self.csv_root / "UCF101"

    def run(self, script, *flags: str | int) -> int:
        where = ["--d_root", self.root.parent, "--dataset", "UCF101", "--num_workers", 0]
        if script is not pack_frames:
            where += ["--csv_root", self.csv_root]
        return script.main([str(argument) for argument in (*where, *flags)])

    def frame(self, video: str, number: int) -> Path:
        return self.root / f"frames/{video}/image_{number:05}.jpg"


def write_frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        image = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
        assert cv2.imwrite(str(folder / f"image_{number:05}.jpg"), image)


@pytest.fixture
def prepared(tmp_path) -> Prepared:
    made = Prepared(tmp_path / "UCF101", tmp_path / "data")
    for video, count in {"Dive/v_a,1": 8, "Run/v_b": 7, "Dive/v_c": 9, f"Run/{LONG}": 10}.items():
        write_frames(made.root / "frames" / video, count)
    (made.root / "splits").mkdir()
    (made.root / "splits/trainlist01.txt").write_text("Dive/v_a,1.avi 1\nRun/v_b.avi 2\n")
    (made.root / "splits/testlist01.txt").write_text(f"Dive/v_c.avi\nRun/{LONG}.avi\n")
    assert made.run(write_csvs) == 0
    return made


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def cell(report: str, split: str, column: str) -> str:
    """Of the table that verify.py prints."""
    return dict(zip(verify.COLUMNS, _cells(report, split), strict=True))[column]


def _cells(report: str, split: str) -> list[str]:
    (line,) = (line for line in report.splitlines() if line.startswith(f"{split}  "))
    return [part.strip() for part in line.split("  ") if part.strip()]


# ------------------------------------------------------------------ packing


def test_a_packed_class_is_a_plain_tar_with_the_same_bytes(prepared, tmp_path):
    assert prepared.run(pack_frames) == 0
    for name in ("Dive", "Run"):
        with tarfile.open(prepared.root / f"frames_tar/{name}.tar", "r:") as file:
            file.extractall(tmp_path / "unpacked" / name, filter="data")
            members = file.getmembers()
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert {(member.mtime, member.uid, member.mode) for member in members} == {(0, 0, 0o644)}
        packed = {
            path.relative_to(tmp_path / "unpacked"): path.read_bytes()
            for path in (tmp_path / "unpacked" / name).rglob("*.jpg")
        }
        assert packed == {
            path.relative_to(prepared.root / "frames"): path.read_bytes()
            for path in (prepared.root / "frames" / name).rglob("*.jpg")
        }


def test_the_index_leads_to_each_frame(prepared):
    prepared.run(pack_frames)
    tars = prepared.root / "frames_tar"
    assert (tars / "Dive.videos.csv").read_text() == "v_a,1,0,8\nv_c,8,9\n"
    for name, count in (("Dive", 17), ("Run", 17)):
        places = np.load(tars / f"{name}.frames.npy")
        assert (places.dtype, places.shape) == (np.int64, (count, 2))
        content = (tars / f"{name}.tar").read_bytes()
        for line in (tars / f"{name}.videos.csv").read_text().splitlines():
            video, first, frames = line.rsplit(",", 2)
            for number in range(1, int(frames) + 1):
                offset, size = places[int(first) + number - 1]
                expected = prepared.frame(f"{name}/{video}", number).read_bytes()
                assert content[offset : offset + size] == expected


def test_packing_again_skips_what_is_complete_and_is_deterministic(prepared, caplog):
    caplog.set_level("INFO")
    prepared.run(pack_frames)
    before = digests(prepared.root / "frames_tar")
    when = (prepared.root / "frames_tar/Run.tar").stat().st_mtime_ns
    prepared.run(pack_frames)
    assert "0 classes packed (0 frames, 0 s), 2 skipped (complete), 0 failed" in caplog.text
    assert (prepared.root / "frames_tar/Run.tar").stat().st_mtime_ns == when
    shutil.rmtree(prepared.root / "frames_tar")
    prepared.run(pack_frames)
    assert digests(prepared.root / "frames_tar") == before


@pytest.mark.parametrize("change", ["a video more", "a frame more", "extracted anew", "no index"])
def test_a_class_that_changed_is_packed_anew(prepared, caplog, change):
    prepared.run(pack_frames)
    other = digests(prepared.root / "frames_tar")["Dive.tar"]
    if change == "a video more":
        write_frames(prepared.root / "frames/Run/v_new", 3)
    elif change == "a frame more":
        shutil.copy(prepared.frame("Run/v_b", 1), prepared.frame("Run/v_b", 8))
    elif change == "extracted anew":
        shutil.copy(prepared.frame("Run/v_b", 1), prepared.frame("Run/v_b", 2))
        later = (prepared.root / "frames_tar/Run.tar").stat().st_mtime + 5
        os.utime(prepared.root / "frames/Run/v_b", (later, later))
    else:
        (prepared.root / "frames_tar/Run.frames.npy").unlink()
    caplog.set_level("INFO")
    assert prepared.run(pack_frames) == 0
    assert "1 classes packed" in caplog.text
    assert digests(prepared.root / "frames_tar")["Dive.tar"] == other
    _, fits = conditions.fits_index(prepared.root / "frames_tar/Run.tar")
    assert fits
    with tarfile.open(prepared.root / "frames_tar/Run.tar") as file:
        names = {member.name for member in file}
    assert names == {f"{p.parent.name}/{p.name}" for p in prepared.root.glob("frames/Run/*/*")}


def test_after_a_stop_the_same_command_ends_in_the_same_tars(prepared, monkeypatch):
    prepared.run(pack_frames)
    before = digests(prepared.root / "frames_tar")
    shutil.rmtree(prepared.root / "frames_tar")
    replace = os.replace

    def stop_at_the_last_move(source, target):
        if Path(target).name == "Run.tar":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop_at_the_last_move)
        with pytest.raises(KeyboardInterrupt):
            prepared.run(pack_frames)
    assert (prepared.root / "frames_tar/Dive.tar").is_file()
    assert not (prepared.root / "frames_tar/Run.tar").exists()
    (prepared.root / "frames_tar/.Run.tar.tmp").write_bytes(b"half")  # what a kill leaves
    assert prepared.run(pack_frames) == 0
    assert digests(prepared.root / "frames_tar") == before


def test_a_class_with_a_hole_is_listed_and_stops_no_other(prepared, caplog):
    prepared.frame("Run/v_b", 3).unlink()
    assert prepared.run(pack_frames) == 1
    failures = (prepared.root / "frames_tar_failures.csv").read_text()
    assert failures == "video,reason\nRun/v_b,lacks image_00003.jpg; 6 frames are there\n"
    assert not list((prepared.root / "frames_tar").glob("Run*"))
    assert (prepared.root / "frames_tar/Dive.tar").is_file()
    shutil.copy(prepared.frame("Run/v_b", 1), prepared.frame("Run/v_b", 3))
    assert prepared.run(pack_frames) == 0
    assert not (prepared.root / "frames_tar_failures.csv").exists()


@pytest.mark.parametrize("full_at", ["Run.tar", "Run.frames.npy", "Run.videos.csv"])
def test_a_disk_that_gets_full_is_told_and_leaves_nothing_half_written(
    prepared, monkeypatch, caplog, full_at
):
    prepared.run(pack_frames)
    before = digests(prepared.root / "frames_tar")
    shutil.rmtree(prepared.root / "frames_tar")
    replace = os.replace

    def fail(source, target):
        if Path(target).name == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        assert prepared.run(pack_frames) == 1
    assert "Run: can't be packed: " in caplog.text
    assert "No space left on device" in caplog.text
    assert not (prepared.root / "frames_tar/Run.tar").exists()  # which would say that it is whole
    assert not list((prepared.root / "frames_tar").glob("*.tmp"))
    assert prepared.run(pack_frames) == 0
    assert digests(prepared.root / "frames_tar") == before


def test_videos_that_are_in_the_tar_alone_are_not_lost(prepared):
    prepared.run(pack_frames)
    before = digests(prepared.root / "frames_tar")
    shutil.rmtree(prepared.root / "frames/Run/v_b")
    assert prepared.run(pack_frames) == 1
    failures = (prepared.root / "frames_tar_failures.csv").read_text()
    assert "Run/v_b,is in Run.tar alone; remove that file" in failures
    assert digests(prepared.root / "frames_tar") == before


def test_without_frames_the_message_names_the_script_that_makes_them(prepared):
    shutil.rmtree(prepared.root / "frames")
    with pytest.raises(UsageError, match=r"process_data/extract_frames\.py"):
        prepared.run(pack_frames)


def test_split_files_are_the_same_from_packed_frames(prepared):
    before = digests(prepared.splits)
    prepared.run(pack_frames)
    shutil.rmtree(prepared.root / "frames")
    shutil.rmtree(prepared.csv_root)
    assert prepared.run(write_csvs) == 0
    assert digests(prepared.splits) == before


@pytest.mark.parametrize("part", ["Run.frames.npy", "Run.videos.csv"])
def test_a_tar_without_its_index_is_told_when_split_files_are_written(prepared, caplog, part):
    prepared.run(pack_frames)
    shutil.rmtree(prepared.root / "frames")
    (prepared.root / "frames_tar" / part).unlink()
    prepared.run(write_csvs)
    assert "Run.tar: left out, can't be read with its index (" in caplog.text
    assert (prepared.splits / "classInd.txt").read_text() == "0 Dive\n"


# ------------------------------------------------------------------ verifying


@pytest.fixture(params=["folders", "packed"])
def sound(request, prepared) -> Prepared:
    if request.param == "packed":
        prepared.run(pack_frames)
        shutil.rmtree(prepared.root / "frames")
    return prepared


@pytest.mark.parametrize("flags", [(), ("--quick",), ("--num_workers", 2)])
def test_a_sound_dataset(sound, capsys, flags):
    assert sound.run(verify, *CLIP, *flags) == 0
    report = capsys.readouterr().out
    expected = ["train_split01", "2", "9537 (-9535)", "2 of 101", "0", "15", "0", "0", "0"]
    assert _cells(report, "train_split01") == expected
    assert cell(report, "test_split01", "frames") == "19"
    assert report.splitlines()[3:] == [f"large frames were shrunk with: {verify.HOW_SHRUNK['']}"]


def test_frames_that_are_missing(prepared, capsys):
    prepared.frame("Run/v_b", 7).unlink()
    shutil.rmtree(prepared.root / "frames/Dive/v_c")
    for flags in ((), ("--quick",)):
        assert prepared.run(verify, *CLIP, *flags) == 1
        report = capsys.readouterr().out
        assert cell(report, "train_split01", "missing") == "1"
        assert cell(report, "test_split01", "missing") == "9"
        assert "train_split01: frames missing: 1 (Run/v_b)" in report
        assert "test_split01: frames missing: 1 (Dive/v_c)" in report


@pytest.mark.parametrize("content", ["empty", "garbage", "cut off"])
def test_frames_that_do_not_decode(prepared, capsys, content):
    frame = prepared.frame("Dive/v_a,1", 2)
    whole = frame.read_bytes()
    frame.write_bytes({"empty": b"", "garbage": b"x" * 99, "cut off": whole[:-200]}[content])
    assert prepared.run(verify, *CLIP) == 1
    report = capsys.readouterr().out
    assert cell(report, "train_split01", "unreadable") == "1"
    assert cell(report, "test_split01", "unreadable") == "0"
    assert "train_split01: frames unreadable: 1 (Dive/v_a,1)" in report
    assert prepared.run(verify, *CLIP, "--quick") == 0


def test_a_tar_that_does_not_fit_its_index(prepared, capsys):
    prepared.run(pack_frames)
    path = prepared.root / "frames_tar/Dive.frames.npy"
    places = np.load(path)
    places[[0, 1]] = places[[1, 0]]  # both still decode
    np.save(path, places)
    assert prepared.run(verify, *CLIP) == 1
    report = capsys.readouterr().out
    assert "Dive.tar: does not fit its index" in report
    assert "Run.tar" not in report


def test_a_packed_frame_that_does_not_decode(prepared, capsys):
    prepared.run(pack_frames)
    offset, size = np.load(prepared.root / "frames_tar/Run.frames.npy")[0]
    with open(prepared.root / "frames_tar/Run.tar", "r+b") as file:
        file.seek(offset)
        file.write(bytes(int(size)))
    assert prepared.run(verify, *CLIP) == 1
    report = capsys.readouterr().out
    assert cell(report, "train_split01", "unreadable") == "1"
    assert "train_split01: frames unreadable: 1 (Run/v_b)" in report
    assert cell(report, "test_split01", "unreadable") == "0"


@pytest.mark.parametrize(
    ("clip", "short"),  # blocks seen, blocks predicted, frames in a block, stride
    [((2, 1, 2, 1), "0"), ((6, 1, 1, 1), "1"), ((1, 1, 2, 2), "2")],
)
def test_a_clip_needs_more_frames_than_it_spans(prepared, capsys, clip, short):
    """Training has videos of 7 and 8 frames, the clips span 6, 7 and 8."""
    names = ("--num_seq_in", "--pred_step", "--seq_len", "--ds")
    flags = [part for pair in zip(names, clip, strict=True) for part in pair]
    assert prepared.run(verify, *flags) == 0
    report = capsys.readouterr().out
    assert cell(report, "train_split01", "too short") == short
    assert ("train_split01: too short, 7 frames or fewer: 1 (Run/v_b)" in report) == (short == "1")


def test_classes_without_videos_and_rows_of_unknown_classes(prepared, capsys):
    (prepared.splits / "classInd.txt").write_text("1,Dive\n2,Swim\n")
    assert prepared.run(verify, *CLIP) == 1
    report = capsys.readouterr().out
    assert cell(report, "train_split01", "empty classes") == "1"
    assert "train_split01: classes without videos: 1 (Swim)" in report
    assert "train_split01: class not in classInd.txt: 1 (Run/v_b)" in report


def test_only_warnings_for_extra_frames_and_for_test_videos_that_train(prepared, capsys):
    with open(prepared.splits / "test_split01.csv", "a") as file:
        file.write("frames/Run/v_b,6\n")
    assert prepared.run(verify, *CLIP) == 0
    report = capsys.readouterr().out
    assert "test_split01: also in train_split01: 1 (Run/v_b)" in report
    assert "test_split01: more frames on the disk than its row says: 1 (Run/v_b)" in report


def test_absolute_paths_and_a_root_elsewhere(prepared, tmp_path, capsys):
    moved = prepared.root.rename(tmp_path / "moved")
    (tmp_path / "UCF101").mkdir()
    (prepared.splits / "root.txt").write_text(f"{moved}\n")
    rows = (prepared.splits / "train_split01.csv").read_text()
    absolute = rows.replace("frames/", f"{moved}/frames/")
    (prepared.splits / "train_split01.csv").write_text(absolute)
    assert prepared.run(verify, *CLIP) == 0
    (prepared.splits / "root.txt").unlink()
    capsys.readouterr()
    assert prepared.run(verify, *CLIP) == 1  # relative rows start at --d_root now
    report = capsys.readouterr().out
    assert cell(report, "train_split01", "missing") == "0"
    assert cell(report, "test_split01", "missing") == "19"


@pytest.mark.parametrize("missing", ["classInd.txt", "*.csv"])
def test_without_split_files_the_message_names_the_script_that_makes_them(prepared, missing):
    for path in prepared.splits.glob(missing):
        path.unlink()
    with pytest.raises(UsageError, match=r"process_data/write_csvs\.py"):
        prepared.run(verify, *CLIP)


# ------------------------------------------------------------------ as scripts


@pytest.mark.parametrize(
    "script", ["download_data", "extract_frames", "write_csvs", "verify", "pack_frames"]
)
def test_each_script_starts_in_any_folder_without_torch(tmp_path, script):
    path = Path(verify.__file__).with_name(f"{script}.py")
    command = [sys.executable, "-X", "importtime", path, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--d_root" in done.stdout
    assert "numpy" in done.stderr
    assert "torch" not in done.stderr


def test_a_script_works_in_another_folder_with_several_processes(prepared, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    where = ["--d_root", "..", "--dataset", "ucf101", "--csv_root", "../data"]
    command = [sys.executable, verify.__file__, *where, "--num_workers", "2", "--ds", "1"]
    done = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert cell(done.stdout, "test_split01", "frames") == "19"
