"""Confusion matrices: rows are targets, columns predictions, each row in shares of its targets."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from utils.plots import breakdowns
from utils.plots.breakdowns import Shown
from utils.plots.figures import DARK, MODES, NO_DATA, ORANGE, TEXT_GRAY


def draw_nested(
    predictions: pd.DataFrame, classes: pd.DataFrame, shown: list[Shown], outer: str
) -> Figure:
    """Draw Gabor classes grouped by `outer` ('image' or 'orientation'), a panel per epoch shown.

    Image types that are neither target nor predicted in these epochs are left out.
    """
    counts = [breakdowns.confusion(breakdowns.select(predictions, s), len(classes)) for s in shown]
    seen = sum(c.sum(axis=0) + c.sum(axis=1) for c in counts) > 0
    order = breakdowns.nested_classes(classes, outer, set(classes["image"][seen]))
    kept = order.index.to_numpy()
    counts = [table[np.ix_(kept, kept)] for table in counts]
    side = float(np.clip(0.2 * len(kept), 2.8, 4.3))
    cell = 72 * side / len(kept)  # points
    size = float(np.clip(cell / 1.3, 5.5, 7.5))
    figure, panels = draw_panels(counts, shown, side, room=0.5)
    labels = order["inner"].tolist()
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(order["group"]):
        groups.setdefault(name, []).append(place)
    turned = any(len(name) > 1 and 5 * len(name) > cell * len(g) for name, g in groups.items())
    for axes in panels:
        below = label_cells(axes, labels, size, TEXT_GRAY, below=True)
        for name, places in groups.items():
            axes.axhline(places[0] - 0.5, color=DARK, lw=0.5)
            axes.axvline(places[0] - 0.5, color=DARK, lw=0.5)
            axes.annotate(
                name, (np.mean(places), 0), (0, -4), xycoords=("data", below),
                textcoords="offset points", ha="center", va="top", rotation=90 * turned,
            )  # fmt: skip
    left = label_cells(panels[0], labels, size, TEXT_GRAY, below=False)
    for name, places in groups.items():
        panels[0].annotate(
            name, (0, np.mean(places)), (-4, 0), xycoords=(left, "data"),
            textcoords="offset points", ha="right", va="center",
        )  # fmt: skip
    return figure


def draw_named(predictions: pd.DataFrame, classes: pd.DataFrame, shown: Shown) -> Figure:
    """Draw all classes by name; with their number the figure grows, and the names shrink."""
    counts = breakdowns.confusion(breakdowns.select(predictions, shown), len(classes))
    cell = 0.075 + 1.9 / (len(classes) + 1)  # inches: 0.39 for 5 classes, 0.08 for 400
    size = float(np.clip(72 * cell / 1.2, 4.5, 8))
    names = classes["name"].tolist()
    room = 0.6 * size / 72 * max(map(len, names))
    figure, (axes,) = draw_panels([counts], [shown], cell * len(names), room)
    label_cells(axes, names, size, "black", below=True)
    label_cells(axes, names, size, "black", below=False)
    return figure


def draw_panels(
    counts: list[np.ndarray], shown: list[Shown], side: float, room: float
) -> tuple[Figure, list[Axes]]:
    """Draw counts [target, predicted] as row shares on one scale; rows without targets are gray.

    A panel is a square of about `side` inches, and its labels take about `room` inches.
    """
    matrices = [100 * breakdowns.row_shares(table) for table in counts]
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=NO_DATA)
    top = max(np.nanmax(shares, initial=1) for shares in matrices)
    figure = Figure((len(counts) * side + room + 1.3, side + room + 0.8), layout="compressed")
    panels = list(figure.subplots(1, len(counts), squeeze=False).flat)
    for axes, one, table, shares in zip(panels, shown, counts, matrices, strict=True):
        edges = np.arange(len(shares) + 1) - 0.5
        mesh = axes.pcolormesh(  # quicker than an image at 400 classes
            edges, edges, np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=top
        )
        ends = (edges[0], edges[-1])
        axes.plot(ends, ends, color=ORANGE, lw=0.5, alpha=0.7)
        axes.set(aspect="equal", xlim=ends, ylim=ends[::-1], xticks=[], yticks=[])
        axes.set_title(panel_title(one, table, with_phase=len(shown) > 1))
        axes.spines[:].set_visible(True)
    scale = figure.colorbar(
        mesh, ax=panels, anchor=(0, 1), aspect=15, pad=0.02, shrink=min(1.5 / side, 0.65)
    )
    scale.set_label("Share of targets (%)")
    scale.outline.set_visible(False)
    if any((table.sum(axis=1) == 0).any() for table in counts):
        gray = Patch(color=NO_DATA, label="no targets")
        scale.ax.legend(
            handles=[gray], loc="upper left", bbox_to_anchor=(0, -0.1), handlelength=0.9
        )
    figure.supxlabel("Predicted class", fontsize=8)
    figure.supylabel("Target class", fontsize=8)
    return figure, panels


def panel_title(shown: Shown, counts: np.ndarray, with_phase: bool) -> str:
    """Return the mode and epoch of a panel, and the share of its correct predictions."""
    correct = np.trace(counts) / counts.sum()
    name = MODES[shown.mode] + ("" if shown.mode == "test" else f", epoch {shown.epoch}")
    phase = f", {shown.phase} phase" if with_phase else ""
    return f"{name}{phase}\n{correct:.1%} correct of {counts.sum()}"


def label_cells(axes: Axes, labels: list[str], size: float, colour: str, *, below: bool) -> Text:
    """Write the cells' labels below a matrix, or to its left; return a longest one.

    Ticks would do the same, but 800 of them take several times as long.
    """
    along = axes.get_xaxis_text1_transform if below else axes.get_yaxis_text1_transform
    transform, va, ha = along(2)
    longest = max(labels, key=len)
    texts = [
        axes.text(
            *((place, 0) if below else (0, place)), label, transform=transform, va=va, ha=ha,
            rotation=90 if below and len(longest) > 1 else 0, fontsize=size, color=colour,
        )
        for place, label in enumerate(labels)
    ]  # fmt: skip
    return texts[labels.index(longest)]
