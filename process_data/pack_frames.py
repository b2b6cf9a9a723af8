"""Packs frames into one tar file per class, so that a dataset is hundreds of files, not millions.

    python process_data/pack_frames.py --d_root DATA --dataset UCF101

Makes {d_root}/{dataset}/frames_tar/{class}.tar, a plain tar with members NAME/image_00001.jpg,
which the training reads in place of frames/{class}. Beside it is the index:

    {class}.frames.npy   int64 [M, 2]: byte offset in the tar and size of each frame's file
    {class}.videos.csv   rows `NAME,its first row in that array,number of frames`

A tar that is there is complete. Classes packed before are skipped if nothing has changed. Videos
that can't be packed are listed in {frames folder}_tar_failures.csv; their classes are left as they
were, and the exit status is then 1.
"""

import os
import tarfile
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from command_line import (
    UsageError,
    add_variant_flags,
    asked_variant,
    in_parallel,
    log,
    parser,
    run_script,
    write_failures,
)
from split_files import write_lines
from video_datasets import frame_file, frame_numbers, has_holes, visible_folders

ZEROS = bytes(tarfile.BLOCKSIZE)


class Span(NamedTuple):
    """The rows of a video in its class's array of frames."""

    first: int
    frames: int


class Outcome(NamedTuple):
    """Of a class. `failures`: (video, reason)."""

    packed: bool
    frames: int
    failures: list[tuple[str, str]]


def main(arguments: list[str]) -> int:
    made = parser(__doc__.split("\n")[0])
    add_variant_flags(made)
    options = made.parse_args(arguments)
    asked = asked_variant(options)
    frames = options.d_root / options.dataset / asked.frames
    classes = visible_folders(frames) if frames.is_dir() else []
    if not classes:
        raise UsageError(f"{frames}: holds no frames; run process_data/extract_frames.py")
    tars = frames.with_name(f"{asked.frames}_tar")
    tars.mkdir(exist_ok=True)
    for leftover in tars.glob(".*.tmp"):
        leftover.unlink()
    started = time.perf_counter()
    calls = [(folder, tars / f"{folder.name}.tar") for folder in classes]
    outcomes = list(in_parallel(pack, calls, options.num_workers, "classes"))
    failed = sorted(failure for outcome in outcomes for failure in outcome.failures)
    write_failures(frames.with_name(f"{tars.name}_failures.csv"), failed)
    packed = sum(outcome.packed for outcome in outcomes)
    broken = sum(bool(outcome.failures) for outcome in outcomes)
    log.info(
        "%d classes packed (%d frames, %.0f s), %d skipped (complete), %d failed",
        packed,
        sum(outcome.frames for outcome in outcomes),
        time.perf_counter() - started,
        len(classes) - packed - broken,
        broken,
    )
    if not failed:
        log.info("after process_data/verify.py you can free the space: rm -r %s", frames)
    return 1 if failed else 0


def pack(folder: Path, tar: Path) -> Outcome:
    """A class, unless it is packed already, or frames of it are missing."""
    videos = visible_folders(folder)
    counts, failures = {}, []
    for video in videos:
        numbers = frame_numbers(video)
        if not numbers or has_holes(numbers):
            failures.append((_label(video), "its frames have gaps" if numbers else "has no frames"))
        counts[video.name] = len(numbers)
    if not failures and is_complete(tar, counts, videos):
        return Outcome(False, 0, [])
    lost = sorted(spans_of(tar).keys() - counts.keys()) if tar.is_file() else []
    reason = f"is in {tar.name} alone; remove that file to pack the class without it"
    failures += [(f"{folder.name}/{name}", reason) for name in lost]
    if failures or not videos:
        return Outcome(False, 0, failures)
    try:
        write_tar(tar, folder, counts)
    except UnreadableFrameError as error:
        return Outcome(False, 0, [(_label(error.video), str(error))])
    except OSError as error:
        return Outcome(False, 0, [(folder.name, f"can't be written: {error.strerror}")])
    return Outcome(True, sum(counts.values()), [])


def _label(video: Path) -> str:
    return f"{video.parent.name}/{video.name}"


def is_complete(tar: Path, counts: dict[str, int], videos: list[Path]) -> bool:
    """Whether it holds these numbers of frames, and none that was extracted later."""
    if not tar.is_file() or not tar.with_suffix(".frames.npy").is_file():
        return False
    same = {name: span.frames for name, span in spans_of(tar).items()} == counts
    return same and all(video.stat().st_mtime <= tar.stat().st_mtime for video in videos)


def spans_of(tar: Path) -> dict[str, Span]:
    """From the index beside a tar; empty where that is missing or broken."""
    spans = {}
    try:
        with open(tar.with_suffix(".videos.csv"), encoding="utf-8", newline="\n") as file:
            for line in file:
                name, first, frames = line.rstrip("\n").rsplit(",", 2)  # names may hold commas
                spans[name] = Span(int(first), int(frames))
    except (OSError, ValueError):
        return {}
    return spans


@lru_cache(maxsize=2)
def places_of(tar: Path) -> dict[str, np.ndarray]:
    """Byte offset and size of each video's frames, `[frames, 2]`; empty for a broken index."""
    try:
        places = np.load(tar.with_suffix(".frames.npy"))
    except (OSError, ValueError):
        return {}
    return {name: places[s.first : s.first + s.frames] for name, s in spans_of(tar).items()}


def tar_of(video: Path) -> Path:
    """Where the frames of this folder are if they are packed."""
    frames = video.parents[1]
    return frames.with_name(f"{frames.name}_tar") / f"{video.parent.name}.tar"


# ------------------------------------------------------------------ writing


class UnreadableFrameError(Exception):
    def __init__(self, video: Path, reason: str):
        super().__init__(reason)
        self.video = video


def write_tar(tar: Path, folder: Path, counts: dict[str, int]) -> None:
    """With its index, the tar last; the same frames always give the same bytes."""
    temporary = tar.with_name(f".{tar.name}.tmp")
    array = tar.with_suffix(".frames.npy")
    temporary_array = array.with_name(f".{array.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            places = [
                place
                for name, count in counts.items()
                for place in _write_video(file, folder / name, count)
            ]
            file.write(ZEROS * 2)
            file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
        with open(temporary_array, "wb") as file:
            np.save(file, np.array(places, np.int64).reshape(-1, 2))
        tar.unlink(missing_ok=True)  # an old one does not go with the new index
        os.replace(temporary_array, array)
        firsts = np.cumsum([0, *counts.values()])
        rows = zip(counts.items(), firsts, strict=False)
        write_lines(
            tar.with_suffix(".videos.csv"),
            (f"{name},{first},{count}" for (name, count), first in rows),
        )
        os.replace(temporary, tar)
    finally:
        temporary.unlink(missing_ok=True)
        temporary_array.unlink(missing_ok=True)


def _write_video(file, folder: Path, count: int) -> list[tuple[int, int]]:
    """Returns the frames' places: byte offset and size of their data."""
    places = []
    for number in range(1, count + 1):
        path = folder / frame_file(number)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UnreadableFrameError(folder, f"{path.name}: {error.strerror}") from error
        member = tarfile.TarInfo(f"{folder.name}/{path.name}")
        member.size = len(content)
        file.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        places.append((file.tell(), len(content)))
        file.write(content)
        file.write(bytes(-len(content) % tarfile.BLOCKSIZE))
    return places


if __name__ == "__main__":
    run_script(main)
