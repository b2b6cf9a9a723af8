"""One look for all pictures: style, colours, marks and legends, and how a picture is saved.

Figures are made without pyplot, so drawing needs no display and keeps nothing in the process.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

DPI = 150
PAD = 0.07  # inches around each panel and its labels
# a quarter larger than with zlib's defaults, in half of the time
QUICK_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
STYLE: dict[Any, Any] = {
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
BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
YELLOW, ORANGE, RED = "#E69F00", "#D55E00", "#B2182B"
GRAY, DARK, TEXT_GRAY, NO_DATA = "#7F7F7F", "#404040", "#595959", "#D9D9D9"
SPAN_COLOUR = "#F8EBE0"
# a ring: no light colours, and opposite angles differ in lightness
RING = ("#0B3C8C", "#0090C8", "#00A88A", "#7DB928", "#E0A800", "#E8663D", "#B01E5E", "#6A3D9A")
ANGLES = LinearSegmentedColormap.from_list("angles", [*RING, RING[0]], N=361)

MODES = {"train": "Training", "val": "Validation", "test": "Test"}


def angle_colour(degrees: float) -> tuple[float, float, float, float]:
    """Return the colour of an orientation, from the ring of colours."""
    return ANGLES(round(degrees) % 360)


def side_legend(axes: Axes, handles: Sequence[Artist] | None = None, title: str = "") -> None:
    """Put a legend of `handles`, or of all that is named, to the right of the top of `axes`."""
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.04, 1), title=title, alignment="left"
    )


def mark_unexpected(axes: Axes, start: float, end: float, label: bool) -> None:
    """Shade `start` to `end`, the right end of the axes; with `label`, name the span above it."""
    axes.axvspan(start, end, color=SPAN_COLOUR, lw=0, zorder=0)
    if label:
        axes.set_title("U images shown", loc="right", fontsize=7.5, color=ORANGE)


def whole_numbers(axes: Axes, first: float, last: float) -> None:
    """Let the x axis show the whole numbers from `first` to `last`, with a margin of a half."""
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write under, then move: a reader never sees half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def save(figure: Figure, path: Path, backend: str | None = None) -> None:
    """Write a figure as a PNG file; raises OSError."""
    options: dict[str, Any] = {} if backend == "cairo" else {"pil_kwargs": QUICK_PNG}
    figure.set_dpi(DPI)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=PAD, h_pad=PAD)
        engine.execute(figure)
        figure.set_layout_engine(None)  # or savefig draws everything twice
    with written_whole(path) as part:
        figure.savefig(part, format="png", dpi=DPI, backend=backend, **options)
