"""Frames and split files as the preparation leaves them, drawn by the tests themselves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from utils.config.datasets import entry

CLASSES = ("Dive", "Jump", "Run")


class Prepared(NamedTuple):
    """A prepared data set.

    `csv_root` is for --data_path_dir, and `root` holds the folders of frames. The names of the
    folders of split files and of frames end with `suffix`.
    """

    csv_root: Path
    root: Path
    suffix: str = ""

    @property
    def split_folder(self) -> Path:
        return self.csv_root / (self.root.name + self.suffix)

    def split(self, name: str = "train_split01") -> Path:
        return self.split_folder / f"{name}.csv"

    def rows(self, name: str = "train_split01") -> list[str]:
        return self.split(name).read_text().splitlines()

    def frame(self, row: str, number: int) -> Path:
        """Return the file of a row's frame; frames are numbered from 1."""
        return self.root / row.rpartition(",")[0] / f"image_{number:05d}.jpg"


def picture(number: int, shift: int, height: int, width: int) -> np.ndarray:
    """Draw a coloured pattern of video `number`, moved by `shift` pixels."""
    y, x = np.mgrid[:height, :width]
    waves = [
        np.sin((x + shift) / (5 + number % 4) + k) * np.cos(y / (6 + number % 3) - k)
        for k in (0, 1, 2)
    ]
    return (127 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def numbered(number: int, frame: int, height: int, width: int) -> np.ndarray:
    """Draw three gray stripes that say which video (up to 49) and frame (up to 2499) it is."""
    digits = np.repeat([number, frame // 50, frame % 50], -(-width // 3))[:width]
    return np.tile(5 * digits[None, :, None] + 2, (height, 1, 3)).astype(np.uint8)


def read_numbers(clip: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Read the video and frame numbers `[N, L]` from an unaugmented clip of `numbered` frames."""
    rows = clip[:, 0, :, clip.shape[3] // 2].double()  # [N, L, W]
    width = rows.shape[2]
    levels = rows[..., [width // 6, width // 2, width - 1 - width // 6]]
    number, fifties, rest = ((levels - 2) / 5).round().long().unbind(-1)
    return number.numpy(), (50 * fifties + rest).numpy()


def write_frames(
    folder: Path,
    number: int,
    count: int,
    height: int,
    width: int,
    draw: Callable[[int, int, int, int], np.ndarray] = picture,
) -> None:
    folder.mkdir(parents=True)
    for frame in range(count):
        path = folder / f"image_{frame + 1:05d}.jpg"
        image = draw(number, frame, height, width)
        assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 80])


def prepare(
    tmp: Path,
    dataset: str = "UCF101",
    *,
    lengths: Sequence[int] = (24, 30, 27),
    test_lengths: Sequence[int] = (26,),
    size: tuple[int, int] = (48, 64),
    classes: Sequence[str] = CLASSES,
    suffix: str = "",
    draw: Callable[[int, int, int, int], np.ndarray] = picture,
) -> Prepared:
    """Prepare train and test videos of these numbers of frames in each class, as split 1.

    The videos are numbered from 0 in the order of the rows, training first.
    """
    prepared = Prepared(tmp / "data", tmp / "frames_root" / dataset, suffix)
    folder = prepared.split_folder
    folder.mkdir(parents=True)
    made = 0
    for mode, all_lengths in (("train", lengths), ("test", test_lengths)):
        rows = []
        for name in classes:
            for v, count in enumerate(all_lengths):
                relative = f"frames{suffix}/{name}/v_{name}_{mode}_{v}"
                write_frames(prepared.root / relative, made, count, *size, draw)
                rows.append(f"{relative},{count}")
                made += 1
        path = folder / f"{entry(dataset).split_name(mode, 1)}.csv"
        path.write_text("\n".join(rows) + "\n")
    (folder / "classInd.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(classes)))
    (folder / "root.txt").write_text(f"{prepared.root}\n")
    return prepared


def pack(root: Path, *flags: str) -> None:
    """Pack a data set's frames into tar files with an index; `flags` are such as --k400_big."""
    import pack_frames

    arguments = ["--d_root", str(root.parent), "--dataset", root.name, "--num_workers", "0", *flags]
    assert pack_frames.main(arguments) == 0


def prepare_large(tmp: Path) -> None:
    """Write a split file as large as Kinetics400's, for --data_path_dir `tmp`.

    There are no more frames than are looked for at the start.
    """
    splits = tmp / "Kinetics400"
    splits.mkdir()
    names = [f"class_number_{c}" for c in range(400)]
    rows = [f"frames/{names[v % 400]}/{v:011x}_000010_000020" for v in range(240_000)]
    (splits / "classInd.txt").write_text("".join(f"{c} {n}\n" for c, n in enumerate(names)))
    (splits / "train_split.csv").write_text("".join(f"{row},300\n" for row in rows))
    (splits / "root.txt").write_text(f"{tmp}\n")
    for v in np.linspace(0, len(rows) - 1, 100).astype(int):
        (tmp / rows[v]).mkdir(parents=True)
