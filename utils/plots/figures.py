"""One look for all pictures: colours, panels laid out in inches, legends, an atomic save.

No pyplot and no backend: figures are objects, so drawing works without a display and leaves
nothing behind in the process.
"""

import os
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

DPI = 150
# a quarter larger than with zlib's defaults, in half of the time
QUICK_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlepad": 6,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#404040",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.4,
    "lines.markersize": 2.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.borderaxespad": 0,
}

# Okabe & Ito's palette, safe for the colour-blind
BLUE, SKY, GREEN, YELLOW, ORANGE, RED = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#E69F00",
    "#D55E00",
    "#B2182B",
)
GRAY = "#7F7F7F"
DARK = "#404040"
TEXT_GRAY = "#595959"
SPAN_COLOUR = "#F8EBE0"
NO_DATA = "#D9D9D9"
ANGLES = LinearSegmentedColormap.from_list(
    "angles",
    # a ring: no light colours, and opposite angles differ in lightness
    [
        "#0B3C8C",
        "#0090C8",
        "#00A88A",
        "#7DB928",
        "#E0A800",
        "#E8663D",
        "#B01E5E",
        "#6A3D9A",
        "#0B3C8C",
    ],
    N=361,
)

MODES = {"train": "Training", "val": "Validation", "test": "Test"}


def angle_colour(degrees: float) -> tuple[float, float, float, float]:
    return ANGLES(round(degrees) % 360)


class Margins(NamedTuple):
    """Inches around and between panels."""

    left: float = 0.6
    right: float = 0.15
    bottom: float = 0.45
    top: float = 0.35
    gap_x: float = 0.55
    gap_y: float = 0.35


def panel_grid(
    widths: Sequence[float], heights: Sequence[float], margins: Margins, sharey: str = "none"
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes [rows, columns], from panel sizes in inches."""
    rows, columns = len(heights), len(widths)
    width = margins.left + sum(widths) + margins.gap_x * (columns - 1) + margins.right
    height = margins.bottom + sum(heights) + margins.gap_y * (rows - 1) + margins.top
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        width_ratios=widths,
        height_ratios=heights,
        gridspec_kw={
            "left": margins.left / width,
            "right": 1 - margins.right / width,
            "bottom": margins.bottom / height,
            "top": 1 - margins.top / height,
            "wspace": margins.gap_x * columns / sum(widths),
            "hspace": margins.gap_y * rows / sum(heights),
        },
        sharey=sharey,
    )
    return figure, axes


def text_width(texts: Iterable[str], size: float) -> float:
    """Inches that the widest of `texts` takes at `size` points; only the longest are measured."""
    longest = sorted({text for text in texts if text}, key=lambda text: (len(text), text))[-5:]
    return max((one_width(text, size) for text in longest), default=0.0)


@cache
def one_width(text: str, size: float) -> float:
    return TextPath((0, 0), text, size=size).get_extents().width / 72


def side_legend(axes: Axes, handles: Sequence, title: str | None = None) -> None:
    """A legend to the right of `axes`, level with their top."""
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.04, 1), title=title, alignment="left"
    )


def mark_span(axes: Axes, start: float, end: float, label: bool) -> None:
    """Shade `start` to `end`, the right end of the axes, and name it above them."""
    axes.axvspan(start, end, color=SPAN_COLOUR, lw=0, zorder=0)
    if label:
        axes.text(
            1, 1.02, "U images shown", transform=axes.transAxes, ha="right", va="bottom",
            fontsize=7.5, color=ORANGE,
        )  # fmt: skip


def epoch_axis(axes: Axes, first: int, last: int, label: bool) -> None:
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    if label:
        axes.set_xlabel("Epoch")


def save(figure: Figure, path: Path, backend: str | None = None) -> None:
    """Write under a temporary name, then move: a reader never sees half a picture."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    options = {} if backend == "cairo" else {"pil_kwargs": QUICK_PNG}  # cairo knows none
    try:
        figure.savefig(part, format="png", dpi=DPI, backend=backend, **options)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
