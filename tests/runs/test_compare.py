"""`python -m utils.compare`: its files, its one line for wrong input, the same bytes each time."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from compared_runs import (
    CLASSIFIER,
    D_0,
    D_90,
    GABORS,
    analyse,
    make_retrieval,
    make_run,
    make_test,
    predict,
)
from forked import ROOT
from utils.compare import pictures
from utils.compare.__main__ import default_out, main
from utils.errors import PREEMPTED
from utils.runtime.interrupts import STOPPING

TABLES = {"comparison.csv", "summary.csv"}
CURVES = {"loss.png", "accuracy.png"}


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    """Four Gabor runs of two learning rates, with predictions and analyses."""
    folders = []
    for seed in (100, 101):
        for lr in (1e-3, 3e-4):
            run = make_run(
                tmp_path / "runs", replace(GABORS, seed=seed, lr=lr), [5, 4, 3, seed / 50]
            )
            for epoch in range(4):
                predict(run, epoch, "val", [(D_0, D_0), (D_0, D_90)])
            analyse(run, {(e, "post", m, "error"): lr * e for e in (2, 3) for m in ("encoder",)})
            folders.append(run)
    return folders


def run_main(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_gabor_runs_give_tables_and_figures_beside_them(runs, capsys):
    assert run_main(runs[0].parent) == 0
    out = runs[0].parent / "comparison"
    assert names(out) == {*TABLES, *CURVES, "gabor_types.png", "usi.png", "usi_abs.png"}
    printed, noise = capsys.readouterr()
    assert noise == ""
    made = ("loss", "accuracy", "gabor_types", "usi", "usi_abs")
    files = ["comparison.csv", "summary.csv", *(f"{name}.png" for name in made)]
    assert printed.splitlines()[-7:] == [str(out / name) for name in files]
    table = pd.read_csv(out / "comparison.csv")
    rows = table[(table["metric"] == "loss") & (table["mode"] == "train") & (table["epoch"] == 3)]
    assert rows["lr"].tolist() == [3e-4, 1e-3]
    assert rows["mean"].tolist() == [2.01, 2.01]
    assert rows["seeds"].tolist() == ["100;101", "100;101"]


def test_classifiers_and_their_tests_are_compared(tmp_path, capsys):
    for split in (1, 2, 3):
        config = replace(CLASSIFIER, split=split, seed=1)
        run = make_run(tmp_path, config, [3.0, 2.0], name=f"split{split}")
        make_test(run, config, "best_epoch1", (0.1 * split, 0.5, 0.6), (0.1, 0.2, 0.3))
    assert run_main(*(tmp_path / f"split{n}" for n in (1, 2, 3)), "--out", tmp_path / "out") == 0
    assert names(tmp_path / "out") == {*TABLES, *CURVES, "tests.png"}
    text = capsys.readouterr().out
    assert "1, splits 1-3" in text
    assert "top-1 (%), videos 20.0 ± 10.0" in " ".join(text.split())


def test_retrievals_of_three_splits_are_compared(tmp_path, capsys):
    for split in (1, 2, 3):
        config = replace(CLASSIFIER, split=split, seed=1, pretrained="")
        values = {"R@1": 0.1 * split, "knn_top1": 0.5}
        make_retrieval(tmp_path / f"split{split}", config, "k400/model/epoch5.pth.tar", values)
        make_retrieval(tmp_path / f"split{split}", config, "random", {"R@1": 0.1})
    assert run_main(tmp_path) == 0
    out = tmp_path / "comparison"
    assert names(out) == {*TABLES, "evaluations.png"}
    table = pd.read_csv(out / "summary.csv")
    row = table[table["metric"] == "R@1"].set_index("retrieve").loc["epoch5"]
    assert row[["mode", "part", "n", "seeds"]].tolist() == [
        *("test", "retrieval", 3, "1 split 1;1 split 2;1 split 3"),
    ]
    text = " ".join(capsys.readouterr().out.split())
    assert "R@1 (%) 20.0 ± 10.0 10.0 ± 0.0 chance of R@1" in text


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes_in_any_order(runs, tmp_path, monkeypatch):
    assert run_main(*runs, "--out", tmp_path / "one") == 0
    monkeypatch.chdir(tmp_path)
    backwards = [os.path.relpath(run) for run in reversed(runs)]
    assert run_main(*backwards, runs[0], "--out", "other") == 0
    assert names(tmp_path / "one") == names(tmp_path / "other")
    for name in names(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.slow
def test_pictures_that_no_longer_apply_are_removed_and_other_files_stay(runs, tmp_path):
    out = tmp_path / "out"
    assert run_main(*runs, "--out", out) == 0
    (out / "notes.png").touch()
    for run in runs:
        (run / "analysis" / "usi.csv").unlink()
    assert run_main(*runs, "--out", out) == 0
    assert names(out) == {*TABLES, *CURVES, "gabor_types.png", "notes.png"}


@pytest.mark.slow
def test_many_groups_and_single_epochs_can_be_drawn(tmp_path):
    for number in range(10):
        suffix = f"a_rather_long_name_of_an_experiment_{number}"
        make_run(tmp_path, replace(GABORS, suffix=suffix, lr=1e-3 * (number + 1)), [5.0])
    assert run_main(tmp_path) == 0
    assert names(tmp_path / "comparison") == {*TABLES, *CURVES}


def test_files_lie_beside_the_runs_never_within_one(runs, tmp_path):
    parent = runs[0].parent
    assert default_out([parent]) == parent / "comparison"
    assert default_out([runs[0]]) == parent / "comparison"
    assert default_out(runs) == parent / "comparison"
    assert default_out([runs[0], tmp_path]) == tmp_path / "comparison"


def test_only_runs_started_with_the_given_flags_count(runs, tmp_path, capsys):
    make_run(runs[0].parent, CLASSIFIER, [5.0])
    flags = "--dataset gabors --img_dim 64 --num_seq_in 3 --pred_step 1 --batch_size 8 --lr 3e-4"
    technical = "--unexp_epoch 3 --num_workers 5 --resume auto --num_epochs 77"
    like = ["--like", *flags.split(), *technical.split()]
    assert run_main(runs[0].parent, "--out", tmp_path / "out", *like) == 0
    assert capsys.readouterr().out.startswith("2 runs in 1 group: dpc-rnn, Gabors")
    assert run_main(runs[0].parent, *like, "--roll") == 2
    assert "--like: none of the runs was started with these" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: FOLDER"),
        (["none"], "none: is no folder; name folders of runs, or folders of those"),
        (["empty"], "nothing to compare: empty: holds no run"),
        (["runs", "--by", "learning_rate"], "--by learning_rate: is no flag of run_model.py"),
        (["--by", "lr", "runs"], "the following arguments are required: FOLDER"),
        (["runs", "--out", "file"], "--out file: can't be made (a file or a broken link has this"),
        (["runs", "--out", ""], "argument --out: is empty"),
        (["mixed"], "these are runs of dpc-rnn and of lc-rnn"),
        (["cut"], "nothing to compare: "),
    ],
)
def test_wrong_input_gets_a_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    make_run(tmp_path / "runs", GABORS, [5.0])
    make_run(tmp_path / "mixed", GABORS, [5.0])
    make_run(tmp_path / "mixed", CLASSIFIER, [5.0])
    (make_run(tmp_path / "cut", GABORS, [5.0]) / "epochs.csv").write_text("epoch,mode")
    assert run_main(*arguments) == 2
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith(f"python -m utils.compare: {said}")
    assert told.count("\n") == 1
    assert not list(tmp_path.rglob("comparison"))


def test_damaged_runs_are_named_and_the_others_compared(runs, capsys):
    (runs[0] / "config.json").write_text("[]")
    (runs[1] / "epochs.csv").write_bytes(b"\xff\xfe\x00")
    assert run_main(runs[0].parent) == 0
    printed, told = capsys.readouterr()
    assert printed.startswith("2 runs in 2 groups")
    assert [line.split(":")[0] for line in told.splitlines()] == [
        str(runs[0] / "config.json"), str(runs[1])
    ]  # fmt: skip
    assert all(line.endswith("; left out") for line in told.splitlines())


def test_a_disk_that_takes_nothing_is_told(runs, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "comparison.csv").mkdir(parents=True)
    assert run_main(*runs, "--out", out) == 1
    assert f"can't write {out / 'comparison.csv'}" in capsys.readouterr().err


def compare_in_a_process(*arguments: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "utils.compare", *map(str, arguments)], cwd=ROOT, text=True,
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_as_a_program_it_needs_no_torch_and_prints_nothing_but_its_result(runs, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch')\n")
    process = compare_in_a_process(runs[0].parent, PYTHONPATH=str(tmp_path))
    printed, told = process.communicate()
    assert (process.returncode, told) == (0, "")
    assert printed.startswith("4 runs in 2 groups")
    shown = compare_in_a_process("--help").communicate()[0]
    assert "--by FLAG" in shown


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Give the signals back that `main` listens to."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_a_signal_ends_it_with_a_line_and_its_status(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "list_pictures", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert run_main(*runs, "--out", tmp_path / "out") == PREEMPTED
    told = "python -m utils.compare: stopped by SIGTERM; run the same command again\n"
    assert capsys.readouterr() == ("", told)
    assert names(tmp_path / "out") == TABLES  # whole files
