"""The process that draws a run's pictures: beside it, never in its way, never after it."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import TINY, run
from model.training import engine
from test_plots import CURVES, MATRICES, ROOT, gabor_classes, write_run
from test_preemption import signalled
from utils.errors import PREEMPTED, RunError
from utils.plots import pictures
from utils.plots.pictures import Pictures
from utils.runtime.interrupts import STOPPING

LIMIT = 60  # seconds, for whatever a test waits for
NAMES = {*CURVES, "loss_by_batch.png", *MATRICES}
pytestmark = pytest.mark.usefixtures("at_the_first_call")


@pytest.fixture
def at_the_first_call(monkeypatch) -> None:
    """The process starts, and may draw as often as it can."""
    monkeypatch.setattr(pictures, "START", 0)
    monkeypatch.setattr(pictures, "SHARE", 1e9)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_run(tmp_path, gabor_classes(), {"train": [0, 1, 2], "val": [0, 1, 2]}, 2)


def drawn(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".csv"}


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start_drawing(one: Pictures) -> int:
    """→ the process that does, a child of the one that waits."""
    one.draw(at_once=False)
    until(lambda: children(one.process.pid))
    return children(one.process.pid)[0]


def test_pictures_appear_while_the_run_goes_on_whatever_signals_come(folder):
    before = children(os.getpid())
    with Pictures(folder, "") as one:
        for number in STOPPING:
            one.draw(at_once=False)
            os.kill(one.process.pid, number)  # before it can have prepared for them
        until(lambda: drawn(folder) == NAMES)
        old = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
        one.draw(at_once=True)
        assert all(path.stat().st_mtime_ns > then for path, then in old.items())
        assert drawn(folder) == NAMES
    assert children(os.getpid()) == before


def test_the_end_of_a_run_waits_for_no_drawing(folder):
    with Pictures(folder, "") as one:
        drawing = start_drawing(one)
        until(lambda: list(folder.glob(".*.part")))
        start = time.monotonic()
    assert time.monotonic() - start < 2 * pictures.PATIENCE
    until(lambda: not Path(f"/proc/{drawing}").exists())
    assert not list(folder.glob(".*"))


def test_errors_reach_the_run(folder):
    with Pictures(folder, "") as one:
        one.draw(at_once=False)
        resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        told = f"can't draw the pictures in {folder}: "
        with pytest.raises(RunError, match=told + "File too large"):
            until(lambda: one.draw(at_once=False))
        with pytest.raises(RunError, match=told + "File too large"):
            one.draw(at_once=True)
        assert drawn(folder) == set()
        (folder / "epochs.csv").write_text("a,b\n1,2\n")
        with pytest.raises(RunError, match=told + ".*not the records of a run"):
            one.draw(at_once=True)


def test_a_process_that_was_killed_is_done_without(folder):
    with Pictures(folder, "") as one:
        os.kill(start_drawing(one), signal.SIGKILL)
        until(lambda: one.draw(at_once=False) or one.was_lost)
        one.draw(at_once=False)
        assert one.process is None  # and not started again
        one.draw(at_once=True)
    assert drawn(folder) == NAMES
    with Pictures(folder, "") as one:
        start_drawing(one)
        one.process.kill()
        one.draw(at_once=True)
        assert one.was_lost


def test_a_killed_run_leaves_no_process(folder):
    code = (
        "import os, sys, time; from pathlib import Path; from utils.plots import pictures\n"
        "pictures.START, pictures.SHARE = 0, 1e9\n"
        "one = pictures.Pictures(Path(sys.argv[1]), '')\n"
        "while not list(Path(sys.argv[1]).glob('.*.part')):\n"
        "    one.draw(at_once=False), time.sleep(0.01)\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, start_new_session=True
    )
    assert killed.wait(LIMIT) == -signal.SIGKILL

    def all_ended() -> bool:
        try:
            os.killpg(killed.pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(all_ended)


@pytest.mark.usefixtures("narrow_backbone")
def test_a_stopped_run_ends_it(tmp_path, monkeypatch):
    before = children(os.getpid())
    signalled(engine.Learner, "learn", 1, signal.SIGTERM, monkeypatch)
    assert run(*TINY, "--num_epochs", 1, "--output_dir", tmp_path) == PREEMPTED
    assert children(os.getpid()) == before
