"""Checks a prepared dataset: are all frames of the split files there, and can they be decoded?

    python process_data/verify.py --d_root DATA --dataset UCF101

Reads the split files in {csv_root}/{dataset} and prints, for each: videos, frames, classes,
missing and unreadable frames, classes without videos, and videos too short for the clip that
--num_seq_in, --pred_step, --seq_len and --ds describe. The exit status is 1 where frames are
missing or unreadable or a video's class is unknown; all else is a warning.
"""

import argparse
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from command_line import (
    UsageError,
    add_variant_flags,
    asked_variant,
    in_parallel,
    parser,
    run_script,
)
from pack_frames import places_of, tar_of
from split_files import (
    CLASSES_FILE,
    Row,
    first_few,
    read_classes,
    read_root,
    read_rows,
    split_names,
)
from video_datasets import Variant, class_folder, frame_file, frame_numbers

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
LONGEST_TAIL = 64  # bytes, that some programs leave after a picture's end
COLUMNS = (
    *("split file", "videos", "published", "classes", "empty classes", "frames"),
    *("missing", "unreadable", "too short"),
)


class Condition(NamedTuple):
    """Numbers of a video's frames; `extra`: on the disk, but past its row's count."""

    missing: int
    unreadable: int
    extra: int


class Split(NamedTuple):
    """A split file: its rows, and for each the video's folder and what was found there."""

    rows: list[Row]
    folders: list[Path]
    found: list[Condition]


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    asked = asked_variant(options)
    folder = options.csv_root / asked.split_folder
    classes = _classes(folder, options.csv_root / options.dataset)
    rows = _rows(folder, asked)
    root = read_root(folder) or options.d_root / options.dataset
    videos = sorted({(root / row.path, row.frames) for split in rows.values() for row in split})
    calls = [(*video, options.quick) for video in videos]
    conditions = dict(in_parallel(examine, calls, options.num_workers, "videos"))
    tars = sorted({tar_of(video) for video, _ in videos})
    bad_tars = [] if options.quick else find_bad(tars, options.num_workers)

    splits = {}
    for name, split in rows.items():
        folders = [root / row.path for row in split]
        found = [conditions[root / row.path, row.frames] for row in split]
        splits[name] = Split(split, folders, found)
    shortest = (options.num_seq_in + options.pred_step) * options.seq_len * options.ds
    table = [_line(name, split, classes, shortest, asked) for name, split in splits.items()]
    failures = [f"{tar}: does not fit its index; pack it anew" for tar in bad_tars]
    warnings = _overlaps(splits)
    for name, split in splits.items():
        failures += _named(name, _failures(split, classes))
        warnings += _named(name, _warnings(split, classes, shortest))
    print("\n".join([*_aligned([COLUMNS, *table]), *failures, *warnings]))
    return 1 if failures else 0


def _rows(folder: Path, asked: Variant) -> dict[str, list[Row]]:
    """Of each split file that is there; raises UsageError for none."""
    paths = {name: folder / f"{name}.csv" for name in split_names(asked.dataset)}
    rows = {name: read_rows(path) for name, path in paths.items() if path.is_file()}
    if not rows:
        raise UsageError(f"{folder}: holds no split files; run process_data/write_csvs.py")
    return rows


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__.split("\n")[0], csv_root=True)
    add_variant_flags(made)
    made.add_argument("--num_seq_in", type=int, default=5, help="blocks seen")
    made.add_argument("--pred_step", type=int, default=3, help="blocks predicted; 0 for lc-rnn")
    made.add_argument("--seq_len", type=int, default=5, help="frames in a block")
    made.add_argument("--ds", type=int, help="frame stride; 5 for Kinetics400, else 3")
    made.add_argument("--quick", action="store_true", help="look for the frames, decode none")
    options = made.parse_args(arguments)
    if options.ds is None:
        options.ds = 5 if options.dataset == "Kinetics400" else 3
    return options


def _classes(folder: Path, plain_folder: Path) -> list[str]:
    """As folders. The list may be that of the dataset without `--eye` or `--k400_big`."""
    for path in (folder / CLASSES_FILE, plain_folder / CLASSES_FILE):
        if path.is_file():
            return [class_folder(name) for name in read_classes(path)]
    raise UsageError(f"{folder}: has no {CLASSES_FILE}; run process_data/write_csvs.py")


# ------------------------------------------------------------------ the frames


def examine(folder: Path, count: int, quick: bool) -> tuple[tuple[Path, int], Condition]:
    """A video that should have `count` frames."""
    tar = tar_of(folder)
    if tar.is_file():
        places = places_of(tar).get(folder.name, np.empty((0, 2), np.int64))
        wanted = places[:count].tolist()
        missing, extra = count - len(wanted), len(places) - len(wanted)
    else:
        numbers = frame_numbers(folder)
        wanted = [number for number in range(1, count + 1) if number in numbers]
        missing, extra = count - len(wanted), sum(number > count for number in numbers)
    if quick:
        return (folder, count), Condition(missing, 0, extra)
    contents = _from_tar(tar, wanted) if tar.is_file() else _from_folder(folder, wanted)
    unreadable = sum(not is_picture(content) for content in contents)
    return (folder, count), Condition(missing, unreadable, extra)


def _from_folder(folder: Path, numbers: Iterable[int]) -> Iterable[bytes]:
    for number in numbers:
        try:
            yield (folder / frame_file(number)).read_bytes()
        except OSError:
            yield b""


def _from_tar(tar: Path, places: Iterable[tuple[int, int]]) -> Iterable[bytes]:
    with open(tar, "rb") as file:
        for offset, size in places:
            file.seek(offset)
            yield file.read(size)


def is_picture(content: bytes) -> bool:
    """Whether it decodes, and is no JPEG that was cut off: those decode to half a picture."""
    if content.startswith(JPEG_START) and JPEG_END not in content[-LONGEST_TAIL:]:
        return False
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:  # of an empty file
        return False


def find_bad(tars: list[Path], num_workers: int) -> list[Path]:
    calls = [(tar,) for tar in tars if tar.is_file()]
    found = in_parallel(fits_index, calls, num_workers, "tars")
    return sorted(tar for tar, fits in found if not fits)


def fits_index(tar: Path) -> tuple[Path, bool]:
    """Whether the members that the tar itself lists are those of its index, at the same places."""
    try:
        with tarfile.open(tar) as file:
            members = {}
            while (member := file.next()) is not None:
                members[member.name] = [member.offset_data, member.size]
                file.members.clear()  # they would fill the memory
    except (OSError, tarfile.TarError):
        return tar, False
    indexed = {
        f"{name}/{frame_file(number)}": place
        for name, places in places_of(tar).items()
        for number, place in enumerate(places.tolist(), 1)
    }
    return tar, members == indexed


# ------------------------------------------------------------------ the report


def _line(
    name: str, split: Split, classes: list[str], shortest: int, asked: Variant
) -> tuple[str, ...]:
    videos = len(split.rows)
    published = (asked.dataset.videos or {}).get(name)
    difference = "-" if published is None else "same"
    if published not in (None, videos):
        difference = f"{published} ({videos - published:+})"
    there = {row.class_name for row in split.rows}
    of_classes = f"{len(there)}"
    if asked.dataset.classes not in (None, len(there)):
        of_classes += f" of {asked.dataset.classes}"
    numbers = (
        len(set(classes) - there),
        sum(row.frames for row in split.rows),
        sum(state.missing for state in split.found),
        sum(state.unreadable for state in split.found),
        sum(row.frames <= shortest for row in split.rows),
    )
    return (name, f"{videos}", difference, of_classes, *map(str, numbers))


def _failures(split: Split, classes: list[str]) -> dict[str, list[str]]:
    """What is wrong → the videos."""
    pairs = list(zip(split.rows, split.found, strict=True))
    known = set(classes)
    return {
        "frames missing": [row.label for row, state in pairs if state.missing],
        "frames unreadable": [row.label for row, state in pairs if state.unreadable],
        f"class not in {CLASSES_FILE}": [r.label for r in split.rows if r.class_name not in known],
    }


def _warnings(split: Split, classes: list[str], shortest: int) -> dict[str, list[str]]:
    pairs = list(zip(split.rows, split.found, strict=True))
    there = {row.class_name for row in split.rows}
    short = [row.label for row in split.rows if row.frames <= shortest]
    return {
        "classes without videos": sorted(set(classes) - there),
        f"too short, {shortest} frames or fewer": short,
        "more frames on the disk than its row says": [row.label for row, s in pairs if s.extra],
    }


def _named(split: str, problems: dict[str, list[str]]) -> list[str]:
    return [
        f"{split}: {problem}: {len(names)} ({first_few(names)})"
        for problem, names in problems.items()
        if names
    ]


def _overlaps(splits: dict[str, Split]) -> list[str]:
    """Training videos that are also in the validation or test set of the same number."""
    lines = []
    for name in splits:
        train = name.replace("test", "train").replace("val", "train")
        if name != train and train in splits:
            trained = set(splits[train].folders)
            pairs = zip(splits[name].rows, splits[name].folders, strict=True)
            both = [row.label for row, folder in pairs if folder in trained]
            if both:
                lines.append(f"{name}: also in {train}: {len(both)} ({first_few(both)})")
    return lines


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in table
    ]


if __name__ == "__main__":
    run_script(main)
