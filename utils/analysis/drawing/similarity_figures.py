"""Pictures of how alike two RSMs are: of two modules, of two epochs, or of measured responses."""

from collections.abc import Callable, Mapping
from itertools import combinations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.typing import ColorType

from utils.analysis.drawing import panels
from utils.analysis.drawing.panels import EndLabel, EpochAxis
from utils.analysis.drawing.results import Results
from utils.analysis.recorded import POST, PRE
from utils.plots import figures

KIND = "activation"  # that is shown; errors are in the table
MEASURES = {"tau": "Kendall's τ", "r": "Pearson's r", "cka": "Linear CKA"}
PAIR_COLOURS = (figures.DARK, figures.BLUE, figures.ORANGE)
PAIR_MARKS = "osD"
NEURAL = "neural"
CONDITIONS = "conditions"
SIDES = ("first", "second")
HEIGHT = 2.2  # inches of a row

Looks = Mapping[str, tuple[ColorType, str]]  # colour and mark of each line


def split_names(table: pd.DataFrame) -> pd.DataFrame:
    """Add the epochs, times and modules of both RSMs of a pair; those of `neural` are missing."""
    parts: dict[str, pd.Series] = {}
    for side in SIDES:
        found = table[side].str.extract(r"^epoch(?P<epoch>\d+)_(?P<when>pre|post):(?P<module>\w+)$")
        parts |= {f"{side}_{name}": found[name] for name in ("when", "module")}
        parts[f"{side}_epoch"] = pd.to_numeric(found["epoch"]).astype("float64")
    return table.assign(**parts)


def of_two_modules(table: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of modules in one pass, with its `epoch` and `when` and the `pair`."""
    rows = table[
        (table["first_epoch"] == table["second_epoch"])
        & (table["first_when"] == table["second_when"])
        & (table["first_module"] != table["second_module"])
    ]
    pair = rows["first_module"] + "–" + rows["second_module"]
    return rows.assign(epoch=rows["first_epoch"], when=rows["first_when"], pair=pair)


def of_two_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of passes of one module: post and post, or pre and post of one epoch."""
    is_same = table["first_module"] == table["second_module"]
    in_epoch = (table["first_epoch"] == table["second_epoch"]) & (table["first_when"] == PRE)
    in_posts = (table["first_epoch"] < table["second_epoch"]) & (table["first_when"] == POST)
    rows = table[is_same & (table["second_when"] == POST) & (in_epoch | in_posts)]
    return rows.sort_values(["first_epoch", "second_epoch"])


def of_measured(table: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with measured responses, with the other's `epoch`, `when` and `module`."""
    rows = table[(table["first"] == NEURAL) ^ (table["second"] == NEURAL)]
    other = {
        name: rows[f"first_{name}"].fillna(rows[f"second_{name}"])
        for name in ("epoch", "when", "module")
    }
    return rows.assign(**other).dropna(subset="epoch").astype({"epoch": "int64"})


def at_one_level(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that compare conditions, which all pairs share, else those of blocks."""
    conditions = rows[rows["level"] == CONDITIONS]
    return rows if conditions.empty else conditions


def similarities(results: Results) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the pairs of activations: of two modules, of two epochs, and with measured ones."""
    table = split_names(results.select("rsm_similarity", kind=KIND))
    pairs = of_two_modules(table), of_two_epochs(table), of_measured(table)
    return at_one_level(pairs[0]), at_one_level(pairs[1]), at_one_level(pairs[2])


# ---- drawing ----


def draw_similarity(results: Results) -> Figure:
    """Draw a row of panels for each sort of pairs that is there, a column for each measure."""
    modules, epochs, measured = similarities(results)
    passes = pd.DataFrame({"when": [of.when for of in results.passes]})
    axis = panels.epoch_axis(results.epochs, results.onset, [passes, modules, measured])
    own = {m: (panels.MODULE_COLOURS[m], panels.MODULE_MARKS[m]) for m in results.modules}
    names = [f"{a}–{b}" for a, b in combinations(results.modules, 2)]
    looks = dict(zip(names, zip(PAIR_COLOURS, PAIR_MARKS, strict=False), strict=False))
    rows: list[tuple[str, pd.DataFrame, str, Looks, Callable[..., float]]] = [
        ("Two modules in one pass (filled: post, open: pre)", modules, "pair", looks, draw_passes),
        (
            "One module: after consecutive epochs (filled), before and after one epoch (open)",
            *(epochs, "first_module", own, draw_steps),
        ),
        (
            "A module and the measured responses (filled: post, open: pre)",
            measured,
            "module",
            own,
            draw_passes,
        ),
    ]
    rows = [row for row in rows if len(row[1])]
    figure = panels.new_figure(panels.WIDTH, 0.2 + HEIGHT * len(rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, table, by, of, draw) in zip(parts, rows, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=8.5, weight="bold")
        draw_measures(part, axis, table, by, of, draw)
    return figure


def draw_measures(
    part: SubFigure, axis: EpochAxis, table: pd.DataFrame, by: str, looks: Looks,
    draw: Callable[[Axes, EpochAxis, pd.DataFrame, str, ColorType, str], float],
) -> None:  # fmt: skip
    """Draw a panel for each measure, a line for each value of the column `by`."""
    grid = part.subplots(1, len(MEASURES))
    for axes, (measure, name) in zip(grid, MEASURES.items(), strict=True):
        ends = []
        for one, (colour, mark) in looks.items():
            rows = table[table[by] == one]
            if len(rows):
                if measure == "r":
                    axes.axhline(rows["ceiling"].mean(), color=colour, ls=":", lw=0.8, zorder=1)
                ends.append(EndLabel(draw(axes, axis, rows, measure, colour, mark), one, colour))
        low, _ = axes.get_ylim()
        axes.set_ylim(min(0.0, low), 1.03)
        has_ceiling = measure == "r" and table["ceiling"].notna().any()
        axes.set_title(f"{name} (dots: ceiling)" if has_ceiling else name)
        axis.finish(axes, above=axes is grid[0], below=True)
        if axes is grid[-1]:
            panels.label_ends(axes, ends, 1.3)


def draw_passes(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, measure: str, colour: ColorType, mark: str
) -> float:
    """Draw a measure over passes; return its last value."""
    panels.draw_series(axes, axis, rows, measure, colour, mark, 1.1)
    return panels.last_value(rows, measure)


def draw_steps(
    axes: Axes, axis: EpochAxis, rows: pd.DataFrame, measure: str, colour: ColorType, mark: str
) -> float:
    """Draw a measure between the ticks of two epochs, or on that of one; return its last value."""
    firsts, seconds = (rows[f"{side}_epoch"].map(axis.epochs.index) for side in SIDES)
    places = (firsts + seconds) / 2
    is_step = firsts != seconds
    values = rows[measure]
    axes.plot(places[is_step], values[is_step], marker=mark, ms=3.4, color=colour, lw=1.1)
    axes.plot(
        places[~is_step], values[~is_step], marker=mark, ms=3.4, mew=0.8, mfc="white",
        color=colour, lw=0.7, ls=(0, (3, 1.5)),
    )  # fmt: skip
    known = values[is_step] if is_step.any() else values
    return float(known.iloc[-1])
