"""Runs that are stopped at any point, and go on as if they had not been."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forked import ROOT
from model.training import guard, learner, recording, tasks
from run_records import only, same_end
from small_runs import TINY, classifier_arguments, run, signal_in_call
from utils import errors
from utils.plots import pictures
from utils.runs import checkpoints
from utils.runs.reading import read_checkpoint
from utils.runtime.interrupts import STOPPING

pytestmark = pytest.mark.usefixtures("small")
LAST = Path("model") / checkpoints.LAST

# where a signal falls: what is called then, and for the how many-th time
POINTS = {
    "epoch 0, first batch": (guard.Guard, "admits", 1),
    "epoch 0, validation": (guard.Guard, "admits", 3),
    "epoch 0, saving": (checkpoints, "write_checkpoint", 1),
    "epoch 1, first batch": (learner.Learner, "backward", 1),
    "epoch 1, last batch": (learner.Learner, "backward", 2),
    "epoch 1, recording": (recording, "append_rows", 7),
    "epoch 1, validation": (guard.Guard, "admits", 6),
    "epoch 1, saving": (checkpoints, "write_checkpoint", 2),
    "epoch 0, plotting": (pictures.Pictures, "draw", 1),
    "epoch 2, first batch": (learner.Learner, "backward", 3),
    "epoch 3, first batch": (learner.Learner, "backward", 5),
    "epoch 3, validation": (guard.Guard, "admits", 12),
    "epoch 3, saving": (checkpoints, "write_checkpoint", 4),
    "epoch 3, plotting": (pictures.Pictures, "draw_last", 1),
}
AT_THE_END = ("epoch 3, saving", "epoch 3, plotting")  # nothing is left to stop


@pytest.mark.parametrize("point", POINTS)
def test_a_run_goes_on_as_if_it_had_not_been_stopped(point, pretrained_run, tmp_path):
    owner, name, nth = POINTS[point]
    with signal_in_call(owner, name, nth):
        status = run(*TINY, "--num_epochs", 3, "--output_dir", tmp_path)
    folder = only(tmp_path)
    if point in AT_THE_END:
        assert status == 0
    else:
        assert status == errors.PREEMPTED
        assert (folder / LAST).exists()
        assert run("--resume", folder) == 0
    same_end(folder, pretrained_run)


def test_a_stopped_classifier_goes_on_too(pretrained_run, classifier_run, tmp_path):
    """It estimates running statistics first, which a signal may interrupt, too."""
    arguments = [*classifier_arguments(pretrained_run, 2), "--output_dir", tmp_path]
    with signal_in_call(tasks.ClassificationTask, "forward", 1):
        assert run(*arguments) == errors.PREEMPTED
    folder = only(tmp_path)
    assert not (folder / LAST).exists()
    for nth in (1, 6):
        with signal_in_call(tasks.ClassificationTask, "forward", nth, signal.SIGUSR1):
            assert run("--resume", folder) == errors.PREEMPTED
    assert run("--resume", folder) == 0
    same_end(folder, classifier_run)


def test_gradients_are_not_lost_between_two_updates(tmp_path):
    arguments = [*TINY, "--train_len", 24, "--grad_accum", 4, "--num_epochs", 1, "--not_save_best"]
    assert run(*arguments, "--output_dir", tmp_path / "whole") == 0
    with signal_in_call(learner.Learner, "backward", 2):
        assert run(*arguments, "--output_dir", tmp_path / "parts") == errors.PREEMPTED
    folder = only(tmp_path / "parts")
    content = read_checkpoint(folder / LAST, "resume")
    assert content["position"][0][0] == 4  # the update's end
    assert run("--resume", folder) == 0
    same_end(folder, only(tmp_path / "whole"))


def test_ctrl_c_keeps_the_position_as_well(pretrained_run, tmp_path, capsys):
    with signal_in_call(learner.Learner, "backward", 3, signal.SIGINT):
        assert run(*TINY, "--num_epochs", 3, "--output_dir", tmp_path) == errors.Stopped.status
    folder = only(tmp_path)
    message = capsys.readouterr().err.splitlines()[-1]
    assert message == (f"run_model.py: stopped by Ctrl-C; to go on: run_model.py --resume {folder}")
    assert run("--resume", folder) == 0
    same_end(folder, pretrained_run)


def test_a_second_ctrl_c_comes_at_once(tmp_path):
    first = signal_in_call(learner.Learner, "backward", 1, signal.SIGINT)
    with first, signal_in_call(learner.Learner, "update", 1, signal.SIGINT):
        assert run(*TINY, "--num_epochs", 3, "--output_dir", tmp_path) == errors.Stopped.status
    folder = only(tmp_path)
    assert not (folder / LAST).exists()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_after_another_signal_is_no_second_one(first, tmp_path):
    """The first signal says how the run ends."""
    term = signal_in_call(learner.Learner, "backward", 1, first)
    with term, signal_in_call(learner.Learner, "update", 1, signal.SIGINT):
        assert run(*TINY, "--num_epochs", 3, "--output_dir", tmp_path) == errors.PREEMPTED
    assert (only(tmp_path) / LAST).exists()


def test_a_hangup_that_is_ignored_stays_so(pretrained_run, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with signal_in_call(learner.Learner, "backward", 1, signal.SIGHUP):
            assert run(*TINY, "--num_epochs", 3, "--output_dir", tmp_path) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    same_end(only(tmp_path), pretrained_run)


# a program whose named import gets it a signal
INTERRUPTED_IMPORT = """
import builtins, os, runpy, sys
number, slow, *flags = sys.argv[1:]
real = builtins.__import__
def with_signal(name, *rest, **named):
    if name == slow:
        os.kill(os.getpid(), int(number))
    return real(name, *rest, **named)
builtins.__import__ = with_signal
sys.argv = ["run_model.py", *flags]
runpy.run_path("run_model.py", run_name="__main__")
"""


@pytest.mark.parametrize("slow", ["tqdm", "torch"])
@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_during_the_imports_ends_the_program_with_its_status(number, slow, tmp_path):
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, str(int(number)), slow, "--output_dir"]
    ended = subprocess.run([*command, tmp_path / "out"], cwd=ROOT, capture_output=True, text=True)
    is_ctrl_c = number == signal.SIGINT
    assert ended.returncode == (errors.Stopped.status if is_ctrl_c else errors.PREEMPTED)
    name = "Ctrl-C" if is_ctrl_c else number.name
    assert ended.stderr == f"run_model.py: stopped by {name}; run the same command again\n"
    assert not (tmp_path / "out").exists()


def test_the_clock_saves_too_and_its_position_goes_with_its_epoch(
    pretrained_run, tmp_path, monkeypatch
):
    saved = []
    write = checkpoints.write_checkpoint

    def note(path, content):
        saved.append((path.name, content["epoch"], content.get("position", [None])[0]))
        write(path, content)

    monkeypatch.setattr(checkpoints, "write_checkpoint", note)
    arguments = ["--num_epochs", 3, "--checkpoint_minutes", 1e-9, "--output_dir", tmp_path]
    assert run(*TINY, *arguments) == 0
    done = [(epoch, position[0]) for name, epoch, position in saved if position is not None]
    assert {(0, 0), (0, 1), (0, 2)} <= set(done)
    same_end(only(tmp_path), pretrained_run)


def stopped_run(output: Path) -> Path:
    """Return the folder of a run that was stopped after the first batch of epoch 1."""
    with signal_in_call(learner.Learner, "backward", 1):
        assert run(*TINY, "--num_epochs", 3, "--output_dir", output) == errors.PREEMPTED
    return only(output)


def test_a_damaged_position_gives_way_to_the_last_epoch(pretrained_run, tmp_path, capsys):
    folder = stopped_run(tmp_path)
    (folder / LAST).write_bytes((folder / LAST).read_bytes()[:1000])
    assert run("--resume", folder) == 0
    assert "last.pth.tar: is damaged or cut off" in capsys.readouterr().err
    same_end(folder, pretrained_run)


def test_a_position_of_several_processes_gives_way_to_the_last_epoch(
    pretrained_run, tmp_path, capsys
):
    folder = stopped_run(tmp_path)
    content = read_checkpoint(folder / LAST, "resume")
    content["position"] *= 2
    checkpoints.write_checkpoint(folder / LAST, content)
    assert run("--resume", folder) == 0
    assert "was saved by 2 processes, and now there are 1" in capsys.readouterr().err
    same_end(folder, pretrained_run)


def test_a_position_that_an_epoch_has_overtaken_is_not_used(pretrained_run, tmp_path):
    folder = tmp_path / "run"
    position = stopped_run(tmp_path / "other") / LAST
    shutil.copytree(pretrained_run, folder)
    (folder / "model/epoch3_unexp.pth.tar").unlink()
    shutil.copy(position, folder / LAST)  # as if killed before it was removed
    assert run("--resume", folder) == 0
    same_end(folder, pretrained_run)


def test_a_position_can_be_named(pretrained_run, tmp_path):
    folder = stopped_run(tmp_path)
    assert run("--resume", folder / LAST) == 0
    same_end(folder, pretrained_run)


# ------------------------------------------------------------------ --resume auto


def auto(output: Path, *flags: object) -> int:
    return run(*TINY, "--resume", "auto", "--output_dir", output, *flags)


def test_auto_starts_goes_on_and_ends(pretrained_run, tmp_path, capsys):
    with signal_in_call(learner.Learner, "backward", 3):
        assert auto(tmp_path, "--num_epochs", 3) == errors.PREEMPTED
    assert auto(tmp_path, "--num_epochs", 3, "--log_freq", 1) == 0
    folder = only(tmp_path)
    same_end(folder, pretrained_run)
    capsys.readouterr()
    assert auto(tmp_path, "--num_epochs", 3) == 0
    assert "has reached its epochs already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [folder]
    same_end(folder, pretrained_run)


def test_auto_tells_runs_apart_by_what_was_typed(tmp_path):
    unseeded = [word for word in TINY if word not in ("--seed", "7")]
    flags = ["--resume", "auto", "--num_epochs", 0, "--output_dir", tmp_path]
    for _ in range(2):
        assert run(*unseeded, *flags) == 0
        assert run(*unseeded, *flags, "--seed", 8) == 0
        assert run(*unseeded, *flags, "--wd", 0.1) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_auto_takes_the_newest_that_no_one_runs(tmp_path):
    for _ in range(2):
        assert run(*TINY, "--num_epochs", 0, "--output_dir", tmp_path) == 0
    old, new = sorted(tmp_path.iterdir())
    assert auto(tmp_path, "--num_epochs", 1) == 0
    assert (new / "model/epoch1.pth.tar").exists()
    assert not (old / "model/epoch1.pth.tar").exists()


def test_auto_uses_pretrained_weights_only_when_it_starts(pretrained_run, tmp_path, capsys):
    weights = tmp_path / "weights.pth.tar"
    shutil.copy(next((pretrained_run / "model").glob("best_epoch*")), weights)
    flags = ["--pretrained", weights, "--num_epochs"]
    assert auto(tmp_path / "runs", *flags, 0) == 0
    weights.unlink()
    assert auto(tmp_path / "runs", *flags, 1) == 0
    assert auto(tmp_path / "other", *flags, 1) == 2
    assert "no such file" in capsys.readouterr().err
    assert run("--resume", tmp_path, "--pretrained", weights) == 2
    assert run("--resume", "auto", "--test", weights) == 2


def test_a_run_stopped_before_anything_was_saved_starts_again_in_its_folder(
    pretrained_run, tmp_path
):
    assert run(*TINY, "--num_epochs", 3, "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    for path in (folder / "model").iterdir():
        path.unlink()
    lines = (folder / "epochs.csv").read_text().splitlines()
    (folder / "epochs.csv").write_text("\n".join(lines[:2]) + "\n")
    assert auto(tmp_path, "--num_epochs", 3) == 0
    assert list(tmp_path.iterdir()) == [folder]
    same_end(folder, pretrained_run)
