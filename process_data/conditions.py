"""The condition of a prepared data set's frames: which are missing, and which can't be read."""

import tarfile
from pathlib import Path
from typing import NamedTuple

from command_line import in_parallel, log
from dataset import frames
from dataset.packed_frames import Tar, frame_file
from dataset.pictures import FrameError
from dataset.split_files import VIDEOS_FILE
from dataset.video_files import count_frames
from dataset.video_list import read_video_files
from folders import label


class Condition(NamedTuple):
    """Numbers of a video's frames.

    `resized` are of another size than its first one. `extra` are on the disk, but past its row's
    count.
    """

    missing: int = 0
    unreadable: int = 0
    resized: int = 0
    extra: int = 0


def video_files_of(folder: Path, root: Path) -> dict[Path, Path]:
    """Return the video files that videos.csv names, by the folders of frames; {} without it."""
    if not (folder / VIDEOS_FILE).exists():
        return {}
    return {root / name: root / file for name, file in read_video_files(folder).items()}


def examine(
    folder: Path, count: int, quick: bool, file: Path | None
) -> tuple[tuple[Path, int], Condition]:
    """Return the condition of a video that should have `count` frames.

    `file`: the video file to decode, where no frames were extracted.
    """
    if file is not None:
        return (folder, count), examine_file(file, count, quick)
    there = frames.frames_there(folder)
    wanted = sorted(frame for frame in there if frame < count)
    unreadable, resized = (0, 0) if quick or not wanted else read_all(folder, wanted)
    extra = len(there) - len(wanted)
    return (folder, count), Condition(count - len(wanted), unreadable, resized, extra)


def examine_file(file: Path, count: int, quick: bool) -> Condition:
    """Return the condition of a video file of which `count` frames are to be decoded."""
    if not file.is_file():
        return Condition(missing=count)
    try:
        decoded = count if quick else count_frames(file)
    except FrameError:
        return Condition(unreadable=count)
    return Condition(missing=max(0, count - decoded), extra=max(0, decoded - count))


def killed(
    reason: str, folder: Path, count: int, quick: bool, file: Path | None
) -> tuple[tuple[Path, int], Condition]:
    """Return the condition of a video whose process died, and log why."""
    log.error("%s: %s", label(folder), reason)
    return (folder, count), Condition(unreadable=count)


def read_all(folder: Path, wanted: list[int]) -> tuple[int, int]:
    """Count the frames, from 0, that training can't read, and those of another size."""
    try:
        read = frames.reader(folder)
    except FrameError:
        return len(wanted), 0
    unreadable, resized, size = 0, 0, None
    for frame in wanted:
        try:
            image = read(frame)
        except FrameError:
            unreadable += 1
        else:
            size = size or image.shape
            resized += image.shape != size
    return unreadable, resized


def find_bad(tars: list[Path], num_workers: int) -> list[Path]:
    """Return the tars that don't fit their index."""
    calls = [(tar,) for tar in tars if tar.is_file()]
    found = in_parallel(fits_index, calls, num_workers, "tars", lambda _, tar: (tar, False))
    return sorted(tar for tar, fits in found if not fits)


def fits_index(tar: Path) -> tuple[Path, bool]:
    """Compare the members that a tar itself lists, and their places, to its index."""
    try:
        index = Tar(tar)
        with tarfile.open(tar) as file:
            members = {}
            while (member := file.next()) is not None:
                members[member.name] = [member.offset_data, member.size]
                file.members.clear()  # type: ignore[attr-defined]  # they would fill the memory
    except (OSError, tarfile.TarError, FrameError):
        return tar, False
    indexed = {
        f"{name}/{frame_file(number)}": place
        for name, span in index.videos.items()
        for number, place in enumerate(index.places[span.first :][: span.frames].tolist(), 1)
    }
    return tar, members == indexed
