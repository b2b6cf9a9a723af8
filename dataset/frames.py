"""Frames of a video: JPEG files in a folder, or the same packed in a tar file of their class.

Packed, `frames_tar/{class}.tar` takes the place of `frames/{class}/`. Beside it lie
`{class}.frames.npy`, int64 [M, 2], the byte offset and size of each frame in the tar, and
`{class}.videos.csv` with rows `video,first row,number of frames`.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

OPEN_TARS = 64  # at a time, in each process
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
LONGEST_TAIL = 64  # bytes, that some programs leave after a picture's end


class FrameError(Exception):
    """A frame that is missing, or is no picture."""

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


FrameReader = Callable[[int], np.ndarray]
"""Frame number, from 0 → uint8 [H, W, 3], blue green red; raises FrameError."""


def tar_of(folder: Path) -> Path:
    """The tar file that holds the frames of a video's folder, where they are packed."""
    frames = folder.parents[1]
    return frames.parent / f"{frames.name}_tar" / f"{folder.parent.name}.tar"


def is_there(folder: Path) -> bool:
    """Whether the video's frames are, packed or not."""
    if is_packed(folder):
        try:
            return folder.name in _open_tar(tar_of(folder)).videos
        except FrameError:
            return False
    return folder.is_dir()


def is_packed(folder: Path) -> bool:
    return tar_of(folder).is_file()


def reader(folder: Path) -> FrameReader:
    """Of a video; raises FrameError where it is not there."""
    if not is_packed(folder):
        return lambda frame: _from_file(f"{folder}/image_{frame + 1:05d}.jpg")
    tar = _open_tar(tar_of(folder))
    return lambda frame: tar.frame(folder.name, frame)


def _from_file(path: str) -> np.ndarray:
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        raise FrameError(path, error.strerror.lower()) from error
    return _decoded(content, path)


def _decoded(content: bytes, path: str) -> np.ndarray:
    if content.startswith(JPEG_START) and JPEG_END not in content[-LONGEST_TAIL:]:
        raise FrameError(path, "is cut off")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # of an empty file, and of sizes beyond all bounds
        image = None
    if image is None:
        raise FrameError(path, "does not decode")
    return image


class _Tar:
    """An open tar file with its index."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.places = np.load(path.with_suffix(".frames.npy"), mmap_mode="r")
            self.videos = _read_videos(path.with_suffix(".videos.csv"))
            self.file = open(path, "rb", buffering=0)  # noqa: SIM115  (stays open)
        except (OSError, ValueError, EOFError) as error:
            raise FrameError(str(path), f"can't be read with its index ({error})") from error

    def frame(self, video: str, frame: int) -> np.ndarray:
        name = f"{self.path}:{video}/image_{frame + 1:05d}.jpg"
        first, count = self.videos.get(video, (0, 0))
        if frame >= count or first + frame >= len(self.places):
            raise FrameError(name, "no such file or directory")
        offset, size = self.places[first + frame].tolist()
        return _decoded(os.pread(self.file.fileno(), size, offset), name)


def _read_videos(path: Path) -> dict[str, tuple[int, int]]:
    videos = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, first, count = line.rsplit(",", 2)  # names may hold commas
        videos[name] = (int(first), int(count))
    return videos


_open_tar = lru_cache(maxsize=OPEN_TARS)(_Tar)
