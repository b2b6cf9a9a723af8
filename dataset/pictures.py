"""Pictures of frames: JPEG and PNG files that are read and decoded, or the reason why not."""

import os
import struct

import cv2
import numpy as np

from utils import files
from utils.files import regular_only

MOST_BYTES = 2**28  # of a picture's file
MOST_PIXELS = 2**26  # of a picture: 200 MB when it is decoded
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
LONGEST_TAIL = 64  # bytes that some programs leave after a picture's end
PNG_START = b"\x89PNG\r\n\x1a\n"
# markers of JPEG segments that hold the size: all SOF, which DHT, JPG and DAC lie between
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# our own messages say what can't be read; OpenCV before 4.13 has the first name
(getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(0)


class FrameError(Exception):
    """A frame, or frames, that are missing or can't be read."""

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


def read_file(path: str) -> bytes:
    """Return the content of a picture's file; raises FrameError, also for a pipe or a folder."""
    try:
        with open(path, "rb", buffering=0, opener=regular_only) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= MOST_BYTES:
                return file.read() or b""  # None: not ready
    except (OSError, ValueError) as error:  # ValueError: no path
        raise FrameError(path, files.reason(error).lower()) from error
    raise FrameError(path, f"has {size} bytes, too many for a picture")


def decode(content: bytes, path: str) -> np.ndarray:
    """Return a picture as uint8 `[H, W, 3]`, blue green red; raises FrameError.

    Gray pictures get three channels, 16 bits become 8, transparency is left out, and a picture is
    turned as its EXIF data say.
    """
    if content.startswith(JPEG_START) and JPEG_END not in content[-LONGEST_TAIL:]:
        raise FrameError(path, "is cut off")
    height, width = declared_size(content)
    if height * width > MOST_PIXELS:
        raise FrameError(path, f"is too large ({width}×{height} pixels)")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if width else None
    except cv2.error:
        image = None
    if image is None:
        raise FrameError(path, "does not decode as a JPEG or PNG picture")
    return image


def declared_size(content: bytes) -> tuple[int, int]:
    """Return height and width by the header of a JPEG or PNG file; (0, 0) without one."""
    if content.startswith(PNG_START) and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return height, width
    at = len(JPEG_START) if content.startswith(JPEG_START) else len(content)
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length, _, height, width = struct.unpack_from(">BHBHH", content, at + 1)
        if marker in JPEG_SIZES:
            return height, width
        at += 1 if marker == 0xFF else 2 + length  # 0xFF: filling
    return 0, 0
