"""How runs learn: presets, optimizers and schedules, from the command line to the records."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from compared_runs import CLASSIFIER, make_run
from model.training.learner import Learner
from run_records import only, same_end, weights
from small_runs import TINY, run, signal_in_call, video_flags
from utils.compare.found import find_runs, started_with
from utils.compare.groups import group_runs
from utils.compare.measures import measure_all
from utils.config import changes
from utils.config.checks import check
from utils.config.command_line import build_parser, parse
from utils.config.flags import Config
from utils.config.presets import PRESETS
from utils.errors import PREEMPTED, UsageError
from utils.runs.folder import read_config, run_name
from utils.runs.reading import read_checkpoint
from video_data import Prepared, prepare

SGD = ["--optim", "sgd", "--lr", 0.01]


def learning_rates(folder: Path, mode: str = "train") -> list[float]:
    rows = pd.read_csv(folder / "epochs.csv")
    return rows[(rows["mode"] == mode) & (rows["epoch"] > 0)]["lr"].tolist()


# ---- presets ----


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_the_help_says(name):
    typed = parse(["--preset", name])
    assert typed == PRESETS[name].flags
    check(replace(Config(), **typed))
    text = build_parser().format_help()
    (told,) = re.findall(rf"^  {name}: .*\n((?:    .*\n)+)", text + "\n", re.M)
    assert parse(shlex.split(told)) == typed


def test_the_presets_are_the_published_recipes():
    probe = replace(Config(), **parse(["--preset", "linear-probe"]))
    assert (probe.model, probe.train_what, probe.l2_norm, probe.dropout) == (
        *("lc-rnn", "last", True, 0),
    )
    assert (probe.optim, probe.momentum, probe.lr, probe.weight_decay) == ("sgd", 0.9, 0.1, 1e-3)
    assert (probe.schedule, probe.lr_gamma, probe.num_epochs) == ("60 80", 0.1, 100)
    assert probe.augm == "linear"
    long = replace(Config(), **parse(["--preset", "dpc-long"]))
    assert (long.model, long.optim, long.lr, long.lr_gamma) == ("dpc-rnn", "adam", 1e-3, 0.1)
    assert (long.schedule, long.num_epochs) == ("300", 400)


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        (["--lr", "0.3", "--schedule", "6", "8"], {"lr": 0.3, "schedule": "6 8"}),
        (["--schedule", "none", "--epochs", "3"], {"schedule": "none", "num_epochs": 3}),
        (["--model", "lc", "--net", "resnet34"], {"net": "resnet34"}),
    ],
)
def test_what_is_typed_beside_a_preset_wins(flags, changed):
    expected = {**PRESETS["linear-probe"].flags, **changed}
    assert parse(["--preset", "linear-probe", *flags]) == expected
    assert parse([*flags, "--preset", "linear-probe"]) == expected


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--momentum", "0.5"], "--momentum: is for --optim sgd; add that, or leave it out"),
        (["--schedule", "80", "60"], "--schedule 80 60: takes epochs that increase"),
        (["--schedule", "60", "none"], "--schedule 60 none: takes epochs that increase"),
        (["--schedule", "0", "60"], "--schedule 0 60: epochs count from 1"),
        (["--lr_gamma", "0"], "--lr_gamma 0: must be above 0 and at most 1"),
        (["--preset", "fast"], "--preset fast: unknown; take linear-probe or dpc-long"),
        (["--preset", "linear-probe", "--resume", "x"], "--preset: is for new runs, and --resume"),
        (["--preset", "linear-probe", "--test", "x"], "--preset: is for new runs, and --test"),
        (["--preset", "dpc-long", "--analysis", "x"], "--preset: is for new runs, and --analysis"),
        (
            ["--preset", "linear-probe", "--model", "dpc-rnn"],
            "is for lc-rnn; leave --model dpc-rnn out",
        ),
    ],
)
def test_a_recipe_that_makes_no_sense_gets_one_line(flags, told, capsys):
    assert run(*flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    place = tmp_path_factory.mktemp("ucf")
    return prepare(place, lengths=(24, 30, 27), test_lengths=(26, 28))


@pytest.mark.usefixtures("small")
def test_a_linear_probe_learns_the_last_layer_alone_and_goes_on_by_auto(prepared, tmp_path, capsys):
    flags = video_flags(prepared.csv_root)
    dpc = [*flags, "--pred_step", 1, "--num_epochs", 0, "--output_dir", tmp_path / "dpc"]
    assert run(*dpc) == 0
    pretrained = only(tmp_path / "dpc") / "model/epoch0.pth.tar"
    probe = [*flags, "--preset", "linear-probe", "--pretrained", pretrained, "--schedule", 1]
    probe += ["--resume", "auto", "--output_dir", tmp_path / "probe"]
    assert run(*probe, "--num_epochs", 1) == 0
    assert run(*probe, "--num_epochs", 3) == 0
    folder = only(tmp_path / "probe")
    assert "_train-last_sgd_seed1_pt-epoch0" in folder.name
    assert learning_rates(folder) == pytest.approx([0.1, 0.01, 0.01])
    kept = read_config(folder)
    assert "preset" not in {**kept["typed"], **kept["resolved"]}
    expected = {**PRESETS["linear-probe"].flags, "schedule": "1", "num_epochs": 1}
    assert kept["typed"].items() >= expected.items()
    assert kept["resolved"].items() >= {**expected, "num_epochs": 3}.items()

    log = (folder / "log.txt").read_text()
    assert "sgd with momentum 0.9 and weight decay 0.001; the rate is multiplied by 0.1" in log
    before, after = (weights(folder / f"model/epoch{epoch}.pth.tar") for epoch in (0, 3))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {
        *(f"final_bn.{name}" for name in ("weight", "bias", "running_mean", "running_var")),
        *("final_bn.num_batches_tracked", "final_fc.1.weight", "final_fc.1.bias"),
    }
    capsys.readouterr()
    assert run("--test", folder / "model/epoch3.pth.tar") == 0
    tested = json.loads((folder / "test_epoch3/config.json").read_text())["resolved"]
    assert tested["l2_norm"] is True


def test_a_test_takes_the_l2_norm_from_the_checkpoint():
    for there in (True, False):
        content: dict[str, Any] = {"config": vars(replace(CLASSIFIER, l2_norm=there))}
        assert changes.evaluated_config(content, {"test": "x"}).l2_norm is there
    with pytest.raises(UsageError, match="--l2_norm True: the checkpoint to test has False"):
        changes.evaluated_config(content, {"test": "x", "l2_norm": True})


# ---- optimizers and schedules ----


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("momentum", [0.9, 0])
def test_a_resumed_run_by_sgd_equals_an_uninterrupted_one(momentum, tmp_path):
    flags = [*TINY, *SGD, "--momentum", momentum, "--num_epochs", 2, "--schedule", 1]
    assert run(*flags, "--output_dir", tmp_path / "whole") == 0
    with signal_in_call(Learner, "update", 2):  # within the first epoch
        assert run(*flags, "--output_dir", tmp_path / "parts") == PREEMPTED
    whole, parts = (only(tmp_path / name) for name in ("whole", "parts"))
    assert run("--resume", parts, "--num_epochs", 1) == 0
    assert run("--resume", parts, "--num_epochs", 2) == 0
    same_end(parts, whole)
    assert learning_rates(whole) == [0.01, 0.01 * 0.1]
    state = read_checkpoint(whole / "model/epoch2_unexp.pth.tar", "resume")["optimizer"]["state"]
    assert {name for values in state.values() for name in values} == (
        {"momentum_buffer"} if momentum else set()
    )


@pytest.mark.usefixtures("small")
def test_a_resumed_run_may_change_its_schedule_and_restart_sgd(tmp_path, capsys):
    flags = [*TINY, *SGD, "--num_epochs", 1, "--output_dir", tmp_path]
    assert run(*flags) == 0
    folder = only(tmp_path)
    resume = ["--resume", folder, "--num_epochs"]
    assert run(*resume, 2, "--schedule", 1, "--lr_gamma", 0.5) == 0
    told = capsys.readouterr().err
    assert "--schedule: 1 instead of the default" in told
    assert "--lr_gamma: 0.5 instead of 0.1" in told
    assert "the rate is multiplied by 0.5 after epoch 1" in told
    assert run(*resume, 3, "--schedule", "none", "--reset_lr", "--lr", 0.02) == 0
    assert learning_rates(folder) == [0.01, 0.005, 0.02]
    assert run(*resume, 4, "--optim", "adam") == 2
    assert "--optim adam: the run to resume has sgd" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_sgd_finetunes_the_body_at_a_tenth_of_the_rate(tmp_path):
    flags = [*TINY, *SGD, "--model", "lc-rnn", "--train_what", "ft", "--num_epochs", 1]
    assert run(*flags, "--momentum", 0, "--wd", 0, "--output_dir", tmp_path) == 0
    models = only(tmp_path) / "model"
    before, after = (weights(models / f"epoch{epoch}.pth.tar") for epoch in (0, 1))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"backbone", "agg", "final_bn", "final_fc"}
    groups = read_checkpoint(models / "epoch1.pth.tar", "resume")["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([0.001, 0.01])


def test_the_name_of_a_run_by_sgd_says_so():
    name = "ucf101-128_r18_lc-rnn_bs24_lr0.1_nseq5_len5_ds3_train-last"
    config = Config(model="lc-rnn", train_what="last", lr=0.1, optim="sgd", seed=3)
    assert run_name(config, seed_typed=True) == f"{name}_sgd_seed3"
    assert run_name(replace(config, optim="adam"), seed_typed=False) == name


# ---- what other programs make of them ----


@pytest.mark.parametrize(
    ("flags", "usual", "other"),
    [
        ({"optim": "sgd"}, "optim adam", "optim sgd"),
        ({"schedule": "60 80"}, "the model's own schedule", "schedule 60 80"),
        ({"schedule": "none"}, "the model's own schedule", "schedule none"),
        ({"lr_gamma": 0.5}, "lr_gamma 0.1", "lr_gamma 0.5"),
        ({"label_share": 0.1}, "label_share 1", "label_share 0.1"),
        ({"l2_norm": True}, "without l2_norm", "l2_norm"),
        ({"augm": "linear"}, "augm published", "augm linear"),
        (
            {"optim": "sgd", "momentum": 0.5},
            "optim adam, momentum 0.9",
            "optim sgd, momentum 0.5",
        ),
    ],
)
def test_runs_that_learn_otherwise_are_groups_of_their_own(flags, usual, other, tmp_path):
    for seed in (1, 2):
        make_run(tmp_path, replace(CLASSIFIER, seed=seed), [3, 2], name=f"usual{seed}")
        make_run(tmp_path, replace(CLASSIFIER, seed=seed, **flags), [3, 1], name=f"other{seed}")
    groups = group_runs(measure_all(find_runs([tmp_path]))).groups
    assert {group.label for group in groups} == {usual, other}
    assert [len(group.measured) for group in groups] == [2, 2]


def test_runs_are_found_by_the_preset_that_they_were_started_with(tmp_path):
    flags = ["--preset", "linear-probe", "--dataset", "ucf101"]
    wanted, _ = (
        make_run(tmp_path, replace(Config(), **parse([*flags, *more]), seed=1), [3, 2])
        for more in ([], ["--lr", "0.3"])
    )
    found = started_with(find_runs([tmp_path]), flags)
    assert [found_run.folder for found_run in found] == [wanted.resolve()]


def test_an_analysis_from_before_these_flags_has_the_same_settings():
    """They were these keys; what is not at its default makes other clips, or another network."""
    before = [
        *("model", "seed", "batch_size", "dataset", "split", "eye", "img_dim", "seq_len"),
        *("num_seq_in", "ucf_hmdb_ms_ds", "no_augm", "resize", "pad_short", "gabor_design"),
        *("num_gabors", "gab_img_len", "diff_possizes", "no_gray", "roll", "shift_frames"),
        *("U_prob", "diff_U_possizes", "train_len", "net", "pred_step", "track_bn"),
    ]
    assert list(changes.recorded_settings(Config())) == before
    assert (
        list(changes.recorded_settings(Config(model="lc-rnn", optim="sgd", schedule="3"))) == before
    )
    for name, value in {"label_share": 0.5, "l2_norm": True, "augm": "linear"}.items():
        settings = changes.recorded_settings(replace(CLASSIFIER, **{name: value}))
        assert settings == {**changes.recorded_settings(CLASSIFIER), name: value}
