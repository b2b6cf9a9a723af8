"""The published splits: which videos train, validate and test.

The kinds of lists, as the table of data sets names them:

    list per split   splits/trainlist01.txt, testlist01.txt and so on, with rows `Class/NAME.avi 1`
    list per class   splits/{class}_test_split1.txt and so on, with rows `NAME.avi 1`
    annotations      annotations/train.csv or train_split.csv and so on, a row for each video
    seeded           none: 80 % of each class's videos train, drawn with a fixed seed
"""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dataset.split_files import class_folder
from folders import video_files
from utils.config.datasets import DatasetInfo
from utils.errors import UsageError

SEED = 100  # of the splits that are drawn

Video = tuple[str, str]
"""Class folder, name without ending."""
Splits = dict[str, list[Video]]
"""The videos of each split file, by its stem."""


def list_per_split(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read lists with rows `Class/NAME.avi` and, for training, a number."""
    splits = {}
    for mode in info.modes:
        for path in sorted((root / "splits").glob(f"{mode}list[0-9][0-9].txt")):
            videos = [Path(re.sub(r"\s+\d+$", "", line)) for line in _lines(path)]
            splits[info.split_name(mode, int(path.stem[-2:]))] = [
                (class_folder(video.parent.name), video.stem) for video in videos
            ]
    return splits


def list_per_class(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read lists with rows `NAME.avi` and 1: train, 2: test, 0: unused."""
    splits: Splits = {}
    for path in sorted((root / "splits").glob("*_test_split[0-9].txt")):
        name, number = path.stem.rsplit("_test_split", 1)
        for line in _lines(path):
            video, _, use = line.rpartition(" ")
            if mode := {"1": "train", "2": "test"}.get(use):
                videos = splits.setdefault(info.split_name(mode, int(number)), [])
                videos.append((class_folder(name), Path(video.strip()).stem))
    return splits


def annotations(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read the annotations of each mode that has some."""
    return {
        info.split_name(mode, 1): [(class_folder(c), name) for c, name in read_annotations(path)]
        for mode in info.modes
        if (path := annotation_file(root, mode)).is_file()
    }


def annotation_file(root: Path, mode: str) -> Path:
    """Return the annotations of a mode, under either name if they are there."""
    path, other = (root / "annotations" / f"{mode}{ending}.csv" for ending in ("", "_split"))
    return other if other.is_file() and not path.is_file() else path


def read_annotations(path: Path) -> Iterator[tuple[str, str]]:
    """Yield class and name without ending of each video; raises UsageError.

    A video is part of one on YouTube; its name has the id there, and the first and last second.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        try:
            for row in rows:
                start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
                yield row["label"], f"{row['youtube_id']}_{start:06}_{end:06}"
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path}, line {rows.line_num}: has no label, youtube_id, time_start and time_end "
                "in seconds; delete the file and run process_data/download_data.py"
            ) from error


def seeded(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Draw a split of each class, from the videos' names or, without videos, the frames' (`there`).

    The videos are the same for all eyes, so the splits are too.
    """
    videos = video_files(root / "videos", info.endings)
    names = {(class_folder(path.parent.name), path.stem) for path in videos}
    by_class: dict[str, list[Video]] = {}
    for video in sorted(names or there):
        by_class.setdefault(video[0], []).append(video)
    rng = np.random.default_rng(SEED)
    train, test = [], []
    for videos_of_class in by_class.values():
        order = rng.permutation(len(videos_of_class))
        first_test = max(1, len(order) * 4 // 5)
        train += [videos_of_class[index] for index in sorted(order[:first_test])]
        test += [videos_of_class[index] for index in sorted(order[first_test:])]
    return {info.split_name("train", 1): train, info.split_name("test", 1): test}


SPLIT_LISTS: dict[str, Callable[[DatasetInfo, Path, list[Video]], Splits]] = {
    "list per split": list_per_split,
    "list per class": list_per_class,
    "annotations": annotations,
    "seeded": seeded,
}


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [line.strip() for line in lines if line.strip()]
