"""What the pictures of a comparison share: panels, colours, legend, and the lines above."""

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
from utils.compare.texts import repeats_text, wrapped
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
CHARACTER, LINE, GAP = 0.066, 0.137, 0.058  # inches of text: in a legend, and between its entries
MORE_ENTRIES = 4  # of a legend, at most, beside the groups
SMALL = 7.0  # points, of the lines above the panels
BAR_ALPHA = 0.55
ONSET = "First epoch with U"
NOT_ALL_RUNS = "not all runs"  # marks the points whose mean lacks a run of the group


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
    entries = len(shown) + MORE_ENTRIES
    legend = LINE * (len(lines) + MORE_ENTRIES) + GAP * entries
    height = max(PANEL[1] * rows + 0.45, legend + 0.3)
    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex="col", sharey=sharey)


def labels(comparison: Comparison) -> list[str]:
    """Return the groups' names in the legend, with the number of runs."""
    return [_label(group) for group in comparison.grouping.groups]


def _label(group: Group) -> str:
    return wrapped(f"{group.label} (n = {len(group.measured)})", LEGEND_LINE)


def finish_epochs(
    figure: Figure,
    grid: np.ndarray,
    comparison: Comparison,
    dashes: Mapping[str, str] | None = None,
    with_U: str = "U images shown",
    notes: Sequence[str] = (),
) -> None:
    """Add the epoch axis, the legend, the lines above, and from U's onset a shade called `with_U`.

    `dashes` are the line styles with a meaning of their own, by their names.
    """
    epochs = comparison.table["epoch"].dropna()
    for axes in grid.flat:
        figures.whole_numbers(axes, epochs.min(), epochs.max())
    for axes in grid[-1]:
        axes.set_xlabel("Epoch")
    more = _mark_onsets(grid, comparison, epochs.max() + 0.5, with_U)
    for name, style in (dashes or {}).items():
        more.append(Line2D([], [], color=DARK, ls=style, label=name))
    handles = [Line2D([], [], color=colour) for colour in colours(comparison)]
    told = []
    if any(1 < len(group.measured) <= FEW_RUNS for group in comparison.grouping.groups):
        told.append("thin lines: single runs")
    if any(line.get_gid() == NOT_ALL_RUNS for axes in grid.flat for line in axes.get_lines()):
        told.append(f"open points: {NOT_ALL_RUNS}")
    _add_legend(figure, grid, comparison, handles, more, [*told, *notes])


def _mark_onsets(grid: np.ndarray, comparison: Comparison, end: float, with_U: str) -> list[Artist]:
    """Shade the epochs with U images that all groups share, or mark the first one of each group.

    A mark has its group's colour, and is dark where several groups share it.
    """
    onsets = [group.onset for group in comparison.grouping.groups]
    first = onsets[0]
    if first is not None and len(set(onsets)) == 1:
        for axes in grid.flat:
            figures.mark_unexpected(axes, first - 0.5, end, label=False)
        for axes in grid[0]:
            axes.set_title(with_U, loc="right", fontsize=7.5, color=figures.ORANGE)
        return []
    style: dict[str, Any] = {"ls": "-.", "lw": 1.0}
    found = {
        onset: colour if onsets.count(onset) == 1 else DARK
        for onset, colour in zip(onsets, colours(comparison), strict=True)
        if onset is not None
    }
    for onset, colour in found.items():
        for axes in grid.flat:
            axes.axvline(onset - 0.5, color=colour, zorder=0.6, **style)
    return [Line2D([], [], color=DARK, label=ONSET, **style)] if found else []


def finish_bars(
    figure: Figure, grid: np.ndarray, comparison: Comparison, notes: Sequence[str]
) -> None:
    """Add the legend and the lines above."""
    bars = [Patch(color=colour, alpha=BAR_ALPHA) for colour in colours(comparison)]
    _add_legend(figure, grid, comparison, bars, [], ["points: single runs", *notes])


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
    shown = "Mean ± standard deviation over n runs"
    if len(groups) == 1:
        count, seeds = len(groups[0].measured), repeats_text(groups[0])
        handles, shown = [], shown.replace("n runs", f"{count} runs, seeds {seeds}")
        if count == 1:
            shown = f"1 run, seed {seeds}"
    else:
        for handle, label in zip(handles, labels(comparison), strict=True):
            handle.set_label(label)
    every = [line for axes in grid.flat for line in axes.get_lines()]
    chances = [line.get_label() for line in every if str(line.get_label()).startswith(CHANCE)]
    if chances:
        more = [*more, Line2D([], [], color=DARK, ls="--", lw=0.9, label=chances[0])]
    place: Any = {"loc": "outside right upper", "alignment": "left", "borderaxespad": 0.5}
    figure.legend(handles=[*handles, *more], **place)  # of no panel, which would be as high as it
    characters = int(PANEL[0] * grid.shape[1] / (CHARACTER * SMALL / 8.5))  # left of the legend
    told = "; ".join((shown, *notes))
    text = "\n".join((wrapped(common, characters), wrapped(told, characters)))
    figure.suptitle(text, x=0.01, ha="left", fontsize=SMALL, color=TEXT_GRAY)
