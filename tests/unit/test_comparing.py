"""Runs side by side: which are a group, what tells groups apart, and means over their runs."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compared_runs import (
    CLASSIFIER,
    D_0,
    D_90,
    GABORS,
    U_0,
    U_90,
    analyse,
    make_run,
    make_test,
    predict,
    write_folder,
)
from utils.analysis.selectivity import chance_selectivity
from utils.compare.found import find_runs
from utils.compare.groups import Grouping, group_runs
from utils.compare.measures import measure_all
from utils.compare.statistics import Comparison, compare, summarise
from utils.compare.tables import csv_table
from utils.compare.texts import series_text, summary_text, value_text, wrapped
from utils.errors import UsageError
from utils.logs import log


@pytest.fixture(autouse=True)
def heard(monkeypatch) -> None:
    """Let pytest see warnings, also after a program in this process has logged to the terminal."""
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.INFO)


def grouped(*folders: Path, by: Sequence[str] = ()) -> Grouping:
    return group_runs(measure_all(find_runs(folders)), by)


def compared(*folders: Path) -> Comparison:
    return compare(grouped(*folders))


def labels(grouping: Grouping) -> list[str]:
    return [group.label for group in grouping.groups]


def seeds(grouping: Grouping) -> list[tuple[str, ...]]:
    return [group.repeats for group in grouping.groups]


def row_of(comparison: Comparison, group: int = 0, **keys: object) -> pd.Series:
    """Return the only row of the table at these keys."""
    table = comparison.table[comparison.table["group"] == group]
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1, table
    return table.iloc[0]


# ---- means and standard deviations ----


def test_means_and_standard_deviations_are_those_computed_by_hand(tmp_path):
    for seed, loss in ((1, 2.0), (2, 3.0), (3, 7.0)):
        make_run(tmp_path, replace(GABORS, seed=seed), [5.0, loss])
    row = row_of(compared(tmp_path), metric="loss", mode="train", epoch=1)
    assert (row["n"], row["mean"]) == (3, 4.0)
    assert row["sd"] == pytest.approx(math.sqrt((4 + 1 + 9) / 2))  # n − 1, not n
    assert row["values"] == [2.0, 3.0, 7.0]
    same = row_of(compared(tmp_path), metric="loss", mode="train", epoch=0)
    assert same["sd"] == 0


def test_one_run_has_no_standard_deviation(tmp_path):
    make_run(tmp_path, GABORS, [5.0, 2.0])
    row = row_of(compared(tmp_path), metric="loss", mode="val", epoch=1)
    assert (row["n"], row["mean"]) == (1, 2.5)
    assert np.isnan(row["sd"])


def test_a_mean_is_over_the_runs_that_have_the_epoch_and_says_how_many(tmp_path, caplog):
    make_run(tmp_path, replace(GABORS, seed=1), [5.0, 2.0, 1.0])
    make_run(tmp_path, replace(GABORS, seed=2), [5.0, 4.0])
    comparison = compared(tmp_path)
    both = row_of(comparison, metric="loss", mode="train", epoch=1)
    one = row_of(comparison, metric="loss", mode="train", epoch=2)
    assert (both["n"], both["mean"]) == (2, 3.0)
    assert (one["n"], one["mean"], one["places"]) == (1, 1.0, [0])
    assert "seed2: has epochs up to 1, others of its group up to 2" in caplog.text
    last = summarise(comparison).query("part == 'last' and metric == 'loss'")
    assert last["epoch"].tolist() == [1]  # the last that all runs have


def test_columns_of_the_contrast_are_compared(tmp_path):
    for seed, share in ((1, 0.2), (2, 0.4)):
        make_run(tmp_path, replace(GABORS, seed=seed), [5.0], wrong_easy=share)
    row = row_of(compared(tmp_path), metric="wrong_easy", mode="val", epoch=0)
    assert row["mean"] == pytest.approx(0.3)
    make_run(tmp_path / "old", replace(GABORS, seed=3), [5.0])  # of an earlier version
    assert row_of(compared(tmp_path), metric="wrong_easy", mode="val", epoch=0)["n"] == 2


def test_the_best_epoch_is_each_run_s_own(tmp_path):
    make_run(tmp_path, replace(GABORS, seed=1), [5, 4, 3, 2], top1=[0, 0.5, 0.1, 0.2])
    make_run(tmp_path, replace(GABORS, seed=2), [5, 4, 3, 2], top1=[0, 0.2, 0.4, 0.3])
    comparison = compared(tmp_path)
    best = row_of(comparison, metric="top1", when="best")
    assert best["values"] == [0.5, 0.4]
    assert row_of(comparison, metric="best_epoch", when="best")["values"] == [1, 2]
    assert row_of(comparison, metric="loss", when="best")["values"] == [4.5, 3.5]
    assert row_of(comparison, metric="top1", when="best_unexp")["values"] == [0.2, 0.3]


def test_types_count_whatever_the_orientation_and_orientations_whatever_the_type(tmp_path):
    run = make_run(tmp_path, GABORS, [5.0, 4.0])
    predict(run, 1, "val", [(D_0, D_0), (D_0, D_90), (D_0, U_0), (D_90, U_0)])
    comparison = compared(tmp_path)
    assert row_of(comparison, metric="type_accuracy", mode="val")["mean"] == 0.5
    assert row_of(comparison, metric="orientation_accuracy", mode="val")["mean"] == 0.5
    predict(run, 1, "train", [(U_90, D_90), (U_90, D_90), (D_0, D_90), (D_0, D_90)])
    comparison = compared(tmp_path)
    assert row_of(comparison, metric="type_accuracy", mode="train")["mean"] == 0.5
    assert row_of(comparison, metric="orientation_chance", mode="train")["mean"] == 0.5


def test_selectivity_is_that_over_all_orientations(tmp_path):
    for seed in (1, 2):
        run = make_run(tmp_path, replace(GABORS, seed=seed), [5.0] * 4)
        values = {(3, "post", "encoder", "error"): 0.1 * seed, (3, "pre", "encoder", "error"): 0}
        analyse(run, values | {(2, "post", "encoder", "error"): -1.0 * seed})
    comparison = compared(tmp_path)
    keys = {"module": "encoder", "kind": "error", "when": "post"}
    assert row_of(comparison, metric="usi", epoch=3, **keys)["values"] == [0.1, 0.2]
    assert row_of(comparison, metric="usi_abs", epoch=2, **keys)["values"] == [1.5, 2.5]
    assert row_of(comparison, metric="usi_significant", epoch=2, **keys)["n"] == 2
    chance = row_of(comparison, metric="usi_abs_chance", epoch=3, when="post")
    assert chance["mean"] == pytest.approx(math.sqrt(2 / math.pi * (1 / 230 + 1 / 20)))
    last = summarise(comparison).query("part == 'analysis' and metric == 'usi'")
    assert last[["epoch", "when", "mean"]].to_numpy().tolist() == [[3, "post", pytest.approx(0.15)]]


def test_the_chance_of_selectivity_is_what_equal_responses_give():
    responses = np.random.default_rng(0).normal(size=(250, 4000))  # blocks, nodes
    D, U = responses[:230], responses[230:]
    usi = (U.mean(axis=0) - D.mean(axis=0)) / np.sqrt((U.var(axis=0) + D.var(axis=0)) / 2)
    chance = chance_selectivity(pd.Series([230]), pd.Series([20]))
    assert np.abs(usi).mean() == pytest.approx(chance.item(), rel=0.05)


def test_what_can_be_decoded_is_compared_by_target(tmp_path):
    for seed, share in ((1, 0.5), (2, 0.75)):
        run = make_run(tmp_path, replace(GABORS, seed=seed), [5.0])
        (run / "analysis").mkdir()
        row = {"epoch": 0, "when": "post", "module": "encoder", "kind": "activation"}
        row |= {"target": "image", "accuracy": share, "shuffled": 0.25}
        pd.DataFrame([row]).to_csv(run / "analysis" / "decoding.csv", index=False)
    comparison = compared(tmp_path)
    assert row_of(comparison, metric="decoding_image")["values"] == [0.5, 0.75]
    assert row_of(comparison, metric="decoding_image_shuffled")["mean"] == 0.25
    text = " ".join(summary_text(comparison).split())
    assert "image decoded (%), encoder activations 62.5 ± 17.7" in text


# ---- tests of classifiers ----


def test_tests_are_averaged_by_level_whatever_the_best_epoch(tmp_path):
    for seed, epoch, share in ((1, 4, 0.5), (2, 7, 0.7)):
        config = replace(CLASSIFIER, seed=seed)
        run = make_run(tmp_path, config, [5.0] * 8)
        make_test(run, config, f"best_epoch{epoch}", (share, 0.8, 0.9), (share - 0.1, 0.6, 0.7))
        make_test(run, config, "epoch7", (0.1 * seed, 0.8, 0.9))
    comparison = compared(tmp_path)
    video = row_of(comparison, metric="top1", kind="video", when="best")
    assert video["values"] == [0.5, 0.7]
    assert video["mean"] == pytest.approx(0.6)
    clip = row_of(comparison, metric="top1", kind="clip", when="best")
    assert clip["mean"] == pytest.approx(0.5)
    assert row_of(comparison, metric="top1", kind="video", when="epoch7")["values"] == [0.1, 0.2]
    assert row_of(comparison, metric="loss", mode="test", when="best")["kind"] == "video"


def test_a_repeated_test_counts_once_and_one_with_other_data_is_another(tmp_path, caplog):
    run = make_run(tmp_path, CLASSIFIER, [5.0, 4.0])
    make_test(run, CLASSIFIER, "epoch1", (0.1, 0.8, 0.9))
    again = make_test(run, CLASSIFIER, "epoch1", (0.2, 0.8, 0.9), name="test_epoch1_001")
    padded = {"name": "test_epoch1_002", "pad_short": True}
    make_test(run, CLASSIFIER, "epoch1", (0.3, 0.8, 0.9), **padded)
    comparison = compared(tmp_path)
    assert row_of(comparison, metric="top1", kind="video", when="epoch1")["values"] == [0.2]
    padded_row = row_of(comparison, metric="top1", kind="video", when="epoch1, pad_short")
    assert padded_row["values"] == [0.3]
    assert f"test_epoch1: was repeated as {again}; left out" in caplog.text


def test_a_test_s_folder_stands_for_its_run_with_this_test_alone(tmp_path):
    run = make_run(tmp_path, CLASSIFIER, [5.0, 4.0])
    make_test(run, CLASSIFIER, "epoch0", (0.1, 0.8, 0.9))
    test = make_test(run, CLASSIFIER, "epoch1", (0.2, 0.8, 0.9))
    comparison = compared(test)
    assert set(comparison.table["mode"]) == {"test"}
    assert set(comparison.table["when"]) == {"epoch1"}
    (group,) = comparison.grouping.groups
    assert group.measured[0].run.config.pretrained == CLASSIFIER.pretrained
    assert set(compared(test, run).table["mode"]) == {"train", "val", "test"}


def test_a_test_of_weights_without_a_run_is_known_by_its_checkpoint(tmp_path):
    for name, share in (("ours", 0.5), ("theirs", 0.6)):
        config = replace(CLASSIFIER, test=f"/weights/{name}.pth.tar")
        make_test(tmp_path / f"test_{name}", config, name, (share, 0.8, 0.9), name=".")
    assert labels(grouped(tmp_path)) == ["test ours", "test theirs"]


# ---- groups ----


def test_seeds_are_a_group_and_flags_that_differ_are_its_name(tmp_path):
    for seed in (2, 1):
        for lr in (1e-3, 3e-4):
            make_run(tmp_path, replace(GABORS, seed=seed, lr=lr), [5.0])
    grouping = grouped(tmp_path)
    assert labels(grouping) == ["lr 0.0003", "lr 0.001"]
    assert seeds(grouping) == [("1", "2"), ("1", "2")]
    assert grouping.common.startswith("dpc-rnn, Gabors, resnet18, img_dim 64, num_seq_in 3")
    assert "lr" not in grouping.common.split()
    assert "train_len" not in grouping.common  # at its default


def test_flags_that_do_not_identify_a_run_do_not_part_a_group(tmp_path):
    others = {"num_workers": 7, "gpu": "1", "num_epochs": 99, "output_dir": "elsewhere"}
    others |= {"temp_data_dir": "/node", "overwrite": True, "data_path_dir": "/data", "wd": 1e-5}
    make_run(tmp_path, replace(GABORS, seed=1), [5.0])
    make_run(tmp_path, replace(GABORS, seed=2, **others), [5.0])
    (group,) = grouped(tmp_path).groups
    assert (group.label, group.repeats) == ("", ("1", "2"))  # 1e-5 is dpc-rnn's weight decay
    make_run(tmp_path, replace(GABORS, seed=3, wd=1e-4), [5.0])
    assert labels(grouped(tmp_path)) == ["wd 1e-05", "wd 0.0001"]


def test_every_other_flag_parts_a_group(tmp_path):
    make_run(tmp_path, GABORS, [5.0], name="first")
    make_run(tmp_path, replace(GABORS, roll=True, gabor_design="gillon2021"), [5.0], name="other")
    found = labels(grouped(tmp_path))
    assert found == ["gabor_design dpc, without roll", "gabor_design gillon2021, roll"]


def test_named_flags_alone_part_groups_and_what_is_pooled_is_told(tmp_path, caplog):
    for seed, lr, roll in ((1, 1e-3, True), (2, 1e-3, False), (3, 1e-4, False)):
        make_run(tmp_path, replace(GABORS, seed=seed, lr=lr, roll=roll), [5.0])
    grouping = grouped(tmp_path, by=["lr"])
    assert labels(grouping) == ["lr 0.0001", "lr 0.001"]
    assert seeds(grouping) == [("3",), ("1", "2")]
    assert "--by lr: pools runs that differ in roll" in caplog.text
    by_seed = grouped(tmp_path, by=["seed"])
    assert labels(by_seed) == ["seed 1", "seed 2", "seed 3"]


def test_runs_that_only_a_named_flag_tells_apart_are_no_copies(tmp_path):
    for number in (10, 20):
        make_run(tmp_path, replace(GABORS, num_epochs=number), [5.0], name=f"{number}")
    assert labels(grouped(tmp_path, by=["num_epochs"])) == ["num_epochs 10", "num_epochs 20"]


def test_splits_are_pooled_where_only_they_vary(tmp_path):
    for split in (3, 1, 2):
        for what in ("ft", "last"):
            config = replace(CLASSIFIER, seed=5, split=split, train_what=what)
            make_run(tmp_path, config, [5.0, split], name=f"{what}{split}")
    comparison = compared(tmp_path)
    assert labels(comparison.grouping) == ["train_what ft", "train_what last"]
    assert comparison.grouping.groups[0].repeats == ("5 split 1", "5 split 2", "5 split 3")
    row = row_of(comparison, metric="loss", mode="train", epoch=1)
    assert (row["mean"], row["sd"]) == (2.0, 1.0)


def test_splits_that_have_several_seeds_are_apart_unless_asked(tmp_path):
    for split in (1, 2):
        for seed in (1, 2):
            config = replace(CLASSIFIER, seed=seed, split=split)
            make_run(tmp_path, config, [5.0], name=f"{split}-{seed}")
    assert labels(grouped(tmp_path)) == ["split 1", "split 2"]
    (pooled,) = grouped(tmp_path, by=["train_what"]).groups
    assert pooled.repeats == ("1 split 1", "1 split 2", "2 split 1", "2 split 2")


def test_pooled_splits_are_told_beside_a_group_of_one_split(tmp_path):
    for split in (1, 2):
        make_run(tmp_path, replace(CLASSIFIER, split=split, seed=1), [5.0], name=f"{split}")
    for seed in (1, 2):
        config = replace(CLASSIFIER, seed=seed, train_what="last")
        make_run(tmp_path, config, [5.0], name=f"last{seed}")
    assert labels(grouped(tmp_path)) == ["split 1 and 2, train_what ft", "split 1, train_what last"]


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("OUT/x_seed100/model/epoch6.pth.tar", "OUT/x_seed101/model/epoch6.pth.tar", True),
        ("motion/dpc100/x/model/epoch6.pth.tar", "motion/dpc101/x/model/epoch6.pth.tar", True),
        ("x_seed100/model/best_epoch6.pth.tar", "x_seed101/model/best_epoch9.pth.tar", True),
        ("k400.pth.tar", "k400.pth.tar", True),
        ("OUT/x_seed100/model/epoch6.pth.tar", "OUT/x_seed100/model/epoch6.pth.tar", True),
        ("x_seed100/model/epoch6.pth.tar", "x_seed101/model/epoch7.pth.tar", False),
        ("x_seed100/model/epoch6.pth.tar", "x_seed102/model/epoch6.pth.tar", False),
        ("x_seed100/model/epoch6.pth.tar", "y_seed101/model/epoch6.pth.tar", False),
        ("x_lr1/model/epoch6.pth.tar", "x_lr2/model/epoch6.pth.tar", False),
        ("k400.pth.tar", "", False),
        ("x/model/epoch100.pth.tar", "x/model/epoch101.pth.tar", False),
    ],
)
def test_weights_that_differ_as_the_seeds_do_are_the_same(tmp_path, first, second, is_same):
    for seed, path in ((100, first), (101, second)):
        make_run(tmp_path, replace(CLASSIFIER, seed=seed, pretrained=path), [5.0], name=f"r{seed}")
    assert len(grouped(tmp_path).groups) == (1 if is_same else 2)


@pytest.mark.parametrize(("changes", "count"), [({}, 1), ({"lr": 1e-4}, 2)])
def test_weights_of_runs_of_one_group_are_the_same_wherever_these_lie(tmp_path, changes, count):
    for seed, more in ((1, {}), (2, changes)):
        dpc = make_run(tmp_path / "dpc", replace(GABORS, seed=70 + seed, **more), [5.0])
        (dpc / "model").mkdir()
        path = dpc / "model" / f"best_epoch{seed}.pth.tar"
        config = replace(CLASSIFIER, seed=seed, pretrained=str(path))
        make_run(tmp_path / "lc", config, [5.0], name=f"r{seed}")
    assert len(grouped(tmp_path / "lc").groups) == count


def test_weights_of_runs_that_differ_are_not_the_same_though_their_paths_differ_as_seeds_do(
    tmp_path,
):
    for seed, lr in ((1, 1e-3), (2, 1e-4)):
        dpc = make_run(tmp_path / f"dpc{seed}", replace(GABORS, seed=seed, lr=lr), [5.0], name="x")
        path = str(dpc / "model" / "epoch0.pth.tar")
        make_run(tmp_path / "lc", replace(CLASSIFIER, seed=seed, pretrained=path), [5.0])
    assert len(grouped(tmp_path / "lc").groups) == 2


def test_weights_are_named_as_shortly_as_tells_them_apart(tmp_path):
    def names(*paths: str) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for number, path in enumerate(paths):
            config = replace(CLASSIFIER, seed=100 + number % 2, pretrained=path)
            make_run(folder, config, [5.0], name=f"r{number}")
        return labels(grouped(folder))

    assert names("w/k400.pth.tar", "") == ["without pretrained", "pretrained k400"]
    same_file = [f"O/{x}_seed10{n}/model/epoch6.pth.tar" for x in "ab" for n in (0, 1)]
    assert names(*same_file) == ["pretrained a_seed*/epoch6", "pretrained b_seed*/epoch6"]
    far = ["a/x/model/epoch6.pth.tar", "a/x/model/epoch6.pth.tar", "b/x/model/epoch6.pth.tar"]
    assert names(*far) == [f"pretrained {x}/x/model/epoch6.pth.tar" for x in "ab"]


def test_of_copies_of_a_run_the_longest_counts(tmp_path, caplog):
    make_run(tmp_path, GABORS, [5.0, 4.0, 3.0], name="long")
    make_run(tmp_path, GABORS, [5.0, 4.0], name="short")
    comparison = compared(tmp_path)
    assert row_of(comparison, metric="loss", mode="train", epoch=1)["n"] == 1
    assert row_of(comparison, metric="loss", mode="train", epoch=2)["n"] == 1
    assert "short: has the flags and the seed of" in caplog.text


def test_another_number_of_processes_is_told_by_its_chance(tmp_path, caplog):
    make_run(tmp_path, replace(GABORS, seed=1), [5.0])
    make_run(tmp_path, replace(GABORS, seed=2), [5.0], chance=1 / 64)
    grouped(tmp_path)
    assert "chance differs between the runs of a group" in caplog.text


def test_runs_of_two_kinds_of_model_are_refused(tmp_path):
    make_run(tmp_path, GABORS, [5.0])
    make_run(tmp_path, CLASSIFIER, [5.0])
    with pytest.raises(UsageError, match=r"dpc-rnn and of lc-rnn, .* name the folders of one"):
        grouped(tmp_path)


# ---- finding runs ----


def test_runs_are_found_once_within_folders_and_through_links(tmp_path):
    deep = make_run(tmp_path / "a/b", GABORS, [5.0])
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a/b/circle").symlink_to(tmp_path)
    found = find_runs([tmp_path, deep, tmp_path / "link"])
    assert [run.folder for run in found] == [deep]


def test_hidden_folders_hold_no_runs(tmp_path):
    run = make_run(tmp_path, GABORS, [5.0])
    make_run(tmp_path, replace(GABORS, seed=9), [5.0], name=".unfinished")
    assert [one.folder for one in find_runs([tmp_path])] == [run]


def test_what_is_damaged_is_named_and_left_out(tmp_path, caplog):
    make_run(tmp_path, replace(GABORS, seed=1), [5.0])
    (make_run(tmp_path, replace(GABORS, seed=2), [5.0]) / "config.json").write_text("{")
    cut = make_run(tmp_path, replace(GABORS, seed=3), [5.0])
    (cut / "epochs.csv").write_text("epoch,mode\n0,train\n")
    (make_run(tmp_path, replace(GABORS, seed=4), [5.0]) / "epochs.csv").unlink()
    analysed = make_run(tmp_path, replace(GABORS, seed=5), [5.0])
    analyse(analysed, {})  # a file without its columns
    write_folder(tmp_path / "just begun", replace(GABORS, seed=6))
    grouping = grouped(tmp_path)
    assert seeds(grouping) == [("1", "5")]
    for told in ("seed2/config.json: can't be read", "seed3: epochs.csv", "seed4: no epochs.csv",
                 "seed5/analysis: usi.csv", "just begun: no epochs.csv"):  # fmt: skip
        assert told in caplog.text


def test_nothing_to_compare_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"nothing to compare: .*empty: holds no run"):
        find_runs([tmp_path / "empty"])
    with pytest.raises(UsageError, match="none: is no folder; name folders of runs"):
        find_runs([tmp_path / "none"])
    write_folder(tmp_path / "begun", GABORS)
    with pytest.raises(UsageError, match=r"nothing to compare: .*begun: no epochs.csv"):
        grouped(tmp_path)


# ---- tables and texts ----


def test_the_table_has_the_flags_in_front_and_the_seeds_behind(tmp_path):
    for seed in (8, 9):
        for roll in (True, False):
            make_run(
                tmp_path, replace(GABORS, seed=seed, roll=roll), [5.0, seed], name=f"{seed}{roll}"
            )
    comparison = compared(tmp_path)
    table = csv_table(comparison.table, comparison.grouping.groups)
    columns = ["roll", "metric", "mode", "epoch", "module", "kind", "when", "n", "mean", "sd"]
    assert list(table) == [*columns, "values", "seeds"]
    row = table.query("metric == 'loss' and mode == 'train' and epoch == 1 and roll == 'True'")
    assert row[["values", "seeds", "n"]].to_numpy().tolist() == [["8;9", "8;9", 2]]


def test_the_text_shows_each_group_with_its_runs(tmp_path):
    for seed in (1, 2, 4):
        make_run(tmp_path, replace(GABORS, seed=seed), [5.0, float(seed)])
        make_run(tmp_path, replace(GABORS, seed=seed, lr=1e-4), [5.0, 4.0])
    lines = summary_text(compared(tmp_path)).splitlines()
    assert lines[0].startswith("6 runs in 2 groups: dpc-rnn, Gabors, resnet18")
    assert "lr 0.0001               lr 0.001" in lines[2]
    assert lines[4].split() == ["seeds", "1-2,", "4", "1-2,", "4"]
    assert "loss 4.500 ± 0.000 2.833 ± 1.528" in [" ".join(line.split()) for line in lines]


def test_the_text_tells_whether_the_last_epoch_is_of_validation(tmp_path):
    make_run(tmp_path, replace(GABORS, lr=1e-4), [5.0])
    run = make_run(tmp_path, replace(GABORS, not_save_best=True), [5.0])
    epochs = pd.read_csv(run / "epochs.csv")
    epochs[epochs["mode"] == "train"].to_csv(run / "epochs.csv", index=False)
    lines = [line.split() for line in summary_text(compared(tmp_path)).splitlines()]
    for title, loss in (("training", "5.000"), ("validation", "5.500")):
        start = lines.index(f"{title}, last epoch of all runs".split())
        assert lines[start + 2] == ["loss", loss]


def test_a_group_that_is_alone_has_no_name_in_the_text(tmp_path):
    make_run(tmp_path, GABORS, [5.0])
    assert summary_text(compared(tmp_path)).splitlines()[1:3] == ["", f"{'runs':<60}1"]


def test_flags_stay_with_their_values_where_a_line_has_room():
    assert wrapped("gabor_design dpc, without roll, lr 0.0003", 24) == (
        "gabor_design dpc,\nwithout roll, lr 0.0003"
    )
    assert wrapped("gabor_design gillon2021, lr 1", 22) == "gabor_design\ngillon2021, lr 1"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([3, 1, 2], "1-3"), ([7], "7"), ([1, 2, 5], "1-2, 5"), ([1, 3, 5, 7, 9], "5 different")],
)
def test_series_of_seeds_are_shortened(numbers, text):
    assert series_text(numbers) == text


def test_shares_are_shown_in_per_cent():
    assert value_text(0.5, 0.25, "top1") == "50.0 ± 25.0"
    assert value_text(0.5, np.nan, "usi") == "0.500"
