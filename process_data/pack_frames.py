"""Pack frames into one tar file per class, so that a data set is hundreds of files, not millions.

    python process_data/pack_frames.py --d_root DATA --dataset UCF101

Makes {d_root}/{dataset}/frames_tar/{class}.tar, a plain tar with an index beside it (described in
dataset/packed_frames.py), which the training reads in place of frames/{class}. A tar that is there
is complete. Classes packed before are skipped if they hold the same frames, byte by byte. Videos
that can't be packed are listed in {frames folder}_tar_failures.csv; their classes are left as they
were, and the exit status is then 1.
"""

import tarfile
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from command_line import find_asked, in_parallel, log, parser, run_script, write_failures
from dataset.frames import frame_files
from dataset.packed_frames import Tar, frame_file, index_files, tar_folder
from dataset.pictures import FrameError, read_file
from dataset.split_files import write_lines
from folders import fault_of_name, label, visible_folders
from frame_notes import read_interpolation, write_interpolation
from utils.errors import RunError, UsageError
from utils.files import reason, replacing
from utils.runs.locks import LOCK_FILE, held

ZEROS = bytes(tarfile.BLOCKSIZE)
Failures = list[tuple[str, str]]
"""Videos, or a class, and why they can't be packed."""


class Job(NamedTuple):
    """A class's folder of frames, and the tar that it is packed in."""

    folder: Path
    tar: Path

    def fails(self, why: str) -> Failures:
        """Return the failure of the whole class."""
        return [(self.folder.name, why)]


class Condition(NamedTuple):
    """What was found before packing; `wanted`: the class isn't packed, or not as it is now."""

    job: Job
    wanted: bool
    failures: Failures


class Outcome(NamedTuple):
    """The result of packing a class."""

    frames: int
    failures: Failures


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = parser(__doc__).parse_args(arguments)
    frames = find_asked(options).frames
    tars = tar_folder(frames)
    jobs = [Job(folder, tars / f"{folder.name}.tar") for folder in visible_folders(frames)]
    if not jobs:
        if packed := sum(1 for _ in tars.glob("[!.]*.tar")):
            log.info("%s: holds no frames; %d classes are packed in %s", frames, packed, tars)
            return 0
        raise UsageError(f"{frames}: holds no frames; run process_data/extract_frames.py")
    interpolation = read_interpolation(frames)
    started = time.perf_counter()
    conditions = list(
        in_parallel(
            *(examine, [(job,) for job in jobs], options.num_workers, "classes looked at"),
            lambda why, job: Condition(job, False, job.fails(why)),
        )
    )
    todo = sorted(condition.job for condition in conditions if condition.wanted)
    outcomes = pack_all(tars, todo, options.num_workers) if todo else []
    if todo and interpolation:
        write_interpolation(tars, interpolation)  # it stays when the frames are removed
    all_failures = [result.failures for result in conditions]
    all_failures += [result.failures for result in outcomes]
    failed = sorted(failure for failures in all_failures for failure in failures)
    for name, why in failed:
        log.error("%s: %s", name, why)
    write_failures(frames.with_name(f"{tars.name}_failures.csv"), failed)
    broken = sum(map(bool, all_failures))
    packed = sum(not outcome.failures for outcome in outcomes)
    log.info(
        "%d classes packed (%d frames, %.0f s), %d skipped (complete), %d failed",
        *(packed, sum(outcome.frames for outcome in outcomes), time.perf_counter() - started),
        *(len(jobs) - packed - broken, broken),
    )
    if not failed:
        log.info("after process_data/verify.py you can free the space: rm -r %s", frames)
    return 1 if failed else 0


# ------------------------------------------------------------------ what is there


def examine(job: Job) -> Condition:
    """Look whether a class is to be packed: unless it is already, or can't be."""
    files: dict[str, list[Path]] = {}
    failures: Failures = []
    videos = visible_folders(job.folder)
    for video in videos:
        try:
            files[video.name] = [video / name for name in frame_files(video)]
        except FrameError as error:
            failures.append((label(video), error.reason))
        if why := fault_of_name(job.folder.name + video.name):
            failures.append((label(video), why))
    try:
        packed = Tar(job.tar) if job.tar.is_file() else None
    except FrameError:  # it is packed anew
        packed = None
    names = {video.name for video in videos}
    if packed and names:
        why = f"is in {job.tar.name} alone; remove that file to pack the class without it"
        failures += [(f"{job.folder.name}/{n}", why) for n in sorted(packed.videos.keys() - names)]
    if failures or not names:
        return Condition(job, False, failures)
    try:
        return Condition(job, packed is None or not holds(packed, files), [])
    except FrameError as error:
        return Condition(job, False, [_failure(error)])


def holds(tar: Tar, files: dict[str, list[Path]]) -> bool:
    """Return whether a tar holds just these files of each video; raises FrameError."""
    counts = {name: span.frames for name, span in tar.videos.items()}
    if counts != {name: len(paths) for name, paths in files.items()}:
        return False
    for name, paths in files.items():
        for frame, path in enumerate(paths):
            try:
                packed = tar.content(name, frame)
            except FrameError:  # the index is wrong
                return False
            if read_file(str(path)) != packed:
                return False
    return True


def _failure(error: FrameError) -> tuple[str, str]:
    path = Path(error.path)
    return label(path.parent), f"{path.name}: {error.reason}"


# ------------------------------------------------------------------ writing


def pack_all(tars: Path, jobs: list[Job], num_workers: int) -> list[Outcome]:
    """Pack classes; raises OSError, and UsageError if another program does so."""
    tars.mkdir(exist_ok=True)
    with held(tars):
        try:
            for leftover in tars.glob(".*.tmp"):  # of a pack that was killed
                leftover.unlink()
            return list(
                in_parallel(
                    *(pack, [(job,) for job in jobs], num_workers, "classes"),
                    lambda why, job: Outcome(0, job.fails(why)),
                )
            )
        finally:
            (tars / LOCK_FILE).unlink(missing_ok=True)


def pack(job: Job) -> Outcome:
    """Pack a class, in place of a tar that was there."""
    try:
        return Outcome(write_tar(job), [])
    except FrameError as error:
        return Outcome(0, [_failure(error)])
    except (OSError, RunError) as error:
        return Outcome(0, job.fails(f"can't be packed: {reason(error)}"))


def write_tar(job: Job) -> int:
    """Write a tar with its index, the tar last; the same frames always give the same bytes.

    Returns the number of frames; raises FrameError or OSError.
    """
    array, table = index_files(job.tar)
    rows: list[str] = []
    places: list[tuple[int, int]] = []
    with replacing(job.tar) as new_tar, replacing(array) as new_array:
        with open(new_tar, "wb") as file:
            for video in visible_folders(job.folder):
                in_video = _write_video(file, video)
                rows.append(f"{video.name},{len(places)},{len(in_video)}")
                places += in_video
            file.write(ZEROS * 2)
            file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
        with open(new_array, "wb") as file:
            np.save(file, np.array(places, np.int64).reshape(-1, 2))
        job.tar.unlink(missing_ok=True)  # an old one doesn't fit the new index
        write_lines(table, rows)
    return len(places)


def _write_video(file: BinaryIO, folder: Path) -> list[tuple[int, int]]:
    """Write the frames of a video, named as published; return the offset and size of each."""
    places = []
    for number, name in enumerate(frame_files(folder), 1):
        content = read_file(f"{folder}/{name}")
        member = tarfile.TarInfo(f"{folder.name}/{frame_file(number)}")
        member.size = len(content)
        file.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        places.append((file.tell(), len(content)))
        file.write(content)
        file.write(bytes(-len(content) % tarfile.BLOCKSIZE))
    return places


if __name__ == "__main__":
    run_script(main)
