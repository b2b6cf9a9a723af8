"""From videos to folders of JPEG frames, also after a kill, and with broken videos among them."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from joblib.externals.loky import get_reusable_executor

import decoding
import extract_frames
from dataset.video_files import half
from utils.errors import UsageError
from video_files import write_video

SCRIPT = Path(extract_frames.__file__)


def dataset(tmp: Path, name: str = "UCF101", ending: str = ".avi", **options) -> Path:
    videos = tmp / name / "videos"
    for seed, video in enumerate(("Dive/v_a", "Dive/v_b", "Run/v_c")):
        write_video(videos / f"{video}{ending}", 5 + seed, seed=seed, **options)
    return tmp / name


def extract(root: Path, *flags: str | int) -> int:
    arguments = ["--d_root", root.parent, "--dataset", root.name, "--num_workers", 0, *flags]
    return extract_frames.main([str(argument) for argument in arguments])


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in it, hidden or not: files with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}


def sizes(folder: Path) -> set[tuple[int, ...]]:
    return {cv2.imread(str(path)).shape for path in folder.rglob("*.jpg")}


# ------------------------------------------------------------------ frames


def test_frames_are_numbered_from_one_and_look_like_the_video(tmp_path):
    root = dataset(tmp_path)
    assert extract(root, "--short_side", 48) == 0
    made = sorted(path.name for path in (root / "frames/Dive/v_b").iterdir())
    assert made == [f"image_{number:05}.jpg" for number in range(1, 7)]
    capture = cv2.VideoCapture(str(root / "videos/Dive/v_b.avi"))
    for name in made:
        there, frame = capture.read()
        image = cv2.imread(str(root / "frames/Dive/v_b" / name))
        assert there
        assert np.abs(image.astype(int) - frame).mean() < 2


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((64, 48), 48, (48, 64, 3)),
        ((64, 48), 24, (24, 32, 3)),
        ((64, 48), 100, (100, 133, 3)),  # 133.3
        ((48, 62), 31, (40, 31, 3)),  # upright; 40.04
    ],
)
def test_the_shorter_side_is_as_asked_and_the_aspect_kept(tmp_path, size, side, expected):
    root = dataset(tmp_path, size=size)
    assert extract(root, "--short_side", side) == 0
    assert sizes(root / "frames") == {expected}


def test_each_dataset_has_its_own_size_and_folder_names(tmp_path):
    video = tmp_path / "Kinetics400/videos/playing guitar (solo)/a_000001_000011.mp4"
    write_video(video.with_suffix(".avi"), 3, (320, 300))
    video.with_suffix(".avi").rename(video)
    assert extract(video.parents[2]) == 0
    assert extract(video.parents[2], "--k400_big") == 0
    for frames, side in (("frames", 150), ("frames_256", 256)):
        folder = video.parents[2] / frames / "playing_guitar_solo/a_000001_000011"
        assert len(list(folder.iterdir())) == 3
        assert {min(size[:2]) for size in sizes(folder)} == {side}


def test_the_halves_of_mousesim_are_its_eyes(tmp_path):
    root = dataset(tmp_path, "MouseSim", ".avi", size=(128, 48))
    for video in list(root.rglob("*.avi")):
        video.rename(video.with_suffix(".mov"))
    for eye in ("left", "right", "both"):
        assert extract(root, "--eye", eye, "--short_side", 48) == 0
    first = "Run/v_c/image_00005.jpg"
    left, right, both = (
        cv2.imread(str(root / folder / first))
        for folder in ("frames_left", "frames_right", "frames")
    )
    assert left.shape == right.shape == (48, 64, 3)
    assert both.shape == (48, 128, 3)
    assert left.mean() < 60 < 180 < right.mean()


def test_halves_of_an_odd_width_are_of_one_size():
    frame = np.arange(7)[None].repeat(2, axis=0)
    assert half(frame, "left")[0].tolist() == [0, 1, 2]
    assert half(frame, "right")[0].tolist() == [4, 5, 6]
    assert half(frame, "both") is frame


# ------------------------------------------------------------------ again


def test_complete_videos_are_left_alone(tmp_path, caplog):
    root = dataset(tmp_path)
    extract(root, "--short_side", 48)
    before = times(root / "frames")
    write_video(root / "videos/Run/v_new.avi", 4)
    caplog.set_level("INFO")
    assert extract(root, "--short_side", 48) == 0
    assert {path: when for path, when in times(root / "frames").items() if path in before} == before
    assert len(list((root / "frames/Run/v_new").iterdir())) == 4
    assert "1 videos extracted, 3 skipped (complete), 0 failed; 4 frames" in caplog.text


def test_frames_of_another_size_are_extracted_anew(tmp_path, caplog):
    root = dataset(tmp_path)
    extract(root, "--short_side", 24)
    (root / "frames/Run/v_c/image_00001.jpg").write_bytes(b"")  # what can't be read is no frame
    caplog.set_level("INFO")
    assert extract(root, "--short_side", 48) == 0
    assert sizes(root / "frames") == {(48, 64, 3)}
    assert "frames of another size: 3 videos extracted anew" in caplog.text
    assert [path.name for path in root.rglob(".*")] == [".made.json"]


def test_after_an_interrupt_the_same_command_ends_in_the_same_tree(tmp_path, monkeypatch):
    whole, stopped = dataset(tmp_path / "whole"), dataset(tmp_path / "stopped")
    extract(whole)
    written = []
    imencode = cv2.imencode

    def stop_at_the_ninth(*arguments):
        written.append(1)
        if len(written) == 9:
            raise KeyboardInterrupt
        return imencode(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imencode", stop_at_the_ninth)
        with pytest.raises(KeyboardInterrupt):
            extract(stopped)
    done = list((stopped / "frames").glob("*/[!.]*"))
    assert [len(list(path.iterdir())) for path in done] == [7]  # the largest, and nothing half
    assert extract(stopped) == 0
    assert tree(stopped / "frames") == tree(whole / "frames")


def test_after_a_kill_the_same_command_ends_in_the_same_tree(tmp_path):
    roots = [tmp_path / name / "UCF101" for name in ("whole", "killed")]
    for root in roots:
        for number in range(12):
            write_video(root / f"videos/Class{number % 3}/v_{number}.avi", 60, seed=number)
    whole, killed = roots
    assert extract(whole, "--short_side", 400) == 0
    flags = ["--d_root", killed.parent, "--dataset", "UCF101", "--num_workers", 2]
    command = [sys.executable, SCRIPT, *flags, "--short_side", 400]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL) as process:
        while not list(killed.glob("frames/*/[!.]*")) and process.poll() is None:
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]
    for video in killed.glob("frames/*/[!.]*"):
        assert tree(video) == tree(whole / video.relative_to(killed))
    assert extract(killed, "--short_side", 400) == 0
    visible = {
        name: content for name, content in tree(killed / "frames").items() if "/." not in name
    }
    assert visible == tree(whole / "frames")


def test_what_a_killed_run_left_goes(tmp_path):
    root = dataset(tmp_path)
    extract(root)
    expected = tree(root / "frames")
    for leftover in (".v_a.77.tmp", ".v_gone.1.tmp", ".v_b.old.tmp"):
        (root / "frames/Dive" / leftover).mkdir()
        (root / "frames/Dive" / leftover / "image_00001.jpg").write_bytes(b"half")
    assert extract(root) == 0
    assert tree(root / "frames") == expected


def test_a_leftover_that_its_worker_moves_meanwhile_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [folder / ".v_moved.1.tmp"])
    decoding.remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_several_processes_make_the_same_frames(tmp_path):
    one, two = dataset(tmp_path / "one"), dataset(tmp_path / "two")
    assert extract(one) == extract(two, "--num_workers", 2) == 0
    get_reusable_executor().shutdown()
    assert tree(one / "frames") == tree(two / "frames")


# ------------------------------------------------------------------ broken videos


def test_a_broken_video_is_listed_and_stops_no_other(tmp_path, caplog):
    root = dataset(tmp_path)
    broken = root / "videos/Dive/v_0.avi"
    broken.write_bytes(b"no video, at all" * 400)
    assert extract(root) == 1
    with open(root / "frames_failures.csv", newline="") as file:
        (header, row) = csv.reader(file)
    assert header == ["video", "reason"]
    assert row == ["Dive/v_0.avi", "can't be opened"]
    assert "Dive/v_0.avi: can't be opened" in caplog.text
    videos = {str(path.relative_to(root / "frames")) for path in root.glob("frames/*/*")}
    assert videos == {"Dive/v_a", "Dive/v_b", "Run/v_c"}

    write_video(broken, 4)
    assert extract(root) == 0
    assert not (root / "frames_failures.csv").exists()
    assert len(list((root / "frames/Dive/v_0").iterdir())) == 4


def test_a_video_without_frames_is_a_failure(tmp_path):
    root = dataset(tmp_path)
    write_video(root / "videos/Run/v_empty.avi", 0)
    assert extract(root) == 1
    assert "Run/v_empty.avi" in (root / "frames_failures.csv").read_text()
    assert not (root / "frames/Run/v_empty").exists()


def test_a_video_cut_short_gives_what_can_be_decoded_and_a_warning(tmp_path, caplog):
    root = dataset(tmp_path)
    video = root / "videos/Run/v_cut.avi"
    write_video(video, 30)
    with open(video, "r+b") as file:
        file.truncate(video.stat().st_size // 2)
    promised = cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)
    assert extract(root) == 0
    decoded = len(list((root / "frames/Run/v_cut").iterdir()))
    assert 5 < decoded < 20
    if promised == 30:
        assert f"Run/v_cut.avi: {decoded} frames decoded, its header says 30" in caplog.text


@pytest.mark.parametrize(("frames", "warned"), [(9, False), (8, True)])
def test_the_header_is_not_believed(tmp_path, caplog, frames, warned):
    video = tmp_path / "UCF101/videos/Run/v_a.avi"
    write_video(video, frames)
    content = video.read_bytes()
    place = content.index(b"avih") + 8 + 16  # the number of frames in the main header
    stream = content.index(b"strh") + 8 + 32  # and its length in the stream's
    for start in (place, stream):
        assert int.from_bytes(content[start : start + 4], "little") == frames
        content = content[:start] + (10).to_bytes(4, "little") + content[start + 4 :]
    video.write_bytes(content)
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert extract(tmp_path / "UCF101") == 0
    assert len(list((tmp_path / "UCF101/frames/Run/v_a").iterdir())) == frames
    assert ("header says 10" in caplog.text) == warned


# ------------------------------------------------------------------ wrong input


def test_two_videos_for_one_folder_are_refused(tmp_path):
    root = dataset(tmp_path)
    write_video(root / "videos/Dive/v_a.AVI.avi", 3)
    (root / "videos/Dive/v_a.AVI.avi").rename(root / "videos/Dive/v_a.AVI")
    with pytest.raises(UsageError, match=r"v_a\.AVI and .*v_a\.avi: would share a folder"):
        extract(root)
    assert not (root / "frames").exists()


@pytest.mark.parametrize("content", ["no videos", "no folder"])
def test_without_videos_the_message_names_the_script_that_gets_them(tmp_path, content):
    root = tmp_path / "HMDB51"
    root.mkdir()
    if content == "no videos":
        (root / "videos/dive").mkdir(parents=True)
        (root / "videos/dive/notes.txt").touch()
    with pytest.raises(UsageError, match=r"process_data/download_data\.py"):
        extract(root)


def test_a_size_below_one_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--short_side 0: must be at least 1"):
        extract(dataset(tmp_path), "--short_side", 0)


def test_a_number_of_processes_that_can_not_be_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--num_workers: -2 must be at least 0, or -1"):
        extract(dataset(tmp_path), "--num_workers", -2)
