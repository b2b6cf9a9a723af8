"""Pictures of how alike two RSMs are: of two modules, of two epochs, or of measured responses."""

from collections.abc import Sequence
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.typing import ColorType

from utils.analysis import panels
from utils.analysis.panels import EndLabel, EpochAxis
from utils.analysis.recorded import POST
from utils.analysis.results import Results
from utils.plots import figures

KIND = "activation"  # that is shown; errors are in the table
MEASURES = {"tau": "Kendall's τ", "r": "Pearson's r", "cka": "Linear CKA"}
PAIR_COLOURS = (figures.DARK, figures.BLUE, figures.ORANGE)
PAIR_MARKS = "osD"
NEURAL = "neural"
MOST_NUMBERS = 8  # epochs whose similarities are written into the cells


def split_names(table: pd.DataFrame) -> pd.DataFrame:
    """Add the epochs, times and modules of both RSMs of a pair; those of `neural` are missing."""
    parts = {}
    for side in ("first", "second"):
        found = table[side].str.extract(r"^epoch(?P<epoch>\d+)_(?P<when>pre|post):(?P<module>\w+)$")
        parts |= {f"{side}_{name}": found[name] for name in ("when", "module")}
        parts[f"{side}_epoch"] = pd.to_numeric(found["epoch"]).astype("float64")
    return table.assign(**parts)


def draw_similarity(results: Results) -> Figure:
    """Draw the similarity of modules' RSMs at each epoch, of one module's between epochs.

    A third row has the similarity to measured responses, where these were given.
    """
    table = split_names(results.select("rsm_similarity", kind=KIND))
    modules = results.modules
    same = table[(table["first_epoch"] == table["second_epoch"])
                 & (table["first_when"] == table["second_when"])
                 & (table["first_module"] != table["second_module"])]  # fmt: skip
    same = same[same["level"] == ("blocks" if (same["level"] == "blocks").any() else "conditions")]
    neural = table[(table["first"] == NEURAL) ^ (table["second"] == NEURAL)]
    axis = panels.epoch_axis(results.epochs, results.onset, [as_passes(same), as_passes(neural)])
    rows = [not same.empty, True, not neural.empty]
    figure = panels.new_figure(panels.WIDTH, 0.2 + 2.25 * sum(rows))
    parts = iter(figure.subfigures(sum(rows), 1, squeeze=False)[:, 0])
    if rows[0]:
        pairs = {f"{a}–{b}": (a, b) for a, b in combinations(modules, 2)}
        lines = {name: of_modules(same, pair) for name, pair in pairs.items()}
        looks = dict(zip(pairs, zip(PAIR_COLOURS, PAIR_MARKS, strict=False), strict=False))
        draw_measures(next(parts), axis, lines, looks, "Two modules in one pass")
    draw_between_epochs(next(parts), table, modules)
    if rows[2]:
        lines = {m: as_passes(neural[neural_module(neural) == m]) for m in modules}
        own = {m: (panels.MODULE_COLOURS[m], panels.MODULE_MARKS[m]) for m in modules}
        draw_measures(next(parts), axis, lines, own, "Module and measured responses")
    return figure


def as_passes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the epoch and time of the RSM that isn't measured."""
    epoch = table["first_epoch"].fillna(table["second_epoch"])
    when = table["first_when"].fillna(table["second_when"])
    return table.assign(epoch=epoch, when=when).dropna(subset="epoch").astype({"epoch": "int64"})


def of_modules(table: pd.DataFrame, pair: tuple[str, str]) -> pd.DataFrame:
    """Return the rows that compare these two modules, in either order."""
    first, second = table["first_module"], table["second_module"]
    either = ((first == pair[0]) & (second == pair[1])) | ((first == pair[1]) & (second == pair[0]))
    return as_passes(table[either])


def neural_module(table: pd.DataFrame) -> pd.Series:
    """Return the module that measured responses are compared with."""
    return table["first_module"].fillna(table["second_module"])


def draw_measures(
    part: SubFigure, axis: EpochAxis, lines: dict[str, pd.DataFrame],
    looks: dict[str, tuple[ColorType, str]], title: str,
) -> None:  # fmt: skip
    """Draw each measure over epochs, a line per name; the span of noise ceilings is gray."""
    grid = part.subplots(1, len(MEASURES))
    part.suptitle(title, x=0.01, ha="left", fontsize=9, weight="bold")
    joined = pd.concat(lines.values())
    for axes, (measure, name) in zip(grid, MEASURES.items(), strict=True):
        if measure == "r" and joined["ceiling"].notna().any():
            draw_ceilings(axes, axis, joined)
        ends = []
        for one, rows in lines.items():
            colour, mark = looks[one]
            panels.draw_series(axes, axis, rows, measure, colour, mark, 1.1)
            ends.append(EndLabel(panels.last_value(rows, measure), one, colour))
        axes.set_title(name)
        low, high = axes.get_ylim()
        axes.set_ylim(min(0, low), max(1.0, high))
        axis.finish(axes, above=axes is grid[0], below=True)
        if axes is grid[-1]:
            panels.label_ends(axes, ends, 1.3)


def draw_ceilings(axes: Axes, axis: EpochAxis, rows: pd.DataFrame) -> None:
    """Shade the span of the noise ceilings of the compared pairs at each epoch."""
    by_epoch = rows.groupby("epoch")["ceiling"]
    low, high = by_epoch.min().dropna(), by_epoch.max().dropna()
    places = np.array([axis.epochs.index(epoch) for epoch in low.index], np.float64)
    if len(places) == 1:
        places = places[0] + np.array([-0.3, 0.3])
        low, high = (pd.Series([values.iloc[0]] * 2) for values in (low, high))
    axes.fill_between(places, low - 0.006, high + 0.006, color="#CFCFCF", lw=0, zorder=1)
    axes.annotate(
        "ceiling", (places[-1], high.iloc[-1]), (0, 2), textcoords="offset points", ha="right",
        fontsize=7, color=figures.TEXT_GRAY,
    )  # fmt: skip


def draw_between_epochs(part: SubFigure, table: pd.DataFrame, modules: Sequence[str]) -> None:
    """Draw the correlation of a module's RSMs after any two epochs, as a matrix per module."""
    grid = part.subplots(1, max(3, len(modules)))
    part.suptitle(
        "One module after two epochs: Pearson's r", x=0.01, ha="left", fontsize=9, weight="bold"
    )
    colours = matplotlib.colormaps["viridis"].with_extremes(bad=figures.NO_DATA)
    for axes in grid[len(modules) :]:
        axes.set_visible(False)
    for axes, module in zip(grid, modules, strict=False):
        rows = table[(table["first_module"] == module) & (table["second_module"] == module)]
        rows = rows[(rows["first_when"] == POST) & (rows["second_when"] == POST)]
        rows = rows[rows["first_epoch"] != rows["second_epoch"]].sort_values("level")
        epochs = sorted({*rows["first_epoch"], *rows["second_epoch"]})
        matrix = np.full((len(epochs), len(epochs)), np.nan)
        for row in rows.itertuples():
            a, b = epochs.index(row.first_epoch), epochs.index(row.second_epoch)
            matrix[a, b] = matrix[b, a] = row.r
        image = axes.imshow(np.ma.masked_invalid(matrix), cmap=colours, vmin=0, vmax=1)
        if len(epochs) > MOST_NUMBERS:
            part.colorbar(image, ax=axes, shrink=0.7)
        names = [f"{epoch:g}" for epoch in epochs]
        axes.set_xticks(range(len(epochs)), names)
        axes.set_yticks(range(len(epochs)), names)
        axes.set(title=panels.module_name(module), xlabel="Epoch")
        if len(epochs) <= MOST_NUMBERS:
            for (a, b), value in np.ndenumerate(matrix):
                if np.isfinite(value):
                    text = f"{value:.2f}".replace("0.", ".")
                    colour = "white" if value < 0.6 else "black"
                    axes.text(b, a, text, ha="center", va="center", fontsize=6, color=colour)
