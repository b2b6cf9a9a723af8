"""Recorded passes, checked as they are read, so that a damaged file is told in one line."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from utils.analysis.recorded import (
    ANY,
    BLOCKS,
    KINDS,
    MODULES,
    STAGES,
    Pass,
    Recorded,
    damaged,
    read_pass,
)
from utils.files import reason

NO_SEED = 0  # of a pass that doesn't say which seed the run had


class Condition(NamedTuple):
    """What a block shows: an image and its orientation in degrees, None for one without."""

    image: str
    orientation: float | None


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of a file, read as they are used; raises UsageError for one of a wrong shape.

    `shape` is how the shape of each array of responses starts. Those of `finite` arrays have no
    holes, as statistics of groups without blocks have.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        start: Path,
        shape: tuple[int, ...],
        finite: bool = False,
    ):
        self.arrays = arrays
        self.finite = finite
        self.start = start
        self.shape = shape

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            values = self.arrays[name]
        except MemoryError:
            raise
        except Exception as error:  # zipfile and NumPy raise many kinds for a damaged file
            raise damaged(self.start, f"{name}: {reason(error)}") from error
        shape = () if "_usi_" in name else self.shape  # permutations have no steps and groups
        if values.shape[: len(shape)] != shape or values.dtype.kind not in "fiu":
            raise damaged(self.start, f"{name}: {values.dtype} of shape {values.shape}")
        if self.finite and not np.isfinite(values).all():
            raise damaged(self.start, f"{name}: values that are not finite")
        return values

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


def load_pass(folder: Path, of: Pass) -> Recorded:
    """Read a pass, with its arrays checked as they are used. Raises UsageError."""
    start = folder / "recorded" / of.name
    recorded = read_pass(folder, of)
    if missing := [name for name in BLOCKS if name not in recorded.blocks]:
        raise damaged(start, f"the table of blocks has no column {missing[0]}")
    if not len(recorded.blocks):
        raise damaged(start, "the table of blocks has no rows")
    count = Arrays(recorded.statistics, start, ())["count"]
    if count.ndim != 2 or count.shape[1] != len(recorded.groups):
        raise damaged(start, f"count: {count.dtype} of shape {count.shape}")
    statistics = Arrays(recorded.statistics, start, count.shape)
    vectors = Arrays(recorded.vectors, start, (len(recorded.blocks),), finite=True)
    return recorded._replace(statistics=statistics, vectors=vectors)


def list_responses(recorded: Recorded) -> list[tuple[str, str]]:
    """Return the modules and kinds of responses that a pass has, in their fixed order."""
    pairs = [(module, kind) for module in MODULES for kind in KINDS]
    return [(m, k) for m, k in pairs if f"{m}_{k}_mean" in recorded.statistics]


def list_stages(recorded: Recorded) -> list[str]:
    """Return the stages that a pass has, from the stem on."""
    return [stage for stage in STAGES if f"{stage}_mean" in recorded.statistics]


def list_images(recorded: Recorded) -> list[str]:
    """Return the images, or the classes of videos, in the order of the groups."""
    return list(dict.fromkeys(group.image for group in recorded.groups if group.image != ANY))


def list_conditions(recorded: Recorded) -> list[Condition]:
    """Return each image × orientation, and each image without orientations, as the groups are."""
    oriented = {group.image for group in recorded.groups if not math.isnan(group.orientation)}
    return [
        Condition(image, None if math.isnan(angle) else angle)
        for image, angle in recorded.groups
        if image != ANY and (image not in oriented or not math.isnan(angle))
    ]


def conditions_of_blocks(recorded: Recorded) -> list[Condition]:
    """Return the condition of each row of the table of blocks."""
    table = recorded.blocks
    pairs = zip(table["image"], table["orientation"].to_numpy(np.float64), strict=True)
    return [Condition(image, None if math.isnan(angle) else angle) for image, angle in pairs]


def seed_of(recorded: Recorded) -> int:
    """Return the run's seed, from which every draw of the analysis follows."""
    settings: Any = recorded.made.get("run")
    seed = settings.get("seed") if isinstance(settings, dict) else None
    return seed if isinstance(seed, int) and seed >= 0 else NO_SEED


def clips_epoch(recorded: Recorded) -> int:
    """Return the epoch whose clips the pass has seen."""
    return int(recorded.blocks["epoch"].iloc[0])


def choose_rows(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most so many row numbers in ascending order, each label with its share of them."""
    order = rng.permutation(len(labels))
    if len(labels) > most:
        order = order[np.argsort(labels[order], kind="stable")]
        order = order[np.arange(most) * len(labels) // most]
    return np.sort(order)
