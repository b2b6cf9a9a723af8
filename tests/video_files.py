"""Small videos for tests of what reads them."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np


def write_images(path: Path, images: Iterable[np.ndarray], size: tuple[int, int]) -> None:
    """Write a video of pictures of this width and height, with some loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    for image in images:
        writer.write(image)
    writer.release()


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 48), seed: int = 0) -> None:
    """`size`: width, height. The left half is dark, the right one bright, and a line moves."""
    width, height = size

    def draw(number: int) -> np.ndarray:
        image = np.full((height, width, 3), 40, np.uint8)
        image[:, width // 2 :] = 200
        image[(number + seed) % height] = 120
        return image

    write_images(path, map(draw, range(frames)), size)
