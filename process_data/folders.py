"""The folders of a prepared data set.

    {d_root}/{dataset}/videos/{class}/NAME.avi
    {d_root}/{dataset}/frames/{class}/NAME/image_00001.jpg   numbered from 1
    {d_root}/{dataset}/frames_tar/{class}.tar                the same frames, packed

Files and folders whose names start with a dot are being made, or are leftovers of a killed run.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from utils.errors import CONTROL, UsageError, escaped
from utils.files import reason

# of containers that OpenCV reads; any data set may have them
ENDINGS = (
    *(".3gp", ".asf", ".avi", ".divx", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")  # hold nobody's videos
DEEPEST = 10  # folders that are looked through
SPLIT = re.compile(r"(train|val|test|eval)(ing|id|idation|uation)?([_-]?\d+)?|replacement.*", re.I)
SHOWN = 10  # endings that a message counts one by one


class Found(NamedTuple):
    """What a folder of videos holds."""

    videos: list[Path]  # sorted; each in the folder of its class, unless `by_split`
    by_split: bool  # they are in folders such as train and test, which are no classes
    faults: list[tuple[Path, str]]  # what can't be taken, and why
    others: Counter[str]  # files that are no videos, by their endings


def visible_folders(parent: Path) -> list[Path]:
    """Return the folders in a folder, sorted; none if that is missing."""
    if not parent.is_dir():
        return []
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith("."))


def video_files(videos: Path) -> list[Path]:
    """Return the videos of a data set, sorted; raises UsageError for folders of no clear order."""
    return find_videos(videos).videos


def find_videos(videos: Path) -> Found:
    """Look for videos in folders of their classes, which may lie deeper than is usual.

    Most videos say how deep these are; those at other places are faults. Raises UsageError where it
    isn't clear which folders are the classes.
    """
    by_depth: dict[int, list[Path]] = defaultdict(list)
    faults: list[tuple[Path, str]] = []
    others: Counter[str] = Counter()
    for path in _visible_files(videos, faults):
        if path.name.lower().endswith(ENDINGS):
            by_depth[len(path.relative_to(videos).parts) - 1].append(path)
        else:
            others[path.suffix.lower() or "no ending"] += 1
    depth = max(by_depth, key=lambda depth: (depth > 0, len(by_depth[depth]), -depth), default=0)
    if depth == 0 and by_depth:
        raise UsageError(
            f"{videos}: holds {len(by_depth[0])} videos that lie in no folder of a class; "
            f"move them to {videos}/CLASS"
        )
    taken = sorted(by_depth.pop(depth, []))
    folders = sorted({path.relative_to(videos).parts[:-1] for path in taken})
    for level in range(depth - 1):
        if not _is_wrapper(folders, level):
            raise UsageError(
                f"{videos}: it isn't clear which folders are the classes, as videos lie in "
                f"{_path(folders[0])} and {_path(folders[-1])}; move them to {videos}/CLASS"
            )
    for paths in by_depth.values():
        fault = f"lies at another depth than most, which are as in {_path(folders[0])}"
        faults += [(path, fault) for path in paths]
    return Found(taken, are_splits({names[-1] for names in folders}), faults, others)


def _path(names: tuple[str, ...]) -> str:
    return shown("/".join(names))


def _visible_files(videos: Path, faults: list[tuple[Path, str]]) -> Iterable[Path]:
    """Yield what is no folder; within classes, also folders with the name of a video."""

    def note(error: OSError) -> None:
        faults.append((Path(error.filename), f"can't be read: {reason(error)}"))

    for place, folders, files in os.walk(videos, onerror=note, followlinks=True):
        here = Path(place)
        depth = len(here.relative_to(videos).parts)
        folders[:] = [name for name in folders if name not in SYSTEM_FOLDERS]
        called = {name for name in folders if depth and name.lower().endswith(ENDINGS)}
        yield from (here / name for name in [*files, *called] if not name.startswith("."))
        folders[:] = [
            name
            for name in folders
            if depth < DEEPEST
            and not name.startswith(".")
            and name not in called
            and not _leads_back(here / name)
        ]


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _is_wrapper(folders: list[tuple[str, ...]], level: int) -> bool:
    """Whether the folders at a level are no classes: a single one, splits, or Class/Class."""
    names = {folder[level] for folder in folders}
    pairs = all(folder[level] == folder[level + 1] for folder in folders)
    return len(names) == 1 or are_splits(names) or pairs


def are_splits(names: Collection[str]) -> bool:
    """Whether these folders are splits rather than classes."""
    splits = sum(SPLIT.fullmatch(name) is not None for name in names)
    return splits > 0 and (splits > 1 or len(names) == 1)


def count_others(others: Counter[str]) -> str:
    """Return a text such as '12 files passed over: .txt 10, .zip 2'."""
    counts = [f"{shown(ending)} {count}" for ending, count in others.most_common(SHOWN)]
    return f"{others.total()} files passed over: {', '.join(counts)}" + ", …" * (
        len(others) > SHOWN
    )


def fault_of_name(name: str) -> str:
    """Return why the name of a class or video can't stand in split files; empty if it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    if control := CONTROL.search(name):
        return f"its name holds the control character {control[0]!r}; rename it"
    return "its name holds a backslash; rename it" if "\\" in name else ""


def label(path: Path) -> str:
    """Return the class and the name of a video or its folder, as messages name it."""
    return shown(f"{path.parent.name}/{path.name}")


def shown(name: str) -> str:
    """Return a name in which bytes that are no UTF-8, and control characters, are escaped."""
    return escaped(os.fsencode(name).decode(errors="backslashreplace"))
