"""Work in parallel whose processes die or can't start, and what ends a script of process_data."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import command_line
import extract_frames
import workers
from utils.errors import RunError, UsageError
from video_files import write_video


def killed(reason: str, *call: int) -> str:
    return f"{call}: {reason}"


# ------------------------------------------------------------------ processes that die


@pytest.mark.parametrize("number", [1, 2])
def test_a_call_that_kills_its_process_is_told_and_stops_no_other(number):
    """`raise_signal(0)` does nothing."""
    calls = [(0,), (signal.SIGKILL,), (0,), (signal.SIGSEGV,), (0,)]
    found = list(workers.results(signal.raise_signal, calls, number, killed))
    assert found.count(None) == 3
    assert set(found) - {None} == {
        killed("its process was killed by SIGKILL; out of memory?", signal.SIGKILL),
        killed("its process was killed by SIGSEGV", signal.SIGSEGV),
    }


def test_an_error_of_a_call_is_raised_and_ends_the_processes():
    with pytest.raises(ZeroDivisionError):
        list(workers.results(divmod, [(1, 0), (1, 1)], 2, killed))
    assert not [p for p in psutil.Process().children() if "LokyProcess" in " ".join(p.cmdline())]


def test_without_workers_the_script_itself_works():
    assert list(workers.results(os.getpid, [(), ()], 0, killed)) == [os.getpid()] * 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),  # /dev/shm is full
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "temporarily"),
        (RuntimeError("can't start new thread"), "new thread"),
    ],
)
@pytest.mark.parametrize("place", ["__init__", "submit"])
def test_where_no_process_can_start_the_script_itself_works(
    monkeypatch, caplog, error, said, place
):
    if place == "__init__" and not isinstance(error, OSError):
        pytest.skip("only a submit starts threads")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(workers.ProcessPoolExecutor, place, fail)
    monkeypatch.setattr(workers.ProcessPoolExecutor, "shutdown", lambda *_, **__: None)
    assert sorted(workers.results(abs, [(-1,), (-2,), (-3,)], 2, killed)) == [1, 2, 3]
    assert f"{said}" in caplog.text
    assert "going on as with --num_workers 0" in caplog.text


@pytest.mark.parametrize("typed", [100000, 10**12])
def test_a_number_of_processes_is_bounded(caplog, typed):
    assert workers.bounded(typed) == workers.bounded(-1) * workers.PROCESSES_A_CORE
    assert f"--num_workers {typed}: taken as" in caplog.text


# ------------------------------------------------------------------ signals


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGTERM, 75, "stopped by SIGTERM"),
        (signal.SIGHUP, 75, "stopped by SIGHUP"),
        (signal.SIGINT, 130, "stopped by Ctrl-C"),
    ],
)
def test_a_signal_to_the_script_ends_its_workers_too(tmp_path, number, status, said):
    for video in range(8):
        write_video(tmp_path / f"UCF101/videos/Run/v_{video}.avi", 60, seed=video)
    flags = ["--d_root", tmp_path, "--dataset", "UCF101", "--num_workers", 2, "--short_side", 800]
    command = [sys.executable, extract_frames.__file__, *map(str, flags)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("UCF101/frames/Run/.*.tmp")) and process.poll() is None:
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, written = process.communicate()
    assert process.returncode == status
    assert (
        written.splitlines()[-1] == f"extract_frames.py: {said}; run the same command to continue"
    )
    assert "Traceback" not in written
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert not list(tmp_path.glob("UCF101/frames/Run/.*"))


@pytest.fixture
def _own_signals():
    before = {number: signal.getsignal(number) for number in command_line.heard()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raising(error: BaseException):
    def main(_: list[str]) -> int:
        raise error

    return main


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UsageError("--x: is wrong"), 2, "--x: is wrong"),
        (RunError("x: can't be written"), 1, "x: can't be written"),
        (OSError(errno.ENOSPC, "No space", "/d/x"), 1, "/d/x: No space"),
        (OSError(errno.EROFS, "Read-only", Path("/d/x")), 1, "/d/x: Read-only"),
        (OSError(errno.ENOSPC, "No space"), 1, "No space"),
        (PermissionError(errno.EACCES, "Permission denied", "/d"), 1, "/d: Permission denied"),
        (OSError(errno.ENAMETOOLONG, "?", "/d"), 1, "/d: the name is too long for the disk"),
        (MemoryError(), 1, "there is too little memory"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, None),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C; run the same command to continue"),
    ],
)
def test_what_ends_a_script_is_one_line(monkeypatch, capsys, error, status, said):
    monkeypatch.setattr(sys, "argv", ["x.py"])
    with pytest.raises(SystemExit) as stop:
        command_line.run_script(raising(error))
    assert stop.value.code == status
    assert capsys.readouterr().err == (f"x.py: {said}\n" if said else "")


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize("error", [ValueError("a bug"), OSError("of our own"), KeyError("x")])
def test_bugs_are_not_hidden(error):
    with pytest.raises(type(error)):
        command_line.run_script(raising(error))


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_while_a_script_ends_a_repeated_signal_does_not_stop_it(capsys, number):
    ended = []

    def main(_: list[str]) -> int:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            ended.append(True)
        return 0

    with pytest.raises(SystemExit) as stop:
        command_line.run_script(main)
    assert ended
    assert stop.value.code == 75
    assert f"stopped by {number.name}; run the same" in capsys.readouterr().err


# ------------------------------------------------------------------ streams and modes


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "| true"])
def test_closed_and_full_streams_end_in_no_traceback(tmp_path, redirection):
    write_video(tmp_path / "UCF101/videos/Run/v_a…ß.avi", 3)
    script = Path(extract_frames.__file__)
    flags = f"--d_root {tmp_path} --dataset UCF101 --num_workers 0"
    command = f"PYTHONIOENCODING=ascii {sys.executable} -OO {script} {flags} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert len(list(tmp_path.glob("UCF101/frames/Run/v_a…ß/*.jpg"))) == 3


def test_without_docstrings_the_help_is_there(tmp_path):
    command = [sys.executable, "-OO", extract_frames.__file__, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--interpolation" in done.stdout
