"""What happens to runs from outside: kills, full disks, damaged files, lost workers.

Nothing is lost, and one line tells of it. Many more kills are in many_faults.py.
"""

import errno
import json
import os
import random
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from forked import Ended, Started, has_ended, state, wait_until
from model.training import guard
from run_records import contents, ends_in_one_line, ends_well, only
from small_runs import TINY, run, signal_in_call, video_flags
from utils.errors import PREEMPTED, RunError, UsageError
from utils.logs import start_logging
from utils.runs import checkpoints
from utils.runs.reading import read_checkpoint
from video_data import prepare

pytestmark = pytest.mark.usefixtures("small")
LONG = 120  # seconds that a data worker may take
FLAGS = [*TINY, "--num_epochs", 3, "--log_freq", 100, "--output_dir", "runs"]
AUTO = [*FLAGS, "--resume", "auto"]
NEWEST = "model/epoch3_unexp.pth.tar"


@pytest.fixture(scope="module")
def changes(whole) -> list[str]:
    """The changes of the disk that an undisturbed run has made."""
    return (whole.parents[1] / "changes").read_text().splitlines()


@pytest.fixture
def finished(whole, tmp_path) -> Path:
    """A copy of an undisturbed run's folder, in `runs`."""
    return shutil.copytree(whole, tmp_path / "runs" / whole.name)


@pytest.fixture
def begun(finished) -> Path:
    """The same folder as if the run had been killed after epoch 1."""
    for path in checkpoints.by_epoch(finished / "model").values():
        if "unexp" in path.name:
            path.unlink()
    for path in (finished / "model").glob("best_unexp*"):
        path.unlink()
    for path in finished.glob("*.png"):
        path.unlink()
    (finished / "log.txt").unlink()
    for name in ("epochs.csv", "predictions.csv"):
        lines = (finished / name).read_text().splitlines(keepends=True)
        (finished / name).write_text("".join(line for line in lines if line[0] not in "23"))
    return finished


# ------------------------------------------------------------------ kill -9

HALF_WRITTEN = (
    ".epochs.csv.tmp",
    ".loss_and_accuracy.png.123.part",
    "model/.last.pth.tar.tmp",
    "model/.best_epoch0.pth.tar.tmp",
)


def test_kills_lose_nothing_and_double_nothing(starter, whole, changes, tmp_path):
    chance = random.Random(1)
    flags = [*AUTO, "--num_workers", 1]
    saving = [number for number, line in enumerate(changes, 1) if "epoch0.pth.tar" in line]
    kills = [
        ("signal_before", chance.choice(saving)),
        ("signal_in", "training", chance.randint(1, 4), signal.SIGKILL, chance.randint(1, 30)),
        ("signal_in", "recording", chance.randint(1, 2), signal.SIGKILL, chance.randint(1, 300)),
        ("signal_in", "drawing", 1, signal.SIGKILL, chance.randint(1, 1000)),
    ]
    for kill in kills:
        ended = starter.run(tmp_path, *flags, fault=kill)
        assert ended.status == -signal.SIGKILL, (kill, ended.text)
    for name in HALF_WRITTEN:
        (only(tmp_path / "runs") / name).write_bytes(b"half")
    ends_well(starter.run(tmp_path, *flags), only(tmp_path / "runs"), whole)


def test_a_stop_in_validation_loses_no_fault_of_the_training(tmp_path):
    prepared = prepare(tmp_path, lengths=(24, 30, 27))
    for number in range(1, 25):
        prepared.frame(prepared.rows()[4], number).write_bytes(b"")
    flags = ["--model", "lc-rnn", *video_flags(prepared.csv_root), "--no_augm", "--num_epochs", 1]
    assert run(*flags, "--output_dir", tmp_path / "whole") == 0
    with signal_in_call(guard.Guard, "admits", 6):  # in epoch 1
        assert run(*flags, "--output_dir", tmp_path / "runs") == PREEMPTED
    folder = only(tmp_path / "runs")
    assert run("--resume", folder) == 0
    expected = (only(tmp_path / "whole") / "faults.csv").read_text()
    assert "\n1,train," in expected
    assert (folder / "faults.csv").read_text() == expected


# ------------------------------------------------------------------ full disks

ROOM = {  # phase: how many bytes a file may have from its first time on, what then can't be done
    "saving": (100_000, "write runs/{}/model/epoch2_unexp.pth.tar"),
    "recording": (1500, "write runs/{}/predictions.csv"),
    "drawing": (20_000, "write runs/{}/loss_and_accuracy.png"),
}


@pytest.mark.parametrize("phase", ROOM)
def test_a_full_disk_keeps_what_was_there_and_the_run_goes_on_when_there_is_room(
    phase, starter, whole, begun
):
    room, undone = ROOM[phase]
    place, before = begun.parent.parent, contents(begun)
    ended = starter.run(place, *AUTO, fault=("fill_disk", phase, 1, room))
    ends_in_one_line(ended, 1, f"can't {undone.format(begun.name)}: File too large")
    after = contents(begun)
    for name in ("model/epoch0.pth.tar", "model/epoch1.pth.tar", "classes.csv"):
        assert after[name] == before[name]
    for name in ("epochs.csv", "predictions.csv"):
        assert after[name].startswith(before[name])
        assert after[name].endswith(b"\n")  # whole rows
    assert not [name for name in after if name.endswith((".tmp", ".part"))]
    ends_well(starter.run(place, *AUTO), begun, whole)


def test_a_full_disk_stops_tensorboard_with_one_line_too(starter, whole, tmp_path):
    flags = [*AUTO, "--use_tb"]
    ended = starter.run(tmp_path, *flags, fault=("fill_disk", "validating", 1, 1000))
    ends_in_one_line(ended, 1, "can't write", "/tensorboard: File too large")
    ends_well(starter.run(tmp_path, *flags), only(tmp_path / "runs"), whole)


def test_a_log_that_can_not_be_written_stops_nothing(starter, whole, begun):
    (begun / "log.txt").symlink_to("/dev/full")
    ended = starter.run(begun.parent.parent, *AUTO)
    assert ended.text.count("log.txt (") == 1
    assert "log.txt ([Errno 28] No space left on device); going on" in ended.text
    ends_well(ended, begun, whole)


def test_a_full_disk_is_told_before_a_run_starts(starter, tmp_path):
    ended = starter.run(tmp_path, *FLAGS, "--log_level", "error", fault=("fill_disk", "", 0, 500))
    ends_in_one_line(ended, 2, "--output_dir runs: can't write there (File too large)")
    assert not list((tmp_path / "runs").iterdir())


def test_a_second_name_that_finds_no_room_is_told(tmp_path, monkeypatch):
    def fails(number: int):
        def call(*_):
            raise OSError(number, os.strerror(number))

        return call

    monkeypatch.setattr(os, "link", fails(errno.EPERM))  # on disks that have no links
    monkeypatch.setattr(shutil, "copyfile", fails(errno.ENOSPC))
    (tmp_path / "epoch1.pth.tar").touch()
    with pytest.raises(RunError, match=r"can't write .*best_epoch1\.pth\.tar: No space left"):
        checkpoints.keep_best(tmp_path, tmp_path / "epoch1.pth.tar", 1, "expected")


# ------------------------------------------------------------------ damaged checkpoints


def damage_bytes(path: Path) -> None:
    """Overwrite a sector in the middle, where tensors lie."""
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 512] = np.random.default_rng(1).bytes(512)
    path.write_bytes(raw)


def without(*keys: str):
    def rewrite(path: Path) -> None:
        content = read_checkpoint(path, "resume")
        torch.save({key: value for key, value in content.items() if key not in keys}, path)

    return rewrite


DAMAGES = {
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "noise": lambda path: path.write_bytes(np.random.default_rng(1).bytes(10_000)),
    "a lost sector": damage_bytes,
    "without its epoch": without("epoch"),
    "without its random states": without("random_states"),
    "without its optimizer": without("optimizer"),
    "without its configuration": without("config"),
    "weights alone": lambda path: torch.save(
        {"state_dict": read_checkpoint(path, "resume")["state_dict"]}, path
    ),
    "a list": lambda path: torch.save([1, 2], path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_not_taken(damage, finished, capsys):
    start_logging("info")
    DAMAGES[damage](finished / NEWEST)
    path, content = checkpoints.furthest_readable(finished / "model", processes=1)
    assert (path.name, content["epoch"]) == ("epoch2_unexp.pth.tar", 2)
    (told,) = capsys.readouterr().err.splitlines()
    assert f"{NEWEST}: " in told
    assert told.endswith("; taking the one before it")
    with pytest.raises(UsageError, match=re.escape(f"{NEWEST}: ")):
        checkpoints.read_to_resume(finished / NEWEST)


def test_the_end_is_the_same_after_a_damaged_checkpoint(starter, whole, finished):
    DAMAGES["a lost sector"](finished / NEWEST)
    ended = starter.run(finished.parent.parent, *AUTO)
    assert f"{NEWEST}: was damaged after it was written" in ended.text
    assert "after epoch 2 of 3" in ended.text
    ends_well(ended, finished, whole)


def test_a_damaged_checkpoint_that_is_named_is_refused(finished, capsys):
    DAMAGES["without its random states"](finished / NEWEST)
    refused(finished, capsys, "--resume", finished / NEWEST, told="random_states")


def test_without_a_readable_checkpoint_nothing_is_changed(finished, capsys):
    for path in (finished / "model").iterdir():
        os.truncate(path, 1000)
    told = "none of its checkpoints can be read; start the run anew"
    refused(finished, capsys, "--resume", finished, told=told)


def refused(folder: Path, capsys: pytest.CaptureFixture, *flags: object, told: str) -> None:
    """Check that the run ends with one line, before anything in the folder is changed."""
    before = contents(folder)
    status = run(*flags)
    ends_in_one_line(Ended(status, capsys.readouterr().err), 2, told)
    assert contents(folder) == before


# ------------------------------------------------------------------ data workers


@pytest.mark.parametrize(
    ("how", "timeout", "told"),
    [("dies", LONG, "DataLoader worker"), ("hangs", 1, "timed out after 1")],
)
def test_a_lost_data_worker_ends_the_run_with_one_line(
    how, timeout, told, starter, whole, tmp_path
):
    flags = [*AUTO, "--num_workers", 1]
    fault = ("break_worker", how, 1)
    started = starter.start(tmp_path, *flags, "--worker_timeout", timeout, fault=fault)
    ended = starter.end(started)
    ends_in_one_line(ended, 1, "a data worker was lost", told, "; to go on: run_model.py --resume")
    wait_until(lambda: not session_lives(started))
    assert (only(tmp_path / "runs") / "model" / checkpoints.LAST).exists()
    ends_well(starter.run(tmp_path, *flags), only(tmp_path / "runs"), whole)


def test_closed_streams_change_nothing(starter, whole, tmp_path):
    """Without care, the next files that are opened would get what is printed."""
    ended = starter.run(tmp_path, *AUTO, "--num_workers", 1, fault=("close_streams",))
    assert ended == Ended(0, "")
    ends_well(ended, only(tmp_path / "runs"), whole)


def test_an_unforeseen_error_does_not_wait_for_a_worker_that_hangs(starter, tmp_path):
    fault = ("fail_beside_a_hanging_worker",)
    started = starter.start(tmp_path, *FLAGS, "--num_workers", 1, fault=fault)
    wait_until(lambda: has_ended(started.pid))
    ended = starter.end(started)
    assert ended.status == 1
    assert ended.text.splitlines()[-1] == "ZeroDivisionError"  # with its traceback


def session_lives(started: Started) -> bool:
    try:
        os.killpg(started.pid, 0)
    except ProcessLookupError:
        return False
    return True


# ------------------------------------------------------------------ several programs


@pytest.mark.parametrize("flags", [FLAGS, AUTO])
def test_runs_started_at_the_same_moment_get_a_folder_each(flags, starter, whole, tmp_path):
    runs = [starter.start(tmp_path, *flags) for _ in range(2)]
    ended = [starter.end(run) for run in runs]
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == [whole.name, f"{whole.name}_001"]
    for one, folder in zip(sorted(ended, key=lambda one: "_001" in one.text), folders, strict=True):
        ends_well(one, folder, whole)


@pytest.mark.parametrize("moment", ["filled", "named"])
def test_auto_leaves_a_run_alone_that_another_program_has_in_hand(
    moment, starter, whole, changes, tmp_path
):
    name = whole.name
    naming = re.compile(rf"os\.rename runs/\.{name}[^/]*")
    number = next(n for n, line in enumerate(changes, 1) if naming.fullmatch(line))
    number += moment == "named"
    first = starter.start(tmp_path, *AUTO, fault=("signal_before", number, signal.SIGSTOP))
    wait_until(lambda: state(first.pid) == "T")
    second = starter.run(tmp_path, *AUTO)
    if moment != "filled":
        refused = starter.run(tmp_path, "--resume", f"runs/{name}")
        ends_in_one_line(
            refused, 2, f"runs/{name}: is being run by process {first.pid} on {os.uname().nodename}"
        )
    os.kill(first.pid, signal.SIGCONT)
    folders = ["", "_001"]
    if moment == "filled":  # the second one was faster
        folders.reverse()
    for ended, number in zip([starter.end(first), second], folders, strict=True):
        ends_well(ended, tmp_path / "runs" / f"{name}{number}", whole)


# ------------------------------------------------------------------ the run's folder


def test_a_folder_that_can_not_be_written_is_told(starter, begun):
    folders = [begun, begun / "model"]
    place, before = begun.parent.parent, contents(begun)
    place.chmod(0o755)
    for folder in folders:
        folder.chmod(0o555)
    try:
        ended = starter.run(place, *AUTO, fault=("be_another_user",))
        ends_in_one_line(ended, 2, f"runs/{begun.name}", "Permission denied")
        flags = ["--resume", f"runs/{begun.name}", "--num_epochs", 3]
        ended = starter.run(place, *flags, fault=("be_another_user",))
        ends_in_one_line(ended, 2, f"runs/{begun.name}", "Permission denied")
        assert contents(begun) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.parametrize("phase", ["training", "recording", "saving", "drawing"])
def test_a_folder_that_is_deleted_meanwhile_is_told_and_not_made_anew(phase, starter, tmp_path):
    ended = starter.run(tmp_path, *FLAGS, "--use_tb", fault=("delete_runs", phase, 1))
    ends_in_one_line(ended, 1, "runs/", "no epochs.csv" if phase == "drawing" else "No such file")
    assert not list((tmp_path / "runs").iterdir())


def changed(**fields: object):
    def edit(kept: dict) -> str:
        return json.dumps({**kept, "resolved": {**kept["resolved"], **fields}})

    return edit


EDITS = {
    "no JSON": (lambda kept: "{", "can't be read"),
    "a list": (lambda kept: "[]", "config.json"),
    "nothing resolved": (lambda kept: json.dumps({**kept, "resolved": None}), "'resolved'"),
    "no starts": (lambda kept: json.dumps({**kept, "starts": {}}), "'starts'"),
    "an unknown field": (changed(colour="red"), "colour"),
    "another kind": (changed(batch_size="8"), "batch_size is '8'; put the old value back"),
    "out of range": (changed(log_freq=0), "log_freq 0: must lie between 1"),
    "an unknown choice": (changed(amp="fp8"), "amp is 'fp8'; put the old value back"),
    "an unknown data set": (changed(dataset="UCF102"), "dataset"),
    "another seed": (changed(seed=8), "seed is 8 there, but the checkpoint has 7; put that back"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_configuration_edited_by_hand_is_refused(edit, begun, capsys):
    change, told = EDITS[edit]
    config = begun / "config.json"
    config.write_text(change(json.loads(config.read_text())))
    refused(begun, capsys, "--resume", begun, "--num_epochs", 3, told=told)


@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit != "another seed"])
def test_a_configuration_edited_by_hand_is_refused_without_a_checkpoint_too(edit, begun, capsys):
    for path in (begun / "model").iterdir():
        path.unlink()
    (begun / "epochs.csv").write_text((begun / "epochs.csv").read_text().splitlines()[0] + "\n")
    test_a_configuration_edited_by_hand_is_refused(edit, begun, capsys)


def test_auto_starts_anew_beside_a_run_whose_configuration_can_not_be_read(starter, whole, begun):
    (begun / "config.json").write_text('{"typed": null}')
    ended = starter.run(begun.parent.parent, *AUTO)
    assert "config.json" in ended.text
    ends_well(ended, begun.with_name(f"{begun.name}_001"), whole)


def test_a_flag_that_may_change_can_be_changed_by_hand(begun):
    config = begun / "config.json"
    config.write_text(changed(wd=0.25, num_epochs=2)(json.loads(config.read_text())))
    assert run("--resume", begun) == 0
    content = read_checkpoint(begun / "model/epoch2_unexp.pth.tar", "resume")
    assert content["config"]["wd"] == 0.25
    assert content["optimizer"]["param_groups"][0]["weight_decay"] == 0.25
