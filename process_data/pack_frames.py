"""Pack frames into one tar file per class, so that a data set is hundreds of files, not millions.

    python process_data/pack_frames.py --d_root DATA --dataset UCF101

Makes {d_root}/{dataset}/frames_tar/{class}.tar, a plain tar with an index beside it (described in
dataset/frames.py), which the training reads in place of frames/{class}. A tar that is there is
complete. Classes packed before are skipped if nothing has changed. Videos that can't be packed are
listed in {frames folder}_tar_failures.csv; their classes are left as they were, and the exit status
is then 1.
"""

import tarfile
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from command_line import find_asked, in_parallel, log, parser, run_script, write_failures
from dataset.frames import frame_file, frame_numbers, index_files, read_spans, tar_folder
from dataset.split_files import write_lines
from folders import has_holes, label, visible_folders
from utils.errors import UsageError
from utils.files import replacing

ZEROS = bytes(tarfile.BLOCKSIZE)


class Outcome(NamedTuple):
    """The result of packing a class. `failures`: (video, reason)."""

    packed: bool
    frames: int
    failures: list[tuple[str, str]]


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = parser(__doc__).parse_args(arguments)
    frames = find_asked(options).frames
    classes = visible_folders(frames)
    if not classes:
        raise UsageError(f"{frames}: holds no frames; run process_data/extract_frames.py")
    tars = tar_folder(frames)
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
        *(packed, sum(outcome.frames for outcome in outcomes), time.perf_counter() - started),
        *(len(classes) - packed - broken, broken),
    )
    if not failed:
        log.info("after process_data/verify.py you can free the space: rm -r %s", frames)
    return 1 if failed else 0


def pack(folder: Path, tar: Path) -> Outcome:
    """Pack a class, unless it is packed already, or frames of it are missing."""
    videos = visible_folders(folder)
    counts, failures = {}, []
    for video in videos:
        numbers = frame_numbers(video)
        if not numbers or has_holes(numbers):
            failures.append((label(video), "its frames have gaps" if numbers else "has no frames"))
        counts[video.name] = len(numbers)
    packed = packed_counts(tar) if tar.is_file() else {}
    unchanged = all(video.stat().st_mtime <= tar.stat().st_mtime for video in videos if packed)
    if not failures and packed == counts and unchanged and index_files(tar)[0].is_file():
        return Outcome(False, 0, [])
    reason = f"is in {tar.name} alone; remove that file to pack the class without it"
    failures += [(f"{folder.name}/{name}", reason) for name in sorted(packed.keys() - counts)]
    if failures or not videos:
        return Outcome(False, 0, failures)
    try:
        write_tar(tar, folder, counts)
    except UnreadableFrameError as error:
        return Outcome(False, 0, [(label(error.video), str(error))])
    except OSError as error:
        return Outcome(False, 0, [(folder.name, f"can't be written: {error.strerror}")])
    return Outcome(True, sum(counts.values()), [])


def packed_counts(tar: Path) -> dict[str, int]:
    """Return the number of frames of each video in a tar; none if its index is broken."""
    try:
        return {name: span.frames for name, span in read_spans(index_files(tar)[1]).items()}
    except (OSError, ValueError):
        return {}


# ------------------------------------------------------------------ writing


class UnreadableFrameError(Exception):
    """A frame that can't be read."""

    def __init__(self, video: Path, reason: str):
        super().__init__(reason)
        self.video = video


def write_tar(tar: Path, folder: Path, counts: dict[str, int]) -> None:
    """Write a tar with its index, the tar last; the same frames always give the same bytes."""
    array, table = index_files(tar)
    firsts = np.cumsum([0, *counts.values()])
    rows = zip(counts.items(), firsts, strict=False)
    with replacing(tar) as new_tar, replacing(array) as new_array:
        with open(new_tar, "wb") as file:
            places = [
                place
                for name, count in counts.items()
                for place in _write_video(file, folder / name, count)
            ]
            file.write(ZEROS * 2)
            file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
        with open(new_array, "wb") as file:
            np.save(file, np.array(places, np.int64).reshape(-1, 2))
        tar.unlink(missing_ok=True)  # an old one doesn't fit the new index
        write_lines(table, (f"{name},{first},{count}" for (name, count), first in rows))


def _write_video(file: BinaryIO, folder: Path, count: int) -> list[tuple[int, int]]:
    """Write the frames of a video; return the byte offset and size of each."""
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
