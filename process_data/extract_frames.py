"""Decode a data set's videos into folders of JPEG frames; run it again to go on after a kill.

    python process_data/extract_frames.py --d_root DATA --dataset UCF101

Makes {d_root}/{dataset}/frames/{class}/NAME/image_00001.jpg from videos/{class}/NAME.avi.
Kinetics400 with --k400_big goes to frames_256, the left and right half of MouseSim's pictures to
frames_left and frames_right. A folder of frames is complete: it is made under a hidden name and
then moved. Videos that can't be decoded are listed in {frames folder}_failures.csv, and the exit
status is then 1. Those whose frames are fewer than their header says, or change their size, are
listed in {frames folder}_doubtful.csv.
"""

import argparse
import os
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

from command_line import (
    Asked,
    find_asked,
    first_few,
    in_parallel,
    log,
    parser,
    run_script,
    write_failures,
    write_list,
)
from dataset.frames import PUBLISHED, list_frames
from dataset.pictures import FrameError, decode, read_file
from dataset.split_files import class_folder
from decoding import Job, Outcome, extract, remove_leftovers
from folders import Found, count_others, fault_of_name, find_videos, label, shown
from frame_notes import (
    doubtful_file,
    read_doubtful,
    read_interpolation,
    write_interpolation,
)
from published_splits import annotated_classes
from utils.config.datasets import AREA, LINEAR
from utils.config.described import LARGEST_SIDE
from utils.errors import UsageError

OTHERS = -1  # in place of a size: frames that others made, which are left as they are


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = _parse(arguments)
    asked = find_asked(options)
    found = find_videos(asked.root / "videos")
    jobs = list_jobs(asked, found, options.short_side or asked.variant.short_side)
    if found.others:
        log.info("%s: %s", asked.root / "videos", count_others(found.others))
    for folder in {job.folder.parent for job in jobs}:
        remove_leftovers(folder)
    todo = choose(jobs, options.num_workers)
    keeps = len(jobs) - len(todo)
    interpolation = choose_interpolation(
        options.interpolation, asked.frames, keeps, asked.variant.interpolation
    )
    if todo and not (keeps and read_interpolation(asked.frames) != interpolation):
        write_interpolation(asked.frames, interpolation)
    started = time.perf_counter()
    calls = [(job._replace(interpolation=interpolation),) for job in todo]
    outcomes = []
    doubtful = read_doubtful(asked.frames)
    try:
        with closing(in_parallel(extract, calls, options.num_workers, "videos", killed)) as answers:
            for outcome in answers:
                outcomes.append(outcome)
                report(outcome)
                note_doubt(asked.frames, doubtful, outcome)
    finally:
        for folder in {job.folder.parent for job in todo}:
            remove_leftovers(folder)  # of killed processes
    failed = [(label(path), fault) for path, fault in found.faults]
    for video, fault in failed:
        log.error("%s: %s", video, fault)
    failed += [(label(o.job.video), o.failure) for o in outcomes if o.failure]
    write_failures(asked.root / f"{asked.variant.frames}_failures.csv", sorted(failed))
    if doubtful:
        log.warning(
            "%d videos are doubtful, listed in %s", len(doubtful), doubtful_file(asked.frames)
        )
    frames = sum(outcome.frames for outcome in outcomes)
    log.info(
        "%d videos extracted, %d skipped (complete), %d failed; %d frames, %.0f frames/s",
        *(sum(not outcome.failure for outcome in outcomes), keeps, len(failed), frames),
        frames / (time.perf_counter() - started),
    )
    return 1 if failed else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__, csv_root=True)
    made.add_argument(
        "--short_side",
        type=int,
        help="pixels of a frame's shorter side, if not those of dataset.json or of the dataset",
    )
    made.add_argument(
        "--interpolation",
        choices=(LINEAR, AREA),
        help="how large frames are shrunk: linear as published, area for a better picture; "
        "if left out, as the frames that are there, else as dataset.json says, else linear",
    )
    options = made.parse_args(arguments)
    if options.short_side is not None and not 1 <= options.short_side <= LARGEST_SIDE:
        raise UsageError(
            f"--short_side {options.short_side}: must be at least 1 and at most {LARGEST_SIDE}"
        )
    return options


# ------------------------------------------------------------------ which videos


def list_jobs(asked: Asked, found: Found, short_side: int) -> list[Job]:
    """Return a job for each video; raises UsageError for none, and for two with the same folder."""
    videos = asked.root / "videos"
    if not found.videos:
        others = f", {count_others(found.others)}" if found.others else ""
        path, fault = found.faults[0] if found.faults else (videos, f"holds no videos{others}")
        is_public = bool(asked.info.addresses)
        remedy = "get them with process_data/download_data.py" if is_public else "put them there"
        raise UsageError(f"{shown(str(path))}: {fault}; {remedy}")
    classes = _classes_of_splits(asked, found) if found.by_split else {}
    jobs: list[Job] = []
    names: dict[str, set[str]] = defaultdict(set)
    for video in found.videos:
        above = video.relative_to(videos).parts[:-2]
        if fault := next(filter(None, map(fault_of_name, above)), ""):
            found.faults.append((video, f"lies in a folder of which {fault}"))
            continue
        name = class_folder(classes.get(video.stem, "") if found.by_split else video.parent.name)
        if name:
            names[name].add(video.parent.name)
            folder = asked.frames / name / video.stem
            jobs.append(Job(video, folder, short_side, asked.variant.eye or "both"))
        else:
            fault = "has no row in the annotations" if found.by_split else "has no class"
            found.faults.append((video, fault))
    for name, folders in names.items():
        if len(folders) > 1 and not found.by_split:
            log.warning("%s: are one class, %s", " and ".join(map(shown, sorted(folders))), name)
    counts = Counter(job.folder for job in jobs)
    if several := [folder for folder, count in counts.items() if count > 1]:
        same = " and ".join(shown(str(job.video)) for job in jobs if job.folder == several[0])
        raise UsageError(f"{same}: would share a folder of frames; rename or remove one")
    return jobs


def _classes_of_splits(asked: Asked, found: Found) -> dict[str, str]:
    """Return the classes by the videos' names, where their folders are splits."""
    classes = {}
    if asked.info.split_lists == "annotations":
        classes = annotated_classes(asked.info, asked.root)
    if not classes:
        folders = sorted({shown(video.parent.name) for video in found.videos})
        raise UsageError(
            f"{asked.root / 'videos'}: its folders {first_few(folders)} are splits, not classes; "
            + (
                f"put the annotations in {asked.root / 'annotations'}, such as train.csv"
                if asked.info.split_lists == "annotations"
                else "sort the videos into folders of their classes"
            )
        )
    log.info("the videos lie in folders of splits; their classes are those of the annotations")
    return classes


def choose(jobs: list[Job], num_workers: int) -> list[Job]:
    """Return the jobs that have no frames of the right size yet, the largest videos first.

    So no process is left with a long video at the end while the others have nothing to do.
    """
    made = {
        folder / name
        for folder in {job.folder.parent for job in jobs}
        if folder.is_dir()
        for name in os.listdir(folder)
    }
    checks = [(job,) for job in jobs if job.folder in made]
    sizes = dict(
        in_parallel(made_size, checks, num_workers, "made before", lambda _, job: (job, 0))
    )
    if others := list(sizes.values()).count(OTHERS):
        log.warning("%d videos have frames that others made, which are left as they are", others)
    todo = [job for job in jobs if sizes.get(job) not in (OTHERS, job.short_side)]
    if anew := sum(job in sizes for job in todo):
        log.info("frames of another size: %d videos extracted anew", anew)
    return sorted(todo, key=lambda job: (-_bytes(job.video), job))


def made_size(job: Job) -> tuple[Job, int]:
    """Return the shorter side of the job's first frame; 0 if it can't be read."""
    path = str(job.folder / PUBLISHED.file(0))
    try:
        if not os.path.lexists(path) and list_frames(job.folder)[0] != PUBLISHED:
            return job, OTHERS
        return job, min(decode(read_file(path), path).shape[:2])
    except FrameError:
        return job, 0


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a link that leads nowhere; `extract` says so
        return 0


def choose_interpolation(typed: str | None, frames: Path, keeps: int, usual: str = LINEAR) -> str:
    """Return the interpolation for the frames that are to be made beside those that it keeps.

    Raises UsageError if that would mix two in a data set.
    """
    noted = read_interpolation(frames)
    if not keeps:
        return typed or noted or usual
    there = noted or AREA  # before there was a choice
    if typed not in (None, there):
        raise UsageError(
            f"--interpolation {typed}: {frames} holds frames that were made with {there}; remove "
            "them to make all anew, or leave the flag out"
        )
    return there


# ------------------------------------------------------------------ what came out


def killed(reason: str, job: Job) -> Outcome:
    """Return the outcome of a video whose process died."""
    return Outcome(job, failure=reason)


def report(outcome: Outcome) -> None:
    """Log what is wrong or odd about a video."""
    name = label(outcome.job.video)
    if outcome.failure:
        log.error("%s: %s", name, outcome.failure)
    elif outcome.doubt:
        log.warning("%s: %s", name, outcome.doubt)


def note_doubt(frames: Path, doubtful: dict[str, str], outcome: Outcome) -> None:
    """Keep the list of doubtful videos up to date, so that none is lost by a kill."""
    video, folder = outcome.job.video, outcome.job.folder
    name = label(folder.with_name(video.name))  # in its class, where videos lie in splits
    before = doubtful.pop(name, "")
    if outcome.doubt:
        doubtful[name] = outcome.doubt
    if outcome.doubt != before:
        write_list(doubtful_file(frames), sorted(doubtful.items()))


if __name__ == "__main__":
    run_script(main)
