"""The files of a recorded pass, which everything in an analysis is computed from.

A pass is one evaluation of the weights before (pre) or after (post) an epoch on that epoch's
training clips. Its files lie in `analysis/recorded/` of the run's folder, and begin with its name,
such as `epoch9_pre`. README.md in this folder names what they hold.
"""

import io
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from utils.errors import UsageError
from utils.files import read_json, read_text, reason, regular_only, replacing, write_whole, writing

MODULES = ("encoder", "contextual", "predictive")
KINDS = ("activation", "error")
STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")
PRE, POST = "pre", "post"
ANY = "any"  # the image of a group that holds all images
NAME = re.compile(rf"epoch(\d{{1,10}})_({PRE}|{POST})\.json")
ENDINGS = (".json", ".npz", "_vectors.npz", "_blocks.csv", "_maps.npz")  # the first is written last
BLOCKS = {  # the columns of a table of blocks
    "epoch": "int64",
    "item": "int64",
    "step": "int64",
    "image": "str",
    "orientation": "float64",
    "is_U": "int64",
    "loss": "float64",
}


class Pass(NamedTuple):
    """A pass by the epoch of its clips, and whether the weights are from before or after it."""

    epoch: int
    when: str

    @property
    def name(self) -> str:
        """The name that its files begin with."""
        return f"epoch{self.epoch}_{self.when}"

    @property
    def weights(self) -> int:
        """The epoch after which the weights were saved."""
        return self.epoch - (self.when == PRE)


class Group(NamedTuple):
    """Blocks whose responses are averaged: those of an image and an orientation in degrees.

    The image ANY holds all images, the orientation NaN all orientations and images without one.
    """

    image: str
    orientation: float

    def holds(self, image: str, orientation: float) -> bool:
        """Whether a block with this image and orientation belongs to the group."""
        of_image = self.image in (ANY, image)
        return of_image and (math.isnan(self.orientation) or self.orientation == orientation)


class Recorded(NamedTuple):
    """A recorded pass: what made it, its groups, and arrays by the names in README.md.

    `blocks` has a row for each row of the `vectors`, in the same order.
    """

    of: Pass
    made: dict[str, Any]
    groups: tuple[Group, ...]
    statistics: Mapping[str, np.ndarray]
    blocks: pd.DataFrame
    vectors: Mapping[str, np.ndarray]

    def group(self, image: str, orientation: float = math.nan) -> int | None:
        """Return the index of a group, None if there is none."""
        for index, group in enumerate(self.groups):
            same = group.orientation == orientation or (
                math.isnan(group.orientation) and math.isnan(orientation)
            )
            if group.image == image and same:
                return index
        return None


def folder_of(run: Path, clips_of: int | None = None) -> Path:
    """Return the folder of a run's analysis, or of the one on the clips of a fixed epoch."""
    return run / ("analysis" if clips_of is None else f"analysis_epoch{clips_of}")


def list_passes(folder: Path) -> list[Pass]:
    """Return the complete passes in an analysis' folder: by epoch, and pre before post."""
    try:
        names = os.listdir(folder / "recorded")
    except OSError:
        return []
    matches = filter(None, map(NAME.fullmatch, names))
    found = [Pass(int(match[1]), match[2]) for match in matches]
    return sorted(found, key=lambda one: (one.epoch, one.when == POST))


def read_made(folder: Path, of: Pass) -> dict[str, Any] | None:
    """Return what made a pass, or None where it is not recorded; raises UsageError."""
    path = folder / "recorded" / f"{of.name}.json"
    if not path.exists():
        return None
    made = read_json(path)
    if not isinstance(made, dict):
        raise UsageError(f"{path}: is no recorded pass; remove it, and record the pass again")
    return made


def read_pass(folder: Path, of: Pass) -> Recorded:
    """Read a complete pass; its arrays are read as they are used. Raises UsageError."""
    made, start = read_made(folder, of) or {}, folder / "recorded" / of.name
    try:
        statistics, vectors = open_arrays(f"{start}.npz"), open_arrays(f"{start}_vectors.npz")
        blocks = pd.read_csv(
            io.StringIO(read_text(Path(f"{start}_blocks.csv"))),
            dtype=BLOCKS,
            keep_default_na=False,
            na_values={"orientation": [""]},
        )
        groups = zip(statistics["group_image"], statistics["group_orientation"], strict=True)
        told = tuple(Group(str(image), float(orientation)) for image, orientation in groups)
    except MemoryError:
        raise
    except Exception as error:  # zipfile, NumPy and pandas raise many kinds for a damaged file
        raise damaged(start, reason(error)) from error
    return Recorded(of, made, told, statistics, blocks, vectors)


def open_arrays(path: str) -> np.lib.npyio.NpzFile:
    """Open an .npz file, whose arrays are read as they are used.

    Raises OSError, ValueError and others for what is none.
    """
    os.close(regular_only(path, os.O_RDONLY))  # np.load would wait for a pipe
    arrays = np.load(path)
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise ValueError("is no .npz file")
    return arrays


def damaged(start: Path, why: str) -> UsageError:
    """Return the error for a pass whose files, which begin with `start`, can't be used."""
    return UsageError(f"{start}: can't be read ({why}); remove its files, and record it again")


def write_pass(
    folder: Path,
    of: Pass,
    *,
    made: Mapping[str, Any],
    groups: Sequence[Group],
    statistics: Mapping[str, np.ndarray],
    blocks: pd.DataFrame,
    vectors: Mapping[str, np.ndarray],
    maps: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a pass's files, each whole and the JSON last, so that a kill leaves no false pass.

    Raises RunError.
    """
    parent = folder / "recorded"
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
    remove_passes(folder, [of])
    start = parent / of.name
    named = {
        "group_image": np.array([group.image for group in groups]),
        "group_orientation": np.array([group.orientation for group in groups], np.float64),
    }
    _write_arrays(Path(f"{start}.npz"), {**named, **statistics})
    _write_arrays(Path(f"{start}_vectors.npz"), vectors)
    if maps is not None:
        _write_arrays(Path(f"{start}_maps.npz"), maps)
    table = blocks[list(BLOCKS)].to_csv(index=False, lineterminator="\n")
    write_whole(Path(f"{start}_blocks.csv"), table)
    write_whole(Path(f"{start}.json"), json.dumps(made, indent=1) + "\n")


def remove_passes(folder: Path, passes: Iterable[Pass]) -> None:
    """Remove the files of passes, the JSON first; raises RunError."""
    for of in passes:
        for ending in ENDINGS:
            path = folder / "recorded" / f"{of.name}{ending}"
            with writing(path), suppress(FileNotFoundError):
                path.unlink()


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    with writing(path), replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **cast(dict[str, Any], arrays))  # of any names
