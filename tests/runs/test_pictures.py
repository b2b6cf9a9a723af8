"""The drawing of a run's pictures: beside it, never in its way, not for long after it."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forked import ROOT, children, has_ended, wait_until
from picture_records import BY_EPOCH, CURVES, MATRICES, OF_U, REPORT, gabor_classes, write_run
from small_runs import TINY, run
from utils.errors import PREEMPTED, RunError
from utils.plots import pictures
from utils.plots.draw import draw_all
from utils.plots.pictures import Pictures
from utils.runtime.interrupts import STOPPING

NAMES = {*CURVES, "loss_by_batch.png", *MATRICES, OF_U, BY_EPOCH, REPORT}
pytestmark = pytest.mark.usefixtures("at_the_first_call")


@pytest.fixture
def at_the_first_call(monkeypatch) -> None:
    """The process that draws starts at the first call, and as often as it can."""
    monkeypatch.setattr(pictures, "START", 0)
    monkeypatch.setattr(pictures, "SHARE", 1e9)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_run(tmp_path, gabor_classes(), {"train": [0, 1, 2], "val": [0, 1, 2]}, 2)


def drawn(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".csv"}


def drawing_processes(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode().split("\0")
        except OSError:  # it has ended
            continue
        if "utils.plots" in arguments and str(folder) in arguments:
            found.append(int(path.parent.name))
    return found


def start_drawing(one: Pictures) -> int:
    one.draw(at_once=False)
    return one.process.pid


def test_pictures_appear_while_the_run_goes_on(folder):
    before = children(os.getpid())
    with Pictures(folder, "") as one:
        first = start_drawing(one)
        assert os.getpriority(os.PRIO_PROCESS, first) == pictures.NICE
        assert os.getsid(first) == first  # signals to the run's group don't reach it
        assert start_drawing(one) == first  # no second one beside it
        wait_until(lambda: drawn(folder) == NAMES)
        wait_until(lambda: start_drawing(one) != first)
        wait_until(lambda: one.draw(at_once=False) or drawn(folder) == NAMES)
        old = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
        one.draw(at_once=True)
        assert one.process is None
        assert all(path.stat().st_mtime_ns > then for path, then in old.items())
        assert drawn(folder) == NAMES
    assert children(os.getpid()) == before


def test_drawing_takes_no_more_than_its_share(folder, monkeypatch):
    with Pictures(folder, "") as one:
        monkeypatch.setattr(pictures, "START", 100)
        one.draw(at_once=False)
        assert one.process is None
        monkeypatch.setattr(pictures, "START", 0)
        monkeypatch.setattr(pictures, "SHARE", 0.05)
        one.draw(at_once=False)
        assert one.process is None
        one.begun -= pictures.GUESS / pictures.SHARE
        start_drawing(one)
        wait_until(lambda: one.draw(at_once=False) or one.process is None)
        assert one.seconds != pictures.GUESS
        one.begun = time.perf_counter() - 0.9 * one.seconds / pictures.SHARE
        one.draw(at_once=False)
        assert one.process is None


def test_the_end_of_a_run_waits_for_no_drawing(folder):
    with Pictures(folder, "") as one:
        drawing = start_drawing(one)
        os.kill(drawing, signal.SIGSTOP)  # it would not end by itself
        (folder / f".loss_and_accuracy.png.{drawing}.part").touch()
    assert not Path(f"/proc/{drawing}").exists()
    assert not list(folder.glob(".*"))


def test_errors_reach_the_run(folder):
    with Pictures(folder, "") as one:
        resource.prlimit(start_drawing(one), resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(RunError, match=rf"can't write {folder}/\w+\.png: File too large$"):
            wait_until(lambda: one.draw(at_once=False))
        assert drawn(folder) == set()
        (folder / "epochs.csv").write_text("a,b\n1,2\n")
        told = f"can't draw the pictures in {folder}: "
        broken = told + r"epochs\.csv does not hold the records of a run \(.*\)$"
        with pytest.raises(RunError, match=broken):
            one.draw(at_once=True)
        start_drawing(one)
        with pytest.raises(RunError, match=broken):
            wait_until(lambda: one.draw(at_once=False))


def test_a_drawing_ended_by_a_signal_is_left_out(folder):
    with Pictures(folder, "") as one:
        for number in (*STOPPING, signal.SIGKILL):
            first = start_drawing(one)
            wait_until(lambda pid=first: list(folder.glob(".*.part")) or has_ended(pid))
            os.kill(first, number)
            wait_until(lambda pid=first: start_drawing(one) != pid)
            assert not list(folder.glob(f".*.{first}.part"))
        wait_until(lambda: drawn(folder) >= NAMES)


def test_a_killed_run_leaves_no_process_for_long(folder):
    """Its last drawing still comes to its end."""
    code = (
        "import os, sys, time; from pathlib import Path; from utils.plots import pictures\n"
        "pictures.START, pictures.SHARE = 0, 1e9\n"
        "one = pictures.Pictures(Path(sys.argv[1]), '')\n"
        "while not list(Path(sys.argv[1]).glob('.*.part')):\n"
        "    one.draw(at_once=False), time.sleep(0.01)\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT)
    assert killed.wait() == -signal.SIGKILL
    wait_until(lambda: not drawing_processes(folder))
    assert drawn(folder) == NAMES


@pytest.mark.usefixtures("narrow_backbone")
def test_a_stopped_run_ends_its_drawing(tmp_path, monkeypatch):
    started = []

    def start_and_stop(one: Pictures, at_once: bool) -> None:
        one.start_drawing()
        started.append(one.process.pid)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Pictures, "draw", start_and_stop)
    assert run(*TINY, "--num_epochs", 1, "--output_dir", tmp_path) == PREEMPTED
    assert len(started) == 1
    assert not Path(f"/proc/{started[0]}").exists()


def test_the_pictures_of_a_run_are_redrawn_from_its_records_alone(pretrained_run, tmp_path):
    for path in pretrained_run.glob("*.csv"):
        shutil.copy(path, tmp_path)
    names = {path.name for path in draw_all(tmp_path)}
    assert names == {path.name for path in pretrained_run.glob("*.png")} | {REPORT}
