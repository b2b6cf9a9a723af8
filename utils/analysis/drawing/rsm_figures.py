"""Pictures of RSMs, the correlations of blocks' response vectors with each other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from utils.analysis.drawing import panels
from utils.analysis.drawing.results import Results
from utils.analysis.loading import load_pass
from utils.analysis.recorded import POST, Pass
from utils.errors import UsageError
from utils.plots import figures
from utils.plots.breakdowns import TYPE_ORDER

KIND = "activation"  # that is shown; errors are in the tables
SIDE, SCALE = 1.75, 0.75  # inches of a matrix, and of its scale with numbers
POINTS = 4.2  # of a character of a name
STRIP = 0.035  # width of the strips of colours, as a share of the matrix' side
MOST_DIVIDED = 20  # groups between which there are lines
LEAST_SPAN = 0.06  # share of the side that a name needs
COLOURS = matplotlib.colormaps["RdBu_r"].resampled(51)  # few, which makes small files
POSITIVE = ListedColormap(COLOURS(np.linspace(0.5, 1, 26)))
ENDS = (1, 99)  # the per cent points of the correlations between which colours differ
LEAST_SPREAD = 0.02  # of a scale
Colours = dict[str, ColorType]


class Shown(NamedTuple):
    """The RSM of each module at one epoch, and image, orientation and step of its blocks."""

    epoch: int
    matrices: dict[str, np.ndarray]
    labels: pd.DataFrame


def read_shown(results: Results) -> list[Shown]:
    """Read the RSMs at the landmarks; raises UsageError for files that don't fit together."""
    shown = []
    for epoch in results.landmarks("rsm"):
        of = Pass(epoch, POST)
        names = {module: f"{of.name}_{module}_{KIND}" for module in results.modules}
        rows_name = f"{of.name}_rows"
        arrays = results.arrays("rsm.npz", [rows_name, *names.values()])
        if rows_name not in arrays or of not in results.passes:
            continue
        blocks = load_pass(results.folder, of).blocks
        rows = arrays[rows_name].astype(np.int64)
        if len(rows) and rows.max(initial=0) >= len(blocks):
            raise UsageError(f"{results.folder}: rsm.npz is of other passes; compute again")
        matrices = {m: arrays[name] for m, name in names.items() if name in arrays}
        labels = blocks.iloc[rows][["image", "orientation", "step"]].reset_index(drop=True)
        if all(matrix.shape == (len(rows), len(rows)) for matrix in matrices.values()):
            shown.append(Shown(epoch, matrices, labels))
    return shown


def draw_rsm(results: Results, shown: Sequence[Shown], outer: str) -> Figure:
    """Draw a row of RSMs per module and a column per landmark, sorted by `outer` first.

    `outer` is "image" or "orientation". Each matrix has its own scale, since the correlations of
    one module may lie close to 1, and those of another one around 0.
    """
    modules = [m for m in results.modules if any(m in one.matrices for one in shown)]
    of_images = panels.class_colours(results.blocks_by_image)
    longest = longest_name(shown[0].labels, outer)
    names = POINTS * longest / 72  # inches
    across = 0.6 + names + (SIDE + SCALE) * len(shown)
    down = 0.5 + names * (longest > 2) + (SIDE + 0.2) * len(modules)
    figure = Figure((across, down), layout="compressed")
    grid = figure.subplots(len(modules), len(shown), squeeze=False)
    room = 19 + POINTS * longest
    for module, row in zip(modules, grid, strict=True):
        for one, axes in zip(shown, row, strict=True):
            order = sort_blocks(one.labels, outer)
            matrix = one.matrices.get(module)
            axes.set(xticks=[], yticks=[])
            if matrix is None or not len(matrix):
                axes.set_visible(False)
                continue
            colours, low, high = scale_of(matrix)
            image = axes.imshow(
                np.ma.masked_invalid(matrix[np.ix_(order, order)]), cmap=colours, vmin=low,
                vmax=high, interpolation="nearest", extent=(0, 1, 1, 0),
            )  # fmt: skip
            scale = figure.colorbar(image, ax=axes, aspect=22, pad=0.03, fraction=0.05)
            scale.outline.set_visible(False)
            scale.ax.tick_params(labelsize=7, length=2)
            scale.locator = MaxNLocator(4)
            if one is shown[-1]:
                scale.set_label("Correlation")
            labels = one.labels.iloc[order]
            sides = axes is row[0], axes in grid[-1]
            draw_strips(axes, labels, outer, of_images, *sides)
            axes.spines[:].set_visible(False)
            if axes in grid[0]:
                axes.set_title(f"After epoch {one.epoch}, {len(matrix)} blocks")
        row[0].set_ylabel(panels.module_name(module), fontsize=9, labelpad=room)
    return figure


def scale_of(matrix: np.ndarray) -> tuple[Colormap, float, float]:
    """Return colours and ends of the scale of correlations outside the diagonal.

    It is symmetric around 0 or, where the correlations are positive, runs from low ones to high.
    """
    values = matrix[~np.eye(len(matrix), dtype=bool)]
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, ENDS).tolist() if len(values) else (-1.0, 1.0)
    if low < 0:
        high = max(high, -low, LEAST_SPREAD)
        return COLOURS.with_extremes(bad=figures.NO_DATA), -high, high
    return POSITIVE.with_extremes(bad=figures.NO_DATA), min(low, high - LEAST_SPREAD), high


def sort_blocks(labels: pd.DataFrame, outer: str) -> np.ndarray:
    """Return the order of blocks by image, orientation and step, or by orientation first.

    G comes last.
    """
    images = labels["image"]
    known = {name: place for place, name in enumerate(TYPE_ORDER)}
    others = {name: place for place, name in enumerate(sorted(set(images)))}
    place = images.map(known if set(images) <= set(known) else others).to_numpy()
    turn = labels["orientation"].fillna(np.inf).to_numpy()
    second, first = (turn, place) if outer == "image" else (place, turn)
    return np.lexsort((labels["step"], second, first))


def draw_strips(
    axes: Axes, labels: pd.DataFrame, outer: str, of_images: Colours, beside: bool, below: bool
) -> None:
    """Mark the groups of blocks at the left and lower sides by colours, and name them there.

    Beside the outer groups lie the inner ones; classes without orientations have no inner ones.
    """
    inner = "orientation" if outer == "image" else "image"
    columns = [outer, inner] if labels["orientation"].notna().any() else ["image"]
    for depth, column in enumerate(reversed(columns)):
        low = 1 + STRIP * (0.4 + 1.2 * depth)
        groups = list_groups(labels, columns if column != outer else [outer], column, of_images)
        named = [group for group in groups if group.end - group.start >= LEAST_SPAN]
        turned = any(len(g.name) > 2 and g.end - g.start < 0.034 * len(g.name) for g in named)
        for group in groups:
            size = group.end - group.start
            for start, width, bottom, height in (
                (1 - low - STRIP, STRIP, group.start, size), (group.start, size, low, STRIP)
            ):  # fmt: skip
                axes.add_patch(
                    matplotlib.patches.Rectangle(
                        (start, bottom), width, height, color=group.colour, lw=0, clip_on=False
                    )
                )
            if column != columns[0] or group not in named:
                continue
            middle, edge = group.start + size / 2, low + 1.6 * STRIP
            look: dict[str, Any] = {"fontsize": 7, "parse_math": False, "clip_on": False}
            if beside:
                axes.text(1 - edge, middle, group.name, ha="right", va="center", **look)
            if below:
                angle = 90 * turned
                axes.text(middle, edge, group.name, ha="center", va="top", rotation=angle, **look)
    groups = list_groups(labels, [outer], outer, of_images)
    for group in groups[1:] if len(groups) <= MOST_DIVIDED else []:
        axes.axhline(group.start, color="black", lw=0.35, alpha=0.6)
        axes.axvline(group.start, color="black", lw=0.35, alpha=0.6)


def longest_name(labels: pd.DataFrame, outer: str) -> int:
    """Return how many characters the longest name of an outer group that is shown has."""
    order = sort_blocks(labels, outer)
    spans = list_groups(labels.iloc[order], [outer], outer, {})
    return max((len(s.name) for s in spans if s.end - s.start >= LEAST_SPAN), default=0)


class Span(NamedTuple):
    """Neighbouring blocks that are alike, from `start` to `end` as shares of the side."""

    name: str
    start: float
    end: float
    colour: ColorType


def list_groups(labels: pd.DataFrame, by: list[str], column: str, of_images: Colours) -> list[Span]:
    """Return the spans of blocks whose columns `by` are equal, named and coloured by `column`."""
    texts = labels[by].astype(dict.fromkeys(by, "object")).fillna("")
    is_new = texts.ne(texts.shift()).any(axis=1).to_numpy()
    starts = np.flatnonzero(is_new)
    ends = np.append(starts[1:], len(labels))
    spans = []
    for start, end in zip(starts, ends, strict=True):
        value = labels[column].iloc[start]
        name, colour = name_and_colour(value, of_images)
        spans.append(Span(name, start / len(labels), end / len(labels), colour))
    return spans


def name_and_colour(value: str | float, of_images: Colours) -> tuple[str, ColorType]:
    """Return how an image or an orientation is named and coloured."""
    if isinstance(value, str):
        return panels.shortened(value), of_images.get(value, figures.NO_DATA)
    return (
        (f"{value:g}°", figures.angle_colour(value)) if np.isfinite(value) else ("none", "#DDDDDD")
    )
