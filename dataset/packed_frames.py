"""Frames that are packed in a tar file of their class.

They are members `{video}/image_00001.jpg` of `frames_tar/{class}.tar`, with an index beside it:
`{class}.frames.npy`, int64 [M, 2], has the byte offset and size of each frame in the tar, and
`{class}.videos.csv` has rows `video,first row in that array,number of frames`.
"""

import os
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.pictures import FrameError, decode
from utils.errors import UsageError
from utils.files import read_lines, reason, regular_only

OPEN_TARS = 64  # at a time, in each process
MEMBER_SIZE = slice(124, 135)  # the octal digits of a size in a tar member's header


class Span(NamedTuple):
    """The rows of a video in the array of its class's tar."""

    first: int = 0
    frames: int = 0


def frame_file(number: int) -> str:
    """Return the published name of a frame's file; frames are numbered from 1."""
    return f"image_{number:05}.jpg"


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
    return os.path.isfile(tar_of(folder))


class Tar:
    """An open tar file with its index; raises FrameError if these can't be read."""

    def __init__(self, path: Path):
        self.path = path
        array, table = index_files(path)
        try:
            self.places = read_places(array)
            self.videos = read_spans(table, len(self.places))
            self.file = open(path, "rb", buffering=0, opener=regular_only)  # noqa: SIM115
        except (OSError, ValueError, EOFError, UsageError) as error:
            why = f"can't be read with its index ({reason(error)}); pack it anew"
            raise FrameError(str(path), why) from error
        self.size = os.fstat(self.file.fileno()).st_size

    def frame(self, video: str, frame: int) -> np.ndarray:
        """Return a video's frame, from 0; raises FrameError."""
        return decode(self.content(video, frame), self.name(video, frame))

    def name(self, video: str, frame: int) -> str:
        """Return the name of a frame, from 0, as messages show it."""
        return f"{self.path}:{video}/{frame_file(frame + 1)}"

    def content(self, video: str, frame: int) -> bytes:
        """Return the bytes of a video's frame, from 0; raises FrameError."""
        first, count = self.videos.get(video, Span())
        if not 0 <= frame < count:
            raise FrameError(self.name(video, frame), "no such file or directory")
        offset, size = self.places[first + frame].tolist()
        start = offset - tarfile.BLOCKSIZE  # of the member's header
        if not 0 <= size <= self.size or not 0 <= start <= self.size - size - tarfile.BLOCKSIZE:
            raise FrameError(self.name(video, frame), "is not in the tar where its index says")
        try:
            member = os.pread(self.file.fileno(), tarfile.BLOCKSIZE + size, start)
        except OSError as error:
            raise FrameError(self.name(video, frame), reason(error).lower()) from error
        if member[MEMBER_SIZE] != b"%011o" % size:
            raise FrameError(self.name(video, frame), "is not in the tar where its index says")
        return member[tarfile.BLOCKSIZE :]


open_tar = lru_cache(maxsize=OPEN_TARS)(Tar)


def read_places(array: Path) -> np.ndarray:
    """Return an index's offsets and sizes `[M, 2]`; raises OSError, ValueError or EOFError."""
    os.close(regular_only(str(array), os.O_RDONLY))  # NumPy would wait at a pipe
    places = np.load(array, mmap_mode="r")
    if getattr(places, "dtype", None) != np.int64 or places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"{array.name} is no array of offsets and sizes")
    return places


def read_spans(table: Path, rows: int) -> dict[str, Span]:
    """Read a table of videos whose array has so many rows; raises UsageError or ValueError."""
    spans = {}
    for number, line in enumerate(read_lines(table), 1):
        name, *numbers = line.rsplit(",", 2)  # names may hold commas
        if len(numbers) != 2 or not all(n.isdecimal() and len(n) < 19 for n in numbers):
            raise ValueError(f"{table.name}, line {number}, is not 'video,first row,frames'")
        spans[name] = span = Span(*map(int, numbers))
        if span.first + span.frames > rows:
            raise ValueError(f"{table.name}, line {number}, has more frames than the array")
    return spans
