"""What tests/benchmark.py measures of whole programs; and where the time of a run goes:

    python tests/job_times.py TIMES.json STARTED [flags of run_model.py]

runs it in this process with timers around the places below, each without those within it, and
writes their seconds, and when the first batch was asked for, was there, and when the run was over,
in seconds since STARTED, the time.time() of whoever started this. On a GPU, which the program runs
ahead of, they are the seconds that the program spends there.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from benchmark_data import moving_noise
from benchmark_lines import GB, KIB, Measured

ROOT = Path(__file__).parent.parent
HELPS, EXTRACTIONS = 5, 2
VIDEOS, COPIES, VIDEO_FRAMES = 7, 29, 170  # 34,510 frames


class Place(NamedTuple):
    """`name`: a function of the module, or a method as Class.method."""

    module: str
    name: str
    phase: str


ASKED = Place("torch.utils.data", "DataLoader.__iter__", "data wait")  # this starts the workers
NEXT = Place("torch.utils.data.dataloader", "_BaseDataLoaderIter.__next__", "data wait")
PLACES = (
    ASKED,
    NEXT,
    Place("model.training.learner", "Learner.forward", "forward"),
    Place("torch", "Tensor.backward", "backward"),
    Place("model.training.learner", "Learner.update", "optimizer"),
    Place("model.training.run", "evaluate", "evaluation"),
    Place("model.training.recording", "record", "records"),
    Place("utils.plots.pictures", "Pictures.draw", "pictures"),
    Place("model.training.saving", "Saver.save", "checkpoint"),
)


# ------------------------------------------------------------------ whole programs


class Ended(NamedTuple):
    """`peak_gb`: of the largest process among it and those that it started."""

    seconds: float
    peak_gb: float


class EndedError(RuntimeError):
    """A program failed; `said` is all that it printed."""

    def __init__(self, program: object, status: int, said: str):
        last = (said.strip().splitlines() or ["it said nothing"])[-1]
        super().__init__(f"{program} ended with status {status}: {last}")
        self.said = said


def to_its_end(*command: object, folder: Path = ROOT) -> Ended:
    """A Python program in that checkout's folder; raises EndedError with its last words."""
    with tempfile.TemporaryFile("w+") as said:
        arguments = [sys.executable, *map(str, command)]
        begun = time.time()
        process = subprocess.Popen(arguments, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.time() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise EndedError(command[0], process.returncode, said.read())
    return Ended(seconds, usage.ru_maxrss * KIB / GB)


def help_text() -> Measured:
    ended = [to_its_end("run_model.py", "--help") for _ in range(HELPS)]
    return Measured([end.seconds for end in ended], max(end.peak_gb for end in ended))


def plain_job(flags: tuple[str, ...]) -> Measured:
    """A run as it is."""
    with tempfile.TemporaryDirectory() as folder:
        ended = to_its_end("run_model.py", *flags, "--output_dir", folder)
    return Measured([ended.seconds], ended.peak_gb)


def job(flags: tuple[str, ...]) -> Measured:
    """A run as it is, on the GPU if there is one; and once more for the split of its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "times.json")
        plain = plain_job(flags)
        arguments = (path, time.time(), *flags, "--output_dir", f"{folder}/split")
        wall = to_its_end(Path(__file__), *arguments).seconds
        times = json.loads(path.read_text())
    split = {"start": times["asked"], **times["phases"], "exit": wall - times["ended"]}
    split["other"] = wall - sum(split.values())
    in_all = {"wall": wall, "first batch": times["first_batch"]}
    return plain._replace(split={**split, **in_all})


def extraction() -> Measured:
    """All frames of videos of 320×240, by two processes, from the script's start to its end."""
    from make_clips import write_video

    ended = []
    with tempfile.TemporaryDirectory() as made:
        videos = [Path(made, f"{number}.avi") for number in range(VIDEOS)]
        for number, video in enumerate(videos):
            write_video(video, moving_noise(VIDEO_FRAMES, number), 25, ("XVID", "MJPG"))
        for _ in range(EXTRACTIONS):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder, "UCF101/videos/Dive")
                place.mkdir(parents=True)
                for copy in range(COPIES):
                    for video in videos:
                        (place / f"v_Dive_g{copy:02}_c{video.name}").symlink_to(video)
                flags = ("--d_root", folder, "--dataset", "UCF101", "--num_workers", 2)
                ended.append(to_its_end("process_data/extract_frames.py", *flags))
    return Measured([end.seconds for end in ended], max(end.peak_gb for end in ended))


# ------------------------------------------------------------------ the time of a run


class Timers:
    """`seconds` of each phase; `first`: when each place was first entered and left."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((place.phase for place in PLACES), 0.0)
        self.first: dict[Place, tuple[float, float]] = {}
        self.within: list[float] = []  # seconds timed within each place that is entered

    def around(self, function: Callable, place: Place) -> Callable:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **named)
            self.within.append(0.0)
            entered = time.time()
            try:
                return function(*arguments, **named)
            finally:
                left = time.time()
                self.seconds[place.phase] += left - entered - self.within.pop()
                if self.within:
                    self.within[-1] += left - entered
                self.first.setdefault(place, (entered, left))

        return timed

    def install(self) -> None:
        for place in PLACES:
            holder, name = found(place)
            setattr(holder, name, self.around(getattr(holder, name), place))


def found(place: Place) -> tuple[Any, str]:
    """What has the function, under which name; ends the program when it is not there."""
    *holders, name = place.name.split(".")
    try:
        holder: Any = importlib.import_module(place.module)
        for part in holders:
            holder = getattr(holder, part)
        getattr(holder, name)
    except (ImportError, AttributeError) as error:
        sys.exit(f"job_times.py: {place.module}.{place.name} can't be timed: {error}")
    return holder, name


def main(path: Path, started: float, flags: list[str]) -> int:
    import run_model

    timers = Timers()
    timers.install()
    sys.argv = ["run_model.py", *flags]
    status = run_model.main(flags)
    ended = time.time()
    if status:
        return status
    unused = [f"{place.module}.{place.name}" for place in PLACES if place not in timers.first]
    if unused:
        sys.exit(f"job_times.py: the run never came to {', '.join(unused)}")
    times = {
        "asked": timers.first[ASKED][0] - started,
        "first_batch": timers.first[NEXT][1] - started,
        "ended": ended - started,
        "phases": timers.seconds,
    }
    path.write_text(json.dumps(times))
    return status


if __name__ == "__main__":
    ended_with = main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
    # as the program itself ends, which older versions left to Python
    getattr(sys.modules["run_model"], "leave", sys.exit)(ended_with)
