"""Videos whose frames were not extracted: how many frames each has, counted by decoding it once."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from command_line import Asked, in_parallel, log, write_failures
from dataset.pictures import FrameError
from dataset.split_files import Row, class_folder, write_video_files
from dataset.video_files import count_frames
from decoding import Job, VideoError, check_file
from extract_frames import list_jobs
from folders import find_videos, label
from lists import Video
from utils.errors import UsageError
from utils.files import read_text

COUNTED = "videos_counted.csv"  # rows: path of a video, its bytes, its frames


def jobs_of(asked: Asked) -> list[Job]:
    """Return a job for each of a data set's videos; raises UsageError where they have no order."""
    videos = asked.root / "videos"
    return list_jobs(asked, find_videos(videos), asked.variant.short_side)


def count_videos(asked: Asked, jobs: list[Job], num_workers: int) -> tuple[dict[Video, Row], int]:
    """Return a row for each video that can be decoded, and how many can't be, which are listed.

    Counts are kept beside the folder of videos, each at once, so that a second run counts only new
    and changed videos. Raises UsageError if no video can be decoded.
    """
    path = asked.root / COUNTED
    before, sizes = read_counts(path), {job.video: size_of(job.video) for job in jobs}
    told = {job.video: str(job.video.relative_to(asked.root)) for job in jobs}
    counts = {
        job.video: before[told[job.video], sizes[job.video]]
        for job in jobs
        if (told[job.video], sizes[job.video]) in before
    }
    calls = [(job.video,) for job in jobs if job.video not in counts]
    log.info("%s: no frames are there; %d videos are counted", asked.frames, len(calls))
    failed = []
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for video, count, fault in in_parallel(counted, calls, num_workers, "videos", _killed):
            if fault:
                failed.append((label(video), fault))
                log.error("%s: %s", label(video), fault)
            else:
                counts[video] = count
                writer.writerow((told[video], sizes[video], count))
                file.flush()
    write_failures(asked.root / f"{asked.variant.frames}_failures.csv", sorted(failed))
    there = {
        _video_of(job): Row(_row_path(asked, job), counts[job.video])
        for job in jobs
        if job.video in counts
    }
    if not there:
        raise UsageError(f"{asked.root / 'videos'}: none of its videos can be decoded")
    return there, len(failed)


def counted(video: Path) -> tuple[Path, int, str]:
    """Return a video's number of frames, or why it has none."""
    try:
        check_file(video)
        return video, count_frames(video), ""
    except VideoError as error:
        return video, 0, str(error)
    except FrameError as error:
        return video, 0, error.reason


def _killed(reason: str, video: Path) -> tuple[Path, int, str]:
    return video, 0, reason


def size_of(video: Path) -> int:
    """Return a file's bytes; 0 if that can't be told."""
    try:
        return video.stat().st_size
    except OSError:
        return 0


def read_counts(path: Path) -> dict[tuple[str, int], int]:
    """Return the counts that were kept, by a video's path and size; without lines cut by a kill."""
    if not path.is_file():
        return {}
    counts = {}
    for row in csv.reader(io.StringIO(read_text(path))):
        if len(row) == 3 and row[1].isdecimal() and row[2].isdecimal():
            counts[row[0], int(row[1])] = int(row[2])
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
