"""Confusion matrices: rows are targets, columns predictions, each row in shares of its targets."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from utils.plots import breakdowns
from utils.plots.breakdowns import Shown
from utils.plots.figures import (
    DARK,
    MODES,
    NO_DATA,
    ORANGE,
    TEXT_GRAY,
    Margins,
    panel_grid,
    text_width,
)

SCALE_ROOM = 1.3  # inches to the right of the last panel, for the colour bar
LABEL_PAD = 2  # points between the matrix and the labels of its cells


def draw_nested(
    predictions: pd.DataFrame, classes: pd.DataFrame, shown: list[Shown], outer: str
) -> Figure:
    """Gabor classes grouped by `outer` ('image' or 'orientation'), a panel per epoch of `shown`.

    Image types that are neither target nor predicted in these epochs are left out.
    """
    counts = [breakdowns.confusion(breakdowns.select(predictions, s), len(classes)) for s in shown]
    seen = sum(c.sum(axis=0) + c.sum(axis=1) for c in counts) > 0
    order = breakdowns.nested_classes(classes, outer, set(classes["image"][seen]))
    counts = [c[np.ix_(order.index, order.index)] for c in counts]
    side = float(np.clip(0.2 * len(order), 2.8, 4.3))
    groups = group_cells(order, side / len(order))
    margins = Margins(
        left=groups.room_left + 0.3, right=SCALE_ROOM, bottom=groups.room_below + 0.28, top=0.45,
        gap_x=0.3,
    )  # fmt: skip
    figure, (all_axes,) = panel_grid([side] * len(shown), [side], margins)
    mesh = show_panels(all_axes, counts)
    for axes, one, table in zip(all_axes, shown, counts, strict=True):
        label_groups(axes, groups, rows=axes is all_axes[0])
        axes.set_title(panel_title(one, table, len(shown) > 1))
        name_axis(axes, "Predicted class", groups.room_below, vertical=False)
    name_axis(all_axes[0], "Target class", groups.room_left, vertical=True)
    add_scale(figure, all_axes[-1], mesh, counts)
    return figure


def draw_named(predictions: pd.DataFrame, classes: pd.DataFrame, shown: Shown) -> Figure:
    """All classes by name; the figure grows with their number, the names shrink to 4.5 points."""
    counts = breakdowns.confusion(breakdowns.select(predictions, shown), len(classes))
    cell = 0.075 + 1.9 / (len(classes) + 1)  # inches: 0.39 for 5 classes, 0.08 for 400
    size = float(np.clip(72 * cell / 1.2, 4.5, 8))
    names = classes["name"].tolist()
    room = text_width(names, size) + 0.06
    margins = Margins(left=room + 0.3, right=SCALE_ROOM, bottom=room + 0.28, top=0.45)
    figure, ((axes,),) = panel_grid([cell * len(names)], [cell * len(names)], margins)
    mesh = show_panels([axes], [counts])
    label_cells(axes, range(len(names)), names, vertical=False, rotation=90, fontsize=size)
    label_cells(axes, range(len(names)), names, vertical=True, fontsize=size)
    axes.set_title(panel_title(shown, counts, False))
    name_axis(axes, "Predicted class", room, vertical=False)
    name_axis(axes, "Target class", room, vertical=True)
    add_scale(figure, axes, mesh, [counts])
    return figure


def show_panels(all_axes: list[Axes], counts: list[np.ndarray]) -> QuadMesh:
    """Row shares of counts [target, predicted] on one scale: gray without data, diagonal traced."""
    panels = [100 * breakdowns.row_shares(table) for table in counts]
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=NO_DATA)
    top = max(np.nanmax(shares, initial=1) for shares in panels)
    for axes, shares in zip(all_axes, panels, strict=True):
        edges = np.arange(len(shares) + 1) - 0.5
        mesh = axes.pcolormesh(  # quicker than an image at 400 classes
            edges, edges, np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=top
        )
        ends = (-0.5, len(shares) - 0.5)
        axes.plot(ends, ends, color=ORANGE, lw=0.5, alpha=0.7)
        axes.set_xlim(ends)
        axes.set_ylim(ends[::-1])
        axes.spines[:].set_visible(True)
        axes.set_xticks([])
        axes.set_yticks([])
    return mesh


def label_cells(
    axes: Axes, cells: Sequence[int], labels: list[str], *, vertical: bool, **look: Any
) -> None:
    """Like tick labels, which take several times as long: each is seven objects."""
    if vertical:
        transform, va, ha = axes.get_yaxis_text1_transform(LABEL_PAD)
    else:
        transform, va, ha = axes.get_xaxis_text1_transform(LABEL_PAD)
    for cell, label in zip(cells, labels, strict=True):
        place = (0, cell) if vertical else (cell, 0)
        axes.text(*place, label, transform=transform, va=va, ha=ha, **look)


def panel_title(shown: Shown, counts: np.ndarray, with_phase: bool) -> str:
    correct = np.trace(counts) / counts.sum()
    name = MODES[shown.mode] + ("" if shown.mode == "test" else f", epoch {shown.epoch}")
    phase = f", {shown.phase} phase" if with_phase else ""
    return f"{name}{phase}\n{correct:.1%} correct of {counts.sum()}"


def name_axis(axes: Axes, name: str, room: float, vertical: bool) -> None:
    """Name an axis outside of `room` inches of labels."""
    away = -72 * room - 4
    if vertical:
        axes.annotate(
            name, (0, 0.5), (away, 0), xycoords="axes fraction", textcoords="offset points",
            rotation=90, ha="right", va="center",
        )  # fmt: skip
    else:
        axes.annotate(
            name, (0.5, 0), (0, away), xycoords="axes fraction", textcoords="offset points",
            ha="center", va="top",
        )  # fmt: skip


def add_scale(figure: Figure, axes: Axes, mesh: QuadMesh, counts: list[np.ndarray]) -> None:
    """The colour bar to the right of `axes`, and the gray of rows without targets."""
    box = axes.get_position()
    width, height = figure.get_size_inches()
    bar_height = min(1.5 / height, 0.65 * box.height)
    x, bottom = box.x1 + 0.18 / width, box.y1 - bar_height
    scale = figure.colorbar(mesh, cax=figure.add_axes((x, bottom, 0.1 / width, bar_height)))
    scale.set_label("Share of targets (%)")
    scale.outline.set_visible(False)
    if any((table.sum(axis=1) == 0).any() for table in counts):
        figure.legend(
            handles=[Patch(color=NO_DATA, label="no targets")],
            loc="upper left",
            bbox_to_anchor=(x, bottom - 0.12 / height),
            handlelength=0.9,
        )


class Groups(NamedTuple):
    """Consecutive cells of a matrix that belong together; rooms and sizes as they will be drawn."""

    names: list[str]
    edges: list[int]  # first cell of each group, and the number of cells
    cells: list[int]  # the cells that get a label,
    labels: list[str]
    size: float  # and its points
    turned: bool  # names stand upright below the matrix, as one is wider than its group
    room_left: float  # inches that all labels take to the left of the matrix,
    room_below: float
    inner_left: float  # and those of the cells alone
    inner_below: float


def group_cells(order: pd.DataFrame, cell: float) -> Groups:
    """Groups of `order` (columns group, inner); a cell's side is `cell` inches.

    Where labels of cells do not fit, only every second (third, …) of a group has one.
    """
    sizes = order.groupby("group", sort=False).size()
    edges = [0, *np.cumsum(sizes).tolist()]
    size = float(np.clip(72 * cell / 1.3, 5.5, 7.5))
    step = int(np.ceil(size * 1.05 / (72 * cell)))
    cells = [i for a, b in pairwise(edges) for i in range(a, b, step)]
    labels = order["inner"].iloc[cells].tolist()
    names = sizes.index.tolist()
    turned = any(text_width([name], 8) + 0.04 > n * cell for name, n in sizes.items())
    inner_left = text_width(labels, size) + 0.11
    inner_below = inner_left if is_long(labels) else size / 72 + 0.08
    outer = text_width(names, 8) + 0.06
    return Groups(
        names, edges, cells, labels, size, turned,
        inner_left + outer, inner_below + (outer if turned else 0.16), inner_left, inner_below,
    )  # fmt: skip


def is_long(labels: list[str]) -> bool:
    """Labels of more than a letter stand upright below the matrix."""
    return max(map(len, labels)) > 1


def label_groups(axes: Axes, groups: Groups, rows: bool) -> None:
    """Separate and name the groups below the matrix, with `rows` to its left too."""
    for edge in groups.edges[1:-1]:
        axes.axhline(edge - 0.5, color=DARK, lw=0.5)
        axes.axvline(edge - 0.5, color=DARK, lw=0.5)
    small = {"fontsize": groups.size, "color": TEXT_GRAY}
    turn = 90 if is_long(groups.labels) else 0
    label_cells(axes, groups.cells, groups.labels, vertical=False, rotation=turn, **small)
    if rows:
        label_cells(axes, groups.cells, groups.labels, vertical=True, **small)
    end = groups.edges[-1] - 0.5
    place = {"textcoords": "offset points", "annotation_clip": False}
    for name, first, stop in zip(groups.names, groups.edges[:-1], groups.edges[1:], strict=True):
        middle = (first + stop - 1) / 2
        below, left = (0, -72 * groups.inner_below), (-72 * groups.inner_left, 0)
        axes.annotate(
            name, (middle, end), below, ha="center", va="top",
            rotation=90 if groups.turned else 0, **place,
        )  # fmt: skip
        if rows:
            axes.annotate(name, (-0.5, middle), left, ha="right", va="center", **place)
