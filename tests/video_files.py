"""Small videos for tests of what reads them."""

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from video_data import Prepared


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


def all_frames(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    images = []
    while (answer := capture.read())[0]:
        images.append(answer[1])
    return images


def with_videos(prepared: Prepared) -> Prepared:
    """Make videos of a data set's frames, and lossless frames of the videos in place of these.

    `videos.csv` and `dataset.json` are as write_csvs.py writes them.
    """
    files, side = [], 0
    for row in [*prepared.rows(), *prepared.rows("test_split01")]:
        name = row.rpartition(",")[0]
        images = [cv2.imread(str(file)) for file in sorted((prepared.root / name).iterdir())]
        height, width, _ = images[0].shape
        side = min(height, width)
        file = prepared.root / name.replace("frames/", "videos/") / "a, b.avi"
        write_images(file, images, (width, height))
        files.append((name, str(file.relative_to(prepared.root))))
        shutil.rmtree(prepared.root / name)
        (prepared.root / name).mkdir()
        for number, image in enumerate(all_frames(file), 1):
            assert cv2.imwrite(str(prepared.root / name / f"image_{number:05}.png"), image)
    with open(prepared.split_folder / "videos.csv", "w", newline="") as file:
        csv.writer(file).writerows(files)
    (prepared.split_folder / "dataset.json").write_text(f'{{"short_side": {side}}}')
    return prepared
