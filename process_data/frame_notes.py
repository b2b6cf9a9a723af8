"""What is noted beside a folder of frames: how they were made, and which videos are doubtful."""

import csv
import io
import os
from pathlib import Path

from dataset.packed_frames import tar_folder
from utils.config.datasets import AREA, LINEAR
from utils.errors import UsageError
from utils.files import read_json, read_text, write_whole

NOTE = ".made.json"  # in a folder of frames, or of packed frames


def read_interpolation(frames: Path) -> str:
    """Return the interpolation that frames, packed or not, were made with; empty if unknown.

    Raises UsageError for a note that can't be read.
    """
    for folder in (frames, tar_folder(frames)):
        if os.path.lexists(folder / NOTE):
            try:
                note = read_json(folder / NOTE)
            except UsageError as error:
                raise UsageError(f"{error}; remove it") from error
            if not isinstance(note, dict) or note.get("interpolation") not in (LINEAR, AREA):
                raise UsageError(f"{folder / NOTE}: names no interpolation; remove it")
            return note["interpolation"]
    return ""


def write_interpolation(folder: Path, interpolation: str) -> None:
    """Note how the frames in a folder are made, if that isn't noted yet; raises RunError."""
    if read_interpolation(folder) != interpolation or not (folder / NOTE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / NOTE, f'{{"interpolation": "{interpolation}"}}\n')


def doubtful_file(frames: Path) -> Path:
    """Return the list of a folder's doubtful videos."""
    return frames.with_name(f"{frames.name}_doubtful.csv")


def read_doubtful(frames: Path) -> dict[str, str]:
    """Return why videos, named `class/file`, are doubtful; raises UsageError."""
    path = doubtful_file(frames)
    if not path.exists():
        return {}
    try:
        return dict(list(csv.reader(io.StringIO(read_text(path))))[1:])
    except (csv.Error, ValueError) as error:
        raise UsageError(f"{path}: is no list of videos ({error}); remove it") from error
