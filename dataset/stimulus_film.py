"""A film of gray frames, and pictures of single ones. The film is lossy, the pictures are not."""

import os
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

import dataset.pictures  # noqa: F401  (it silences OpenCV)
from utils.errors import RunError
from utils.files import writing

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: what fails is told here

CODEC = "mp4v"  # MPEG-4, which OpenCV's own FFmpeg writes everywhere
LARGEST_TERM = 65_535  # of the fraction that is MPEG-4's frame rate


class Film:
    """A context that writes square frames of `side` pixels to an .mp4 file.

    Frames of other sizes are enlarged or shrunk to the nearest pixels. Raises RunError where OpenCV
    can't write films, and at the end if the file doesn't hold all frames.
    """

    def __init__(self, path: Path, side: int, ms_per_frame: float):
        self.path = path
        self.side = side
        self.rate = storable_rate(1000 / ms_per_frame)
        self.frames = 0

    def __enter__(self) -> "Film":
        code = cv2.VideoWriter.fourcc(*CODEC)
        size = (self.side, self.side)
        self.writer = cv2.VideoWriter(str(self.path), code, self.rate, size, isColor=False)
        if not self.writer.isOpened():
            raise RunError(
                f"{self.path}: OpenCV can't write a film here ({CODEC}); pip install opencv-python"
            )
        return self

    def write(self, image: np.ndarray, times: int) -> None:
        """Show an image, uint8 `[H, W]`, for so many frames."""
        frame = cv2.resize(image, (self.side, self.side), interpolation=cv2.INTER_NEAREST_EXACT)
        for _ in range(times):
            self.writer.write(frame)
        self.frames += times

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.release()
        # OpenCV says nothing of a full disk
        if kind is None and (there := frames_of(self.path)) != self.frames:
            raise RunError(
                f"{self.path}: holds {there} of {self.frames} frames; is there room on the disk?"
            )


def storable_rate(rate: float) -> float:
    """Return a rate of at most 6,000 frames per second, rounded to what a film can hold.

    OpenCV stores a rate with up to three decimals as a fraction of two integers, such as
    16667/1000, and can't write the film if one of them is too large for MPEG-4.
    """
    decimals = next(n for n in (3, 2, 1) if rate * 10**n < LARGEST_TERM)
    return round(rate, decimals)


def frames_of(path: Path) -> int:
    """Return the number of frames that a film says it has, 0 for a file that is no film."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a gray image, uint8 `[H, W]`, as a PNG file; raises RunError."""
    with writing(path):
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
