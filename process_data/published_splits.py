"""The published splits: which videos train, validate and test.

The kinds of lists, as the table of data sets names them:

    list per split   splits/trainlist01.txt, testlist01.txt and so on, with rows `Class/NAME.avi 1`
    list per class   splits/{class}_test_split1.txt and so on, with rows `NAME.avi 1`
    annotations      annotations/train.csv or train_split.csv and so on, a row for each video
    seeded           none: 80 % of each class's videos train, drawn with a fixed seed
    given or seeded  a list per split, if there are such lists, for the user's own data sets
"""

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from command_line import first_few, log
from dataset.split_files import class_folder
from folders import find_videos, video_files
from lists import Entry, Video, read_names, read_table, sound
from utils.config.datasets import DatasetInfo
from utils.errors import UsageError

SEED = 100  # of the splits that are drawn
USES = {0: "", 1: "train", 2: "test"}  # in lists of a class
COLUMNS = ("label", "youtube_id", "time_start", "time_end")

Splits = dict[str, list[Video]]
"""The videos of each split file, by its stem."""


def list_per_split(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read lists with rows `Class/NAME.avi` and, for training, a number."""
    splits = {}
    for mode in info.modes:
        for path in split_lists(root, f"{mode}list[0-9][0-9].txt"):
            entries = []
            for line, text, _ in read_names(path):
                video = relative(path, line, text, "Class/NAME.avi")
                entries.append(Entry(line, video.parent.name, video.stem))
            name = info.split_name(mode, int(path.stem[-2:]))
            splits[name] = [entry.video for entry in sound(path, entries)]
    return splits


def list_per_class(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read lists with rows `NAME.avi` and 1: train, 2: test, 0: unused."""
    splits: Splits = {}
    for path in split_lists(root, "[!.]*_test_split[0-9].txt"):
        class_name, number = path.stem.rsplit("_test_split", 1)
        entries = []
        for line, text, use in read_names(path):
            if use not in USES:
                raise UsageError(f"{path}, line {line}: ends with none of 0, 1 and 2: {text!r}")
            video = relative(path, line, text, "NAME.avi")
            entries.append(Entry(line, class_name, video.stem, USES[use]))
        for entry in sound(path, entries):
            if entry.use:
                splits.setdefault(info.split_name(entry.use, int(number)), []).append(entry.video)
    return splits


def split_lists(root: Path, pattern: str) -> list[Path]:
    """Return the lists in splits/, or in a folder there as in their archive, sorted by name."""
    folder = root / "splits"
    paths = [*folder.glob(f"[!.]*/{pattern}"), *folder.glob(pattern)]
    return [path for _, path in sorted({path.name: path for path in paths}.items())]


def relative(path: Path, line: int, text: str, form: str) -> PurePosixPath:
    """Return the path in a list's line; raises UsageError if it isn't one like `form`."""
    video = PurePosixPath(text.replace("\\", "/"))
    is_absolute = video.is_absolute() or re.match("[A-Za-z]:", text)
    if is_absolute or ".." in video.parts or len(video.parts) < form.count("/") + 1:
        raise UsageError(f"{path}, line {line}: {text!r} must be a path such as {form}")
    return video


def annotations(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read the annotations of each mode that has some."""
    splits = {}
    paths = {mode: annotation_file(root, mode) for mode in info.modes}
    if others := sorted(set((root / "annotations").glob("[!.]*.csv")).difference(paths.values())):
        log.warning("not read: %s", first_few([str(path) for path in others]))
    for mode, path in paths.items():
        if os.path.lexists(path) and (classes := read_annotations(path)):
            splits[info.split_name(mode, 1)] = [(place, name) for name, place in classes.items()]
    return splits


def annotation_file(root: Path, mode: str) -> Path:
    """Return the annotations of a mode, under either name if they are there."""
    path, other = (root / "annotations" / f"{mode}{ending}.csv" for ending in ("", "_split"))
    return other if other.is_file() and not os.path.lexists(path) else path


def read_annotations(path: Path) -> dict[str, str]:
    """Return each video's class folder by its name without ending; raises UsageError.

    A video is part of one on YouTube; its name has the id there, and the first and last second.
    """
    entries, unlabelled = [], 0
    for line, (label, youtube_id, *times) in read_table(path, COLUMNS):
        try:
            start, end = (int(float(time.replace(",", "."))) for time in times)
        except (ValueError, OverflowError) as error:
            raise UsageError(
                f"{path}, line {line}: has no time_start and time_end in seconds"
            ) from error
        if label:
            entries.append(Entry(line, label, f"{youtube_id}_{start:06}_{end:06}"))
        unlabelled += not label
    if unlabelled:
        log.warning("%s: left out %d rows without a label", path, unlabelled)
    entries = sound(path, entries)
    classes = {entry.name: entry.video[0] for entry in entries}
    if several := len(entries) - len(classes):
        log.warning("%s: %d videos have rows of several classes; the last counts", path, several)
    return classes


def annotated_classes(info: DatasetInfo, root: Path) -> dict[str, str]:
    """Return the class folder of each video in any of the annotations that there are."""
    paths = [annotation_file(root, mode) for mode in info.modes]
    tables = [read_annotations(path) for path in paths if os.path.lexists(path)]
    return {name: place for table in tables for name, place in table.items()}


def seeded(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Draw a split of each class, from the videos' names or, without videos, the frames' (`there`).

    The videos are the same for all eyes, so the splits are too.
    """
    videos = video_files(root / "videos")
    names = {(class_folder(path.parent.name), path.stem) for path in videos}
    by_class: dict[str, list[Video]] = {}
    for video in sorted(names or there):
        by_class.setdefault(video[0], []).append(video)
    rng = np.random.default_rng(SEED)
    train, test = [], []
    if single := [name for name, videos in by_class.items() if len(videos) == 1]:
        message = "%d classes have one video, which is for training; no test has them: %s"
        log.warning(message, len(single), first_few(single))
    for videos_of_class in by_class.values():
        order = rng.permutation(len(videos_of_class))
        first_test = max(1, len(order) * 4 // 5)
        train += [videos_of_class[index] for index in sorted(order[:first_test])]
        test += [videos_of_class[index] for index in sorted(order[first_test:])]
    drawn = {info.split_name("train", 1): train, info.split_name("test", 1): test}
    return {name: videos for name, videos in drawn.items() if videos}


def given_or_seeded(info: DatasetInfo, root: Path, there: list[Video]) -> Splits:
    """Read the lists splits/trainlist01.txt and so on, or draw a split if there are none.

    Raises UsageError for lists of other names, and for videos whose folders are no classes.
    """
    if any(split_lists(root, f"{mode}list[0-9][0-9].txt") for mode in info.modes):
        return list_per_split(dataclasses.replace(info, splits=(1,)), root, there)
    if others := split_lists(root, "*list*.txt"):
        raise UsageError(
            f"{others[0]}: is no list of a split; name lists trainlist01.txt, testlist01.txt and "
            f"so on, or remove {root / 'splits'} for a split that is drawn"
        )
    if find_videos(root / "videos").by_split:
        raise UsageError(
            f"{root / 'videos'}: its folders are splits, not classes; sort the videos into "
            f"{root / 'videos'}/CLASS, and write splits/trainlist01.txt and testlist01.txt"
        )
    return seeded(dataclasses.replace(info, splits=()), root, there)


SPLIT_LISTS: dict[str, Callable[[DatasetInfo, Path, list[Video]], Splits]] = {
    "list per split": list_per_split,
    "list per class": list_per_class,
    "annotations": annotations,
    "seeded": seeded,
    "given or seeded": given_or_seeded,
}
