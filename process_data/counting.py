"""Videos whose frames were not extracted: how many frames each has, counted by decoding it once.

Beside the split files lie the counts, from which a second run goes on, and the lists of videos that
can't be decoded or are doubtful: the folder of videos may be one that can only be read.
"""

import csv
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from command_line import Asked, in_parallel, log, write_failures
from dataset.split_files import Row, class_folder, write_video_files
from decoding import Job, count_video
from extract_frames import killed, list_jobs, note_doubt, report
from folders import Found, count_others, find_videos, label
from frame_notes import doubtful_file, read_doubtful
from lists import Video
from utils.errors import UsageError
from utils.files import read_text

COUNTED = "videos_counted.csv"  # rows: path of a video, its bytes and time of change, its frames
Key = tuple[str, int, int]  # of a count: path, bytes, nanoseconds
Fault = tuple[str, str]  # a video, and why it is left out


def jobs_of(asked: Asked) -> tuple[list[Job], Found]:
    """Return a job for each of a data set's videos, and what else the folder of videos holds.

    Raises UsageError where the folders have no clear order.
    """
    found = find_videos(asked.root / "videos")
    return list_jobs(asked, found, asked.variant.short_side), found


def count_videos(
    asked: Asked, folder: Path, num_workers: int
) -> tuple[dict[Video, Row], list[Job], int]:
    """Return a row for each video that can be decoded, all videos, and how many can't be.

    Lists of these, and the counts, are kept in `folder`: each count at once, so that a second run
    decodes only new and changed videos. Raises UsageError if no video can be decoded.
    """
    jobs, found = jobs_of(asked)
    if found.others:
        log.info("%s: %s", asked.root / "videos", count_others(found.others))
    failed = [(label(path), fault) for path, fault in found.faults]
    for video, fault in failed:
        log.error("%s: %s", video, fault)
    folder.mkdir(parents=True, exist_ok=True)
    counts = _count(asked, jobs, folder, num_workers, failed)
    write_failures(folder / f"{asked.variant.frames}_failures.csv", sorted(failed))
    there = {
        _video_of(job): Row(_row_path(asked, job), counts[job.video])
        for job in jobs
        if job.video in counts
    }
    if not there:
        raise UsageError(f"{asked.root / 'videos'}: none of its videos can be decoded")
    return there, jobs, len(failed)


def _count(
    asked: Asked, jobs: list[Job], folder: Path, num_workers: int, failed: list[Fault]
) -> dict[Path, int]:
    """Return the frames of the videos that can be decoded; add the others to `failed`."""
    path, frames = folder / COUNTED, folder / asked.variant.frames
    told = {
        job.video: (str(job.video.relative_to(asked.root)), *state_of(job.video)) for job in jobs
    }
    before, doubtful = read_counts(path), read_doubtful(frames)
    counts = {video: before[key] for video, key in told.items() if key in before}
    todo = sorted(
        (job for job in jobs if job.video not in counts), key=lambda job: -told[job.video][1]
    )
    log.info("%s: no frames are there; %d videos are counted", asked.frames, len(todo))
    with open(path, "a", newline="", encoding="utf-8") as file:
        file.truncate(path.read_bytes().rfind(b"\n") + 1)  # else a cut row would seem whole
        writer = csv.writer(file, lineterminator="\n")
        calls = [(job,) for job in todo]
        for outcome in in_parallel(count_video, calls, num_workers, "videos", killed):
            video = outcome.job.video
            report(outcome)
            note_doubt(frames, doubtful, outcome)
            if outcome.failure:
                failed.append((label(video), outcome.failure))
            else:
                counts[video] = outcome.frames
                writer.writerow((*told[video], outcome.frames))
                file.flush()
    if doubtful:
        log.warning("%d videos are doubtful, listed in %s", len(doubtful), doubtful_file(frames))
    return counts


def state_of(video: Path) -> tuple[int, int]:
    """Return a file's bytes and the time of its last change; zeros if they can't be told."""
    try:
        found = video.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def read_counts(path: Path) -> dict[Key, int]:
    """Return the counts that were kept, by a video's path, size and time of change.

    Rows that a full disk or a kill cut are left out: those that have no end, or other columns.
    """
    if not path.is_file():
        return {}
    counts = {}
    for line in read_text(path).split("\n")[:-1]:
        with suppress(csv.Error):
            for row in csv.reader([line]):
                if len(row) == 4 and all(map(str.isdecimal, row[1:])):
                    counts[row[0], int(row[1]), int(row[2])] = int(row[3])
    return counts


def write_files(folder: Path, asked: Asked, jobs: Iterable[Job], there: Iterable[Video]) -> None:
    """Write videos.csv beside the split files, with those of their videos that have a file."""
    wanted = set(there)
    files = [
        (_row_path(asked, job), str(job.video.relative_to(asked.root)))
        for job in jobs
        if _video_of(job) in wanted
    ]
    write_video_files(folder, files)


def _video_of(job: Job) -> Video:
    return class_folder(job.folder.parent.name), job.folder.name


def _row_path(asked: Asked, job: Job) -> str:
    return f"{asked.variant.frames}/{job.folder.parent.name}/{job.folder.name}"
