"""Retrievals, and tests with several crops, side by side: what belongs together, how it reads."""

import logging
from dataclasses import replace
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

from compared_runs import CLASSIFIER, make_retrieval, make_run, make_test, write_folder
from utils.compare.found import find_runs
from utils.compare.groups import group_runs
from utils.compare.measures import measure_all
from utils.compare.pictures import list_pictures
from utils.compare.statistics import Comparison, compare, summarise
from utils.compare.texts import summary_text
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.plots import figures

PRETRAINED = Config(dataset="UCF101")
FOUND = {"R@1": 0.2, "R@5": 0.4, "knn_top1": 0.3, "probe_top5": 0.8}


@pytest.fixture(autouse=True)
def heard(monkeypatch) -> None:
    """Let pytest see warnings, also after a program in this process has logged to the terminal."""
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr(log, "level", logging.INFO)


def compared(*folders: Path) -> Comparison:
    return compare(group_runs(measure_all(find_runs(folders))))


def drawn(comparison: Comparison, name: str) -> Figure:
    with matplotlib.rc_context(figures.STYLE):
        return dict(list_pictures(comparison))[name]()


def checkpoint(run: Path, name: str = "epoch2") -> str:
    return str(run / "model" / f"{name}.pth.tar")


def pretrained_and_random(parent: Path) -> Comparison:
    """Compare retrievals of three seeds of pretrained and of random weights."""
    for seed in (1, 2, 3):
        config = replace(PRETRAINED, seed=seed)
        run = make_run(parent / "runs", config, [5.0, 4.0])
        (run / "model").mkdir()
        values = {name: seed * value for name, value in FOUND.items() if name != "probe_top5"}
        make_retrieval(run, config, checkpoint(run), values | {"probe_top5": 0.9})
        make_retrieval(parent / "runs", config, "random", FOUND, name=f"random_00{seed}")
    return compared(parent / "runs")


def row_of(comparison: Comparison, group: int, metric: str) -> pd.Series:
    table = comparison.table[comparison.table["mode"] == "test"]
    (row,) = table[(table["group"] == group) & (table["metric"] == metric)].to_dict("records")
    return pd.Series(row)


def test_retrievals_are_means_over_seeds_with_their_chance(tmp_path):
    comparison = pretrained_and_random(tmp_path)
    assert [group.label for group in comparison.grouping.groups] == ["trained", "random weights"]
    row = row_of(comparison, 0, "R@1")
    assert row["values"] == pytest.approx([0.2, 0.4, 0.6])
    assert (row["mode"], row["when"], row["kind"], row["n"]) == ("test", "epoch2", "", 3)
    assert row[["mean", "sd"]].tolist() == pytest.approx([0.4, 0.2])
    assert row_of(comparison, 0, "R@1_chance")["mean"] == pytest.approx(0.04)
    assert row_of(comparison, 1, "probe_top5")["values"] == [0.8] * 3
    assert comparison.grouping.groups[1].repeats == ("1", "2", "3")


def test_the_summary_has_retrievals_in_a_part_of_their_own(tmp_path):
    comparison = pretrained_and_random(tmp_path)
    summary = summarise(comparison)
    parts = summary[summary["metric"].str.startswith(("R@", "knn", "probe"))]["part"]
    assert set(parts) == {"retrieval"}
    lines = [" ".join(line.split()) for line in summary_text(comparison).splitlines()]
    assert lines[lines.index("retrieval, epoch2 and random weights") + 1 :] == [
        *("R@1 (%) 40.0 ± 20.0 20.0 ± 0.0", "chance of R@1 (%) 4.0 ± 2.0 2.0 ± 0.0"),
        *("R@5 (%) 80.0 ± 40.0 40.0 ± 0.0", "chance of R@5 (%) 8.0 ± 4.0 4.0 ± 0.0"),
        *("kNN top-1 (%) 60.0 ± 30.0 30.0 ± 0.0", "chance of kNN top-1 (%) 6.0 ± 3.0 3.0 ± 0.0"),
        *("probe top-5 (%) 90.0 ± 0.0 80.0 ± 0.0", "chance of probe top-5 (%) 9.0 ± 0.0 8.0 ± 0.0"),
    ]


def test_retrievals_of_a_single_checkpoint_per_group_are_drawn_side_by_side(tmp_path):
    figure = drawn(pretrained_and_random(tmp_path), "evaluations")
    retrieval, classes = figure.axes
    assert "of epoch2 and random weights" in figure.get_suptitle()
    assert retrieval.get_title(loc="left") == "Retrieval"
    assert [text.get_text() for text in retrieval.get_xticklabels()] == ["R@1", "R@5"]
    assert [text.get_text() for text in classes.get_xticklabels()] == ["kNN\ntop-1", "probe\ntop-5"]
    heights = [patch.get_height() for patch in retrieval.patches]
    assert heights == pytest.approx([40, 20, 80, 40])
    lines = [line for line in retrieval.get_lines() if line.get_label() == "Chance"]
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([4, 2, 8, 4])


def test_several_checkpoints_have_a_row_each_and_the_rest_is_counted(tmp_path):
    run = make_run(tmp_path, PRETRAINED, [5.0])
    for epoch in range(8):
        make_retrieval(run, PRETRAINED, checkpoint(run, f"epoch{epoch}"), {"R@1": 0.1 * epoch})
    figure = drawn(compared(tmp_path), "evaluations")
    assert len(figure.axes) == 6  # no panel for measures that are not there
    assert [axes.patches[0].get_height() for axes in figure.axes] == pytest.approx(range(0, 60, 10))
    assert "not shown: 2" in figure.get_suptitle()
    lines = summary_text(compared(tmp_path)).splitlines()
    assert [f"retrieval, epoch{epoch}" in lines for epoch in range(8)] == [True] * 8


def test_pictures_of_what_there_are_no_numbers_for_are_not_drawn(tmp_path):
    make_run(tmp_path, PRETRAINED, [5.0])
    assert {"tests", "evaluations"}.isdisjoint(dict(list_pictures(compared(tmp_path))))


@pytest.mark.parametrize("dataset", ["Kinetics400", "UCF101"])
def test_three_splits_searched_with_the_features_of_one_run_are_three_repetitions(
    tmp_path, dataset
):
    config = replace(PRETRAINED, dataset=dataset, split=3 if dataset == "UCF101" else 1, seed=1)
    run = make_run(tmp_path, config, [5.0])
    (run / "model").mkdir()
    for split in (1, 2):
        changes = {"dataset": "UCF101", "split": split, "name": f"retrieve_epoch2_{split}"}
        make_retrieval(run, config, checkpoint(run), {"R@1": 0.1 * split}, **changes)
    folders = sorted(run.glob("retrieve*"))
    comparison = compared(*folders)
    assert len(comparison.grouping.groups) == 1
    assert comparison.grouping.groups[0].repeats == ("1 split 1", "1 split 2")
    row = row_of(comparison, 0, "R@1")
    assert row["values"] == pytest.approx([0.1, 0.2])
    assert row["when"] == "epoch2"


def test_runs_of_three_splits_are_means_over_splits_with_their_retrievals(tmp_path):
    for split in (1, 2, 3):
        config = replace(PRETRAINED, split=split, seed=1)
        run = make_run(tmp_path, config, [5.0], name=f"split{split}")
        make_retrieval(run, config, checkpoint(run), {"R@1": 0.1 * split})
    comparison = compared(tmp_path)
    assert row_of(comparison, 0, "R@1")[["n", "mean", "sd"]].tolist() == pytest.approx(
        [3, 0.2, 0.1]
    )
    assert "1, splits 1-3" in summary_text(comparison)


def test_a_retrieval_whose_run_is_gone_stands_for_itself(tmp_path):
    for seed in (1, 2):
        config = replace(PRETRAINED, seed=seed)
        make_retrieval(tmp_path / str(seed), config, f"dpc{seed}/model/epoch2.pth.tar", FOUND)
    comparison = compared(tmp_path)
    assert row_of(comparison, 0, "R@1")["n"] == 2


def test_a_test_and_a_retrieval_of_one_checkpoint_are_both_kept(tmp_path, caplog):
    run = make_run(tmp_path, CLASSIFIER, [5.0])
    make_test(run, CLASSIFIER, "epoch2", (0.5, 0.8, 0.9))
    make_retrieval(run, CLASSIFIER, checkpoint(run), FOUND)
    make_retrieval(run, CLASSIFIER, checkpoint(run), {"R@1": 0.7}, name="retrieve_epoch2_001")
    comparison = compared(tmp_path)
    assert row_of(comparison, 0, "top1")["mean"] == 0.5
    assert row_of(comparison, 0, "R@1")["mean"] == 0.7  # the last one
    assert "retrieve_epoch2: was repeated as" in caplog.text
    pictures = dict(list_pictures(comparison))
    assert {"tests", "evaluations"} <= pictures.keys()
    assert len(drawn(comparison, "tests").axes) == 1


def test_folders_of_features_alone_are_no_runs(tmp_path):
    run = make_run(tmp_path, PRETRAINED, [5.0])
    write_folder(run / "extract_epoch2", replace(PRETRAINED, extract=checkpoint(run)))
    assert [len(one.tests) for one in find_runs([tmp_path])] == [0]
    with pytest.raises(UsageError, match="holds no run"):
        find_runs([run / "extract_epoch2"])


def test_retrievals_without_results_are_left_out(tmp_path, caplog):
    run = make_run(tmp_path, PRETRAINED, [5.0])
    make_retrieval(run, PRETRAINED, checkpoint(run), {"unknown": 0.5})
    folder = make_retrieval(tmp_path / "alone", PRETRAINED, "gone/epoch3.pth.tar", FOUND)
    (folder / "evaluations.csv").write_text("measure,value,chance,evaluated,gallery\nR@1,,0.1,8,24")
    comparison = compared(tmp_path)
    assert len(comparison.grouping.groups) == 1
    assert "retrieve_epoch2: holds no results of a retrieval; left out" in caplog.text
    assert "retrieve_epoch3: holds no results" in caplog.text


def test_flags_of_gabors_part_no_groups_of_videos(tmp_path):
    make_run(tmp_path, replace(PRETRAINED, seed=1), [5.0])
    make_run(tmp_path, replace(PRETRAINED, seed=2, unexp_epoch=5, no_gray=True), [5.0])
    comparison = compared(tmp_path)
    assert [group.repeats for group in comparison.grouping.groups] == [("1", "2")]
    assert "unexp_epoch" not in comparison.grouping.common


def test_empty_values_and_chances_are_left_out(tmp_path):
    run = make_run(tmp_path, PRETRAINED, [5.0])
    folder = make_retrieval(run, PRETRAINED, checkpoint(run), FOUND)
    (folder / "evaluations.csv").write_text(
        "measure,value,chance,evaluated,gallery\nR@1,0.5,,8,24\nR@50,,0.9,8,24\n"
    )
    table = compared(tmp_path).table
    metrics = table.loc[table["when"] == "epoch2", "metric"]
    assert set(metrics) == {"R@1", "R@50_chance"}


# ---- crops ----


def add_crops(test: Path, crops: int, top1: float) -> None:
    """Add the accuracies of so many crops to a test."""
    path = test / "accuracies.csv"
    row = {"level": f"video, {crops} crops", "name": "all classes"}
    row |= {"top1": top1, "top3": 0.9, "top5": 1.0, "evaluated": 8, "total": 8}
    table = pd.concat([pd.read_csv(path), pd.DataFrame([row])])
    table.to_csv(path, index=False)


def test_numbers_of_crops_are_kinds_of_a_test(tmp_path):
    for seed in (1, 2):
        config = replace(CLASSIFIER, seed=seed)
        run = make_run(tmp_path, config, [5.0])
        make_test(run, config, "epoch2", (0.1, 0.2, 0.3))
        test = make_test(
            run, config, "epoch2", (0.5, 0.8, 0.9), (0.4, 0.7, 0.8), name="ten", test_crops=10
        )
        add_crops(test, 5, 0.6)
        add_crops(test, 10, 0.6 + seed / 10)
    comparison = compared(tmp_path)
    rows = comparison.table[comparison.table["metric"] == "top1"].set_index("kind")["mean"]
    assert rows.loc["video"] == 0.5  # of the test with more crops, though its name comes first
    assert rows.loc["video, 5 crops"] == pytest.approx(0.6)
    assert rows.loc["video, 10 crops"] == pytest.approx(0.75)
    losses = comparison.table[comparison.table["metric"] == "loss"]
    assert losses[losses["mode"] == "test"]["kind"].tolist() == ["video, 10 crops"]
    lines = [" ".join(line.split()) for line in summary_text(comparison).splitlines()]
    places = [
        lines.index(f"top-1 (%), {text}")
        for text in (
            "videos 50.0 ± 0.0",
            "videos, 5 crops 60.0 ± 0.0",
            "videos, 10 crops 75.0 ± 7.1",
            "clips 40.0 ± 0.0",
        )
    ]
    assert places == sorted(places)
    titles = [axes.get_title(loc="left") for axes in drawn(comparison, "tests").axes]
    assert [title.removesuffix(", epoch2") for title in titles] == [
        *("Whole videos", "Whole videos, 5 crops", "Whole videos, 10 crops", "Clips"),
    ]


def test_levels_of_a_later_version_are_left_out(tmp_path):
    run = make_run(tmp_path, CLASSIFIER, [5.0])
    add_crops(make_test(run, CLASSIFIER, "epoch2", (0.5, 0.8, 0.9)), 77, 0.6)
    assert "77" not in summary_text(compared(tmp_path))
