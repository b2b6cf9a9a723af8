"""run_model.py with a resnet18 of few planes and a fault that it meets: python tests/faulty_run.py

Imports all that runs need, and then forks a process for each line that it reads: a run starts at
once, in a session of its own, and is else like any other. A line is a JSON object with the run's
`flags`, the `fault` (a name in FAULTS, and its arguments), the `folder` to be in, the `log` file
for what it prints, and whether it `draws` its true pictures; the answer is the process's number. A
line with a number is answered by that process's exit status.
"""

import atexit
import contextlib
import json
import math
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

import run_model  # noqa: E402
import utils.runs.tensorboard  # noqa: E402,F401
from conftest import narrow  # noqa: E402
from dataset.gabors import GaborDataset  # noqa: E402
from model.training import learner, recording, saving  # noqa: E402
from model.training import run as training  # noqa: E402
from utils.plots import draw as plots  # noqa: E402
from utils.plots import figures, pictures  # noqa: E402

CHANGING = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
PHASES = {
    "training": (learner.Learner, ("backward", "update")),
    "validating": (training, ("evaluate",)),
    "recording": (recording, ("record",)),
    "saving": (saving.Saver, ("write", "save_position")),
    "drawing": (pictures.Pictures, ("draw_last",)),
}
ANOTHER_USER = 65534


def at(phase: str, nth: int, action: Callable[[], None]) -> None:
    """Calls `action` as that phase begins for the nth time. What the run is doing is kept in the
    file `phase`."""
    note = os.open("phase", os.O_RDWR | os.O_CREAT)
    doing, count = ["starting"], 0

    def tell() -> None:
        os.pwrite(note, f"{doing[-1]:20}".encode(), 0)

    def noted(function: Callable, name: str) -> Callable:
        def call(*arguments, **options):
            nonlocal count
            doing.append(name)
            tell()
            count += name == phase
            if name == phase and count == nth:
                action()
            try:
                return function(*arguments, **options)
            finally:
                doing.remove(name)  # checkpoints are written beside what else is done
                tell()

        return call

    for name, (owner, functions) in PHASES.items():
        for function in functions:
            setattr(owner, function, noted(getattr(owner, function), name))
    tell()


def kill_in(phase: str, nth: int, seconds: float) -> None:
    """Killed from outside, so many seconds after the phase has begun."""

    def kill_soon() -> None:
        program = os.getpid()
        if os.fork() == 0:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(program, signal.SIGKILL)
            os._exit(0)

    at(phase, nth, kill_soon)


def fill_disk(phase: str, nth: int, room: int) -> None:
    """From then on no file may be larger than `room` bytes; with nth 0 from the start."""

    def fill() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))

    if nth:
        at(phase, nth, fill)
    else:
        fill()


def delete_runs(phase: str, nth: int) -> None:
    at(phase, nth, lambda: [shutil.rmtree(run) for run in Path("runs").iterdir()])


def signal_before(number: int, sent: int = signal.SIGKILL) -> None:
    """Before the numbered change of a file, name or folder; 0: never. The changes so far are in the
    file `changes`, one a line."""
    program, here = os.getpid(), os.getcwd() + "/"
    note = os.open("changes", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    count = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in CHANGING or os.getpid() != program or not is_path(arguments[0]):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if reads or not path.startswith(here):
            return
        count += 1
        os.write(note, f"{event} {path.removeprefix(here)}\n".encode())
        if count == number:
            os.kill(program, sent)

    sys.addaudithook(hook)


def be_another_user() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(ANOTHER_USER)
        os.setuid(ANOTHER_USER)


def is_path(thing: object) -> bool:
    return isinstance(thing, (str, bytes, os.PathLike))


def break_worker(how: str, epoch: int) -> None:
    """A data worker dies or hangs on the first clip of that epoch's second batch."""
    read, program, clips = GaborDataset.__getitem__, os.getpid(), 0

    def call(dataset: GaborDataset, at: tuple[int, int]):
        nonlocal clips
        clips += at[0] == epoch
        if clips == 5 and os.getpid() != program:
            if how == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            while True:
                time.sleep(1)
        return read(dataset, at)

    GaborDataset.__getitem__ = call


def fail_beside_a_hanging_worker() -> None:
    """By an error that no one foresaw."""

    def fail() -> None:
        raise ZeroDivisionError

    break_worker("hangs", 1)
    at("training", 1, fail)


def list_noise(_: plots.Records) -> list[plots.Picture]:
    """In place of the pictures, which take longer than all the rest of so small a run."""

    def make() -> Figure:
        figure = Figure(figsize=(1, 1))
        figure.figimage(np.random.default_rng(1).random((figures.DPI, figures.DPI, 3)))
        return figure

    return [("loss_and_accuracy", make)]


def meet_nothing() -> None:
    pass


FAULTS = {
    made.__name__: made
    for made in (
        be_another_user,
        break_worker,
        delete_runs,
        fail_beside_a_hanging_worker,
        fill_disk,
        kill_in,
        meet_nothing,
        signal_before,
    )
}


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def next_run() -> dict | None:
    """In each forked process what it is to run; None at the end of the input."""
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(wait(asked), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            return asked
        print(pid, flush=True)
    return None


def start(asked: dict) -> int:
    os.setsid()
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["folder"])
    pictures.START = 0 if asked["draws"] else math.inf
    if not asked["draws"]:
        plots.list_pictures = list_noise
    name, *arguments = asked["fault"]
    FAULTS[name](*arguments)
    sys.argv = ["run_model.py", *asked["flags"]]
    with narrow():
        return run_model.main(asked["flags"])


if __name__ == "__main__":
    run = next_run()
    if run is not None:
        status = start(run)
        if run["fault"][0] in ("break_worker", "fail_beside_a_hanging_worker", "fill_disk"):
            sys.exit(status)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)  # without clearing up all that is imported, which takes long
