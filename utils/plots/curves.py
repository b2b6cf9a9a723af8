"""Loss and accuracy: over epochs, by image type, by orientation, by batch; bars for a test."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from utils.plots import breakdowns, figures
from utils.plots.figures import DARK, MODES

MODE_COLOURS = {"train": figures.GRAY, "val": figures.BLUE}
TYPE_COLOURS = {"A": figures.BLUE, "B": figures.SKY, "C": figures.GREEN, "D": figures.YELLOW}
TYPE_COLOURS |= {"U": figures.RED, "G": figures.GRAY}
# not dpc's top-1, which tells clips and positions apart
ACCURACIES = {aspect: f"Correct {aspect} (%)" for aspect in breakdowns.ASPECTS}
CHANCE, CHANCE_OF_U = "Chance", "Chance of U"
TITLES = {"image": "Image type", "orientation": "Orientation"}
MORE_TOPS = {"top3": 0.7, "top5": 0.4}  # opacity of their lines
FEW_POINTS = 25  # at most so many are marked on a line


# ---- the whole run ----


def draw_epochs(epochs: pd.DataFrame) -> Figure:
    """Draw training and validation over epochs, chance, and the best epoch of each phase."""
    figure = Figure((8.7, 3.1), layout="constrained")
    loss_axes, top_axes = figure.subplots(1, 2)
    epochs = epochs.sort_values("epoch")
    for mode in ("train", "val"):
        rows = epochs[epochs["mode"] == mode].set_index("epoch")
        if len(rows):
            colour = MODE_COLOURS[mode]
            draw_series(loss_axes, rows["loss"], colour)
            draw_series(top_axes, 100 * rows["top1"], colour, label=MODES[mode])
            marker = "." if len(rows) == 1 else ""
            for top, alpha in MORE_TOPS.items():
                top_axes.plot(100 * rows[top], marker=marker, color=colour, lw=0.8, alpha=alpha)
    for top, alpha in MORE_TOPS.items():
        if epochs[top].notna().any():
            top_axes.plot([], color=DARK, lw=0.8, alpha=alpha, label=f"top-{top[3:]}")
    chance = epochs.drop_duplicates("epoch").set_index("epoch")["chance"]
    draw_chance(loss_axes, -np.log(chance))
    draw_chance(top_axes, 100 * chance, "Chance (top-1)")
    bests = breakdowns.best_epochs(epochs).to_dict("records")
    for best in bests:
        phase = f",\n{best['phase']}" if len(bests) > 1 else ""
        label = f"Best validation{phase}:\nepoch {best['epoch']:g}, {best['top1']:.1%}"
        for axes, value in ((loss_axes, best["loss"]), (top_axes, 100 * best["top1"])):
            axes.plot(
                best["epoch"], value, "o" if best["phase"] == "expected" else "D", ms=6.5,
                mfc="none", mec=figures.ORANGE, mew=1.2, zorder=5, label=label,
            )  # fmt: skip
    losses = epochs.set_index("epoch")["loss"]
    focus_on_what_follows([loss_axes], losses, -np.log(chance.min()))
    loss_axes.set(title="Loss", ylabel="Loss (nats)")
    top_axes.set_title("Accuracy")
    set_percent(top_axes, "Accuracy (%)")
    for axes in (loss_axes, top_axes):
        finish_epochs(axes, epochs, above=True, below=True)
    figures.side_legend(top_axes)
    return figure


def draw_series(
    axes: Axes, values: pd.Series, colour: ColorType, dashes: str = "-", width: float = 1.4,
    label: str | None = None,
) -> None:  # fmt: skip
    """Draw `values` over their index, with points where these are few enough to be told apart."""
    marker = "o" if len(values) <= FEW_POINTS else ""
    width = width if marker else 0.7 * width
    axes.plot(
        values, marker=marker, ls=dashes, color=colour, lw=width, label=label,
        clip_on=False, in_layout=False,  # points on the edge are drawn whole, and need no room
    )  # fmt: skip


def draw_chance(
    axes: Axes, values: pd.Series, label: str | None = None, colour: ColorType = DARK
) -> None:
    """Draw the values of chance over epochs, or over the width of one epoch or bar."""
    if len(values) == 1:
        values = pd.Series(values.iloc[0], [values.index[0] - 0.5, values.index[0] + 0.5])
    axes.plot(values, ls="--", color=colour, lw=0.9, label=label)


def finish_epochs(axes: Axes, epochs: pd.DataFrame, above: bool, below: bool) -> None:
    """Set the epoch axis, named if `below`; shade epochs with U images, named if `above`."""
    first, last = epochs["epoch"].min(), epochs["epoch"].max()
    figures.whole_numbers(axes, first, last)
    if below:
        axes.set_xlabel("Epoch")
    start = breakdowns.first_unexpected(epochs)
    if start is not None:
        figures.mark_unexpected(axes, start - 0.5, last + 0.5, above)


def focus_on_what_follows(panels: Sequence[Axes], losses: pd.Series, floor: float = 0.0) -> None:
    """Where losses start far above the rest of a run, let the axis show the rest, and say so.

    The rest is what comes after the first eighth; `floor` is a value that stays in sight. `panels`
    share their axis.
    """
    lowest, highest = losses.min(), losses.max()
    rest = losses[losses.index > losses.index.max() / 8]
    top = 1.15 * max(floor, rest.max()) if len(rest) else highest
    if highest < 1.5 * top:
        return
    panels[0].set_ylim(max(0.0, lowest - 0.08 * (top - lowest)), top)
    for axes in panels:
        for line in axes.lines:
            line.set_clip_on(True)
    panels[0].text(
        0.2, 0.97, f"\u25b2 starts at up to {highest:.1f}", transform=panels[0].transAxes,
        va="top", fontsize=7.5, color=figures.TEXT_GRAY,
    )  # fmt: skip


def set_percent(axes: Axes, name: str) -> None:
    """Name the y axis, and end it at 0 and little above 100 per cent."""
    axes.set_ylabel(name)
    axes.set_ylim(0, float(np.clip(axes.get_ylim()[1], 1, 106)))


# ---- by image type or orientation ----


class Series(NamedTuple):
    """A group of a breakdown, with its row or rows of the table, and its look."""

    name: str
    rows: pd.DataFrame
    colour: ColorType
    dashes: str = "-"


def list_series(table: pd.DataFrame, by: str) -> list[Series]:
    """Return the image types in their order, or the orientations ascending, and last G.

    Colour turns with the angle; from 180° on, where contrast is inverted, lines are dashed.
    """
    if by == "image":
        series = [Series(n, table[table[by] == n], colour) for n, colour in TYPE_COLOURS.items()]
    else:
        series = []
        for angle in sorted(table[by].dropna().unique().tolist()):
            rows, dashes = table[table[by] == angle], "-" if angle < 180 else "--"
            series.append(Series(f"{angle:g}°", rows, figures.angle_colour(angle), dashes))
        series.append(Series("G", table[table[by].isna()], figures.GRAY))
    return [one for one in series if len(one.rows)]


def draw_breakdown(judged: pd.DataFrame, by: str, epochs: pd.DataFrame) -> Figure:
    """Draw loss, accuracies and chance over epochs for each group; a column of panels per mode.

    U is rare, so where types are shown, its chance is shown apart.
    """
    table, whole = breakdowns.breakdown(judged, [by]), breakdowns.breakdown(judged, [])
    series = list_series(table, by)
    modes = [mode for mode in ("train", "val") if (table["mode"] == mode).any()]
    figure = Figure((1.85 + 3.1 * len(modes), 7.6), layout="constrained")
    grid = figure.subplots(4, len(modes), squeeze=False, sharex=True, sharey="row")
    for mode, (loss_axes, *rest) in zip(modes, grid.T, strict=True):
        rows = whole[whole["mode"] == mode].set_index("epoch")
        for axes, aspect in zip(rest, ACCURACIES, strict=True):
            draw_chance(axes, 100 * rows[f"{aspect}_chance"], CHANCE)
        for one in series:
            rows = one.rows[one.rows["mode"] == mode].set_index("epoch")
            draw_series(loss_axes, rows["loss"], one.colour, one.dashes, 1.2)
            for axes, aspect in zip(rest, ACCURACIES, strict=True):
                draw_series(axes, 100 * rows[f"{aspect}_hit"], one.colour, one.dashes, 1.2)
                if one.name == "U":
                    chance = 100 * rows[f"{aspect}_chance"]
                    draw_chance(axes, chance, CHANCE_OF_U, one.colour)
        loss_axes.set_title(MODES[mode])
        for axes in (loss_axes, *rest):
            finish_epochs(axes, epochs, above=axes is loss_axes, below=axes is rest[-1])
    focus_on_what_follows(grid[0], table.set_index("epoch")["loss"])
    grid[0, 0].set_ylabel("Loss (nats)")
    for axes, accuracy in zip(grid[1:, 0], ACCURACIES.values(), strict=True):
        set_percent(axes, accuracy)
    figure.align_ylabels(grid[:, 0])
    handles = [Line2D([], [], color=s.colour, ls=s.dashes, label=s.name) for s in series]
    chances = {line.get_label(): line for axes in grid[1] for line in axes.get_lines()}
    handles += [chances[name] for name in (CHANCE, CHANCE_OF_U) if name in chances]
    figures.side_legend(grid[0, -1], handles, TITLES[by])
    return figure


# ---- by batch ----


def draw_batches(batches: pd.DataFrame, first_unexpected: float | None) -> Figure:
    """Draw the loss of each training batch, its running mean, and the share of U, if any."""
    has_U = bool((batches["U_share"] > 0).any())
    figure = Figure((7.1, 3.6 if has_U else 2.7), layout="constrained")
    panels = figure.subplots(
        1 + has_U, squeeze=False, sharex=True, height_ratios=(1.9, 0.7)[: 1 + has_U]
    )[:, 0]
    axes = panels[0]
    unexpected = batches["epoch"] >= (np.inf if first_unexpected is None else first_unexpected)
    width = max(1, min(25, len(batches) // 25))
    if width == 1:
        axes.plot(batches["loss"], color=figures.BLUE, marker="o")
    else:
        lines = axes.plot(batches["loss"], color=figures.SKY, lw=0.7, label="Batch")
        for _, part in batches["loss"].groupby(unexpected):  # the mean doesn't blur U's onset
            mean = part.rolling(width, center=True, min_periods=1).mean()
            mean_line = axes.plot(mean, color=figures.BLUE, label=f"Mean of {width}")
        figures.side_legend(axes, lines + mean_line)
    focus_on_what_follows([axes], batches["loss"])
    axes.set(title="Training loss by batch", ylabel="Loss (nats)")
    if has_U:
        thickness = float(np.clip(0.6 * 72 * 5.2 / len(batches), 0.4, 6))
        share = 100 * batches["U_share"]
        panels[1].vlines(batches.index, 0, share, color=figures.RED, lw=thickness)
        panels[1].set_ylabel("U (%)")
        panels[1].set_ylim(0, None)
    for panel in panels:
        figures.whole_numbers(panel, 1, len(batches))
        if unexpected.any():
            start = int(unexpected.argmax()) + 0.5
            figures.mark_unexpected(panel, start, len(batches) + 0.5, label=panel is axes)
    panels[-1].set_xlabel("Training batch")
    figure.align_ylabels(panels)
    return figure


# ---- a test ----


def draw_test(row: pd.Series) -> Figure:
    """Draw loss and top-k accuracies of one pass."""
    figure = Figure((5.3, 2.9), layout="constrained")
    loss_axes, top_axes = figure.subplots(1, 2, width_ratios=(0.9, 2.1))
    draw_bars(loss_axes, ["Test"], [row["loss"]], [figures.BLUE], "{:.2f}")
    tops = [k for k in (1, 3, 5) if pd.notna(row[f"top{k}"])]
    values = [100 * row[f"top{k}"] for k in tops]
    draw_bars(top_axes, [f"top-{k}" for k in tops], values, [figures.BLUE] * len(tops), "{:.1f}")
    chance: pd.Series = pd.Series([row["chance"]])
    draw_chance(loss_axes, -np.log(chance))
    draw_chance(top_axes, 100 * chance, "Chance\n(top-1)")
    loss_axes.set(title="Loss", ylabel="Loss (nats)")
    top_axes.set_title("Accuracy")
    set_percent(top_axes, "Accuracy (%)")
    figures.side_legend(top_axes)
    return figure


def draw_test_breakdown(judged: pd.DataFrame, by: str, _: pd.DataFrame) -> Figure:
    """Draw loss and accuracies of each group as bars, with their numbers of predictions below.

    Each bar of an accuracy is crossed by its chance.
    """
    series = list_series(breakdowns.breakdown(judged, [by]), by)
    rows = pd.concat([one.rows for one in series])
    names = [f"{one.name}\n{one.rows['count'].sum()}" for one in series]
    colours = [one.colour for one in series]
    figure = Figure((1.6 + 2 * max(1.6, 0.42 * len(series)), 5.4), layout="constrained")
    loss_axes, *rest = figure.subplots(2, 2).flat
    draw_bars(loss_axes, names, rows["loss"].tolist(), colours, "{:.2f}")
    loss_axes.set(title="Test", ylabel="Loss (nats)")
    for axes, (aspect, accuracy) in zip(rest, ACCURACIES.items(), strict=True):
        draw_bars(axes, names, (100 * rows[f"{aspect}_hit"]).tolist(), colours, "{:.0f}")
        for place, chance in enumerate(100 * rows[f"{aspect}_chance"]):
            draw_chance(axes, pd.Series([chance], [place]), "" if place else CHANCE)
        set_percent(axes, accuracy)
    for axes in rest[1:]:
        axes.set_xlabel(f"{TITLES[by]} (below: predictions)")
    figures.side_legend(rest[0])
    return figure


def draw_bars(
    axes: Axes, names: list[str], values: list[float], colours: Sequence[ColorType], form: str
) -> None:
    """Draw bars with their values above them."""
    bars = axes.bar(range(len(names)), values, color=colours, width=0.65, tick_label=names)
    axes.bar_label(
        bars, fmt=form, padding=3, fontsize=7, color=figures.TEXT_GRAY, zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
    )  # fmt: skip
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)
