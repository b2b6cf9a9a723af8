"""What the pictures of an analysis share: colours, the axis of epochs, lines and their names.

Epochs are at equal distances, whatever their numbers, since the recorded ones are landmarks; where
they are further apart than elsewhere, the axis and its lines are broken. Left of an epoch's tick is
its pass with the weights from before it (pre: dashed, open marks), right of it the one with those
from after it (post: solid, filled marks), so that what lies on the tick is the training of that
epoch.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from utils.analysis.recorded import MODULES, POST, PRE
from utils.plots import figures
from utils.plots.curves import TYPE_COLOURS

WIDTH = 7.1  # inches of a whole picture
MODULE_COLOURS = dict(zip(MODULES, ("#4B2E83", "#CC79A7", "#8C510A"), strict=True))
MODULE_MARKS = dict(zip(MODULES, "os^", strict=True))
CLASS_COLOURS = (
    *(figures.BLUE, figures.ORANGE, figures.GREEN, "#CC79A7", figures.YELLOW, figures.SKY),
    *("#4B2E83", "#8C510A"),
)
MOST_CLASSES = len(CLASS_COLOURS)  # that are told apart by colour
OTHERS = "others"
LONGEST_NAME = 17  # characters of a class
SHIFT = 0.15  # of passes beside their epoch's tick, where there are pre and post
MOST_TICKS = 8
LABEL_POINTS = 8.5  # between labels at the ends of lines
KIND_NAMES = {"activation": "Activation", "error": "Error"}


# ---- names and colours ----


def class_colours(counts: pd.Series) -> dict[str, ColorType]:
    """Return the colours of image types, or of a video's classes, in the order to show them.

    `counts` are their numbers of blocks in all passes, so that all pictures have the same colours:
    of many classes, only the most frequent ones have one.
    """
    if set(counts.index) <= set(TYPE_COLOURS):
        return {name: colour for name, colour in TYPE_COLOURS.items() if name in counts.index}
    ranked = sorted(counts.index, key=lambda name: (-counts[name], name))
    return dict(zip(sorted(ranked[:MOST_CLASSES]), CLASS_COLOURS, strict=False))


def shortened(name: str) -> str:
    """Return a class's name as a label that is not too long; names often differ at their ends."""
    end = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - end - 1]}…{name[-end:]}"


# ---- the axis of epochs ----


class EpochAxis(NamedTuple):
    """Where the passes of each epoch are drawn, and from which epoch on training had U images."""

    epochs: tuple[int, ...]
    onset: int | None
    has_pre: bool = True

    def place(self, epoch: int, when: str = POST) -> float:
        """Return the x of a pass."""
        shift = {PRE: -SHIFT, POST: SHIFT}[when] if self.has_pre else 0.0
        return self.epochs.index(epoch) + shift

    @property
    def gaps(self) -> list[int]:
        """The places of epochs behind which recorded epochs are further apart than elsewhere."""
        steps = np.diff(self.epochs)
        return np.flatnonzero(steps > steps.min(initial=1_000_000_000)).tolist()

    @property
    def start(self) -> float | None:
        """The x from which on the weights were trained with U images, None without such a pass."""
        trained = [e for e in self.epochs if self.onset is not None and e >= self.onset]
        if not trained:
            return None
        is_recorded = trained[0] == self.onset and self.has_pre
        return self.epochs.index(trained[0]) - (0.0 if is_recorded else 0.5)

    def finish(self, axes: Axes, above: bool = False, below: bool = False) -> None:
        """Set ticks, breaks and the shade of U; name the shade if `above`, the axis if `below`."""
        places = np.arange(len(self.epochs))
        every = -(-len(places) // MOST_TICKS)
        axes.set_xticks(places[::every], [str(epoch) for epoch in self.epochs[::every]])
        axes.set_xlim(-0.5, len(places) - 0.5)
        for place in self.gaps:
            across, base = axes.get_xaxis_transform(), [place + 0.46, place + 0.54]
            look: dict[str, Any] = {"transform": across, "clip_on": False, "in_layout": False}
            axes.plot(base, [0, 0], color="white", lw=2, zorder=4, **look)
            slash = [(-0.4, -1), (0.4, 1)]
            axes.plot(base, [0, 0], ls="", marker=slash, ms=6, color=figures.DARK, zorder=5, **look)
        if self.start is not None:
            end = len(places) - 0.5
            axes.axvspan(self.start, end, color=figures.SPAN_COLOUR, lw=0, zorder=0)
            if above:
                axes.annotate(
                    "trained with U", (1, 1), (0, 3), xycoords="axes fraction", ha="right",
                    textcoords="offset points", fontsize=7, color=figures.ORANGE,
                )  # fmt: skip
        if below:
            axes.set_xlabel("Epoch")


def epoch_axis(
    epochs: Sequence[int], onset: int | None, tables: Sequence[pd.DataFrame]
) -> EpochAxis:
    """Return the axis for the passes of these tables."""
    return EpochAxis(tuple(epochs), onset, any((table["when"] == PRE).any() for table in tables))


def draw_series(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, column: str, colour: ColorType,
    mark: str = "o", width: float = 1.4,
) -> None:  # fmt: skip
    """Draw a column over epochs, pre and post apart; gaps are bridged by faint dots."""
    for when in (PRE, POST):
        values = rows[rows["when"] == when].sort_values("epoch")
        if values.empty:
            continue
        places = np.array([axis.place(epoch, when) for epoch in values["epoch"]])
        y = values[column].to_numpy()
        at = np.array([axis.epochs.index(epoch) for epoch in values["epoch"]])
        is_post = when == POST
        for i in range(len(y) - 1):
            is_gap = any(at[i] <= gap < at[i + 1] for gap in axis.gaps)
            style = ":" if is_gap else "-" if is_post else (0, (3, 1.5))
            axes.plot(
                places[i : i + 2], y[i : i + 2], ls=style, color=colour, zorder=2 + 0.5 * is_post,
                lw=0.6 * width if is_gap or not is_post else width,
            )  # fmt: skip
        axes.plot(
            places, y, ls="", marker=mark, color=colour, ms=3.4, mew=0.8, zorder=3,
            mfc=colour if is_post else "white",
        )  # fmt: skip


def draw_levels(axes: Axes, axis: EpochAxis, levels: pd.Series) -> None:
    """Draw a level that noise or chance gives in each epoch, by which the levels are indexed."""
    places = np.array([axis.epochs.index(epoch) for epoch in levels.index])
    axes.hlines(levels, places - 0.5, places + 0.5, color=figures.DARK, ls="--", lw=0.7, zorder=1)


def last_value(rows: pd.DataFrame, column: str) -> float:
    """Return the value of the last post pass, or of the last pass, that has one; NaN without."""
    rows = rows[rows[column].notna()]
    post = rows[rows["when"] == POST]
    rows = (rows if post.empty else post).sort_values("epoch")
    return float(rows[column].iloc[-1]) if len(rows) else np.nan


class EndLabel(NamedTuple):
    """A name to the right of a line's last value."""

    value: float
    text: str
    colour: ColorType


def label_ends(axes: Axes, labels: Sequence[EndLabel], height: float) -> None:
    """Name lines at their ends, pushed apart where they would overlap.

    The axes are about `height` inches high, and the limits of the y axis must be final.
    """
    labels = sorted((one for one in labels if np.isfinite(one.value)), key=lambda one: one.value)
    low, high = axes.get_ylim()
    places = np.array([(one.value - low) / (high - low) for one in labels])
    for one, place in zip(labels, spread(places, LABEL_POINTS / (72 * height)), strict=True):
        axes.annotate(
            one.text, (1, place), (3, 0), xycoords="axes fraction", textcoords="offset points",
            va="center", fontsize=7.5, color=one.colour, parse_math=False,
        )  # fmt: skip


def spread(places: np.ndarray, least: float) -> np.ndarray:
    """Return ascending places moved so that neighbours are `least` apart, as little as needed.

    Neighbours that are too close form a cluster, which is centred on its members' mean, but stays
    between 0 and 1 as far as it can.
    """
    clusters: list[np.ndarray] = []
    for place in places:
        clusters.append(np.array([place]))
        while len(clusters) > 1 and are_too_close(clusters[-2], clusters[-1], least):
            clusters[-2:] = [np.concatenate(clusters[-2:])]
    return np.concatenate([spaced(one, least) for one in clusters]) if clusters else np.empty(0)


def are_too_close(lower: np.ndarray, upper: np.ndarray, least: float) -> bool:
    """Whether two clusters, spaced, are less than `least` apart."""
    return bool(spaced(upper, least)[0] - spaced(lower, least)[-1] < least - 1e-9)


def spaced(cluster: np.ndarray, least: float) -> np.ndarray:
    """Return the cluster's places, `least` apart, around its mean or at the edge that is near."""
    half = least * (len(cluster) - 1) / 2
    middle = max(min(float(np.mean(cluster)), 1 - half), half)
    return middle + least * np.arange(len(cluster)) - half


# ---- legends and notes ----


def when_legend(axes: Axes, axis: EpochAxis) -> None:
    """Explain the two kinds of marks, where both are there, below the right end of the axis."""
    if axis.has_pre:
        look: dict[str, Any] = {"color": figures.DARK, "marker": "o", "ms": 3.4, "lw": 0.9}
        handles = [
            Line2D([], [], ls="--", mfc="white", label="before the epoch (pre)", **look),
            Line2D([], [], ls="-", label="after it (post)", **look),
        ]
        axes.figure.legend(
            handles=handles, loc="outside lower right", ncols=2, fontsize=7, borderaxespad=0.8
        )


def module_name(module: str) -> str:
    """Return a module's name as a title."""
    return module.capitalize()


def name_entries(legend: Legend, names: Sequence[str]) -> None:
    """Name a legend's entries, which are named " " so far; "$" and a leading "_" are plain text."""
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


def to_colour(colour: str) -> LinearSegmentedColormap:
    """Return colours from a light tone of this one to a dark one."""
    rgb = np.array(to_rgb(colour))
    return LinearSegmentedColormap.from_list("one", [0.75 + 0.25 * rgb, rgb, 0.35 * rgb])


def lighter(colour: str, share: float) -> tuple[float, float, float]:
    """Return the colour mixed with so much white that `share` of it is left."""
    red, green, blue = (1 - share + share * part for part in to_rgb(colour))
    return red, green, blue


def new_figure(width: float, height: float) -> Figure:
    """Return an empty picture whose panels leave room for their labels."""
    return Figure((width, height), layout="constrained")


def density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the smoothed share of values in each bin, relative to the fullest one.

    The kernel is Gaussian with Silverman's width, and at least one bin wide.
    """
    counts, _ = np.histogram(values, edges)
    step = edges[1] - edges[0]
    spread_of_all = float(np.std(values)) if len(values) else 0.0
    width = max(step, 0.9 * spread_of_all * max(1, len(values)) ** -0.2)
    distances = np.arange(len(counts)) * step
    kernel = np.exp(-0.5 * ((distances[:, None] - distances) / width) ** 2)
    smooth = kernel @ counts
    return smooth / max(smooth.max(initial=0), np.finfo(float).tiny)
