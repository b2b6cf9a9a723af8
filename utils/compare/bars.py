"""Tests and retrievals as bars: mean ± standard deviation over the runs of each group."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.compare.layout import BAR_ALPHA, CHANCE, colours, finish_bars, grid_of
from utils.compare.measures import CHANCE_OF, EVALUATED, NEIGHBOURS, RECALLS, TOPS
from utils.compare.statistics import Comparison, of_retrievals, of_tests, select
from utils.compare.texts import metric_name, retrieved, tested_text
from utils.plots.curves import draw_chance, set_percent
from utils.plots.figures import DARK

MOST_TESTS = 6  # rows of panels
TESTED = {
    "video": "Whole videos",
    "video, 5 crops": "Whole videos, 5 crops",
    "video, 10 crops": "Whole videos, 10 crops",
    "clip": "Clips",
}
CHANCES = {TOPS[0]: "chance"} | {name: CHANCE_OF.format(name) for name in EVALUATED}
COLUMNS = {"Retrieval": RECALLS, "kNN and probe": NEIGHBOURS}  # what is done with stored features
BARS = 0.8  # width of the bars of all groups together


def draw_tests(comparison: Comparison) -> Figure:
    """Draw the accuracies of tests as bars, with ± sd and a point for each run."""
    table = of_tests(comparison.table)
    shown, more = _first(list(dict.fromkeys(table["when"])))
    levels = [level for level in TESTED if (table["kind"] == level).any()]
    tops = [top for top in TOPS if (table["metric"] == top).any()]
    figure, grid = grid_of(comparison, len(shown), len(levels), sharey=True)
    for what, row in zip(shown, grid, strict=True):
        for level, axes in zip(levels, row, strict=True):
            for place, top in enumerate(tops):
                draw_bars(
                    axes, comparison, place, f"{CHANCE} of top-1", metric=top, when=what, kind=level
                )
            name_bars(axes, tops)
            axes.set_title(f"{TESTED[level]}, {tested_text(what)}")
        row[0].set_ylabel("Accuracy (%)")
    set_percent(grid[0, 0], "Accuracy (%)")
    finish_bars(figure, grid, comparison, more)
    return figure


def draw_retrievals(comparison: Comparison) -> Figure:
    """Draw what stored features can do as bars, with ± sd, a point for each run, and chance."""
    table = of_retrievals(comparison.table)
    keys_of = retrieved(table)
    shown, more = _first(list(keys_of))
    columns = {
        title: [name for name in names if (table["metric"] == name).any()]
        for title, names in COLUMNS.items()
    }
    columns = {title: names for title, names in columns.items() if names}
    figure, grid = grid_of(comparison, len(shown), len(columns), sharey=True)
    for told, row in zip(shown, grid, strict=True):
        for (title, names), axes in zip(columns.items(), row, strict=True):
            for place, name in enumerate(names):
                draw_bars(axes, comparison, place, CHANCE, metric=name, **keys_of[told])
            name_bars(axes, names)
            axes.set_title(f"{title}, {told}" if len(shown) > 1 else title)
        row[0].set_ylabel("Right (%)")
    set_percent(grid[0, 0], "Right (%)")
    of_one = [f"of {told}" for told in shown[:1] if len(shown) == 1]
    finish_bars(figure, grid, comparison, [*of_one, *more])
    return figure


def _first(tested: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what there is room for, and a note of the rest."""
    more = len(tested[MOST_TESTS:])
    return list(tested[:MOST_TESTS]), [f"tests not shown: {more}"] if more else []


def name_bars(axes: Axes, metrics: Sequence[str]) -> None:
    """Name the numbers below their bars."""
    names = [metric_name(metric).replace(" ", "\n") for metric in metrics]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)


def draw_bars(
    axes: Axes, comparison: Comparison, place: int, chance: str, metric: str, **keys: str
) -> None:
    """Draw a number as a bar for each group, side by side around `place`.

    A number that has a chance is crossed by that of its groups, which is called `chance`.
    """
    groups = comparison.grouping.groups
    width = BARS / len(groups)
    tested = {"mode": "test", **{name: keys[name] for name in keys if name != "kind"}}
    for index, colour in enumerate(colours(comparison)):
        middle = place + width * (index + 0.5) - BARS / 2
        rows = select(comparison.table, metric, group=index, **keys)
        runs = 100 * select(comparison.single, metric, group=index, **keys)["value"].to_numpy()
        mean, sd = 100 * rows["mean"], 100 * rows["sd"].fillna(0)
        middles = [middle] * len(rows)
        axes.bar(middles, mean, 0.9 * width, color=colour, alpha=BAR_ALPHA)
        if len(runs) > 1:
            axes.errorbar(middles, mean, sd, color=DARK, lw=0.9, capsize=2.5, ls="none", zorder=3)
        spread = middle + 0.3 * width * (np.arange(len(runs)) / max(1, len(runs) - 1) - 0.5)
        axes.plot(spread, runs, "o", color=colour, mec="white", mew=0.4, ms=3.6, zorder=4)
        ends = [middle - width / 2, middle + width / 2]
        for share in select(comparison.table, CHANCES.get(metric, ""), group=index, **tested)[
            "mean"
        ]:
            draw_chance(axes, pd.Series(100 * share, ends), chance, DARK)
