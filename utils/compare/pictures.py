"""A comparison as pictures: which there are, and mean ± sd of each group over epochs."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.analysis.recorded import KINDS, MODULES, POST, PRE
from utils.compare.bars import draw_retrievals, draw_tests
from utils.compare.layout import CHANCE, FEW_RUNS, NOT_ALL_RUNS, colours, finish_epochs, grid_of
from utils.compare.statistics import Comparison, of_retrievals, of_tests, select
from utils.compare.texts import is_share, metric_name
from utils.files import writing
from utils.plots import figures
from utils.plots.curves import draw_chance, draw_series, focus_on_what_follows, set_percent
from utils.plots.draw import Picture, draw
from utils.plots.figures import DARK, MODES

LOSS, TOP1, SELECTIVITY = "loss", "top1", "usi_abs"
CURVES = {  # pictures of training and validation: a row of panels for each number, with its name
    "loss": {LOSS: "Loss (nats)"},
    "accuracy": {TOP1: "Top-1 accuracy (%)"},
    "gabor_types": {
        "type_accuracy": "Right image type (%)",
        "orientation_accuracy": "Right orientation (%)",
    },
}
CHANCES = {  # what is drawn beside a number; loss by chance is that of equal scores
    **{LOSS: "chance", TOP1: "chance", SELECTIVITY: "usi_abs_chance"},
    **{f"{aspect}_accuracy": f"{aspect}_chance" for aspect in ("type", "orientation")},
}
ANALYSES = ("usi", SELECTIVITY)  # numbers with a picture each
TESTS, EVALUATIONS = "tests", "evaluations"
TRAINED = ("train", "val")
SAME_CHANCE = 1.1  # chance varies a little with the images that were drawn


def draw_all(comparison: Comparison, out: Path) -> list[Path]:
    """Draw what there are numbers for; return the paths. Pictures of earlier calls are removed.

    Raises RunError where the disk fails.
    """
    pictures = list_pictures(comparison)
    paths = draw(pictures, out, None)
    for name in sorted({*CURVES, *ANALYSES, TESTS, EVALUATIONS} - {name for name, _ in pictures}):
        path = out / f"{name}.png"
        with writing(path):
            path.unlink(missing_ok=True)
    return paths


def list_pictures(comparison: Comparison) -> list[Picture]:
    """Return the pictures that there are numbers for."""
    table = comparison.table
    metrics = set(table.loc[table["epoch"].notna(), "metric"])
    pictures: list[Picture] = [
        (name, partial(draw_curves, comparison, shown))
        for name, shown in CURVES.items()
        if metrics & shown.keys()
    ]
    pictures += [
        (metric, partial(draw_selectivity, comparison, metric))
        for metric in ANALYSES
        if metric in metrics
    ]
    if len(of_tests(table)):
        pictures.append((TESTS, partial(draw_tests, comparison)))
    if len(of_retrievals(table)):
        pictures.append((EVALUATIONS, partial(draw_retrievals, comparison)))
    return pictures


# ---- over epochs ----


def draw_curves(comparison: Comparison, shown: Mapping[str, str]) -> Figure:
    """Draw numbers of training and validation with their chance; `shown` has their names."""
    table = comparison.table[comparison.table["metric"].isin(list(shown))].dropna(subset="epoch")
    modes = [mode for mode in TRAINED if (table["mode"] == mode).any()]
    figure, grid = grid_of(comparison, len(shown), len(modes), sharey="row")
    for (metric, name), row in zip(shown.items(), grid, strict=True):
        for axes, mode in zip(row, modes, strict=True):
            draw_metric(axes, comparison, metric, mode=mode)
            draw_common_chance(axes, comparison, metric, mode=mode)
        if metric == LOSS:
            losses = select(comparison.single, LOSS).dropna(subset="epoch").set_index("epoch")
            lowest = select(comparison.single, "chance").dropna(subset="epoch")["value"].min()
            focus_on_what_follows(list(row), losses["value"], -np.log(lowest))
            row[0].set_ylabel(name)
        else:
            set_percent(row[0], name)
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
            for when, dashes in ((PRE, ":"), (POST, "-")):
                place = {"module": module, "kind": kind, "when": when}
                draw_metric(axes, comparison, metric, dashes=dashes, **place)
            draw_common_chance(axes, comparison, metric, when=POST)
            axes.axhline(0, color=figures.GRAY, lw=0.7, zorder=0.5)
        row[0].set_ylabel(f"Mean {metric_name(metric)} of {kind}s")
    for module, axes in zip(modules, grid[0], strict=True):
        axes.set_title(module.capitalize())
    figure.align_ylabels(grid[:, 0])
    more = {"After the epoch": "-", "Before it": ":"} if (rows["when"] == PRE).any() else {}
    note = "U images are in the clips of all epochs here"
    finish_epochs(figure, grid, comparison, more, "U in training", [note])
    return figure


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
        if len(fewer):
            axes.plot(
                fewer, "o", color=colour, mfc="white", clip_on=False, in_layout=False,
                gid=NOT_ALL_RUNS,
            )  # fmt: skip


def draw_common_chance(axes: Axes, comparison: Comparison, of: str, **keys: str) -> None:
    """Draw the chance of a number, if it has one: of all groups, or of each where they differ."""
    if of not in CHANCES:
        return
    rows = select(comparison.table, CHANCES[of], **keys).dropna(subset="epoch")
    shown = -np.log(rows["mean"]) if of == LOSS else rows["mean"] * (100 if is_share(of) else 1)
    rows = rows.assign(shown=shown)
    of_epochs = rows.groupby("epoch")
    if (of_epochs["mean"].max() > SAME_CHANCE * of_epochs["mean"].min()).any():
        for index, colour in enumerate(colours(comparison)):
            of_group = rows[rows["group"] == index]
            if len(of_group):
                draw_chance(axes, of_group.set_index("epoch")["shown"], CHANCE, colour)
    elif len(rows):
        draw_chance(axes, of_epochs["shown"].mean(), CHANCE, DARK)
