"""What is known of a data set by name: the table's entry, or the user's own, and dataset.json.

`dataset.json` lies beside the split files, and what it says replaces what the table says. Its keys,
of which none is needed:

    stride          frames from one frame of a clip to the next; null: as --ucf_hmdb_ms_ds says
    short_side      pixels of a frame's shorter side
    interpolation   by which large frames are shrunk: linear or area
    augmentation    of dpc-rnn, one of datasets.AUGMENTATIONS
"""

import dataclasses
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from utils.config.datasets import (
    ALL_NAMES,
    AUGMENTATIONS,
    CATALOGUE,
    INTERPOLATIONS,
    VIDEOS,
    DatasetInfo,
    Variant,
    entry,
)
from utils.config.flags import Config, split_folder
from utils.errors import UsageError
from utils.files import read_json, write_whole

FILE = "dataset.json"
LARGEST_SIDE, LONGEST_STRIDE = 4320, 1000  # pixels, frames
NUMBERED = re.compile(r"(train|val|test)_split([0-9]{2})\.csv")


def info_of(config: Config) -> DatasetInfo:
    """Return what is known of a run's data set.

    Raises UsageError as `find_dataset` does, and for a split that the data set doesn't have.
    """
    info = entry(config.dataset)
    suffix = variant_of(config, info).suffix
    info = find_dataset(info.name, split_folder(config.data_path_dir), suffix)
    if info.kind == VIDEOS and config.split not in (info.splits or (1,)):
        numbers = ", ".join(map(str, info.splits)) or "1 alone"
        raise UsageError(f"--split {config.split}: {info.name} has {numbers}")
    return info


def variant_of(config: Config, info: DatasetInfo) -> Variant:
    """Return which of a data set's frames a run reads."""
    return info.variant(config.eye, large=config.img_dim > info.large_above)


def stride_of(config: Config, info: DatasetInfo) -> int:
    """Return the distance between the frames of a run's clips, in frames of the video."""
    return info.stride or config.ucf_hmdb_ms_ds


def facts_of(config: Config) -> dict[str, Any]:
    """Return what a run's data set says of its clips, by the keys of dataset.json; {} of Gabors."""
    info = info_of(config)
    if info.kind != VIDEOS:
        return {}
    return {**facts(info, variant_of(config, info)), "stride": stride_of(config, info)}


def facts(info: DatasetInfo, variant: Variant) -> dict[str, Any]:
    """Return what is said of a data set and its frames, by the keys of dataset.json."""
    return {
        "stride": info.stride,
        "short_side": variant.short_side,
        "interpolation": variant.interpolation,
        "augmentation": info.dpc_preset,
    }


def find_dataset(name: str, csv_root: Path, suffix: str = "") -> DatasetInfo:
    """Return a data set's entry with what its dataset.json says of the frames with that suffix.

    Raises UsageError for a name that is neither in the table nor has a dataset.json, and for a
    file that says something else.
    """
    if name not in CATALOGUE and not os.path.lexists(csv_root / name / FILE):
        raise unknown(name, csv_root)
    return as_described(name, csv_root, suffix)


def as_described(name: str, csv_root: Path, suffix: str = "") -> DatasetInfo:
    """Return a data set as `find_dataset` does, but also one that has no dataset.json yet."""
    info, path = entry(name), csv_root / (name + suffix) / FILE
    if info.kind != VIDEOS:
        return info
    if name not in CATALOGUE:
        info = dataclasses.replace(info, splits=split_numbers(path.parent))
    said = read_description(path) if os.path.lexists(path) else {}
    of_frames = {key: said[key] for key in ("short_side", "interpolation") if key in said}
    return dataclasses.replace(
        info,
        stride=said.get("stride", info.stride),
        dpc_preset=said.get("augmentation", info.dpc_preset),
        variants=tuple(
            dataclasses.replace(variant, **of_frames) if variant.suffix == suffix else variant
            for variant in info.variants
        ),
    )


def read_description(path: Path) -> dict[str, Any]:
    """Return what a dataset.json says; raises UsageError for what it can't say."""
    said = read_json(path)
    if not isinstance(said, dict):
        raise UsageError(f"{path}: must hold {{…}} with keys and values")
    for key, value in said.items():
        if wrong := fault_of(key, value):
            shown = json.dumps(value, ensure_ascii=False)[:50]
            raise UsageError(f"{path}: {key[:50]!r}: {shown}: {wrong}")
    return said


def fault_of(key: str, value: object) -> str:
    """Return what is wrong with an entry of dataset.json; empty for a good one."""
    if key == "stride":
        good = value is None or (type(value) is int and 1 <= value <= LONGEST_STRIDE)
        return "" if good else f"must be null, or frames from 1 to {LONGEST_STRIDE}"
    if key == "short_side":
        good = type(value) is int and 1 <= value <= LARGEST_SIDE
        return "" if good else f"must be pixels from 1 to {LARGEST_SIDE}"
    choices = {"interpolation": INTERPOLATIONS, "augmentation": AUGMENTATIONS}
    if key not in choices:
        return "is no key of it; take stride, short_side, interpolation or augmentation"
    return "" if value in choices[key] else f"must be one of {', '.join(choices[key])}"


def write_description(folder: Path, info: DatasetInfo, variant: Variant) -> None:
    """Write dataset.json beside the split files; raises RunError."""
    write_whole(folder / FILE, json.dumps(facts(info, variant), indent=1) + "\n")


def split_numbers(folder: Path) -> tuple[int, ...]:
    """Return the numbers of the splits that a folder has files of; none for unnumbered files."""
    names = []
    with suppress(OSError):  # it isn't there yet, or can't be read, as split files tell
        names = os.listdir(folder)
    return tuple(sorted({int(match[2]) for name in names if (match := NUMBERED.fullmatch(name))}))


def unknown(name: str, csv_root: Path) -> UsageError:
    """Return the error about a name that no data set has, with how to make one."""
    there = sorted(path.parent.name for path in csv_root.glob(f"*/{FILE}"))
    near = [other for other in there if other.lower() == name.lower()]
    if near:
        return UsageError(f"--dataset {name}: unknown in {csv_root}; did you mean {near[0]}?")
    return UsageError(
        f"--dataset {name}: unknown; take one of {ALL_NAMES}, or make it: put videos in "
        f"DIR/{name}/videos/{{class}}/, then run process_data/write_csvs.py --d_root DIR "
        f"--dataset {name} (its frames, which extract_frames.py makes, are optional); "
        f"looked for {csv_root / name / FILE}"
    )
