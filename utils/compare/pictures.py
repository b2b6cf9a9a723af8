"""Mean ± standard deviation over the runs of each group as pictures: over epochs, and of tests."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.analysis.recorded import KINDS, MODULES, POST, PRE
from utils.compare.layout import (
    BAR_ALPHA,
    CHANCE,
    FEW_RUNS,
    colours,
    finish_bars,
    finish_epochs,
    grid_of,
)
from utils.compare.measures import ASPECTS, TOPS
from utils.compare.statistics import TEST, Comparison
from utils.compare.texts import is_share, metric_name, tested_text
from utils.files import writing
from utils.plots import figures
from utils.plots.curves import draw_chance, draw_series, focus_on_what_follows, set_percent
from utils.plots.draw import Picture, draw
from utils.plots.figures import DARK, MODES

NAMES = ("loss", "accuracy", "gabor_types", "usi", "usi_abs", "tests")
TRAINED = ("train", "val")
SAME_CHANCE = 1.1  # Gabors' chance varies a little with what was drawn
MOST_TESTS = 6  # rows of panels
TESTED = {"video": "Whole videos", "clip": "Clips"}
BARS = 0.8  # width of the bars of all groups together


def draw_all(comparison: Comparison, out: Path) -> list[Path]:
    """Draw what there are numbers for; return the paths. Pictures of earlier calls are removed.

    Raises RunError where the disk fails.
    """
    pictures = list_pictures(comparison)
    paths = draw(pictures, out, None)
    for name in sorted(set(NAMES) - {name for name, _ in pictures}):
        path = out / f"{name}.png"
        with writing(path):
            path.unlink(missing_ok=True)
    return paths


def list_pictures(comparison: Comparison) -> list[Picture]:
    """Return the pictures that there are numbers for."""
    table = comparison.table
    metrics = set(table.loc[table["epoch"].notna(), "metric"])
    makers: tuple[tuple[str, bool, Callable[[Comparison], Figure]], ...] = (
        ("loss", "loss" in metrics, draw_loss),
        ("accuracy", "top1" in metrics, draw_accuracy),
        ("gabor_types", "type_accuracy" in metrics, draw_aspects),
        ("usi", "usi" in metrics, partial(draw_selectivity, metric="usi")),
        ("usi_abs", "usi_abs" in metrics, partial(draw_selectivity, metric="usi_abs")),
        ("tests", bool((table["mode"] == TEST).any()), draw_tests),
    )
    return [(name, partial(make, comparison)) for name, is_there, make in makers if is_there]


# ---- over epochs ----


def draw_loss(comparison: Comparison) -> Figure:
    """Draw training and validation loss; chance is that of equal scores."""
    modes = modes_of(comparison, "loss")
    figure, grid = grid_of(comparison, 1, len(modes), sharey="row")
    for axes, mode in zip(grid[0], modes, strict=True):
        draw_metric(axes, comparison, "loss", mode=mode)
        draw_common_chance(axes, comparison, "chance", mode, lambda share: -np.log(share))
        axes.set_title(MODES[mode])
    losses = select(comparison.single, "loss").dropna(subset="epoch").set_index("epoch")["value"]
    chances = select(comparison.single, "chance").dropna(subset="epoch")["value"]
    focus_on_what_follows(list(grid[0]), losses, -np.log(chances.min()))
    grid[0, 0].set_ylabel("Loss (nats)")
    finish_epochs(figure, grid, comparison)
    return figure


def draw_accuracy(comparison: Comparison) -> Figure:
    """Draw training and validation top-1, and chance."""
    modes = modes_of(comparison, "top1")
    figure, grid = grid_of(comparison, 1, len(modes), sharey="row")
    for axes, mode in zip(grid[0], modes, strict=True):
        draw_metric(axes, comparison, "top1", mode=mode)
        draw_common_chance(axes, comparison, "chance", mode, lambda share: 100 * share)
        axes.set_title(MODES[mode])
    set_percent(grid[0, 0], "Top-1 accuracy (%)")
    finish_epochs(figure, grid, comparison)
    return figure


def draw_aspects(comparison: Comparison) -> Figure:
    """Draw the shares of Gabors with the right image type, and with the right orientation."""
    modes = modes_of(comparison, "type_accuracy")
    figure, grid = grid_of(comparison, len(ASPECTS), len(modes), sharey="row")
    for row, aspect in zip(grid, ASPECTS, strict=True):
        for axes, mode in zip(row, modes, strict=True):
            draw_metric(axes, comparison, f"{aspect}_accuracy", mode=mode)
            chance = f"{aspect}_chance"
            draw_common_chance(axes, comparison, chance, mode, lambda share: 100 * share)
        set_percent(row[0], "Right image type (%)" if aspect == "type" else "Right orientation (%)")
    for axes, mode in zip(grid[0], modes, strict=True):
        axes.set_title(MODES[mode])
    figure.align_ylabels(grid[:, 0])
    finish_epochs(figure, grid, comparison)
    return figure


def draw_selectivity(comparison: Comparison, metric: str) -> Figure:
    """Draw the nodes' mean USI or |USI| in each module, of activations and of errors."""
    rows = select(comparison.table, metric)
    modules = [module for module in MODULES if (rows["module"] == module).any()]
    kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()]
    figure, grid = grid_of(comparison, len(kinds), len(modules), sharey="row")
    for kind, row in zip(kinds, grid, strict=True):
        for module, axes in zip(modules, row, strict=True):
            for when, dashes in ((PRE, "--"), (POST, "-")):
                place = {"module": module, "kind": kind, "when": when}
                draw_metric(axes, comparison, metric, dashes=dashes, **place)
            axes.axhline(0, color=figures.GRAY, lw=0.7, zorder=0.5)
        row[0].set_ylabel(f"Mean {metric_name(metric)} of {kind}s")
    for module, axes in zip(modules, grid[0], strict=True):
        axes.set_title(module.capitalize())
    figure.align_ylabels(grid[:, 0])
    more = {"After the epoch": "-", "Before it": "--"} if (rows["when"] == PRE).any() else {}
    finish_epochs(figure, grid, comparison, more)
    return figure


def modes_of(comparison: Comparison, metric: str) -> list[str]:
    """Return the modes, of training and validation, that have the number for epochs."""
    rows = select(comparison.table, metric).dropna(subset="epoch")
    return [mode for mode in TRAINED if (rows["mode"] == mode).any()]


def select(table: pd.DataFrame, metric: str, **keys: str) -> pd.DataFrame:
    """Return the rows of a number, at the given values of other keys."""
    is_wanted = table["metric"] == metric
    for key, value in keys.items():
        is_wanted &= table[key] == value
    return table[is_wanted]


def draw_metric(
    axes: Axes, comparison: Comparison, metric: str, dashes: str = "-", **keys: str
) -> None:
    """Draw the mean of each group over epochs, ± sd as a band, and the runs of small groups."""
    factor = 100 if is_share(metric) else 1
    table = select(comparison.table, metric, **keys).dropna(subset="epoch")
    single = select(comparison.single, metric, **keys).dropna(subset="epoch")
    for index, colour in enumerate(colours(comparison)):
        rows = table[table["group"] == index].set_index("epoch")
        if rows.empty:
            continue
        mean, sd = factor * rows["mean"], factor * rows["sd"].fillna(0)
        if len(comparison.grouping.groups[index].measured) <= FEW_RUNS:
            for _, run in single[single["group"] == index].groupby("place"):
                values = factor * run.set_index("epoch")["value"]
                axes.plot(values, color=colour, ls=dashes, lw=0.6, alpha=0.5, zorder=1.8)
        if len(rows) == 1:
            axes.errorbar(rows.index, mean, sd, color=colour, lw=0.8, capsize=3)
        axes.fill_between(rows.index, mean - sd, mean + sd, color=colour, alpha=0.16, lw=0)
        draw_series(axes, mean, colour, dashes)
        fewer = mean[rows["n"] < len(comparison.grouping.groups[index].measured)]
        axes.plot(fewer, "o", color=colour, mfc="white", clip_on=False, in_layout=False)


def draw_common_chance(
    axes: Axes,
    comparison: Comparison,
    metric: str,
    mode: str,
    shown: Callable[[pd.Series], pd.Series],
) -> None:
    """Draw the chance of all groups, or of each group where they differ."""
    rows = select(comparison.table, metric, mode=mode).dropna(subset="epoch")
    of_epochs = rows.groupby("epoch")["mean"]
    if (of_epochs.max() > SAME_CHANCE * of_epochs.min()).any():
        for index, colour in enumerate(colours(comparison)):
            of_group = rows[rows["group"] == index]
            if len(of_group):
                draw_chance(axes, shown(of_group.set_index("epoch")["mean"]), CHANCE, colour)
    elif len(rows):
        draw_chance(axes, shown(of_epochs.mean()), CHANCE, DARK)


# ---- tests ----


def draw_tests(comparison: Comparison) -> Figure:
    """Draw the accuracies of tests as bars, with ± sd and a point for each run."""
    table = comparison.table[comparison.table["mode"] == TEST]
    tested = list(dict.fromkeys(table["when"]))[:MOST_TESTS]
    levels = [level for level in TESTED if (table["kind"] == level).any()]
    figure, grid = grid_of(comparison, len(tested), len(levels), sharey=True)
    for what, row in zip(tested, grid, strict=True):
        for level, axes in zip(levels, row, strict=True):
            tops = [top for top in TOPS if (table["metric"] == top).any()]
            for place, top in enumerate(tops):
                draw_bars(axes, comparison, place, metric=top, when=what, kind=level)
            chance = select(table, "chance", when=what)["mean"]
            if len(chance):
                ends = pd.Series(100 * chance.mean(), [-0.45, 0.45])
                draw_chance(axes, ends, f"{CHANCE} of top-1", DARK)
            axes.set_xticks(range(len(tops)), [f"top-{top[3:]}" for top in tops])
            axes.tick_params(axis="x", length=0)
            axes.set_title(f"{TESTED[level]}, {tested_text(what)}")
        row[0].set_ylabel("Accuracy (%)")
    set_percent(grid[0, 0], "Accuracy (%)")
    finish_bars(figure, grid, comparison)
    return figure


def draw_bars(axes: Axes, comparison: Comparison, place: int, **keys: str) -> None:
    """Draw a number of a test as a bar for each group, side by side around `place`."""
    table, single = comparison.table, comparison.single
    count = len(comparison.grouping.groups)
    for index, colour in enumerate(colours(comparison)):
        middle = place + BARS * ((index + 0.5) / count - 0.5)
        rows = select(table[table["group"] == index], **keys)
        runs = 100 * select(single[single["group"] == index], **keys)["value"].to_numpy()
        mean, sd = 100 * rows["mean"], 100 * rows["sd"].fillna(0)
        middles = [middle] * len(rows)
        axes.bar(middles, mean, 0.9 * BARS / count, color=colour, alpha=BAR_ALPHA)
        if len(runs) > 1:
            axes.errorbar(middles, mean, sd, color=DARK, lw=0.9, capsize=2.5, ls="none", zorder=3)
        spread = middle + 0.3 * BARS / count * (np.arange(len(runs)) / max(1, len(runs) - 1) - 0.5)
        axes.plot(spread, runs, "o", color=colour, mec="white", mew=0.4, ms=3.6, zorder=4)
