"""Frames of a video: files in a folder, or the same packed in a tar file of their class.

A folder `frames/{class}/{video}` holds `image_00001.jpg` and so on. Frames that others made are
read too, if all JPEG or PNG files in the folder that end in a number are one series: with the same
text before the number and the same ending, numbered one by one from 0 or 1, with zeros in front or
without.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.packed_frames import Span, frame_file, is_packed, open_tar, tar_folder, tar_of
from dataset.pictures import FrameError, decode, read_file
from utils.files import reason

EXPECTED = f"single series of JPEG or PNG files, such as {frame_file(1)}, {frame_file(2)}, …"
# no hidden files, which macOS leaves beside others
NUMBERED = re.compile(r"((?!\.).*?)(?<!\d)(\d{1,9})(\.(?:jpe?g|png))", re.I | re.DOTALL | re.ASCII)
SHOWN = 3  # names in a message

FrameReader = Callable[[int], np.ndarray]
"""Frame number, from 0 → uint8 [H, W, 3], blue green red; raises FrameError."""


class Naming(NamedTuple):
    """How the frames in a folder are named.

    Numbers have at least so many `digits`, with zeros in front, and start with `first`.
    """

    before: str = "image_"
    digits: int = 5
    ending: str = ".jpg"
    first: int = 1

    def file(self, frame: int) -> str:
        """Return the name of a frame's file; frames count from 0."""
        return f"{self.before}{self.first + frame:0{self.digits}}{self.ending}"


PUBLISHED = Naming()


def list_frames(folder: Path) -> tuple[Naming, set[int]]:
    """Return how the frames in a folder are named, and which are there, from 0.

    Files named as published come before others. Raises FrameError if there are none, or if they
    are no single series.
    """
    series: dict[tuple[str, str], set[str]] = defaultdict(set)
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if (match := NUMBERED.fullmatch(entry.name)) and _is_file(entry):
                    series[match[1], match[3]].add(match[2])
    except (OSError, ValueError) as error:  # ValueError: no path
        raise FrameError(str(folder), reason(error).lower()) from error
    naming, numbers = PUBLISHED, _numbers(series.get((PUBLISHED.before, PUBLISHED.ending), ()), 5)
    if not numbers and len(series) == 1:
        [((before, ending), texts)] = series.items()
        naming = Naming(before, min(map(len, texts)), ending)
        numbers = _numbers(texts, naming.digits)
        if len(numbers) < len(texts):
            numbers.clear()
    if not numbers:
        of_each = [f"{before}{min(texts)}{ending}" for (before, ending), texts in series.items()]
        found = ", ".join(map(repr, sorted(of_each if len(series) > 1 else names)[:SHOWN]))
        raise FrameError(str(folder), f"holds no {EXPECTED}; found: {found or 'nothing'}")
    first = 0 if 0 in numbers else 1
    return naming._replace(first=first), {number - first for number in numbers}


def _is_file(entry: os.DirEntry) -> bool:
    with suppress(OSError):  # links in a circle
        return entry.is_file()
    return False


def _numbers(texts: Collection[str], digits: int) -> set[int]:
    """Return the numbers that are written with at least so many digits, and no zero more."""
    return {int(text) for text in texts if f"{int(text):0{digits}}" == text}


def frame_files(folder: Path) -> list[str]:
    """Return the names of a folder's frames in order; raises FrameError for none, and for gaps."""
    naming, there = list_frames(folder)
    files = [naming.file(frame) for frame in range(len(there))]
    if gaps := set(range(len(there))) - there:
        raise FrameError(str(folder), f"lacks {files[min(gaps)]}; {len(there)} frames are there")
    return files


def frames_there(folder: Path) -> Collection[int]:
    """Return which of a video's frames are there, from 0, packed or not."""
    try:
        if is_packed(folder):
            return range(_packed(folder))
        return list_frames(folder)[1]
    except FrameError:
        return ()


def has_frames(frames: Path) -> bool:
    """Whether a data set's folder of frames holds a class, or there are packed classes."""
    if any(tar_folder(frames).glob("[!.]*.tar")):
        return True
    try:
        with os.scandir(frames) as entries:
            return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)
    except OSError:
        return False


def why_missing(folder: Path) -> str:
    """Return why the video's frames can't be there, packed or not; empty if they can."""
    try:
        is_there = _packed(folder) > 0 if is_packed(folder) else os.path.isdir(folder)
    except FrameError as error:
        return f"{error.path} {error.reason}"
    return "" if is_there else f"{folder} does not exist"


def _packed(folder: Path) -> int:
    """Return how many frames of the video its class's tar holds; raises FrameError."""
    return open_tar(tar_of(folder)).videos.get(folder.name, Span()).frames


def reader(folder: Path) -> FrameReader:
    """Return a reader of the video's frames; raises FrameError if it can't be found how."""
    if is_packed(folder):
        tar = open_tar(tar_of(folder))
        return lambda frame: tar.frame(folder.name, frame)
    naming = PUBLISHED
    # a folder of a thousand names isn't listed for a clip of some
    if not os.path.exists(f"{folder}/{frame_file(1)}") or os.path.exists(
        f"{folder}/{frame_file(0)}"
    ):
        naming, _ = list_frames(folder)

    def read(frame: int) -> np.ndarray:
        path = f"{folder}/{naming.file(frame)}"
        return decode(read_file(path), path)

    return read
