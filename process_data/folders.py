"""The folders of a prepared data set.

    {d_root}/{dataset}/videos/{class}/NAME.avi
    {d_root}/{dataset}/frames/{class}/NAME/image_00001.jpg   numbered from 1
    {d_root}/{dataset}/frames_tar/{class}.tar                the same frames, packed

Files and folders whose names start with a dot are being made, or are leftovers of a killed run.
"""

from collections.abc import Collection
from pathlib import Path


def visible_folders(parent: Path) -> list[Path]:
    """Return the folders in a folder, sorted; none if that is missing."""
    if not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith("."))


def video_files(videos: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return the videos of all classes, sorted in each class."""
    return [
        path
        for folder in visible_folders(videos)
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(endings) and not path.name.startswith(".")
    ]


def has_holes(numbers: Collection[int]) -> bool:
    """Return whether the numbers are anything but 1, 2, 3 and so on."""
    return max(numbers, default=0) != len(numbers) or 0 in numbers


def label(path: Path) -> str:
    """Return the class and the name of a video or its folder, as messages name it."""
    return f"{path.parent.name}/{path.name}"
