"""What the pictures of a comparison share: panels, colours, legend, and the lines above."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import ColorType

from utils.compare.groups import Group
from utils.compare.statistics import Comparison
from utils.compare.texts import repeats_text
from utils.plots import figures
from utils.plots.figures import DARK, TEXT_GRAY

CHANCE = "Chance"
FEW_RUNS = 4  # of a group; so many are also drawn one by one
PALETTE = (
    *(figures.BLUE, figures.ORANGE, figures.GREEN, figures.YELLOW),
    *(figures.SKY, figures.RED, figures.GRAY, figures.DARK),
)
PANEL = (3.0, 2.4)  # inches
LEGEND_LINE = 30  # characters
CHARACTER, LINE = 0.066, 0.15  # inches of text
SMALL = 7.0  # points, of the lines above the panels
BAR_ALPHA = 0.55
ONSET = "First epoch with U"


def colours(comparison: Comparison) -> list[ColorType]:
    """Return a colour for each group."""
    count = len(comparison.grouping.groups)
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.95, count)))


def grid_of(
    comparison: Comparison, rows: int, columns: int, sharey: Literal["row"] | bool
) -> tuple[Figure, np.ndarray]:
    """Return a figure with room for the legend, and its panels [rows, columns]."""
    shown = labels(comparison) if len(comparison.grouping.groups) > 1 else []
    lines = [line for label in shown for line in label.split("\n")]
    width = PANEL[0] * columns + 0.5 + CHARACTER * max(map(len, [*lines, ONSET]))
    height = max(PANEL[1] * rows, LINE * (len(lines) + 7)) + 0.45
    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=sharey)


def labels(comparison: Comparison) -> list[str]:
    """Return the groups' names in the legend, with the number of runs."""
    return [_label(group) for group in comparison.grouping.groups]


def _label(group: Group) -> str:
    return wrapped(f"{group.label} (n = {len(group.measured)})", LEGEND_LINE)


def wrapped(text: str, characters: int) -> str:
    """Return flags in lines of so many characters; a flag and its value stay together."""
    parts = (part.replace(" ", "\u00a0") for part in text.split(", "))
    lines = textwrap.wrap(", ".join(parts), characters, break_on_hyphens=False)
    return "\n".join(lines).replace("\u00a0", " ")


def finish_epochs(
    figure: Figure,
    grid: np.ndarray,
    comparison: Comparison,
    dashes: Mapping[str, str] | None = None,
) -> None:
    """Add the epoch axis, U's onset, the legend, and the lines above.

    `dashes` are the line styles with a meaning of their own, by their names.
    """
    epochs = comparison.table["epoch"].dropna()
    for axes in grid.flat:
        figures.whole_numbers(axes, epochs.min(), epochs.max())
    for axes in grid[-1]:
        axes.set_xlabel("Epoch")
    more = _mark_onsets(grid, comparison, epochs.max() + 0.5)
    for name, style in (dashes or {}).items():
        more.append(Line2D([], [], color=DARK, ls=style, label=name))
    handles = [Line2D([], [], color=colour) for colour in colours(comparison)]
    notes = []
    groups = comparison.grouping.groups
    if any(1 < len(group.measured) <= FEW_RUNS for group in groups):
        notes.append("thin lines: single runs")
    if not all(group.is_even for group in groups):
        notes.append("open points: not all runs")
    _add_legend(figure, grid, comparison, handles, more, notes)


def _mark_onsets(grid: np.ndarray, comparison: Comparison, end: float) -> list[Artist]:
    """Shade the epochs with U images that all groups share, or mark the first one of each group."""
    onsets = [group.onset for group in comparison.grouping.groups]
    first = onsets[0]
    if first is not None and len(set(onsets)) == 1:
        for axes in grid.flat:
            is_above = any(axes is other for other in grid[0])
            figures.mark_unexpected(axes, first - 0.5, end, is_above)
        return []
    style: dict[str, Any] = {"ls": ":", "lw": 1.2}
    for onset, colour in zip(onsets, colours(comparison), strict=True):
        for axes in grid.flat if onset is not None else ():
            axes.axvline((onset or 0) - 0.5, color=colour, zorder=0.6, **style)
    has_some = any(onset is not None for onset in onsets)
    return [Line2D([], [], color=DARK, label=ONSET, **style)] if has_some else []


def finish_bars(figure: Figure, grid: np.ndarray, comparison: Comparison) -> None:
    """Add the legend and the lines above."""
    bars = [Patch(color=colour, alpha=BAR_ALPHA) for colour in colours(comparison)]
    _add_legend(figure, grid, comparison, bars, [], ["points: single runs"])


def _add_legend(
    figure: Figure,
    grid: np.ndarray,
    comparison: Comparison,
    handles: Sequence[Artist],
    more: Sequence[Artist],
    notes: Sequence[str],
) -> None:
    """Add the legend, without a group that is alone, and what all runs have in common."""
    groups, common = comparison.grouping
    of = "n runs"
    if len(groups) == 1:
        count = len(groups[0].measured)
        of = f"{count} runs, seeds" if count > 1 else "1 run, seed"
        handles, of = [], f"{of} {repeats_text(groups[0])}"
    else:
        for handle, label in zip(handles, labels(comparison), strict=True):
            handle.set_label(label)
    every = [line for axes in grid.flat for line in axes.get_lines()]
    chances = [line.get_label() for line in every if str(line.get_label()).startswith(CHANCE)]
    if chances:
        more = [*more, Line2D([], [], color=DARK, ls="--", lw=0.9, label=chances[0])]
    figures.side_legend(grid[0, -1], [*handles, *more])
    characters = int(float(figure.get_size_inches()[0]) / (CHARACTER * SMALL / 8.5))
    told = "; ".join((f"Mean ± standard deviation over {of}", *notes))
    text = "\n".join((wrapped(common, characters), wrapped(told, characters)))
    figure.suptitle(text, x=0.01, ha="left", fontsize=SMALL, color=TEXT_GRAY)
