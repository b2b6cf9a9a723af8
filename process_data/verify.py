"""Check a prepared data set: are all frames of the split files there, and can they be decoded?

    python process_data/verify.py --d_root DATA --dataset UCF101

Reads the split files in {csv_root}/{dataset} and prints, for each: videos, frames, classes,
missing and unreadable frames, classes without videos, and videos too short for the clip that
--num_seq_in, --pred_step, --seq_len and --ds describe. Besides, it says how the frames were shrunk.
Where no frames were extracted, it decodes the video files.
The exit status is 1 where frames are missing, unreadable or of several sizes, or a video's class is
unknown; all else is a warning, also videos that were doubtful when they were extracted.
"""

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from command_line import find_asked, first_few, in_parallel, parser, run_script
from conditions import Condition, examine, find_bad, killed, video_files_of
from dataset.frames import has_frames
from dataset.packed_frames import tar_of
from dataset.split_files import (
    CLASSES_FILE,
    Row,
    class_folder,
    read_class_list,
    read_root,
    read_rows,
)
from frame_notes import read_doubtful, read_interpolation
from utils.config.datasets import AREA, LINEAR, DatasetInfo
from utils.config.flags import Config
from utils.errors import UsageError

COLUMNS = (
    *("split file", "videos", "published", "classes", "empty classes", "frames"),
    *("missing", "unreadable", "too short"),
)
HOW_SHRUNK = {
    LINEAR: "linear interpolation, as published",
    AREA: "area interpolation",
    "": "unknown, nothing is noted beside them; before there was a choice it was area",
}


class Split(NamedTuple):
    """A split file: its rows, and for each the video's folder and what was found there."""

    rows: list[Row]
    folders: list[Path]
    found: list[Condition]

    def labels(self, chosen: Collection[bool]) -> list[str]:
        """Return the chosen videos as messages name them."""
        return [row.label for row, is_chosen in zip(self.rows, chosen, strict=True) if is_chosen]

    @property
    def classes(self) -> set[str]:
        """The classes that have videos."""
        return {row.class_name for row in self.rows}


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = _parse(arguments)
    info, variant, d_root = find_asked(options)
    folder = options.csv_root / (info.name + variant.suffix)
    classes = {class_folder(n) for n in read_class_list(options.csv_root, info, variant)}
    rows = read_splits(folder, info)
    root = read_root(folder) or d_root
    videos = sorted({(root / row.path, row.frames) for split in rows.values() for row in split})
    extracted = has_frames(root / variant.frames)
    files = {} if extracted else video_files_of(folder, root)
    calls = [(*video, options.quick, files.get(video[0])) for video in videos]
    doubtful = read_doubtful((root if extracted else folder) / variant.frames)
    interpolation = (
        read_interpolation(root / variant.frames) if extracted else variant.interpolation
    )
    conditions = dict(in_parallel(examine, calls, options.num_workers, "videos", killed))
    tars = sorted({tar_of(video) for video, _ in videos})
    bad_tars = [] if options.quick else find_bad(tars, options.num_workers)

    splits = {}
    for name, split_rows in rows.items():
        folders = [root / row.path for row in split_rows]
        found = [conditions[root / row.path, row.frames] for row in split_rows]
        splits[name] = Split(split_rows, folders, found)
    ds = options.ds or info.stride or Config.ucf_hmdb_ms_ds
    shortest = (options.num_seq_in + options.pred_step) * options.seq_len * ds
    table = [_line(name, split, classes, shortest, info) for name, split in splits.items()]
    failures = [f"{tar}: does not fit its index; pack it anew" for tar in bad_tars]
    warnings = _overlaps(splits)
    for name, split in splits.items():
        failures += _named(name, _failures(split, classes))
        warnings += _named(name, _warnings(split, classes, shortest, doubtful))
    shrunk = f"large frames were shrunk with: {HOW_SHRUNK[interpolation]}"
    print("\n".join([*_aligned([COLUMNS, *table]), shrunk, *failures, *warnings]))
    return 1 if failures else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__, csv_root=True)
    made.add_argument("--num_seq_in", type=int, default=5, help="blocks seen")
    made.add_argument("--pred_step", type=int, default=3, help="blocks predicted; 0 for lc-rnn")
    made.add_argument("--seq_len", type=int, default=5, help="frames in a block")
    made.add_argument("--ds", type=int, help="frame stride, if not the dataset's")
    made.add_argument("--quick", action="store_true", help="look for the frames, decode none")
    options = made.parse_args(arguments)
    for name, least in (("num_seq_in", 1), ("pred_step", 0), ("seq_len", 1), ("ds", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} {value}: must be at least {least}")
    return options


def read_splits(folder: Path, info: DatasetInfo) -> dict[str, list[Row]]:
    """Return the rows of each split file that is there; raises UsageError for none."""
    paths = {name: folder / f"{name}.csv" for name in info.split_names()}
    rows = {name: read_rows(path) for name, path in paths.items() if path.is_file()}
    if not rows:
        raise UsageError(f"{folder}: holds no split files; run process_data/write_csvs.py")
    return rows


# ------------------------------------------------------------------ the report


def _line(
    name: str, split: Split, classes: set[str], shortest: int, info: DatasetInfo
) -> tuple[str, ...]:
    videos = len(split.rows)
    published = info.split_sizes.get(name)
    difference = "-" if published is None else "same"
    if published is not None and published != videos:
        difference = f"{published} ({videos - published:+})"
    of_classes = f"{len(split.classes)}"
    if info.num_classes not in (None, len(split.classes)):
        of_classes += f" of {info.num_classes}"
    numbers = (
        len(classes - split.classes),
        sum(row.frames for row in split.rows),
        sum(state.missing for state in split.found),
        sum(state.unreadable for state in split.found),
        sum(row.frames <= shortest for row in split.rows),
    )
    return (name, f"{videos}", difference, of_classes, *map(str, numbers))


def _failures(split: Split, classes: set[str]) -> dict[str, list[str]]:
    """Return what is wrong, with the videos."""
    unknown = [row.class_name not in classes for row in split.rows]
    return {
        "frames missing": split.labels([state.missing > 0 for state in split.found]),
        "frames unreadable": split.labels([state.unreadable > 0 for state in split.found]),
        "frames of several sizes": split.labels([state.resized > 0 for state in split.found]),
        f"class not in {CLASSES_FILE}": split.labels(unknown),
    }


def _warnings(
    split: Split, classes: set[str], shortest: int, doubtful: Collection[str]
) -> dict[str, list[str]]:
    doubted = {row_label(name) for name in doubtful}
    short = [row.frames <= shortest for row in split.rows]
    extra = [state.extra > 0 for state in split.found]
    return {
        "classes without videos": sorted(classes - split.classes),
        f"too short, {shortest} frames or fewer": split.labels(short),
        "more frames on the disk than its row says": split.labels(extra),
        "doubtful when extracted": split.labels([row.label in doubted for row in split.rows]),
    }


def row_label(video: str) -> str:
    """Return the label of a video's row, such as Dive/v_a for Dive/v_a.avi."""
    path = Path(video)
    return f"{class_folder(path.parent.name)}/{path.stem}"


def _named(split: str, problems: dict[str, list[str]]) -> list[str]:
    return [
        f"{split}: {problem}: {len(names)} ({first_few(names)})"
        for problem, names in problems.items()
        if names
    ]


def _overlaps(splits: dict[str, Split]) -> list[str]:
    """Name training videos that are also in the validation or test set of the same number."""
    lines = []
    for name, split in splits.items():
        train = name.replace("test", "train").replace("val", "train")
        if name != train and train in splits:
            trained = set(splits[train].folders)
            if both := split.labels([folder in trained for folder in split.folders]):
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
