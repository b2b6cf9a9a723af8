"""The folder that shown stimuli are written to: film, pictures, tables, and what made them."""

import csv
import json
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from dataset.build import build_gabors
from dataset.gabor_stimuli import CANVAS, FIELD_DEG
from dataset.gabors import GaborDataset
from dataset.stimulus_film import CODEC, Film, write_picture
from dataset.stimulus_request import Asked
from dataset.stimulus_tables import ShownImage, ShownPatch, shown_images, shown_patches
from utils.config.flags import Config
from utils.errors import UsageError
from utils.files import reason, write_whole, writing
from utils.runtime.environment import git_commit

FORMAT = 1  # of the folder's files; a change in the meaning of a column counts it up
FILM, IMAGES, PATCHES, MADE = "stimuli.mp4", "images.csv", "patches.csv", "stimuli.json"


def write_stimuli(asked: Asked) -> list[Path]:
    """Write the folder, and return the paths of the film and the tables.

    The clips are shown in the order of their indices. Raises UsageError and RunError.
    """
    config = asked.config
    data = build_gabors(config, asked.mode)
    assert isinstance(data, GaborDataset)
    clips = chosen_clips(asked.clips, len(data), asked.mode)
    side = asked.pixels or config.img_dim + config.img_dim % 2
    with filled(asked.out, asked.overwrite) as folder, ExitStack() as files:
        with writing(folder):
            (folder / "frames").mkdir()
        film = files.enter_context(Film(folder / FILM, side, asked.ms_per_frame))
        add_image = files.enter_context(table(folder / IMAGES, ShownImage))
        add_patch = files.enter_context(table(folder / PATCHES, ShownPatch))
        number = 0  # of the next image
        for item in clips:
            recipe = data.recipe(asked.epoch, item)
            for patch in shown_patches(data, recipe, first_number=number):
                add_patch(patch)
            rows = shown_images(
                data,
                recipe,
                item,
                first_number=number,
                first_frame=film.frames,
                ms_per_frame=asked.ms_per_frame,
                step_frames=step_frames(config),
            )
            for row, (image,) in zip(rows, data.draw(recipe), strict=True):
                write_picture(folder / row.file, image)
                film.write(image, row.frames)
                add_image(row)
                number += 1
        made = description(asked, clips, side, {"images": number, "frames": film.frames})
        write_whole(folder / MADE, json.dumps(made, indent=1) + "\n")
    return [asked.out / name for name in (FILM, IMAGES, PATCHES, MADE)]


def chosen_clips(asked: tuple[int, int | None], total: int, mode: str) -> range:
    """Return the indices of the clips that are asked for; raises UsageError if some are missing."""
    first, end = asked
    end = total if end is None else end
    if not 0 <= first < end <= total:
        raise UsageError(
            f"--clips {first}:{end}: the {mode} set has {total} clips, numbered from 0; "
            "name some of them"
        )
    return range(first, end)


def step_frames(config: Config) -> dict[int, int]:
    """Return the frame of a clip whose image is the class of each step, as in the records.

    It is the first one of each predicted block, or for lc-rnn the last one of the last block.
    """
    if not config.is_dpc:
        return {0: config.num_blocks * config.seq_len - 1}
    return {p: (config.num_seq_in + p) * config.seq_len for p in range(config.pred_step)}


def description(asked: Asked, clips: range, side: int, counts: dict[str, int]) -> dict[str, Any]:
    """Return what stimuli.json holds: what made the stimuli, and what they have in common."""
    packages = {"numpy": np.__version__, "opencv": cv2.__version__}
    return {
        "format": FORMAT,
        "seed": asked.config.seed,
        "epoch": asked.epoch,
        "mode": asked.mode,
        "clips": [clips.start, clips.stop],
        "with_U": asked.with_U,
        **counts,
        "ms_per_frame": asked.ms_per_frame,
        "film": {"codec": CODEC, "pixels": side},
        "canvas_pixels": CANVAS,
        "field_deg": FIELD_DEG,
        "network_pixels": asked.config.img_dim,
        "configuration": vars(asked.config),
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version(), **packages},
    }


# ------------------------------------------------------------------ files


@contextmanager
def table(path: Path, row: type[NamedTuple]) -> Iterator[Callable[[tuple], object]]:
    """Give a function that adds a row to a new CSV file; raises RunError."""
    with writing(path), open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(row._fields)
        yield writer.writerow


@contextmanager
def filled(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Give a hidden folder, which gets the name of `folder` in one step when it is complete.

    With `overwrite` it takes the place of stimuli that were written before. Raises UsageError.
    """
    require_free(folder, overwrite)
    folder = Path(os.path.abspath(folder))
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    old = new.with_name(f"{new.name}.old")
    try:
        try:
            new.mkdir(parents=True)
        except OSError as error:
            told = f"--out {folder}: can't be made ({reason(error)}); name another folder"
            raise UsageError(told) from error
        yield new
        with writing(folder):
            if folder.exists() and any(folder.iterdir()):
                folder.rename(old)
            new.rename(folder)  # in place of nothing, or of an empty folder
    finally:
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise UsageError if the folder holds something that may not be replaced."""
    try:
        os.path.abspath(folder).encode()
        there = os.listdir(folder)
    except FileNotFoundError:
        return
    except UnicodeEncodeError:
        raise UsageError(f"--out {folder}: OpenCV takes paths of UTF-8 text alone") from None
    except OSError as error:
        raise UsageError(f"--out {folder}: {reason(error)}; name another folder") from error
    if there and not overwrite:
        raise UsageError(f"--out {folder}: is not empty; name another, or --overwrite it")
    if there and (MADE not in there or folder.is_symlink()):
        raise UsageError(f"--overwrite: {folder} holds no stimuli; remove it by hand")
