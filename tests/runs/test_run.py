"""Whole runs on small Gabors: what they leave behind, and that they can be trusted to go on."""

import importlib.metadata
import json
import math
import os
import shutil
import signal
import sys
import time

import pandas as pd
import pytest
import torch

import run_model
from dataset.gabors import GaborDataset
from forked import Starter
from run_records import only, records, same_weights, weights
from small_runs import NARROW_FEATURES, TINY, classifier_arguments, run
from utils.errors import PREEMPTED, RunError, Stopped
from utils.runs import checkpoints
from utils.runs.reading import read_checkpoint

pytestmark = pytest.mark.usefixtures("small")


def test_a_run_folder_holds_what_the_readme_says(pretrained_run):
    assert (
        pretrained_run.name == "gabors-32_r18_dpc-rnn_bs4_lr0.001_nseq2_pred1_len5_train-all_seed7"
    )
    names = {path.name for path in (pretrained_run / "model").iterdir()}
    epochs = {f"{name}.pth.tar" for name in ("epoch0", "epoch1", "epoch2_unexp", "epoch3_unexp")}
    assert epochs <= names
    best = names - epochs
    assert len(best) == 2
    assert sum(name.startswith("best_epoch") for name in best) == 1
    assert sum(name.startswith("best_unexp_epoch") for name in best) == 1

    epochs = pd.read_csv(pretrained_run / "epochs.csv")
    assert list(zip(epochs["epoch"], epochs["mode"], strict=True)) == [
        (epoch, mode) for epoch in range(4) for mode in ("train", "val")
    ]
    assert (epochs["phase"] == "unexpected").tolist() == [False] * 4 + [True] * 4
    assert epochs["chance"].tolist() == [1 / 4] * 8  # B·P·S = 4·1·1
    assert epochs["top5"].isna().all()  # of 4 columns
    predictions = pd.read_csv(pretrained_run / "predictions.csv")
    assert len(predictions) == 4 * (8 + 4)
    assert set(predictions["image"]) == {"C"}  # A, B seen, C predicted
    assert (pretrained_run / "log.txt").stat().st_size > 0
    assert (pretrained_run / "loss_and_accuracy.png").stat().st_size > 0


def test_an_epochs_loss_is_the_mean_over_its_predictions(pretrained_run):
    epochs = pd.read_csv(pretrained_run / "epochs.csv").set_index(["epoch", "mode"])
    predictions = pd.read_csv(pretrained_run / "predictions.csv")
    means = predictions.groupby(["epoch", "mode"])["loss"].mean()
    for key, row in epochs.iterrows():
        assert row["loss"] == pytest.approx(means[key], rel=1e-5)


def test_a_row_says_where_the_time_went(pretrained_run):
    epochs = pd.read_csv(pretrained_run / "epochs.csv")
    parts = epochs[["data_seconds", "network_seconds", "rest_seconds"]]
    assert (parts >= 0).all(axis=None)
    assert (epochs["network_seconds"] > 0).all()
    assert parts.sum(axis=1).tolist() == pytest.approx(epochs["seconds"].tolist(), abs=0.005)
    speed = epochs["evaluated"] / epochs["seconds"]
    assert epochs["clips_per_second"].tolist() == pytest.approx(speed.tolist(), rel=0.1)
    assert (epochs["host_MiB"] > 100).all()
    assert epochs["device_MiB"].isna().all()  # on a CPU


def test_waiting_for_data_is_warned_of_once(tmp_path, monkeypatch, capsys):
    draw, clock, late = GaborDataset.__getitem__, time.perf_counter, 0

    def draw_slowly(dataset, key):
        nonlocal late
        late += 60  # seconds
        return draw(dataset, key)

    monkeypatch.setattr(GaborDataset, "__getitem__", draw_slowly)
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + late)
    assert run(*TINY, "--num_epochs", 2, "--output_dir", tmp_path) == 0
    text = capsys.readouterr().err
    assert text.count("went by waiting for data: raise --num_workers (now 0)") == 1


def test_the_configuration_is_kept_as_typed_and_as_resolved(pretrained_run):
    kept = json.loads((pretrained_run / "config.json").read_text())
    assert kept["typed"]["dataset"] == "Gabors"
    assert "lr" not in kept["typed"]
    assert kept["resolved"]["lr"] == 1e-3
    assert kept["resolved"]["seed"] == 7
    assert kept["starts"][0]["versions"]["torch"] == importlib.metadata.version("torch")


def test_a_resumed_run_has_the_records_and_weights_of_an_uninterrupted_one(
    pretrained_run, tmp_path
):
    assert run(*TINY, "--num_epochs", 1, "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    assert run("--resume", folder, "--num_epochs", 2, "--num_workers", 1) == 0
    assert run("--resume", folder, "--num_epochs", 3) == 0
    assert records(folder) == records(pretrained_run)
    last = "model/epoch3_unexp.pth.tar"
    assert same_weights(folder / last, pretrained_run / last)
    a, b = (read_checkpoint(f / last, "resume") for f in (folder, pretrained_run))
    assert a["best"] == b["best"]
    assert a["iteration"] == b["iteration"] == 6


def test_a_resumed_classifier_has_the_records_of_an_uninterrupted_one(
    classifier_run, pretrained_run, tmp_path
):
    assert run(*classifier_arguments(pretrained_run, 1), "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    assert run("--resume", folder, "--num_epochs", 2) == 0
    assert records(folder) == records(classifier_run)
    for path in checkpoints.by_epoch(classifier_run / "model").values():
        assert same_weights(folder / "model" / path.name, path)


def test_a_run_cut_off_while_recording_resumes_to_the_same_records(pretrained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(pretrained_run, folder)
    # as if killed in epoch 3, after its rows and in the middle of one, before its checkpoint
    (folder / "model/epoch3_unexp.pth.tar").unlink()
    with open(folder / "predictions.csv", "a") as file:
        file.write("4,train,0")
    assert run("--resume", folder) == 0
    assert records(folder) == records(pretrained_run)


def test_resume_takes_the_furthest_readable_checkpoint(pretrained_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(pretrained_run, folder)
    newest = folder / "model/epoch3_unexp.pth.tar"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert run("--resume", folder) == 0
    assert "epoch3_unexp.pth.tar: is damaged or cut off" in capsys.readouterr().err
    assert records(folder) == records(pretrained_run)


def test_resuming_an_earlier_checkpoint_drops_what_came_after(pretrained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(pretrained_run, folder)
    assert run("--resume", folder / "model/epoch1.pth.tar", "--num_epochs", 1) == 0
    assert pd.read_csv(folder / "epochs.csv")["epoch"].max() == 1
    assert max(checkpoints.by_epoch(folder / "model")) == 1
    assert not list((folder / "model").glob("best_unexp*"))


def test_a_kill_before_the_best_checkpoint_got_its_name_is_mended(pretrained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(pretrained_run, folder)
    (best,) = (folder / "model").glob("best_epoch*")
    epoch = read_checkpoint(best, "resume")["epoch"]
    best.rename(folder / "model/best_epoch77.pth.tar")
    assert run("--resume", folder / f"model/epoch{epoch}.pth.tar", "--num_epochs", epoch) == 0
    assert [path.name for path in (folder / "model").glob("best_*")] == [best.name]


def test_a_finished_run_says_so_and_changes_nothing(pretrained_run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(pretrained_run, folder)
    assert run("--resume", folder) == 0
    assert "has reached its epochs" in capsys.readouterr().err
    assert records(folder) == records(pretrained_run)


def test_the_number_of_workers_changes_no_record(pretrained_run, tmp_path):
    assert run(*TINY, "--num_epochs", 1, "--num_workers", 2, "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    expected = pd.read_csv(pretrained_run / "predictions.csv").query("epoch <= 1")
    assert pd.read_csv(folder / "predictions.csv").equals(expected)


def test_reset_lr_restarts_the_optimizer_at_another_rate(pretrained_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(pretrained_run, folder)
    arguments = ["--resume", folder, "--num_epochs", 4, "--lr", 1e-4]
    assert run(*arguments) == 2
    assert run(*arguments, "--reset_lr") == 0
    content = read_checkpoint(folder / "model/epoch4_unexp.pth.tar", "resume")
    assert content["optimizer"]["param_groups"][0]["lr"] == 1e-4
    steps = {int(state["step"]) for state in content["optimizer"]["state"].values()}
    assert steps == {2}


def test_a_classifier_learns_from_pretrained_weights_and_is_tested(
    classifier_run, pretrained_run, capsys
):
    predictions = pd.read_csv(classifier_run / "predictions.csv")
    assert set(predictions["image"]) == {"B"}
    assert len(predictions) == 3 * (8 + 4)
    assert "_pt-best_epoch" in classifier_run.name
    log = (classifier_run / "log.txt").read_text()
    assert "loaded: backbone 60, agg 6" in log
    assert "missing, as initialised: backbone statistics 60, final_bn 2" in log
    assert "unexpected, left out: network_pred 4" in log
    assert "estimated the batch norm's statistics over 2 training batches" in log
    sizes = {
        key: v.numel() for key, v in weights(next((classifier_run / "model").glob("e*"))).items()
    }
    body = sum(
        size
        for key, size in sizes.items()
        if key.startswith(("backbone", "agg.cell_list")) and key.endswith(("weight", "bias"))
    )
    classifier = (2 + 41) * NARROW_FEATURES + 41
    assert f"training backbone and aggregator: {body} parameters at rate 0.0001" in log
    assert f"training classifier: {classifier} parameters at rate 0.001" in log

    best = next((classifier_run / "model").glob("best_epoch*"))
    assert run("--test", best) == 0
    folder = classifier_run / f"test_{best.name.removesuffix('.pth.tar')}"
    tested = pd.read_csv(folder / "epochs.csv")
    assert tested[["mode", "phase"]].to_numpy().tolist() == [["test", "expected"]]
    assert len(pd.read_csv(folder / "predictions.csv")) == 4
    assert f"run folder: {folder}" in capsys.readouterr().out
    # any batch size gives the same numbers, and U images come when asked for
    assert run("--test", best, "--batch_size", 3, "--unexp_epoch", 0) == 0
    again = pd.read_csv(classifier_run / f"{folder.name}_001" / "epochs.csv")
    assert again["phase"].item() == "unexpected"
    assert run("--test", best, "--batch_size", 3) == 0
    again = pd.read_csv(classifier_run / f"{folder.name}_002" / "epochs.csv")
    assert again["loss"].item() == pytest.approx(tested["loss"].item(), rel=1e-5)


@pytest.mark.parametrize("train_what", ["all", "ft", "last"])
def test_train_what_says_which_weights_move(train_what, pretrained_run, tmp_path):
    best = next((pretrained_run / "model").glob("best_epoch*"))
    arguments = [*TINY, "--model", "lc", "--train_what", train_what, "--num_epochs", 1]
    assert run(*arguments, "--pretrained", best, "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    before, after = (weights(folder / f"model/epoch{e}.pth.tar") for e in (0, 1))
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    everything = {"backbone", "agg", "final_bn", "final_fc"}
    assert moved == ({"final_bn", "final_fc"} if train_what == "last" else everything)


def test_random_weights_can_be_tested(tmp_path):
    assert run(*TINY, "--model", "lc-rnn", "--test", "random", "--output_dir", tmp_path) == 0
    assert (tmp_path / "test_random" / "epochs.csv").is_file()


def test_a_taken_name_gets_a_number_and_overwrite_replaces_it(tmp_path):
    arguments = [*TINY, "--num_epochs", 0, "--not_save_best", "--output_dir", tmp_path]
    assert run(*arguments) == 0
    assert run(*arguments) == 0
    first, second = sorted(tmp_path.iterdir())
    assert second.name == f"{first.name}_001"
    (first / "mark").touch()
    assert run(*arguments, "--overwrite") == 0
    assert sorted(tmp_path.iterdir()) == [first, second]
    assert not (first / "mark").exists()


def test_overwrite_removes_only_run_folders(pretrained_run, tmp_path, capsys):
    foreign = tmp_path / pretrained_run.name
    foreign.mkdir()
    assert run(*TINY, "--num_epochs", 0, "--overwrite", "--output_dir", tmp_path) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert foreign.is_dir()


def test_a_seed_that_is_not_typed_is_drawn_and_kept(tmp_path):
    arguments = [word for word in TINY if word not in ("--seed", "7")]
    assert run(*arguments, "--num_epochs", 0, "--not_save_best", "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    kept = json.loads((folder / "config.json").read_text())
    assert "seed" not in kept["typed"]
    assert kept["resolved"]["seed"] >= 0
    assert "_seed" not in folder.name


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_checkpoint(tmp_path, capsys):
    arguments = [*TINY, "--num_epochs", 3, "--lr", 1e30, "--output_dir", tmp_path]
    assert run(*arguments) == 1
    assert "the loss is " in capsys.readouterr().err.splitlines()[-1]
    folder = only(tmp_path)
    kept = weights(folder / "model/epoch0.pth.tar")
    assert all(math.isfinite(value.abs().sum()) for value in kept.values())
    assert pd.read_csv(folder / "epochs.csv")["loss"].notna().all()


def test_tensorboard_files_hold_scalars_and_a_clip(tmp_path):
    arguments = [*TINY, "--num_epochs", 0, "--use_tb", "--output_dir", tmp_path]
    assert run(*arguments) == 0
    (events,) = tmp_path.glob("*/tensorboard/*")
    content = events.read_bytes()
    assert b"loss/val" in content
    assert b"input_clip" in content


def test_a_result_that_no_one_reads_ends_with_one_line(tmp_path, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", closefd=False) as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        status = run_model.main([*TINY, "--num_epochs", "0", "--output_dir", str(tmp_path)])
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)  # so that it can be closed
    os.close(write)
    assert status == RunError.status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"run_model.py: {tmp_path}")
    assert "can't print its result: Broken pipe" in last


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, Stopped.status),
        (signal.SIGTERM, PREEMPTED),
        (signal.SIGUSR1, PREEMPTED),
        (signal.SIGHUP, PREEMPTED),  # the terminal is closed
    ],
)
def test_a_signal_to_all_processes_ends_with_one_line(number, status, starter: Starter, tmp_path):
    """A terminal and Slurm send it to the data workers, too."""
    flags = [*TINY, "--num_epochs", 1000, "--num_workers", 1, "--output_dir", "runs"]
    started = starter.start(tmp_path, *flags)
    started.wait_for("\nepoch 1/1000")
    os.killpg(started.pid, number)
    ended = starter.end(started)
    assert ended.status == status
    assert "Traceback" not in ended.text
    assert "to go on: run_model.py --resume" in ended.text.splitlines()[-1]
    assert run("--resume", only(tmp_path / "runs"), "--num_epochs", 1) == 0
