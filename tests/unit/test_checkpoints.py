"""Checkpoint files: written whole, read without running code, in every format in circulation."""

import json
import os
import threading
from collections import OrderedDict
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from forked import LIMIT
from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.training.learner import Learner
from model.training.weights import load_pretrained
from published import PARITY, load_file, save_as_published
from run_records import only
from small_runs import TINY, run
from utils.errors import RunError, UsageError
from utils.runs import checkpoints
from utils.runs.checkpoints import write_checkpoint
from utils.runs.reading import read_checkpoint

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def published(tmp_path) -> tuple[Path, DPC_RNN]:
    torch.manual_seed(1)
    model = DPC_RNN("resnet18", 32, 2, 5, 1)
    state = OrderedDict((f"module.{key}", value) for key, value in model.state_dict().items())
    content = {
        "epoch": 100,
        "net": "resnet18",
        "state_dict": state,
        "best_acc": np.float64(0.5),
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(),
        "iteration": 12345,
    }
    path = tmp_path / "published.pth.tar"
    save_as_published(content, path)
    return path, model


def test_a_published_file_loads_into_the_classifier(published):
    path, model = published
    assert path.read_bytes()[:2] != b"PK"  # not a zip file
    assert b"numpy.core.multiarray\n" in path.read_bytes()
    content = read_checkpoint(path, "pretrained")
    assert content["epoch"] == 100
    assert content["best_acc"] == 0.5
    classifier = LC_RNN("resnet18", 32, 2, 5, 7)
    report = load_pretrained(classifier, content, "f")
    loaded = classifier.state_dict()
    for key, value in model.state_dict().items():
        if not key.startswith("network_pred"):
            assert torch.equal(loaded[key], value), key
    assert sorted(report.unexpected) == [
        f"network_pred.{layer}.{name}" for layer in (0, 2) for name in ("bias", "weight")
    ]
    assert {key.split(".")[0] for key in report.missing} == {"backbone", "final_bn", "final_fc"}


def test_a_published_file_finetunes_through_the_command_line(published, tmp_path):
    arguments = [*TINY, "--model", "lc-rnn", "--train_what", "ft", "--num_epochs", 1]
    assert run(*arguments, "--pretrained", published[0], "--output_dir", tmp_path / "out") == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.endswith("_pt-published")


def test_a_published_file_is_not_resumed_but_says_what_to_do(published, capsys):
    assert run("--resume", published[0]) == 2
    assert "holds no configuration" in capsys.readouterr().err


def test_files_of_the_gabor_code_base_are_read(tmp_path):
    path = tmp_path / "mousesim.pth.tar"
    content = {
        "epoch_n": 3,
        "log_idx": 17,
        "best_acc": [0.1, np.float32(0.2), None],
        "data_seed": np.int64(100),
        "hist": np.arange(3.0),
        "state_dict": DPC_RNN("resnet18", 32, 2, 5, 1).state_dict(),
    }
    save_as_published(content, path)
    read = read_checkpoint(path, "pretrained")
    assert read["data_seed"] == 100
    assert read["best_acc"][1] == np.float32(0.2)
    load_file(DPC_RNN("resnet18", 32, 2, 5, 1), read, "--resume f")


@pytest.mark.slow
def test_our_files_load_where_the_published_ones_do(pretrained_run):
    content = torch.load(pretrained_run / "model/epoch1.pth.tar", weights_only=True)
    assert {"epoch", "net", "state_dict", "best_acc", "optimizer", "iteration"} <= content.keys()
    assert type(content["best_acc"]) is float
    published = json.loads((PARITY / "dpc-rnn_resnet18_state_dict.json").read_text())
    assert list(content["state_dict"]) == [f"module.{key}" for key in published]
    wrapped = torch.nn.DataParallel(DPC_RNN("resnet18", 32, 2, 5, 1))
    wrapped.load_state_dict(content["state_dict"], strict=True)


@pytest.mark.slow
def test_a_classifier_of_another_size_is_left_out_and_named(classifier_run, tmp_path):
    arguments = [*TINY, "--no_gray", "--model", "lc-rnn", "--num_epochs", 0]
    weights = classifier_run / "model/epoch0.pth.tar"
    assert run(*arguments, "--pretrained", weights, "--output_dir", tmp_path) == 0
    (log,) = tmp_path.glob("*/log.txt")
    assert "of another size, left out: final_fc.1.weight, final_fc.1.bias" in log.read_text()
    # its statistics were loaded, so none are estimated
    assert "estimated" not in log.read_text()


@pytest.mark.slow
def test_weights_of_another_net_are_refused(pretrained_run, tmp_path, capsys):
    weights = next((pretrained_run / "model").glob("epoch0*"))
    arguments = [*TINY, "--net", "resnet50", "--pretrained", weights, "--output_dir", tmp_path]
    assert run(*arguments) == 2
    assert "name the --net that it is of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_weights_of_a_deeper_net_are_refused(tmp_path, capsys):
    torch.save({"state_dict": DPC_RNN("resnet34", 32, 2, 5, 1).state_dict()}, tmp_path / "w")
    assert run(*TINY, "--pretrained", tmp_path / "w", "--output_dir", tmp_path / "out") == 2
    assert "name the --net that it is of" in capsys.readouterr().err.splitlines()[-1]
    assert run(*TINY, "--net", "resnet50", "--pretrained", tmp_path / "w") == 2
    assert not (tmp_path / "out").exists()


def test_weights_that_cover_too_little_of_the_backbone_are_refused(tmp_path, capsys):
    torch.save(
        {"state_dict": {"backbone.conv1.weight": torch.zeros(8, 3, 1, 7, 7)}}, tmp_path / "w"
    )
    assert run(*TINY, "--pretrained", tmp_path / "w", "--output_dir", tmp_path / "out") == 2
    assert "covers 2% of the backbone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [("ConvGRUCell_00",), ("cell_list.0",)])
def test_the_aggregators_cell_may_be_listed_once(names):
    model = DPC_RNN("resnet18", 32, 1, 1, 1)
    state = {
        key: value
        for key, value in model.state_dict().items()
        if not key.startswith("agg") or any(name in key for name in names)
    }
    twin = DPC_RNN("resnet18", 32, 1, 1, 1)
    load_file(twin, {"state_dict": state}, "--resume f")
    for key, value in model.state_dict().items():
        assert torch.equal(twin.state_dict()[key], value)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "epoch1.pth.tar"
    write_checkpoint(path, {"epoch": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_checkpoint(path, {"epoch": 2})
    assert read_checkpoint(path, "resume") == {"epoch": 1}
    assert os.listdir(tmp_path) == [path.name]


def write_epochs(folder: Path, *epochs: int, unexpected_from: int = 1000) -> None:
    for epoch in epochs:
        phase = "unexpected" if epoch >= unexpected_from else "expected"
        write_checkpoint(folder / checkpoints.epoch_name(epoch, phase), {"epoch": epoch})


def test_the_run_goes_on_while_a_checkpoint_is_written_as_things_were(tmp_path, monkeypatch):
    writing, trained_meanwhile = threading.Event(), threading.Event()
    update, last = Learner.update, 2

    def slow_write(path, content):
        before = deepcopy(content["state_dict"])
        writing.set()
        assert content["epoch"] == last or trained_meanwhile.wait(LIMIT)
        writing.clear()
        trained_meanwhile.clear()
        assert all(
            torch.equal(value, before[name]) for name, value in content["state_dict"].items()
        )
        write_checkpoint(path, content)

    def noted_update(*arguments, **options):
        update(*arguments, **options)
        if writing.is_set():
            trained_meanwhile.set()

    monkeypatch.setattr(checkpoints, "write_checkpoint", slow_write)
    monkeypatch.setattr(Learner, "update", noted_update)
    assert run(*TINY, "--num_epochs", last, "--output_dir", tmp_path) == 0
    assert {path.name for path in (only(tmp_path) / "model").glob("epoch*")} == {
        "epoch0.pth.tar",
        "epoch1.pth.tar",
        "epoch2_unexp.pth.tar",
    }


def test_a_checkpoint_that_cant_be_written_ends_the_run(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise RunError("the disk is full")

    monkeypatch.setattr(checkpoints, "write_checkpoint", fail)
    assert run(*TINY, "--num_epochs", 1, "--output_dir", tmp_path) == RunError.status
    assert "the disk is full" in capsys.readouterr().err


def test_the_last_two_epochs_and_the_landmarks_are_kept(tmp_path):
    write_epochs(tmp_path, *range(13), unexpected_from=5)
    checkpoints.prune(tmp_path, {0, *range(2, 8)})
    assert list(checkpoints.by_epoch(tmp_path)) == [12, 11, 7, 6, 5, 4, 3, 2, 0]


def test_the_best_checkpoint_replaces_the_one_before_it_in_its_phase(tmp_path):
    write_epochs(tmp_path, 1, 2, 3, unexpected_from=3)
    for epoch, phase in ((1, "expected"), (2, "expected"), (3, "unexpected")):
        source = tmp_path / checkpoints.epoch_name(epoch, phase)
        checkpoints.keep_best(tmp_path, source, epoch, phase)
    names = sorted(path.name for path in tmp_path.glob("best*"))
    assert names == ["best_epoch2.pth.tar", "best_unexp_epoch3.pth.tar"]
    assert read_checkpoint(tmp_path / names[0], "test") == {"epoch": 2}


def test_a_folder_without_a_readable_checkpoint_is_an_error(tmp_path):
    assert checkpoints.furthest_readable(tmp_path, 1) is None
    (tmp_path / "epoch1.pth.tar").write_bytes(b"")
    with pytest.raises(UsageError, match="none of its checkpoints can be read"):
        checkpoints.furthest_readable(tmp_path, 1)
