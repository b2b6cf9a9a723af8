"""Pictures of the USI, nodes' selectivity for U: its mean, distribution and stability."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from utils.analysis.drawing import panels
from utils.analysis.drawing.panels import EndLabel, EpochAxis
from utils.analysis.drawing.results import Results
from utils.analysis.recorded import POST
from utils.analysis.selectivity import chance_selectivity
from utils.plots import figures
from utils.plots.page import with_minus

EXPECTED = 0.05  # share of nodes outside the central 95 % if labels mean nothing
ROWS = {"mean": "Mean USI", "mean_abs": "Mean |USI|", "significant": "Significant nodes"}
BINS = 80
SHOWN_SHARE = 99.6  # percent of the nodes that a distribution's axis holds
LEAST_END = 0.1  # of an axis of USIs
STEP = 0.9  # between the baselines of two epochs' distributions, each 1 high
MANY_NODES = 400  # from here on, a scatter shows counts


def draw_usi(results: Results) -> Figure:
    """Draw mean, mean size and significant share over epochs; a column per kind."""
    table = results.select("usi", over="all")
    kinds, modules = results.kinds("usi"), results.modules
    rows = [column for column in ROWS if table[column].notna().any()] or ["mean"]
    axis = panels.epoch_axis(sorted(set(table["epoch"])), results.onset, [table])
    height = 1.65
    figure = panels.new_figure(min(panels.WIDTH, 0.9 + 3.1 * len(kinds)), 0.6 + height * len(rows))
    grid = figure.subplots(len(rows), len(kinds), squeeze=False, sharex=True, sharey="row")
    for column, row in zip(rows, grid, strict=True):
        for kind, axes in zip(kinds, row, strict=True):
            draw_modules(axes, axis, table[table["kind"] == kind], column, modules)
            if column == "mean_abs":
                panels.draw_levels(axes, axis, noise_levels(table))
            axis.finish(axes, axes is grid[0, 0], axes in grid[-1])
            if axes in grid[0]:
                axes.set_title(panels.KIND_NAMES[kind])
        row[0].set_ylabel(ROWS[column])
        finish_row(row[0], column)
        for kind, axes in zip(kinds, row, strict=True):
            ends = [
                EndLabel(
                    panels.last_value(
                        table[(table["kind"] == kind) & (table["module"] == m)], column
                    ),
                    m,
                    panels.MODULE_COLOURS[m],
                )
                for m in modules
            ]
            if column == "significant":
                ends.append(EndLabel(EXPECTED, "5 % expected", figures.TEXT_GRAY))
            elif column == "mean_abs":
                level = noise_levels(table).iloc[-1]
                ends.append(EndLabel(level, "noise alone", figures.TEXT_GRAY))
            panels.label_ends(axes, ends, 0.75 * height)
    figure.align_ylabels(grid[:, 0])
    panels.when_legend(grid[-1, -1], axis)
    return figure


def draw_modules(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, column: str, modules: tuple[str, ...]
) -> None:
    """Draw a line per module; the share of significant nodes has its interval."""
    for module in modules:
        one, colour = rows[rows["module"] == module], panels.MODULE_COLOURS[module]
        panels.draw_series(axes, axis, one, column, colour, panels.MODULE_MARKS[module])
        if column == "significant":
            keys = zip(one["epoch"], one["when"], strict=True)
            places = [axis.place(epoch, when) for epoch, when in keys]
            ends = one["significant_low"], one["significant_high"]
            axes.vlines(places, *ends, color=colour, lw=0.8, zorder=2)
    if column == "significant":
        axes.axhline(EXPECTED, color=figures.DARK, ls="--", lw=0.7, zorder=1)
    elif column == "mean":
        axes.axhline(0, color=figures.DARK, lw=0.6, zorder=1)


def noise_levels(table: pd.DataFrame) -> pd.Series:
    """Return by epoch about the mean |USI| of nodes that respond alike to D and U."""
    counts = table.groupby("epoch")[["blocks_D", "blocks_U"]].max()
    return chance_selectivity(counts["blocks_D"], counts["blocks_U"])


def finish_row(axes: Axes, column: str) -> None:
    """Set the limits of a row's y axis, with room above its lines."""
    low, high = axes.get_ylim()
    if column == "mean":
        axes.set_ylim(low, high + 0.15 * (high - low))
    else:
        axes.set_ylim(0, max(1.18 * high, 0.01))
    if column == "significant":
        axes.yaxis.set_major_formatter(PercentFormatter(1))


# ---- distributions ----


def draw_distributions(results: Results) -> Figure:
    """Draw how the USIs of nodes are distributed after each landmark; a column per module."""
    kinds, modules = results.kinds("usi"), results.modules
    epochs = sorted(set(results.select("usi", when=POST)["epoch"]))
    height = 0.5 + 0.24 * max(4, len(epochs))
    figure = panels.new_figure(panels.WIDTH, 0.4 + height * len(kinds))
    grid = figure.subplots(len(kinds), len(modules), squeeze=False)
    for kind, row in zip(kinds, grid, strict=True):
        for module, axes in zip(modules, row, strict=True):
            names = [f"epoch{epoch}_{POST}_{module}_{kind}" for epoch in epochs]
            arrays = results.arrays("usi_nodes.npz", names)
            values = [arrays.get(name, np.empty(0)).ravel() for name in names]
            values = [nodes[np.isfinite(nodes)] for nodes in values]
            draw_ridges(axes, values, epochs, results.onset, panels.MODULE_COLOURS[module])
            if module != modules[0]:
                axes.set_yticklabels([])
            if axes in grid[0]:
                axes.set_title(panels.module_name(module))
            if axes in grid[-1]:
                axes.set_xlabel("USI of a node")
        row[0].set_ylabel(f"{panels.KIND_NAMES[kind]}\nafter epoch")
    return figure


def draw_ridges(
    axes: Axes, values: list[np.ndarray], epochs: list[int], onset: int | None, colour: str
) -> None:
    """Draw a distribution per epoch, the first one on top, with its median; 0 is marked."""
    ends = [float(np.percentile(abs(nodes), SHOWN_SHARE)) for nodes in values if len(nodes)]
    end = max([LEAST_END, *(1.15 * one for one in ends)])
    edges = np.linspace(-end, end, BINS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    bases = -STEP * np.arange(len(epochs))
    for base, nodes, epoch in zip(bases, values, epochs, strict=True):
        axes.axhline(base, color="#D0D0D0", lw=0.5, zorder=1)
        if not len(nodes):
            continue
        shape = panels.density(nodes, edges)
        order = 2 - base  # a lower one lies in front of the upper one, but not of its median
        is_trained = onset is not None and epoch >= onset
        tone = panels.lighter(colour, 0.8 if is_trained else 0.4)
        axes.fill_between(middle, base, base + shape, color=tone, lw=0, zorder=order)
        axes.plot(middle, base + shape, color="white", lw=0.7, zorder=order + 0.1)
        median = float(np.median(nodes))
        axes.plot([median, median], [base, base + 0.7], color="black", lw=1.1, zorder=40)
    axes.axvline(0, color=figures.DARK, lw=0.6, ls="--", zorder=50)
    axes.set_yticks(bases, [str(epoch) for epoch in epochs])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(-end, end), ylim=(bases[-1] - 0.08, 1.08))
    for text, epoch in zip(axes.get_yticklabels(), epochs, strict=True):
        if onset is not None and epoch >= onset:
            text.set_color(figures.ORANGE)


# ---- stability ----


def draw_correlation(results: Results) -> Figure:
    """Draw the USI of each node before U's onset against that after it, and r over epochs."""
    table = results.tables["usi_correlation"]
    kinds, modules = results.kinds("usi_correlation"), results.modules
    step = shown_step(table, results.onset)
    epochs = sorted({*table["epoch"], *table["next_epoch"]})
    axis = panels.epoch_axis(epochs, results.onset, [table])._replace(has_pre=False)
    height = 1.85
    figure = panels.new_figure(panels.WIDTH + 0.6, 0.5 + height * len(kinds))
    widths = [1.0] * len(modules) + [1.55]
    grid = figure.subplots(len(kinds), len(modules) + 1, squeeze=False, width_ratios=widths)
    for kind, row in zip(kinds, grid, strict=True):
        for module, axes in zip(modules, row[:-1], strict=True):
            names = [f"epoch{epoch}_{POST}_{module}_{kind}" for epoch in step]
            arrays = results.arrays("usi_nodes.npz", names)
            draw_scatter(axes, [arrays.get(name, np.empty(0)) for name in names], module)
            if axes in grid[0]:
                axes.set_title(panels.module_name(module), pad=16)
            if axes in grid[-1]:
                axes.set_xlabel(f"USI, epoch {step[0]}")
        row[0].set_ylabel(f"{panels.KIND_NAMES[kind]}\nUSI, epoch {step[1]}")
        rows = table[(table["kind"] == kind) & (table["when"] == POST)]
        draw_r(row[-1], axis, rows, modules, 0.75 * height)
        axis.finish(row[-1], above=row[-1] is grid[0, -1], below=row[-1] is grid[-1, -1])
        if row[-1] is grid[0, -1]:
            row[-1].set_title("r of consecutive epochs", pad=16)
    return figure


def shown_step(table: pd.DataFrame, onset: int | None) -> tuple[int, int]:
    """Return the step over U's onset among those of the post passes, else the last one."""
    rows = table[table["when"] == POST]
    rows = (rows if len(rows) else table).sort_values(["epoch", "next_epoch"])
    if onset is not None:
        over = rows[(rows["epoch"] < onset) & (rows["next_epoch"] >= onset)]
        rows = over if len(over) else rows
    return int(rows["epoch"].iloc[-1]), int(rows["next_epoch"].iloc[-1])


def draw_scatter(axes: Axes, pair: list[np.ndarray], module: str) -> None:
    """Draw nodes by their USI at two epochs, many of them as counts in hexagons."""
    if pair[0].shape != pair[1].shape:
        pair = [np.empty(0), np.empty(0)]
    x, y = (values.ravel() for values in pair)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    end = max(float(np.percentile(np.abs([x, y]), 99.8)) * 1.1, LEAST_END) if len(x) else 1.0
    axes.axline((0, 0), slope=1, color="#BBBBBB", lw=0.6, zorder=0)
    axes.axhline(0, color="#DDDDDD", lw=0.5, zorder=0)
    axes.axvline(0, color="#DDDDDD", lw=0.5, zorder=0)
    colour = panels.MODULE_COLOURS[module]
    if len(x) > MANY_NODES:
        axes.hexbin(
            x, y, gridsize=26, extent=(-end, end, -end, end), mincnt=1, bins="log", lw=0.1,
            cmap=panels.to_colour(colour),
        )  # fmt: skip
    else:
        axes.plot(x, y, ".", color=colour, ms=5, alpha=0.6, mew=0)
    axes.set(xlim=(-end, end), ylim=(-end, end), box_aspect=1, anchor="NW")
    axes.locator_params(nbins=4)
    axes.xaxis.set_major_formatter("{x:g}")  # narrower than with zeros at the end
    if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
        r = np.corrcoef(x, y)[0, 1]
        told = with_minus(f"r = {r:.2f}, {len(x)} nodes")
        axes.annotate(
            told, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
            fontsize=7, color=figures.TEXT_GRAY,
        )  # fmt: skip


def draw_r(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, modules: tuple[str, ...], height: float
) -> None:
    """Draw r with its interval between the ticks of the two epochs that it compares."""
    ends = []
    for module in modules:
        one = rows[rows["module"] == module].sort_values("epoch")
        if one.empty:
            continue
        pairs = zip(one["epoch"], one["next_epoch"], strict=True)
        places = np.array([(axis.place(a) + axis.place(b)) / 2 for a, b in pairs])
        places += 0.12 * (modules.index(module) - (len(modules) - 1) / 2)
        colour = panels.MODULE_COLOURS[module]
        axes.vlines(places, one["low"], one["high"], color=colour, lw=0.8)
        axes.plot(
            places, one["r"], marker=panels.MODULE_MARKS[module], ms=3.4, color=colour, lw=1
        )  # fmt: skip
        ends.append(EndLabel(float(one["r"].iloc[-1]), module, colour))
    axes.axhline(0, color=figures.DARK, lw=0.6, zorder=1)
    low = min(-0.1, float(np.nan_to_num(rows["low"].min())) - 0.05)
    axes.set_ylim(low, 1.05)
    panels.label_ends(axes, ends, height)
