"""The pictures of a comparison: chance, marks, notes, and panels that keep their room."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from compared_runs import CLASSIFIER, D_0, GABORS, analyse, make_run, make_test, predict
from utils.compare.found import find_runs
from utils.compare.groups import group_runs
from utils.compare.measures import measure_all
from utils.compare.pictures import list_pictures
from utils.compare.statistics import compare
from utils.plots import figures


def drawn(folder: Path) -> dict[str, Figure]:
    comparison = compare(group_runs(measure_all(find_runs([folder]))))
    with matplotlib.rc_context(figures.STYLE):
        return {name: make() for name, make in list_pictures(comparison)}


def dashed(figure: Figure, panel: int = 0) -> list[Sequence[float]]:
    """Return the heights of a panel's lines of chance."""
    lines = figure.axes[panel].get_lines()
    chances = [line for line in lines if str(line.get_label()).startswith("Chance")]
    return [np.unique(line.get_ydata()).round(6).tolist() for line in chances]


def told(figure: Figure) -> str:
    return figure.get_suptitle()


def test_each_group_s_bars_are_crossed_by_its_own_chance(tmp_path):
    for dataset, chance in (("UCF101", 1 / 101), ("HMDB51", 1 / 51)):
        config = replace(CLASSIFIER, dataset=dataset)
        run = make_run(tmp_path, config, [5.0], chance=chance)
        records = make_test(run, config, "epoch0", (0.5, 0.8, 0.9)) / "epochs.csv"
        records.write_text(records.read_text().replace("0.25", str(chance)))
    chances = dashed(drawn(tmp_path)["tests"])
    assert chances == [[round(100 / 51, 6)], [round(100 / 101, 6)]]


def test_tests_that_have_no_room_are_counted(tmp_path):
    run = make_run(tmp_path, CLASSIFIER, [5.0])
    for epoch in range(8):
        make_test(run, CLASSIFIER, f"epoch{epoch}", (0.5, 0.8, 0.9))
    figure = drawn(tmp_path)["tests"]
    assert len(figure.axes) == 6
    assert "tests not shown: 2" in told(figure)


def test_a_mean_absolute_usi_is_shown_beside_its_chance(tmp_path):
    for seed in (1, 2):
        run = make_run(tmp_path, replace(GABORS, seed=seed), [5.0] * 4)
        analyse(run, {(3, "post", "encoder", "error"): 0.1})
    pictures = drawn(tmp_path)
    assert dashed(pictures["usi_abs"]) == [[pytest.approx(0.186, abs=1e-3)]]  # 230 D and 20 U
    assert dashed(pictures["usi"]) == []


def test_a_long_legend_leaves_all_panels_their_height(tmp_path):
    for number in range(12):
        config = replace(GABORS, suffix=f"experiment_{number}", lr=1e-3 * (number + 1))
        run = make_run(tmp_path, config, [5.0])
        predict(run, 0, "val", [(D_0, D_0)])
        analyse(run, {(0, "post", "encoder", kind): 0.1 for kind in ("activation", "error")})
    for name in ("usi", "gabor_types"):
        figure = drawn(tmp_path)[name]
        with matplotlib.rc_context(figures.STYLE):
            figure.draw_without_rendering()
        heights = [axes.get_position().height * figure.get_figheight() for axes in figure.axes]
        assert min(heights) > 1.5  # inches


def test_open_points_are_explained_where_there_are_some_alone(tmp_path):
    for seed in (1, 2):
        run = make_run(tmp_path, replace(GABORS, seed=seed), [5.0, 4.0])
        if seed == 1:
            analyse(run, {(0, "post", "encoder", "error"): 0.1})
    pictures = drawn(tmp_path)
    assert "open points: not all runs" in told(pictures["usi"])
    assert "open points" not in told(pictures["loss"])


def test_a_shared_onset_has_the_colour_of_no_group(tmp_path):
    for lr, onset in ((1e-3, 2), (2e-3, 2), (3e-3, 3)):
        make_run(tmp_path, replace(GABORS, lr=lr, unexp_epoch=onset), [5.0] * 5)
    lines = drawn(tmp_path)["loss"].axes[0].get_lines()
    marks = {line.get_xdata()[0]: line.get_color() for line in lines if line.get_ls() == "-."}
    assert marks == {1.5: figures.DARK, 2.5: figures.GREEN}
