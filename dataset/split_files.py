"""The videos of a split: split files, class lists, and where the frames lie.

A split file's rows are `path to the frames,number of frames`, a video's class is the name of the
folder it lies in. A path is absolute, or starts at the folder that `root.txt` beside the split file
names; with `--temp_data_dir` it is looked for there, from the dataset's own folder on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from utils.errors import UsageError

CHECKED = 100  # rows, spread over a split file, whose frames are looked for at the start
CLASSES_FILE, ROOT_FILE = "classInd.txt", "root.txt"


def class_folder(name: str) -> str:
    """A class's name as a folder, as the preparation writes it."""
    return name.strip().replace(" ", "_").replace("(", "").replace(")", "")


def read_classes(path: Path) -> tuple[str, ...]:
    """The names in a class list with rows `index name`, separated by a space or a comma, counted
    from 0 or from 1; raises UsageError."""
    names: dict[int, str] = {}
    for number, line in enumerate(_lines(path), 1):
        index, name = _split_at_first(line.strip())
        if not index.isdecimal() or not name:
            raise UsageError(f"{path}, line {number}: is not 'index name': {line.strip()!r}")
        if int(index) in names or name in names.values():
            raise UsageError(f"{path}, line {number}: is there twice: {line.strip()!r}")
        names[int(index)] = name
    first = min(names, default=0)
    if first > 1 or sorted(names) != list(range(first, first + len(names))):
        raise UsageError(f"{path}: classes must be numbered one by one, from 0 or 1")
    return tuple(names[index] for index in sorted(names))


def _split_at_first(line: str) -> tuple[str, str]:
    places = [place for place in (line.find(" "), line.find(",")) if place >= 0]
    place = min(places, default=len(line))
    return line[:place], line[place + 1 :].strip()


def _lines(path: Path) -> list[str]:
    """Without empty ones."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read ({error})") from error
    return [line for line in text.splitlines() if line.strip()]


@dataclass(frozen=True)
class Below:
    """Where a split file's path leads: below `root`, unless it is absolute."""

    root: Path
    remedy = (
        f"if the frames were moved, change {ROOT_FILE} beside it, or run process_data/write_csvs.py"
    )

    def __call__(self, name: str) -> Path:
        return self.root / name  # an absolute path stays as it is


@dataclass(frozen=True)
class Moved:
    """Where it leads on another disk: below `root`, from the dataset's own folder on."""

    root: Path
    dataset: str
    remedy = "copy it there, or leave --temp_data_dir out"

    def __call__(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if self.dataset in parts:
            last = len(parts) - 1 - parts[::-1].index(self.dataset)
            parts = parts[last + 1 :]
        elif name.startswith("/"):
            parts = parts[-3:]  # frames/class/video
        return self.root.joinpath(*parts)


Locator = Below | Moved


@dataclass(frozen=True)
class VideoList:
    """The videos of a split file, V of them, in few objects: workers share what never changes.

    `paths` is all of them in one piece, of which video v has `ends[v]` to `ends[v + 1]`; `frames`
    and `labels` `[V]`.
    """

    paths: bytes
    ends: np.ndarray
    frames: np.ndarray
    labels: np.ndarray
    locate: Locator

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, video: int) -> str:
        """The path as the split file has it."""
        return self.paths[self.ends[video] : self.ends[video + 1]].decode()

    def folder(self, video: int) -> Path:
        """Where its frames are, or would be if they were not packed."""
        return self.locate(self.name(video))


def read_videos(path: Path, classes: tuple[str, ...], locate: Locator) -> VideoList:
    """Raises UsageError for rows that are none, and for a class that is not among `classes`."""
    label = {class_folder(name): index for index, name in enumerate(classes)}
    lines = _lines(path)
    frames = np.empty(len(lines), np.int32)
    labels = np.empty(len(lines), np.int32)
    names = []
    for row, line in enumerate(lines):
        name, _, count = line.rpartition(",")
        parts = name.replace("\\", "/").rstrip("/").rsplit("/", 2)
        if not count.strip().isdecimal() or len(parts) < 2:
            raise UsageError(
                f"{path}, line {row + 1}: is not 'path to the frames,number of frames': {line!r}"
            )
        folder = class_folder(parts[-2])
        if folder not in label:
            raise UsageError(
                f"{path}, line {row + 1}: class {parts[-2]} is not in {CLASSES_FILE}; "
                "make both anew with process_data/write_csvs.py"
            )
        frames[row] = int(count)
        labels[row] = label[folder]
        names.append("/".join(parts).encode())
    ends = np.cumsum([0, *map(len, names)])
    return VideoList(b"".join(names), ends, frames, labels, locate)


def locator(folder: Path, dataset: str, temp_data_dir: str) -> Locator:
    """Where a split file's path leads; `folder` holds the split file.

    Raises UsageError for a `temp_data_dir` without the dataset, and for an empty `root.txt`.
    """
    if temp_data_dir:
        root = Path(temp_data_dir) / dataset
        if not root.is_dir():
            raise UsageError(
                f"--temp_data_dir {temp_data_dir}: has no folder {dataset}; copy the frames there, "
                f"from the folder {dataset} on"
            )
        return Moved(root, dataset)
    if not (folder / ROOT_FILE).is_file():
        return Below(Path())
    lines = _lines(folder / ROOT_FILE)
    if not lines:
        raise UsageError(f"{folder / ROOT_FILE}: is empty; run process_data/write_csvs.py again")
    return Below(Path(lines[0].strip()))


def check_there(path: Path, videos: VideoList, is_there: Callable[[Path], bool]) -> None:
    """Raises UsageError where one of some videos, spread over the split file, is missing; the
    others fail when they are read."""
    count = min(CHECKED, len(videos))
    for video in np.linspace(0, len(videos) - 1, count).astype(int) if count else ():
        folder = videos.folder(video)
        if not is_there(folder):
            raise UsageError(
                f"{path}, line {video + 1}: {folder} does not exist; {videos.locate.remedy}"
            )
