"""The dataset.json of a data set, from the frames that were made."""

import dataclasses
import os
from pathlib import Path

from command_line import Asked, log
from dataset import frames
from dataset.pictures import FrameError
from dataset.split_files import Row
from frame_notes import read_interpolation
from utils.config.datasets import Variant
from utils.config.described import FILE, write_description


def describe(folder: Path, asked: Asked, row: Row) -> None:
    """Write dataset.json in a folder of split files, unless it is there; raises RunError.

    A file that says something else than the frames of this row show stays, with a warning.
    """
    made, path = as_made(asked, row), folder / FILE
    if not os.path.lexists(path):
        if frames.has_frames(asked.frames) and not read_interpolation(asked.frames):
            message = (
                "%s: how the frames were shrunk is unknown; the file says %s, change it if not"
            )
            log.warning(message, path, made.interpolation)
        write_description(folder, asked.info, made)
        log.info("%s: written; it says stride, short_side, interpolation and augmentation", path)
        return
    for key in ("short_side", "interpolation"):
        there, said = getattr(made, key), getattr(asked.variant, key)
        if there != said:
            message = "%s: says %s %s, and the frames were made with %s; change the file"
            log.warning(message, path, key, said, there)


def as_made(asked: Asked, row: Row) -> Variant:
    """Return the variant with the size and the interpolation of its frames, where it has some."""
    interpolation = read_interpolation(asked.frames) or asked.variant.interpolation
    try:
        short_side = min(frames.reader(asked.root / row.path)(0).shape[:2])
    except FrameError:  # there are no frames, or training tells which are bad
        short_side = asked.variant.short_side
    return dataclasses.replace(asked.variant, interpolation=interpolation, short_side=short_side)
