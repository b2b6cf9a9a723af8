"""Pictures of responses by image type, of tuning by stage, and of what can be decoded."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import ColorType

from utils.analysis.drawing import panels
from utils.analysis.drawing.panels import EndLabel, EpochAxis
from utils.analysis.drawing.results import Results
from utils.analysis.recorded import POST, STAGES
from utils.plots import figures

FIRST_LAST = (figures.SKY, figures.BLUE)
BINS = 40
INDEX_NAMES = {
    "osi": "Orientation selectivity (OSI)",
    "dsi": "Direction selectivity (DSI)",
}
TARGET_NAMES = {"orientation": "Orientation", "image": "Image type"}


# ---- responses ----


def draw_responses(results: Results) -> Figure:
    """Draw the mean size of responses by image type; a row for activations, one for errors.

    Many classes are summarised by their median and the span of their central 80 percent.
    """
    table = results.tables["responses"]
    kinds, modules = results.kinds("responses"), results.modules
    axis = panels.epoch_axis(sorted(set(table["epoch"])), results.onset, [table])
    colours = panels.class_colours(results.blocks_by_image)
    height = 1.75
    figure = panels.new_figure(panels.WIDTH, 0.55 + height * len(kinds))
    grid = figure.subplots(len(kinds), len(modules), squeeze=False, sharex=True)
    for kind, row in zip(kinds, grid, strict=True):
        for module, axes in zip(modules, row, strict=True):
            rows = table[(table["module"] == module) & (table["kind"] == kind)]
            labels = draw_by_image(axes, axis, rows, colours)
            is_short = all(len(one.text) < 3 for one in labels)
            if is_short or axes is row[-1]:  # names of classes would take the panels' room
                panels.label_ends(axes, labels, 0.7 * height)
            axis.finish(axes, axes is grid[0, 0], axes in grid[-1])
            axes.ticklabel_format(axis="y", scilimits=(-3, 4))
            if axes in grid[0]:
                axes.set_title(panels.module_name(module))
        row[0].set_ylabel(f"Mean |{kind}|")
    figure.align_ylabels(grid[:, 0])
    if table["image"].nunique() <= panels.MOST_CLASSES:
        panels.when_legend(grid[-1, -1], axis)
    return figure


def draw_by_image(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, colours: dict[str, ColorType]
) -> list[EndLabel]:
    """Draw the mean absolute responses of one module and kind; return the names of the lines."""
    if rows["image"].nunique() > panels.MOST_CLASSES:
        draw_summary(axes, axis, rows)
        return []
    labels = []
    for image, colour in colours.items():
        one = rows[rows["image"] == image]
        width = 1.8 if image in "DU" else 1.1
        panels.draw_series(axes, axis, one, "mean_abs", colour, width=width)
        value = panels.last_value(one, "mean_abs")
        labels.append(EndLabel(value, panels.shortened(image), colour))
    return labels


def draw_summary(axes: Axes, axis: EpochAxis, rows: pd.DataFrame) -> None:
    """Draw the median and the central 80 percent of many classes' post passes."""
    by_epoch = rows[rows["when"] == POST].groupby("epoch")["mean_abs"]
    low, middle, high = (by_epoch.quantile(share) for share in (0.1, 0.5, 0.9))
    places = [axis.place(epoch) for epoch in middle.index]
    axes.fill_between(places, low, high, color=figures.BLUE, alpha=0.2, lw=0)
    axes.plot(places, middle, color=figures.BLUE, marker="o", ms=3.4)


# ---- tuning ----


def draw_tuning(results: Results) -> Figure:
    """Draw the distributions of channels' OSI and DSI by stage, of the first and the last epoch."""
    epochs = results.landmarks("tuning")
    epochs = [epochs[0], epochs[-1]] if len(epochs) > 1 else epochs
    stages = [stage for stage in STAGES if (results.tables["tuning"]["stage"] == stage).any()]
    table = results.tables["tuning"]
    indices = [index for index in INDEX_NAMES if table[f"{index}_median"].notna().any()] or ["osi"]
    figure = panels.new_figure(0.5 + 3.3 * len(indices), 2.6)
    grid = figure.subplots(1, len(indices), squeeze=False, sharey=True)[0]
    for axes, index in zip(grid, indices, strict=True):
        names = {(e, s): f"epoch{e}_{POST}_{s}_{index}" for e in epochs for s in stages}
        arrays = results.arrays("tuning_channels.npz", list(names.values()))
        for side, (epoch, colour) in enumerate(
            zip(epochs, FIRST_LAST[-len(epochs) :], strict=True)
        ):
            medians = []
            for place, stage in enumerate(stages):
                values = arrays.get(names[epoch, stage], np.empty(0))
                values = values[np.isfinite(values)]
                half = 2 * side - 1 if len(epochs) > 1 else 0
                medians.append(draw_violin(axes, place, values, colour, half))
            shift = 0.06 * (2 * side - 1) * (len(epochs) > 1)
            axes.plot(
                np.arange(len(stages)) + shift, medians, color=colour, marker="o", ms=3.5,
                mec="white", mew=0.6, lw=1, zorder=4,
            )  # fmt: skip
        axes.set_title(INDEX_NAMES[index])
        names_of_stages = [s.replace("stage", "stage ") for s in stages]
        axes.set_xticks(range(len(stages)), names_of_stages)
        axes.set(xlim=(-0.6, len(stages) - 0.4), ylim=(0, 1), xlabel="Depth in the network")
    grid[0].set_ylabel("Index")
    shown = zip(epochs, FIRST_LAST[-len(epochs) :], strict=True)
    handles: list[Patch | Line2D] = [
        Patch(color=colour, alpha=0.5, label=f"epoch {epoch}") for epoch, colour in shown
    ]
    handles.append(Line2D([], [], color=figures.DARK, marker="o", ms=3.5, lw=1, label="median"))
    figure.legend(handles=handles, loc="outside upper right", ncols=3, borderaxespad=0.8)
    return figure


def draw_violin(axes: Axes, place: float, values: np.ndarray, colour: str, half: int) -> float:
    """Draw how values of 0 to 1 are distributed, at x = `place`; return their median.

    `half` is -1 for the left side alone, 1 for the right one, 0 for both.
    """
    if not len(values):
        return np.nan
    edges = np.linspace(0, 1, BINS + 1)
    shape = 0.42 * panels.density(np.clip(values, 0, 1), edges)
    middle = (edges[:-1] + edges[1:]) / 2
    left = place - shape * (half <= 0)
    right = place + shape * (half >= 0)
    shown = shape > 0.004
    axes.fill_betweenx(middle, left, right, where=shown, color=colour, alpha=0.5, lw=0)
    return float(np.median(values))


# ---- decoding ----


def draw_decoding(results: Results) -> Figure:
    """Draw balanced accuracies by module and epoch: a column per target, a row per kind."""
    table = results.tables["decoding"]
    targets = [target for target in TARGET_NAMES if (table["target"] == target).any()]
    kinds, modules = results.kinds("decoding"), results.modules
    axis = panels.epoch_axis(sorted(set(table["epoch"])), results.onset, [table])
    height = 1.9
    size = (min(panels.WIDTH, 0.9 + 3.1 * len(targets)), 0.55 + height * len(kinds))
    figure = panels.new_figure(*size)
    grid = figure.subplots(len(kinds), len(targets), squeeze=False, sharex=True)
    for kind, row in zip(kinds, grid, strict=True):
        for target, axes in zip(targets, row, strict=True):
            rows = table[(table["kind"] == kind) & (table["target"] == target)]
            draw_accuracies(axes, axis, rows, modules, 0.75 * height)
            axis.finish(axes, axes is grid[0, 0], axes in grid[-1])
            if axes in grid[0]:
                name = TARGET_NAMES[target]
                axes.set_title(name if results.are_gabors or target != "image" else "Class")
        row[0].set_ylabel(f"Balanced accuracy (%)\nof {kind}s")
    figure.align_ylabels(grid[:, 0])
    panels.when_legend(grid[-1, -1], axis)
    return figure


def draw_accuracies(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, modules: tuple[str, ...], height: float
) -> None:
    """Draw one panel: accuracies ± sd over splits, those of shuffled labels in gray, and chance."""
    labels = []
    rows = rows.assign(percent=100 * rows["accuracy"], by_chance=100 * rows["shuffled"])
    for module in modules:
        one = rows[rows["module"] == module]
        colour = panels.MODULE_COLOURS[module]
        for when, some in one.groupby("when"):
            places = [axis.place(epoch, str(when)) for epoch in some["epoch"]]
            axes.errorbar(
                places, 100 * some["shuffled"], 100 * some["shuffled_sd"], fmt="_", ms=4,
                color="#BFBFBF", elinewidth=0.7, zorder=1.5,
            )  # fmt: skip
            axes.errorbar(
                places, some["percent"], 100 * some["sd"], fmt="none", ecolor=colour,
                elinewidth=0.8, zorder=2,
            )  # fmt: skip
        panels.draw_series(axes, axis, one, "percent", colour, panels.MODULE_MARKS[module])
        labels.append(EndLabel(panels.last_value(one, "percent"), module, colour))
    axes.set_ylim(0, float(np.clip(1.08 * axes.get_ylim()[1], 1, 103)))
    classes = rows.groupby("epoch")["classes"].max()
    panels.draw_levels(axes, axis, 100 / classes[classes > 0])
    shuffled = rows["by_chance"].mean()
    labels.append(EndLabel(shuffled, "shuffled", figures.GRAY))
    panels.label_ends(axes, labels, height)
