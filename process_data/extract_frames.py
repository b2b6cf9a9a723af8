"""Decodes a dataset's videos into folders of JPEG frames; run it again to go on after a kill.

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
from pathlib import Path
from typing import NamedTuple

import cv2
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
from video_datasets import class_folder, frame_file, visible_folders

QUALITY = 80  # of the JPEGs
TEMPORARY = ".tmp"  # ends the hidden names of what is being made or removed
WHOLE = 0.9  # of the frames that a header promises; with fewer there is a warning

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: broken videos are reported here


class Job(NamedTuple):
    """`eye`: the half of each frame that is kept, or both."""

    video: Path
    folder: Path
    short_side: int  # pixels
    eye: str


class Outcome(NamedTuple):
    """`promised`: frames by the video's header. `failure`: why there are no frames, or empty."""

    job: Job
    frames: int
    promised: int
    failure: str


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    asked = asked_variant(options)
    root = options.d_root / options.dataset
    jobs = list_jobs(
        root / "videos",
        root / asked.frames,
        asked.dataset.endings,
        options.short_side or asked.short_side,
        options.eye if options.dataset == "MouseSim" else "both",
    )
    for folder in {job.folder.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
    todo = choose(jobs, options.num_workers)
    started = time.perf_counter()
    outcomes = []
    for outcome in in_parallel(extract, [(job,) for job in todo], options.num_workers, "videos"):
        outcomes.append(outcome)
        _report(outcome)
    failed = sorted((_label(o.job), o.failure) for o in outcomes if o.failure)
    write_failures(root / f"{asked.frames}_failures.csv", failed)
    frames = sum(outcome.frames for outcome in outcomes)
    log.info(
        "%d videos extracted, %d skipped (complete), %d failed; %d frames, %.0f frames/s",
        len(todo) - len(failed),
        len(jobs) - len(todo),
        len(failed),
        frames,
        frames / (time.perf_counter() - started),
    )
    return 1 if failed else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__.split("\n")[0])
    add_variant_flags(made)
    made.add_argument(
        "--short_side", type=int, help="pixels of a frame's shorter side, if not the dataset's"
    )
    options = made.parse_args(arguments)
    if options.short_side is not None and options.short_side < 1:
        raise UsageError(f"--short_side {options.short_side}: must be at least 1")
    return options


# ------------------------------------------------------------------ which videos


def list_jobs(
    videos: Path, frames: Path, endings: tuple[str, ...], short_side: int, eye: str
) -> list[Job]:
    """Of all classes; raises UsageError for none, and for two videos with the same folder."""
    remedy = "get them with process_data/download_data.py"
    if not videos.is_dir():
        raise UsageError(f"{videos}: no such folder; {remedy}")
    jobs = [
        Job(video, frames / class_folder(folder.name) / video.stem, short_side, eye)
        for folder in visible_folders(videos)
        for video in _videos(folder, endings)
    ]
    if not jobs:
        raise UsageError(f"{videos}: holds no class folder with {'/'.join(endings)}; {remedy}")
    (folder, count), *_ = Counter(job.folder for job in jobs).most_common(1)
    if count > 1:
        same = " and ".join(str(job.video) for job in jobs if job.folder == folder)
        raise UsageError(f"{same}: would share a folder of frames; rename or remove one")
    return jobs


def _videos(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return sorted(
        Path(entry)
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(endings) and not entry.name.startswith(".")
    )


def remove_leftovers(folder: Path) -> None:
    """What a killed run left; first renamed, so that a worker of it that still writes fails."""
    for path in list(folder.iterdir()):
        if path.name.startswith(".") and path.name.endswith(TEMPORARY):
            gone = path.with_name(f".leftover-{path.name}")
            os.rename(path, gone)
            shutil.rmtree(gone)


def choose(jobs: list[Job], num_workers: int) -> list[Job]:
    """Those without frames of the right size, the largest videos first: so that at the end no
    process works on a long one while the others have nothing left."""
    made = {
        folder / name
        for folder in {job.folder.parent for job in jobs}
        for name in os.listdir(folder)
    }
    checks = [(job,) for job in jobs if job.folder in made]
    sizes = dict(in_parallel(made_size, checks, num_workers, "made before"))
    todo = [job for job in jobs if sizes.get(job) != job.short_side]
    anew = sum(job in sizes for job in todo)
    if anew:
        log.info("frames of another size: %d videos extracted anew", anew)
    return sorted(todo, key=lambda job: (-job.video.stat().st_size, job))


def made_size(job: Job) -> tuple[Job, int]:
    """The shorter side of the first frame that is there; 0 if it can't be read."""
    path = job.folder / frame_file(1)
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    return job, 0 if image is None else min(image.shape)


# ------------------------------------------------------------------ one video


def extract(job: Job) -> Outcome:
    """Into a hidden folder that is moved to its place when complete."""
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
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield frame


def write_frames(folder: Path, frames: Iterator[np.ndarray], short_side: int, eye: str) -> int:
    """Returns their number."""
    count = 0
    for count, frame in enumerate(frames, 1):
        image = resized(half(frame, eye), short_side)
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        with open(os.path.join(folder, frame_file(count)), "wb", buffering=0) as file:
            file.write(encoded)
    return count


def half(frame: np.ndarray, eye: str) -> np.ndarray:
    """Without the middle column where the width is odd, so that both halves are of one size."""
    width = frame.shape[1] // 2
    return {"left": frame[:, :width], "right": frame[:, -width:], "both": frame}[eye]


def resized(frame: np.ndarray, short_side: int) -> np.ndarray:
    height, width = frame.shape[:2]
    shorter = min(height, width)
    if shorter == short_side:
        return frame
    size = tuple(round(side * short_side / shorter) for side in (width, height))
    shrinks = short_side < shorter
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def move_into_place(temporary: Path, folder: Path) -> None:
    """A folder that is there already, of another size, goes in one step too."""
    try:
        os.rename(temporary, folder)
    except OSError:
        old = folder.with_name(f".{folder.name}.old{TEMPORARY}")
        os.rename(folder, old)
        os.rename(temporary, folder)
        shutil.rmtree(old)


# ------------------------------------------------------------------ the report


def _label(job: Job) -> str:
    return f"{job.video.parent.name}/{job.video.name}"


def _report(outcome: Outcome) -> None:
    if outcome.failure:
        log.error("%s: %s", _label(outcome.job), outcome.failure)
    elif outcome.frames < WHOLE * outcome.promised:
        log.warning(
            "%s: %d frames decoded, its header says %d",
            _label(outcome.job),
            outcome.frames,
            outcome.promised,
        )


if __name__ == "__main__":
    run_script(main)
