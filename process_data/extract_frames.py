"""Decode a data set's videos into folders of JPEG frames; run it again to go on after a kill.

    python process_data/extract_frames.py --d_root DATA --dataset UCF101

Makes {d_root}/{dataset}/frames/{class}/NAME/image_00001.jpg from videos/{class}/NAME.avi.
Kinetics400 with --k400_big goes to frames_256, the left and right half of MouseSim's pictures to
frames_left and frames_right. A folder of frames is complete: it is made under a hidden name and
then moved. Videos that can't be decoded are listed in {frames folder}_failures.csv, and the exit
status is then 1.
"""

import argparse
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from command_line import Asked, find_asked, in_parallel, log, parser, run_script, write_failures
from dataset.frames import frame_file
from dataset.split_files import class_folder
from folders import label, video_files
from utils.errors import UsageError

QUALITY = 80  # of the JPEGs
TEMPORARY = ".tmp"  # ends the hidden names of what is being made or removed
WHOLE = 0.9  # of the frames that a header promises; with fewer there is a warning

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: broken videos are reported here


class Job(NamedTuple):
    """A video, the folder of its frames, and their size. `eye`: the half to keep, or both."""

    video: Path
    folder: Path
    short_side: int  # pixels
    eye: str


class Outcome(NamedTuple):
    """The result of a job. `failure`: why there are no frames, or empty."""

    job: Job
    frames: int
    promised: int  # frames, by the video's header
    failure: str


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = _parse(arguments)
    asked = find_asked(options)
    jobs = list_jobs(asked, options.short_side or asked.variant.short_side)
    for folder in {job.folder.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
    todo = choose(jobs, options.num_workers)
    started = time.perf_counter()
    outcomes = []
    for outcome in in_parallel(extract, [(job,) for job in todo], options.num_workers, "videos"):
        outcomes.append(outcome)
        _report(outcome)
    failed = sorted((label(o.job.video), o.failure) for o in outcomes if o.failure)
    write_failures(asked.root / f"{asked.variant.frames}_failures.csv", failed)
    frames = sum(outcome.frames for outcome in outcomes)
    log.info(
        "%d videos extracted, %d skipped (complete), %d failed; %d frames, %.0f frames/s",
        *(len(todo) - len(failed), len(jobs) - len(todo), len(failed), frames),
        frames / (time.perf_counter() - started),
    )
    return 1 if failed else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument(
        "--short_side", type=int, help="pixels of a frame's shorter side, if not the dataset's"
    )
    options = made.parse_args(arguments)
    if options.short_side is not None and options.short_side < 1:
        raise UsageError(f"--short_side {options.short_side}: must be at least 1")
    return options


# ------------------------------------------------------------------ which videos


def list_jobs(asked: Asked, short_side: int) -> list[Job]:
    """Return a job for each video; raises UsageError for none, and for two with the same folder."""
    remedy = "get them with process_data/download_data.py"
    videos, endings, eye = asked.root / "videos", asked.info.endings, asked.variant.eye or "both"
    if not videos.is_dir():
        raise UsageError(f"{videos}: no such folder; {remedy}")
    jobs = [
        Job(video, asked.frames / class_folder(video.parent.name) / video.stem, short_side, eye)
        for video in video_files(videos, endings)
    ]
    if not jobs:
        raise UsageError(f"{videos}: holds no class folder with {'/'.join(endings)}; {remedy}")
    (folder, count), *_ = Counter(job.folder for job in jobs).most_common(1)
    if count > 1:
        same = " and ".join(str(job.video) for job in jobs if job.folder == folder)
        raise UsageError(f"{same}: would share a folder of frames; rename or remove one")
    return jobs


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed run left in a class's folder of frames.

    Its workers may still be at work. The rename makes those that still write fail; a folder that
    its worker has moved or removed in the meantime is no leftover.
    """
    for path in list(folder.glob(f".*{TEMPORARY}")):
        gone = path.with_name(f".leftover-{path.name}")
        with suppress(FileNotFoundError):
            os.rename(path, gone)
            shutil.rmtree(gone, ignore_errors=True)


def choose(jobs: list[Job], num_workers: int) -> list[Job]:
    """Return the jobs that have no frames of the right size yet, the largest videos first.

    So no process is left with a long video at the end while the others have nothing to do.
    """
    made = {
        folder / name
        for folder in {job.folder.parent for job in jobs}
        for name in os.listdir(folder)
    }
    checks = [(job,) for job in jobs if job.folder in made]
    sizes = dict(in_parallel(made_size, checks, num_workers, "made before"))
    todo = [job for job in jobs if sizes.get(job) != job.short_side]
    if anew := sum(job in sizes for job in todo):
        log.info("frames of another size: %d videos extracted anew", anew)
    return sorted(todo, key=lambda job: (-job.video.stat().st_size, job))


def made_size(job: Job) -> tuple[Job, int]:
    """Return the shorter side of the job's first frame; 0 if it can't be read."""
    path = job.folder / frame_file(1)
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    return job, 0 if image is None else min(image.shape)


# ------------------------------------------------------------------ one video


def extract(job: Job) -> Outcome:
    """Decode a video into a hidden folder that is moved to its place when it is complete."""
    temporary = job.folder.with_name(f".{job.folder.name}.{os.getpid()}{TEMPORARY}")
    # processes work side by side: threads within them, also the decoder's, only get in the way
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(job.video), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if not capture.isOpened():
            return Outcome(job, 0, 0, "can't be opened")
        temporary.mkdir()
        count = write_frames(temporary, decoded(capture), job.short_side, job.eye)
        if not count:
            return Outcome(job, 0, promised, "no frame can be decoded")
        move_into_place(temporary, job.folder)
        return Outcome(job, count, promised, "")
    except (OSError, cv2.error) as error:
        return Outcome(job, 0, 0, " ".join(str(error).split()))
    finally:
        capture.release()
        shutil.rmtree(temporary, ignore_errors=True)


def decoded(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the frames of an open video."""
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield frame


def write_frames(folder: Path, frames: Iterator[np.ndarray], short_side: int, eye: str) -> int:
    """Write the frames as JPEG files and return their number."""
    count = 0
    for count, frame in enumerate(frames, 1):
        image = resized(half(frame, eye), short_side)
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        with open(folder / frame_file(count), "wb", buffering=0) as file:
            file.write(encoded.data)
    return count


def half(frame: np.ndarray, eye: str) -> np.ndarray:
    """Return an eye's half. Of an odd width the middle column is left out for equal halves."""
    width = frame.shape[1] // 2
    return {"left": frame[:, :width], "right": frame[:, -width:], "both": frame}[eye]


def resized(frame: np.ndarray, short_side: int) -> np.ndarray:
    """Return the frame with a shorter side of so many pixels."""
    height, width = frame.shape[:2]
    shorter = min(height, width)
    if shorter == short_side:
        return frame
    size = round(width * short_side / shorter), round(height * short_side / shorter)
    shrinks = short_side < shorter
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def move_into_place(temporary: Path, folder: Path) -> None:
    """Move a folder, also in place of one with frames of another size."""
    try:
        os.rename(temporary, folder)
    except OSError:
        old = folder.with_name(f".{folder.name}.old{TEMPORARY}")
        os.rename(folder, old)
        os.rename(temporary, folder)
        shutil.rmtree(old)


def _report(outcome: Outcome) -> None:
    name = label(outcome.job.video)
    if outcome.failure:
        log.error("%s: %s", name, outcome.failure)
    elif outcome.frames < WHOLE * outcome.promised:
        message = "%s: %d frames decoded, its header says %d"
        log.warning(message, name, outcome.frames, outcome.promised)


if __name__ == "__main__":
    run_script(main)
