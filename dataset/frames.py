"""Frames of a video: JPEG files in a folder, or the same packed in a tar file of their class.

A folder `frames/{class}/{video}` holds `image_00001.jpg` and so on. Packed frames are members
`{video}/image_00001.jpg` of `frames_tar/{class}.tar`, with an index beside it:
`{class}.frames.npy`, int64 [M, 2], has the byte offset and size of each frame in the tar, and
`{class}.videos.csv` has rows `video,first row in that array,number of frames`.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

OPEN_TARS = 64  # at a time, in each process
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
LONGEST_TAIL = 64  # bytes that some programs leave after a picture's end


class FrameError(Exception):
    """A frame that is missing, or is no picture."""

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


FrameReader = Callable[[int], np.ndarray]
"""Frame number, from 0 → uint8 [H, W, 3], blue green red; raises FrameError."""


class Span(NamedTuple):
    """The rows of a video in the array of its class's tar."""

    first: int = 0
    frames: int = 0


def frame_file(number: int) -> str:
    """Return the name of a frame's file; frames are numbered from 1."""
    return f"image_{number:05}.jpg"


def frame_numbers(folder: Path) -> set[int]:
    """Return the numbers of the frames in a video's folder; none if there is no folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    numbers = (name[6:-4] for name in names if name.startswith("image_") and name.endswith(".jpg"))
    return {int(number) for number in numbers if number.isdecimal()}


def tar_folder(frames: Path) -> Path:
    """Return the folder that takes the place of a folder of frames when they are packed."""
    return frames.parent / f"{frames.name}_tar"


def tar_of(folder: Path) -> Path:
    """Return the tar file that holds the frames of a video's folder if they are packed."""
    return tar_folder(folder.parents[1]) / f"{folder.parent.name}.tar"


def index_files(tar: Path) -> tuple[Path, Path]:
    """Return the array of frames and the table of videos that lie beside a tar."""
    return tar.with_suffix(".frames.npy"), tar.with_suffix(".videos.csv")


def is_packed(folder: Path) -> bool:
    """Return whether the video's class is packed."""
    return tar_of(folder).is_file()


def packed_span(folder: Path) -> Span:
    """Return a packed video's rows in its tar; none if it isn't there, or the index is broken."""
    try:
        return open_tar(tar_of(folder)).videos.get(folder.name, Span())
    except FrameError:
        return Span()


def is_there(folder: Path) -> bool:
    """Return whether the video's frames are there, packed or not."""
    return packed_span(folder).frames > 0 if is_packed(folder) else folder.is_dir()


def reader(folder: Path) -> FrameReader:
    """Return a reader of the video's frames; raises FrameError for a tar that can't be read."""
    if not is_packed(folder):
        return lambda frame: _read_file(f"{folder}/{frame_file(frame + 1)}")
    tar = open_tar(tar_of(folder))
    return lambda frame: tar.frame(folder.name, frame)


def _read_file(path: str) -> np.ndarray:
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        raise FrameError(path, str(error.strerror).lower()) from error
    return _decode(content, path)


def _decode(content: bytes, path: str) -> np.ndarray:
    if content.startswith(JPEG_START) and JPEG_END not in content[-LONGEST_TAIL:]:
        raise FrameError(path, "is cut off")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # an empty file, or a size beyond all bounds
        image = None
    if image is None:
        raise FrameError(path, "does not decode")
    return image


class Tar:
    """An open tar file with its index; raises FrameError if these can't be read."""

    def __init__(self, path: Path):
        self.path = path
        array, table = index_files(path)
        try:
            self.places = np.load(array, mmap_mode="r")
            self.videos = read_spans(table)
            self.file = open(path, "rb", buffering=0)  # noqa: SIM115  (stays open)
        except (OSError, ValueError, EOFError) as error:
            raise FrameError(str(path), f"can't be read with its index ({error})") from error

    def frame(self, video: str, frame: int) -> np.ndarray:
        """Return a video's frame, from 0; raises FrameError."""
        name = f"{self.path}:{video}/{frame_file(frame + 1)}"
        first, count = self.videos.get(video, Span())
        if frame >= count or first + frame >= len(self.places):
            raise FrameError(name, "no such file or directory")
        offset, size = self.places[first + frame].tolist()
        return _decode(os.pread(self.file.fileno(), size, offset), name)


def read_spans(table: Path) -> dict[str, Span]:
    """Read a table of videos; raises OSError or ValueError."""
    spans = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        name, first, count = line.rsplit(",", 2)  # names may hold commas
        spans[name] = Span(int(first), int(count))
    return spans


open_tar = lru_cache(maxsize=OPEN_TARS)(Tar)
