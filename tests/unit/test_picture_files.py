"""Pictures of frames as all kinds of programs write them, and bytes that are none."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.pictures import FrameError, decode, read_file

ROWS, COLUMNS = np.mgrid[:48, :64]
RGB = np.stack([COLUMNS * 4, ROWS * 5, ROWS + COLUMNS], axis=2).astype(np.uint8)
BGR16 = RGB[..., ::-1].astype(np.uint16) * 257
TURNED_RIGHT = Image.Exif()
TURNED_RIGHT[0x0112] = 6  # the tag of the orientation


def saved(kind: str, mode: str = "RGB", **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(RGB).convert(mode).save(content, kind, **options)
    return content.getvalue()


JPEG, PNG = saved("JPEG", quality=95), saved("PNG")


def jpeg_of_size(content: bytes, height: int, width: int) -> bytes:
    """Let a header say another size."""
    at = max(content.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2"))
    return content[: at + 5] + struct.pack(">HH", height, width) + content[at + 9 :]


def png_of_size(height: int, width: int) -> bytes:
    head = PNG[12:16] + struct.pack(">II", width, height) + PNG[24:29]
    return PNG[:12] + head + struct.pack(">I", zlib.crc32(head)) + PNG[33:]


def refusal(content: bytes) -> str:
    with pytest.raises(FrameError) as refused:
        decode(content, "v/image_00001.jpg")
    assert refused.value.path == "v/image_00001.jpg"
    return refused.value.reason


@pytest.mark.parametrize(
    "content",
    [
        JPEG,
        saved("JPEG", quality=95, progressive=True),
        saved("JPEG", "CMYK", quality=95),
        PNG,
        saved("PNG", "RGBA"),
        cv2.imencode(".png", BGR16)[1].tobytes(),
    ],
    ids=["plain", "progressive", "CMYK", "PNG", "alpha", "16 bits"],
)
def test_pictures_of_any_kind_are_eight_bits_of_blue_green_red(content):
    image = decode(content, "")
    assert image.dtype == np.uint8
    assert image.shape == RGB.shape
    assert np.abs(image[..., ::-1].astype(int) - RGB).mean() < 1.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["L", "P", "1", "LA"])
def test_pictures_without_colour_channels_get_three(kind, mode):
    if kind == "PNG" or mode == "L":
        assert decode(saved(kind, mode), "").shape == RGB.shape


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pictures_are_turned_as_they_say(kind):
    assert decode(saved(kind, exif=TURNED_RIGHT.tobytes()), "").shape == (64, 48, 3)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (jpeg_of_size(JPEG, 30000, 30000), "is too large (30000×30000 pixels)"),
        (jpeg_of_size(saved("JPEG", progressive=True), 1, 65535), "does not decode"),
        (jpeg_of_size(saved("JPEG", progressive=True), 2000, 65535), "is too large"),
        (png_of_size(30000, 30000), "is too large (30000×30000 pixels)"),
        (png_of_size(2**31, 2**31), "is too large"),
        (jpeg_of_size(JPEG, 0, 64), "does not decode"),
        (JPEG[: len(JPEG) // 2], "is cut off"),
        (PNG[: len(PNG) // 2], "does not decode"),
        (saved("BMP"), "does not decode"),
        (saved("WEBP"), "does not decode"),
        (b"", "does not decode"),
        (b"\xff\xd8" + b"\xff" * 9999 + b"\xff\xd9", "does not decode"),
    ],
)
def test_what_is_no_sound_picture_is_told_before_it_takes_memory(content, told):
    assert refusal(content).startswith(told)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_told_at_once(tmp_path, make):
    make(tmp_path / "image_00001.jpg")
    with pytest.raises(FrameError):
        read_file(str(tmp_path / "image_00001.jpg"))


def test_a_huge_file_is_not_read(tmp_path):
    (tmp_path / "a.jpg").touch()
    os.truncate(tmp_path / "a.jpg", 2**40)
    with pytest.raises(FrameError) as refused:
        read_file(str(tmp_path / "a.jpg"))
    assert refused.value.reason == f"has {2**40} bytes, too many for a picture"
