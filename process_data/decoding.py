"""One video, decoded into a folder of JPEG frames or counted, or the reason why it can't be."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dataset.packed_frames import frame_file
from dataset.pictures import MOST_PIXELS
from dataset.video_files import (
    Making,
    fault_in,
    fault_of_file,
    fault_of_header,
    half,
    open_video,
)
from folders import fault_of_name
from utils.config.datasets import LINEAR
from utils.errors import RunError
from utils.files import reason

QUALITY = 80  # of the JPEGs
TEMPORARY = ".tmp"  # ends the hidden names of what is being made or removed
WHOLE = 0.9  # of the frames that a header promises; a video with fewer is listed as doubtful
LARGEST_SIDE = 65500  # pixels of a JPEG
HEADER = 2**20  # bytes at a video's start or end that hold its header
CODECS_IN_HEADER = re.compile(rb"strh....vids(.{4})|stsd.{12}(.{4})", re.DOTALL)
# errors of the disk for frames, which would be those of all later videos too
OF_THE_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE),
}


class Job(NamedTuple):
    """A video, the folder of its frames, and how these are made, as in Making."""

    video: Path
    folder: Path
    short_side: int  # pixels
    eye: str
    interpolation: str = LINEAR

    @property
    def making(self) -> Making:
        """How the frames are made."""
        return Making(self.short_side, self.eye, self.interpolation)


class Outcome(NamedTuple):
    """The result of a job. `failure`: why there are no frames; `doubt`: what is odd about them."""

    job: Job
    frames: int = 0
    failure: str = ""
    doubt: str = ""


class VideoError(Exception):
    """A video that gives no frames, and why."""


def extract(job: Job) -> Outcome:
    """Decode a video into a hidden folder that is moved to its place when it is complete.

    Raises RunError if the disk takes no frames.
    """
    temporary = job.folder.with_name(hidden_name())

    def write(frames: Iterator[np.ndarray]) -> int:
        temporary.mkdir(parents=True)
        if count := write_frames(temporary, frames, job):
            move_into_place(temporary, job.folder)
        return count

    try:
        return _decode(job, write)
    except OSError as error:
        if error.errno in OF_THE_DISK:
            raise RunError(
                f"{job.folder.parent}: frames can't be written ({reason(error)})"
            ) from error
        return Outcome(job, failure=f"its frames can't be written: {reason(error)}")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def count_video(job: Job) -> Outcome:
    """Decode a video as `extract` does, with the same outcome, and write nothing."""
    return _decode(job, lambda frames: sum(1 for _ in sized(frames, job)))


def _decode(job: Job, take: Callable[[Iterator[np.ndarray]], int]) -> Outcome:
    """Return the outcome of a function that takes all frames and returns their number."""
    try:
        check_file(job.video)
        capture = open_video(job.video)
        try:
            return _outcome(job, capture, take)
        finally:
            capture.release()
    except VideoError as error:
        return Outcome(job, failure=str(error))
    except MemoryError:
        return Outcome(job, failure="there is too little memory")
    except cv2.error as error:
        return Outcome(job, failure=fault_in(error))


def _outcome(
    job: Job, capture: cv2.VideoCapture, take: Callable[[Iterator[np.ndarray]], int]
) -> Outcome:
    if not capture.isOpened():
        raise VideoError(f"can't be opened{unknown_codecs(job.video)}")
    if fault := fault_of_header(capture):
        raise VideoError(fault)
    promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    sizes: dict[tuple[int, ...], int] = {}
    count = take(decoded(capture, sizes))
    if not count:
        codec = codec_name(capture.get(cv2.CAP_PROP_FOURCC))
        raise VideoError(
            f"no frame can be decoded: it is damaged, or OpenCV lacks the codec {codec}"
        )
    doubts = [
        f"{width}×{height} pixels from frame {first} on"
        for (height, width, _), first in list(sizes.items())[1:]
    ]
    if count < WHOLE * promised:
        doubts.append(f"{count} frames decoded, its header says {promised}")
    return Outcome(job, count, doubt="; ".join(doubts))


def check_file(video: Path) -> None:
    """Raise VideoError for what OpenCV couldn't take, would wait for, or would crash at."""
    for name in (video.parent.name, video.name):
        if fault := fault_of_name(name):
            raise VideoError(fault)
    if fault := fault_of_file(video):
        raise VideoError(fault)


def codec_name(number: float) -> str:
    """Return the four letters of a codec, such as AV01, that a number stands for."""
    code = (int(number) % 2**32).to_bytes(4, "little")
    return "".join(chr(letter) if 32 < letter < 127 else "?" for letter in code)


def unknown_codecs(video: Path) -> str:
    """Return the codecs that the header of an AVI or MP4 file names, as the end of a message."""
    content = b""
    with suppress(OSError), open(video, "rb") as file:
        content = file.read(HEADER)
        file.seek(max(len(content), os.fstat(file.fileno()).st_size - HEADER))
        content += file.read(HEADER)  # where MP4 files often have theirs
    named = {match[1] or match[2] for match in CODECS_IN_HEADER.finditer(content)}
    codecs = " ".join(sorted(codec_name(int.from_bytes(code, "little")) for code in named))
    return codecs and f": it is damaged, or OpenCV lacks the codec {codecs}"


def decoded(capture: cv2.VideoCapture, sizes: dict[tuple[int, ...], int]) -> Iterator[np.ndarray]:
    """Yield the frames of an open video; note in `sizes` which frame was the first of each."""
    count = 0
    while True:
        there, frame = capture.read()
        if not there:
            return
        count += 1
        sizes.setdefault(frame.shape, count)
        yield frame


def sized(frames: Iterator[np.ndarray], job: Job) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """Yield frames, cut to the job's half, with the width and height that all are to have.

    Raises VideoError for frames that would be too long.
    """
    size = None
    for frame in frames:
        image = half(frame, job.eye)
        if size is None:
            size = job.making.target_size(image)
            if max(size) > LARGEST_SIDE or size[0] * size[1] > MOST_PIXELS:
                raise VideoError(f"its frames would have {size[0]}×{size[1]} pixels")
        yield image, size


def write_frames(folder: Path, frames: Iterator[np.ndarray], job: Job) -> int:
    """Write the frames as JPEG files, all of the first one's size, and return their number.

    Raises VideoError for frames that would be too long.
    """
    count = 0
    for count, (image, size) in enumerate(sized(frames, job), 1):
        image = job.making.resized(image, size)
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        with open(folder / frame_file(count), "wb", buffering=0) as file:
            file.write(encoded.data)
    return count


# ------------------------------------------------------------------ hidden folders


def hidden_name() -> str:
    """Return a new name for what is being made or removed; the video's could get too long."""
    return f".{secrets.token_hex(8)}{TEMPORARY}"


def move_into_place(temporary: Path, folder: Path) -> None:
    """Move a folder, also in place of one with frames of another size."""
    try:
        os.rename(temporary, folder)
    except OSError:
        if folder.is_symlink() or not folder.is_dir():
            raise
        old = folder.with_name(hidden_name())
        os.rename(folder, old)
        os.rename(temporary, folder)
        shutil.rmtree(old)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed run left in a class's folder of frames, if the disk lets us.

    Its workers may still be at work. The rename makes those that still write fail; a folder that
    its worker has moved or removed in the meantime is no leftover.
    """
    for path in list(folder.glob(f".*{TEMPORARY}")):
        gone = path.with_name(hidden_name())
        with suppress(OSError):
            os.rename(path, gone)
            shutil.rmtree(gone, ignore_errors=True)
