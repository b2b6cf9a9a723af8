"""run_model.py with a small network, and with a fault that the run meets."""

import contextlib
import math
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

import torch

import run_model
from dataset.gabors import GaborDataset
from model.training import learner, recording, saving
from model.training import run as training
from model.training.saving import State
from small_runs import narrow, one_picture
from utils.plots import pictures
from utils.runtime import meeting

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
    """Call `action` as that phase begins for the nth time.

    What the run is doing is kept in the file `phase`.
    """
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
    """Be killed from outside, so many seconds after the phase has begun, or end before that."""

    def kill_soon() -> None:
        program = os.getpid()
        if os.fork() == 0:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(program, signal.SIGKILL)
            os._exit(0)

    at(phase, nth, kill_soon)


def signal_in(phase: str, nth: int, sent: int, calls: int = 0) -> None:
    """Get the signal as the phase begins for the nth time, or so many function calls later."""

    def count_calls() -> None:
        left = calls

        def count(_frame: FrameType, event: str, _argument: object) -> None:
            nonlocal left
            left -= event == "call"
            if left < 0:
                sys.setprofile(None)
                os.kill(os.getpid(), sent)

        sys.setprofile(count)

    at(phase, nth, count_calls if calls else lambda: os.kill(os.getpid(), sent))


def fill_disk(phase: str, nth: int, room: int) -> None:
    """Allow no file to be larger than `room` bytes from then on; with nth 0 from the start."""

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
    """Get the signal before the numbered change of a file, name or folder; 0: never.

    The changes so far are in the file `changes`, one a line.
    """
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
    """Let a data worker die or hang on the first clip of that epoch's second batch."""
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
    """End by an error that no one foresaw."""

    def fail() -> None:
        raise ZeroDivisionError

    break_worker("hangs", 1)
    at("training", 1, fail)


def close_streams() -> None:
    """Start as with `<&- >&- 2>&-`."""
    sys.stdin = sys.stdout = sys.stderr = None
    for number in range(3):
        os.close(number)


def keep_weights(path: str) -> None:
    """Write each rank's weights at the end of the run to a file: `path` and its rank."""
    train = training.TrainingRun.run

    def train_and_keep(one: training.TrainingRun) -> State:
        state = train(one)
        rank = one.learner.runtime.processes.rank
        torch.save(one.learner.model.state_dict(), f"{path}{rank}")
        return state

    training.TrainingRun.run = train_and_keep


def meet_nothing() -> None:
    pass


FAULTS = (
    *(be_another_user, break_worker, close_streams, delete_runs, fail_beside_a_hanging_worker),
    *(fill_disk, keep_weights, kill_in, meet_nothing, signal_before, signal_in),
)


def run(flags: list[str], fault: Sequence, draws: bool) -> int:
    """Run it in this process, and return its exit status.

    `fault`: a name in FAULTS, and its arguments. `draws`: as many pictures as it can, not one
    stand-in at the end.
    """
    pictures.START, pictures.SHARE = (0, math.inf) if draws else (math.inf, pictures.SHARE)
    meeting.CALL_SECONDS = 1  # one of two ranks gets no answer, however long it waits
    name, *arguments = fault
    {made.__name__: made for made in FAULTS}[name](*arguments)
    sys.argv = ["run_model.py", *flags]
    with narrow(), nullcontext() if draws else one_picture():
        return run_model.main(flags)
