"""The videos of a split file, and where their frames or their files lie."""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from dataset.frames import FrameReader, reader, why_missing
from dataset.pictures import FrameError
from dataset.split_files import (
    CLASSES_FILE,
    ROOT_FILE,
    VIDEOS_FILE,
    class_folder,
    numbered_rows,
    read_root,
)
from dataset.video_files import Making, VideoReader
from utils.errors import UsageError
from utils.files import read_text
from utils.logs import log

CHECKED = 100  # rows, spread over a split file, whose frames are looked for at the start


@dataclass(frozen=True)
class Locator:
    """Where a split file's paths lead: below `root`, unless they are absolute.

    `moved`: the data set whose frames were copied to `root` on another disk (--temp_data_dir); of a
    path, the part from the data set's own folder on is kept then.
    """

    root: Path
    moved: str = ""

    def __call__(self, name: str) -> Path:
        """Return the folder of a video's frames, which may be packed."""
        parts = PurePosixPath(name).parts
        above = parts[:-3]  # frames/class/video, in which a class may have the data set's name
        if self.moved in above:
            parts = parts[len(above) - above[::-1].index(self.moved) :]
        elif self.moved and name.startswith("/"):
            parts = parts[-3:]  # frames/class/video
        return self.root.joinpath(*parts)


def locator(folder: Path, dataset: str, temp_data_dir: str) -> Locator:
    """Return where the paths in a folder of split files lead.

    Raises UsageError for a `temp_data_dir` without the data set, and for an empty root.txt.
    """
    if not temp_data_dir:
        return Locator(read_root(folder) or Path())
    root = Path(temp_data_dir) / dataset
    if not os.path.isdir(root):
        raise UsageError(
            f"--temp_data_dir {temp_data_dir}: has no folder {dataset}; copy the frames or videos "
            f"there, from the folder {dataset} on"
        )
    return Locator(root, dataset)


@dataclass(frozen=True)
class Texts:
    """Texts in one piece: workers own a copy of each object that they touch.

    Text i is what lies from `ends[i]` to `ends[i + 1]` in `joined`.
    """

    joined: bytes
    ends: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Join texts."""
        parts = [text.encode() for text in texts]
        return cls(b"".join(parts), np.cumsum([0, *map(len, parts)]))

    def __getitem__(self, index: int) -> str:
        return self.joined[self.ends[index] : self.ends[index + 1]].decode()


@dataclass(frozen=True)
class VideoList:
    """The V videos of a split file: their `paths`, and where these lead.

    `frames`, the numbers of frames, and `labels`, the indices of the classes, are `[V]`. Where
    clips are decoded from video files, `files` are the paths of these, empty for a video without
    one, and `making` says how frames are made of them.
    """

    paths: Texts
    frames: np.ndarray
    labels: np.ndarray
    locate: Locator
    files: Texts | None = None
    making: Making | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def name(self, video: int) -> str:
        """Return the path that the split file has."""
        return self.paths[video]

    def place(self, video: int) -> Path:
        """Return the folder of the video's frames, which may be packed; or the video file.

        Raises FrameError for a video without a file.
        """
        if self.files is None:
            return self.locate(self.name(video))
        if not self.files[video]:
            raise FrameError(self.name(video), f"has no video file in {VIDEOS_FILE}")
        return self.locate.root / self.files[video]

    def reader(self, video: int) -> FrameReader:
        """Return a reader of the video's frames; raises FrameError if it can't be found how."""
        place = self.place(video)
        return VideoReader(place, self.making) if self.making else reader(place)

    def why_missing(self, video: int) -> str:
        """Return why the video can't be read; empty if it seems to be there."""
        try:
            place = self.place(video)
        except FrameError as error:
            return f"{error.path} {error.reason}"
        if self.files is None:
            return why_missing(place)
        return "" if os.path.isfile(place) else f"{place} does not exist"


def read_videos(path: Path, classes: tuple[str, ...], locate: Locator) -> VideoList:
    """Read a split file; raises UsageError for lines that are no rows, and for unknown classes."""
    label = {class_folder(name): index for index, name in enumerate(classes)}
    names, counts, labels = [], [], []
    for number, row in numbered_rows(path):
        if (class_name := row.class_name) not in label:
            raise UsageError(
                f"{path}, line {number}: class {class_name} is not in {CLASSES_FILE}; "
                "make both anew with process_data/write_csvs.py"
            )
        names.append(row.path)
        counts.append(row.frames)
        labels.append(label[class_name])
    if repeated := len(names) - len(set(names)):
        log.warning(
            "%s: %d rows repeat a video of earlier ones, which counts again", path, repeated
        )
    return VideoList(
        Texts.of(names), np.array(counts, np.int64), np.array(labels, np.int32), locate
    )


def from_files(videos: VideoList, folder: Path, making: Making) -> VideoList:
    """Return the videos, to be decoded from the files that the folder's videos.csv names.

    Raises UsageError without it.
    """
    files = read_video_files(folder)
    of_rows = (files.get(videos.name(video), "") for video in range(len(videos)))
    return replace(videos, files=Texts.of(of_rows), making=making)


def read_video_files(folder: Path) -> dict[str, str]:
    """Return the video files of a folder of split files, by the paths that these have.

    Raises UsageError without videos.csv, and for lines that it can't have.
    """
    path = folder / VIDEOS_FILE
    remedy = "run process_data/write_csvs.py where the videos are"
    if not os.path.exists(path):
        raise UsageError(f"{path}: no such file, which names the video files; {remedy}")
    lines = csv.reader(io.StringIO(read_text(path)))
    try:
        return dict(filter(None, lines))
    except (ValueError, csv.Error) as error:
        told = f"{path}, line {lines.line_num}: is not 'path in the split file,video file'"
        raise UsageError(f"{told}; {remedy}") from error


def check_there(path: Path, videos: VideoList) -> None:
    """Raise UsageError if one of some videos, spread over the split file, is missing.

    The others fail when they are read.
    """
    count = min(CHECKED, len(videos))
    for video in np.linspace(0, len(videos) - 1, count).astype(int) if count else ():
        if fault := videos.why_missing(int(video)):
            remedy = _remedy(path.parent, videos)
            raise UsageError(f"{path}, line {video + 1}: {fault}; {remedy}")


def _remedy(folder: Path, videos: VideoList) -> str:
    """Return what to do about frames or videos that aren't where the folder's files say."""
    if videos.locate.moved:
        return "copy it there, or leave --temp_data_dir out"
    what = "frames" if videos.files is None else "videos"
    told = f"if the {what} were moved, change {ROOT_FILE} beside it, "
    if videos.files is None and os.path.exists(folder / VIDEOS_FILE):
        told += "read the videos with --from_videos, "
    return f"{told}or run process_data/write_csvs.py"
