"""The video datasets: where their files lie under `--d_root`, and what the published ones hold.

    {d_root}/{dataset}/videos/{class}/NAME.avi
    {d_root}/{dataset}/frames/{class}/NAME/image_00001.jpg   numbered from 1
    {d_root}/{dataset}/frames_tar/{class}.tar                the same frames, packed

Split files lie in {csv_root}/{split folder}: `train_split01.csv` or `train_split.csv` and so on
with rows `path to the frames,number of frames`, `classInd.txt` with rows `index name`, and
`root.txt` with the folder that paths start from.
"""

import os
from dataclasses import dataclass
from pathlib import Path

EYES = ("left", "right", "both")


@dataclass(frozen=True)
class VideoDataset:
    """`splits`: numbers of the splits, or None for a single one without a number. `modes`: of its
    split files. `videos`: in each published split file, by its name without `.csv`."""

    name: str
    endings: tuple[str, ...]
    classes: int | None
    short_side: int = 240  # pixels, of the frames
    splits: tuple[int, ...] | None = None
    modes: tuple[str, ...] = ("train", "test")
    videos: dict[str, int] | None = None


def _published(train: tuple[int, ...], test: tuple[int, ...]) -> dict[str, int]:
    return {
        f"{mode}_split{number:02}": count
        for mode, counts in (("train", train), ("test", test))
        for number, count in enumerate(counts, 1)
    }


DATASETS = {
    dataset.name: dataset
    for dataset in (
        VideoDataset(
            "UCF101",
            (".avi",),
            101,
            splits=(1, 2, 3),
            videos=_published((9537, 9586, 9624), (3783, 3734, 3696)),
        ),
        VideoDataset(
            "HMDB51",
            (".avi",),
            51,
            splits=(1, 2, 3),
            videos=_published((3570,) * 3, (1530,) * 3),
        ),
        VideoDataset("Kinetics400", (".mp4",), 400, short_side=150, modes=("train", "val", "test")),
        VideoDataset("MouseSim", (".mov",), None),
    )
}
BIG_SIDE = 256  # pixels, of Kinetics400's frames for images above 140 pixels


@dataclass(frozen=True)
class Variant:
    """A dataset as it was asked for: `--k400_big` and `--eye` choose the frames and split files."""

    dataset: VideoDataset
    suffix: str  # of the folders of frames and of split files
    short_side: int

    @property
    def frames(self) -> str:
        """The folder of frames below the dataset's root; packed, it ends in `_tar`."""
        return "frames" + self.suffix

    @property
    def split_folder(self) -> str:
        return self.dataset.name + self.suffix


def variant(name: str, k400_big: bool, eye: str) -> Variant:
    dataset = DATASETS[name]
    if name == "Kinetics400" and k400_big:
        return Variant(dataset, "_256", BIG_SIDE)
    if name == "MouseSim" and eye != "both":
        return Variant(dataset, f"_{eye}", dataset.short_side)
    return Variant(dataset, "", dataset.short_side)


def class_folder(name: str) -> str:
    """A class's name as a folder: `playing guitar (solo)` → `playing_guitar_solo`."""
    return name.strip().replace(" ", "_").replace("(", "").replace(")", "")


def visible_folders(parent: Path) -> list[Path]:
    """Sorted; those that are being made start with a dot."""
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith("."))


def frame_numbers(folder: Path) -> set[int]:
    """Of the frames in a video's folder; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    numbers = (name[6:-4] for name in names if name.startswith("image_") and name.endswith(".jpg"))
    return {int(number) for number in numbers if number.isdecimal()}


def has_holes(numbers: set[int]) -> bool:
    """Whether they are anything but 1, 2, 3, …"""
    return max(numbers, default=0) != len(numbers) or 0 in numbers


def frame_file(number: int) -> str:
    return f"image_{number:05}.jpg"
