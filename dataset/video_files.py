"""Frames decoded from a video file, made as extraction makes them, but for the JPEG step.

`process_data/extract_frames.py` writes these frames to files; training reads them from here where
there are no files, or with --from_videos.
"""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dataset.pictures import MOST_PIXELS, FrameError
from utils.config.datasets import AREA, LINEAR
from utils.files import reason, regular_only

UNDECODABLE = "can't be decoded: it is damaged, or OpenCV lacks its codec"

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: broken videos are reported here


class Making(NamedTuple):
    """How frames are made of a video.

    `short_side`: pixels of a frame's shorter side. `eye`: the half to keep, or both.
    `interpolation` says how large frames are shrunk: LINEAR as published, or AREA.
    """

    short_side: int
    eye: str = "both"
    interpolation: str = LINEAR

    def target_size(self, frame: np.ndarray) -> tuple[int, int]:
        """Return the width and height of frames like this one, already cut to an eye's half.

        The longer side is cut to whole pixels, as published; with AREA it is rounded.
        """
        height, width = frame.shape[:2]
        rounded = round if self.interpolation == AREA else int
        scaled = (
            max(1, rounded(side * self.short_side / min(height, width))) for side in (width, height)
        )
        return next(scaled), next(scaled)

    def resized(self, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the frame with this width and height."""
        if (frame.shape[1], frame.shape[0]) == size:
            return frame
        is_area = self.interpolation == AREA and min(size) < min(frame.shape[:2])
        method = cv2.INTER_AREA if is_area else cv2.INTER_LINEAR
        return cv2.resize(frame, size, interpolation=method)


def half(frame: np.ndarray, eye: str) -> np.ndarray:
    """Return an eye's half. Of an odd width the middle column is left out for equal halves."""
    width = frame.shape[1] // 2
    return {"left": frame[:, :width], "right": frame[:, -width:], "both": frame}[eye]


def fault_of_file(video: Path) -> str:
    """Return why OpenCV can't take a file, would wait for it or crash at it; empty if it can."""
    try:
        str(video).encode()
        with open(video, "rb", opener=regular_only) as file:
            return "" if os.fstat(file.fileno()).st_size else "is empty"
    except UnicodeEncodeError:
        return "its path is not UTF-8; rename it"
    except (OSError, ValueError) as error:  # ValueError: no path
        is_link = video.is_symlink() and isinstance(error, FileNotFoundError)
        return "is a link that leads nowhere" if is_link else reason(error)


def open_video(video: Path) -> cv2.VideoCapture:
    """Open a video for one thread: processes work side by side, and others only get in the way."""
    cv2.setNumThreads(1)
    return cv2.VideoCapture(str(video), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def fault_of_header(capture: cv2.VideoCapture) -> str:
    """Return why the frames of an open video would be too large; empty if they aren't."""
    width, height = (
        int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    is_large = width * height > MOST_PIXELS
    return f"says that its frames have {width}×{height} pixels" if is_large else ""


def fault_in(error: cv2.error) -> str:
    """Return what OpenCV says is wrong, in one line."""
    return " ".join(str(error).split())


def opened(video: Path) -> cv2.VideoCapture:
    """Open a video whose frames are wanted; raises FrameError for one that can't be decoded."""
    if fault := fault_of_file(video):
        raise FrameError(str(video), fault)
    capture = open_video(video)
    if fault := fault_of_header(capture):
        raise FrameError(str(video), fault)
    return capture


class VideoReader:
    """The frames of a video, by their numbers from 0, each uint8 `[H, W, 3]`, blue green red.

    The video is decoded from its start to the frame that is asked for, and on from there: jumping
    to a frame by its time or number is not exact in many videos. An earlier frame than the last one
    starts anew.
    """

    def __init__(self, video: Path, making: Making):
        self.video = video
        self.making = making
        self.capture: cv2.VideoCapture | None = None
        self.number = -1  # of the frame that was decoded last
        self.image = np.empty(0)
        self.size = (0, 0)

    def __call__(self, frame: int) -> np.ndarray:
        """Return a frame; raises FrameError."""
        try:
            if self.capture is None or frame < self.number:
                self._start()
            if frame > self.number:
                self._advance(frame)
                self.image = self.making.resized(self._retrieve(), self.size)
        except cv2.error as error:
            self.capture = None
            raise FrameError(str(self.video), fault_in(error)) from error
        return self.image

    def _start(self) -> None:
        """Open the video and decode its first frame, which says how large all are made."""
        self.capture = None
        self.capture = opened(self.video)
        self.number = -1
        self._advance(0)
        first = self._retrieve()
        self.size = self.making.target_size(first)
        if self.size[0] * self.size[1] > MOST_PIXELS:
            told = f"its frames would have {self.size[0]}×{self.size[1]} pixels"
            raise FrameError(str(self.video), told)
        self.image = self.making.resized(first, self.size)

    def _advance(self, frame: int) -> None:
        assert self.capture is not None
        while self.number < frame:
            if not self.capture.grab():
                self.capture = None
                raise FrameError(str(self.video), self._shortage(frame))
            self.number += 1

    def _shortage(self, frame: int) -> str:
        if self.number < 0:
            return UNDECODABLE
        return f"has no frame {frame + 1} that can be decoded; {self.number + 1} are there"

    def _retrieve(self) -> np.ndarray:
        assert self.capture is not None
        there, image = self.capture.retrieve()
        if not there:
            self.capture = None
            raise FrameError(str(self.video), f"its frame {self.number + 1} can't be decoded")
        return half(image, self.making.eye)


def count_frames(video: Path) -> int:
    """Return how many frames extraction writes of a video, by decoding all; raises FrameError."""
    try:
        capture, count = opened(video), 0
        while capture.read()[0]:
            count += 1
        capture.release()
    except cv2.error as error:
        raise FrameError(str(video), fault_in(error)) from error
    if not count:
        raise FrameError(str(video), UNDECODABLE)
    return count
