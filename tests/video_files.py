"""Small videos for tests of what reads them."""

from pathlib import Path

import cv2
import numpy as np


def write_video(path: Path, frames: int, size: tuple[int, int] = (64, 48), seed: int = 0) -> None:
    """`size`: width, height. The left half is dark, the right one bright, and a line moves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    for number in range(frames):
        image = np.full((height, width, 3), 40, np.uint8)
        image[:, width // 2 :] = 200
        image[(number + seed) % height] = 120
        writer.write(image)
    writer.release()
