"""Loss and accuracy: over epochs, by image type, by orientation, by batch; bars for a test."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from utils.plots import breakdowns, figures
from utils.plots.figures import DARK, MODES, Margins

MODE_COLOURS = {"train": figures.GRAY, "val": figures.BLUE}
TYPE_COLOURS = {
    "A": figures.BLUE,
    "B": figures.SKY,
    "C": figures.GREEN,
    "D": figures.YELLOW,
    "U": figures.RED,
    "G": figures.GRAY,
}
CLASS_ACCURACY = "Correct class (%)"  # not dpc's top-1, which tells clips and positions apart
FEW_POINTS = 25  # at most so many are marked on a line


class Series(NamedTuple):
    """One value of a breakdown: how it is called and drawn."""

    value: str | float
    name: str
    colour: str | tuple[float, ...]
    dashes: str


# ---- the whole run ----


def draw_epochs(epochs: pd.DataFrame) -> Figure:
    """Training and validation over epochs, chance, the best epoch of each phase."""
    margins = Margins(right=1.7, gap_x=0.65)
    figure, ((loss_axes, top_axes),) = figures.panel_grid((2.9, 2.9), (2.3,), margins)
    epochs = epochs.sort_values("epoch")
    chance = epochs.drop_duplicates("epoch").set_index("epoch")["chance"]
    draw_chance(loss_axes, chance.index, -np.log(chance))
    draw_chance(top_axes, chance.index, 100 * chance)
    handles = []
    for mode in ("train", "val"):
        rows = epochs[epochs["mode"] == mode].set_index("epoch")
        if len(rows):
            draw_series(loss_axes, rows["loss"], MODE_COLOURS[mode])
            draw_series(top_axes, 100 * rows["top1"], MODE_COLOURS[mode])
            draw_more_tops(top_axes, rows, MODE_COLOURS[mode])
            handles.append(Line2D([], [], color=MODE_COLOURS[mode], label=MODES[mode]))
    handles += [
        Line2D([], [], color=DARK, lw=0.8, alpha=alpha, label=f"top-{name[3:]}")
        for name, alpha in (("top3", 0.7), ("top5", 0.4))
        if epochs[name].notna().any()
    ]
    handles.append(Line2D([], [], color=DARK, lw=0.9, ls="--", label="Chance (top-1)"))
    bests = breakdowns.best_epochs(epochs)
    for best in bests.itertuples():
        marker = "o" if best.phase == "expected" else "D"
        phase = f",\n{best.phase}" if len(bests) > 1 else ""
        look = Line2D(
            [], [], ls="", marker=marker, ms=6.5, mfc="none", mec=figures.ORANGE, mew=1.2,
            label=f"Best validation{phase}:\nepoch {best.epoch:g}, {best.top1:.1%}",
        )  # fmt: skip
        handles.append(look)
        for axes, value in ((loss_axes, best.loss), (top_axes, 100 * best.top1)):
            axes.plot(
                best.epoch, value, marker, ms=6.5, mfc="none", mec=figures.ORANGE, mew=1.2, zorder=5
            )
    losses = [rows.set_index("epoch")["loss"] for _, rows in epochs.groupby("mode")]
    focus_on_what_follows([loss_axes], losses, -np.log(chance.min()))
    loss_axes.set_title("Loss")
    loss_axes.set_ylabel("Loss (nats)")
    top_axes.set_title("Accuracy")
    set_percent(top_axes)
    for axes in (loss_axes, top_axes):
        finish_epochs(axes, epochs, above=True, below=True)
    figures.side_legend(top_axes, handles)
    return figure


def draw_series(axes: Axes, values: pd.Series, colour, dashes="-", width=1.4) -> None:
    """`values` over their index, with points where these are few enough to be told apart."""
    marker = "o" if len(values) <= FEW_POINTS else ""
    width = width if marker else 0.7 * width
    axes.plot(values.index, values, marker=marker, ls=dashes, color=colour, lw=width, clip_on=False)


def draw_chance(axes: Axes, epochs: pd.Index, values: pd.Series) -> None:
    if len(epochs) == 1:
        axes.axhline(values.iloc[0], ls="--", color=DARK, lw=0.9)
    else:
        axes.plot(epochs, values, ls="--", color=DARK, lw=0.9)


def draw_more_tops(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    for name, alpha in (("top3", 0.7), ("top5", 0.4)):
        marker = "." if len(rows) == 1 else ""
        axes.plot(rows.index, 100 * rows[name], marker=marker, color=colour, lw=0.8, alpha=alpha)


def finish_epochs(axes: Axes, epochs: pd.DataFrame, above: bool, below: bool) -> None:
    """The epoch axis, named if `below`, and the shaded unexpected span, named if `above`."""
    first, last = epochs["epoch"].min(), epochs["epoch"].max()
    figures.epoch_axis(axes, first, last, below)
    start = breakdowns.first_unexpected(epochs)
    if start is not None:
        figures.mark_span(axes, start - 0.5, last + 0.5, above)


def focus_on_what_follows(
    panels: Sequence[Axes], losses: list[pd.Series], floor: float = 0.0
) -> None:
    """Where losses start far above the rest of a run, their axis shows the rest, and says so.

    The rest is what comes after the first eighth; `floor` is a value that stays in sight. `panels`
    share their axis.
    """
    if not losses:
        return
    highest = max(values.max() for values in losses)
    later = [values[values.index > values.index.max() / 8] for values in losses]
    top = 1.15 * max(floor, *(values.max() for values in later if len(values)), 0.0)
    if highest < 1.5 * top:
        return
    lowest = min(values.min() for values in losses)
    panels[0].set_ylim(max(0.0, lowest - 0.08 * (top - lowest)), top)
    for axes in panels:
        for line in axes.lines:
            line.set_clip_on(True)
    panels[0].text(
        0.2, 0.97, f"\u25b2 starts at up to {highest:.1f}", transform=panels[0].transAxes,
        va="top", fontsize=7.5, color=figures.TEXT_GRAY,
    )  # fmt: skip


def set_percent(axes: Axes, name: str = "Accuracy (%)") -> None:
    axes.set_ylabel(name)
    axes.set_ylim(0, float(np.clip(axes.get_ylim()[1], 1, 106)))


# ---- by image type or orientation ----


def type_series(table: pd.DataFrame) -> list[Series]:
    present = set(table["image"])
    return [Series(name, name, colour, "-") for name, colour in TYPE_COLOURS.items()
            if name in present]  # fmt: skip


def orientation_series(table: pd.DataFrame) -> list[Series]:
    """Colour turns with the angle; from 180° on, where contrast is inverted, lines are dashed."""
    series = [
        Series(angle, f"{angle:g}°", figures.angle_colour(angle), "-" if angle < 180 else "--")
        for angle in sorted(table["orientation"].dropna().unique())
    ]
    if table["orientation"].isna().any():
        series.append(Series(np.nan, "G", figures.GRAY, "-"))
    return series


def draw_breakdown(
    table: pd.DataFrame, by: str, title: str, series: list[Series], epochs: pd.DataFrame
) -> Figure:
    """Loss and accuracy of each series over epochs; a column of panels per mode."""
    modes = [mode for mode in ("train", "val") if (table["mode"] == mode).any()]
    margins = Margins(right=1.15, gap_x=0.3, gap_y=0.25)
    figure, grid = figures.panel_grid([2.9] * len(modes), (1.9, 1.9), margins, sharey="row")
    for mode, column in zip(modes, grid.T, strict=True):
        for measure, scale, axes in (("loss", 1, column[0]), ("accuracy", 100, column[1])):
            for one in series:
                rows = table[(table["mode"] == mode) & matches(table[by], one.value)]
                values = scale * rows.set_index("epoch")[measure]
                draw_series(axes, values, one.colour, one.dashes, 1.2)
            is_top = measure == "loss"
            finish_epochs(axes, epochs, above=is_top, below=not is_top)
            axes.tick_params(axis="x", labelbottom=not is_top)
        column[0].set_title(MODES[mode])
    losses = [rows.set_index("epoch")["loss"] for _, rows in table.groupby(["mode", by])]
    focus_on_what_follows(grid[0], losses)
    grid[0, 0].set_ylabel("Loss (nats)")
    set_percent(grid[1, 0], CLASS_ACCURACY)
    handles = [Line2D([], [], color=s.colour, ls=s.dashes, label=s.name) for s in series]
    figures.side_legend(grid[0, -1], handles, title)
    return figure


def matches(column: pd.Series, value: str | float) -> pd.Series:
    return column.isna() if value != value else column == value


SERIES = {"image": type_series, "orientation": orientation_series}

# ---- by batch ----


def draw_batches(batches: pd.DataFrame, first_unexpected: float | None) -> Figure:
    """Loss of each training batch with its running mean; below it the share of U, if any."""
    has_U = bool((batches["U_share"] > 0).any())
    width = max(1, min(25, len(batches) // 25))
    margins = Margins(gap_y=0.18, right=1.35 if width > 1 else 0.2)
    figure, column = figures.panel_grid((5.2,), (1.9, 0.7) if has_U else (1.9,), margins)
    panels = column[:, 0]
    axes = panels[0]
    unexpected = batches["epoch"] >= (np.inf if first_unexpected is None else first_unexpected)
    if width == 1:
        axes.plot(batches["loss"], color=figures.BLUE, marker="o")
    else:
        batch_line = axes.plot(batches["loss"], color=figures.SKY, lw=0.7, label="Batch")
        for _, part in batches["loss"].groupby(unexpected):  # the mean doesn't blur U's onset
            mean = part.rolling(width, center=True, min_periods=1).mean()
            mean_line = axes.plot(mean, color=figures.BLUE, label=f"Mean of {width}")
        figures.side_legend(axes, batch_line + mean_line)
    focus_on_what_follows([axes], [batches["loss"]])
    axes.set_ylabel("Loss (nats)")
    axes.set_title("Training loss by batch")
    if has_U:
        thickness = float(np.clip(0.6 * 72 * 5.2 / len(batches), 0.4, 6))
        panels[1].vlines(
            batches.index, 0, 100 * batches["U_share"], color=figures.RED, lw=thickness
        )
        panels[1].set_ylabel("U (%)")
        panels[1].set_ylim(0, None)
        axes.tick_params(labelbottom=False)
    end = len(batches) + 0.5
    for panel in panels:
        panel.set_xlim(0.5, end)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        if unexpected.any():
            figures.mark_span(panel, unexpected.idxmax() - 0.5, end, panel is axes)
    panels[-1].set_xlabel("Training batch")
    figure.align_ylabels(panels)
    return figure


# ---- a test ----


def draw_test(row: pd.Series) -> Figure:
    """Loss and top-k accuracies of one pass."""
    margins = Margins(gap_x=0.75, right=1.1)
    figure, ((loss_axes, top_axes),) = figures.panel_grid((0.9, 2.1), (2.1,), margins)
    draw_bars(loss_axes, ["Test"], [row["loss"]], [figures.BLUE], "{:.2f}")
    tops = [k for k in (1, 3, 5) if pd.notna(row[f"top{k}"])]
    values = [100 * row[f"top{k}"] for k in tops]
    names = [f"top-{k}" for k in tops]
    draw_bars(top_axes, names, values, [figures.BLUE] * len(tops), "{:.1f}")
    loss_axes.axhline(-np.log(row["chance"]), ls="--", color=DARK, lw=0.9)
    line = top_axes.axhline(
        100 * row["chance"], ls="--", color=DARK, lw=0.9, label="Chance\n(top-1)"
    )
    loss_axes.set_title("Loss")
    loss_axes.set_ylabel("Loss (nats)")
    top_axes.set_title("Accuracy")
    set_percent(top_axes)
    figures.side_legend(top_axes, [line])
    return figure


def draw_test_breakdown(table: pd.DataFrame, by: str, title: str, series: list[Series]) -> Figure:
    """Loss and accuracy of each series as bars, with the number of predictions below."""
    rows = [table[matches(table[by], one.value)].iloc[0] for one in series]
    names = [f"{one.name}\n{row['count']}" for one, row in zip(series, rows, strict=True)]
    colours = [one.colour for one in series]
    width = max(1.6, 0.42 * len(series))
    margins = Margins(left=0.65, bottom=0.62, gap_x=0.7)
    figure, ((loss_axes, top_axes),) = figures.panel_grid((width, width), (2.1,), margins)
    draw_bars(loss_axes, names, [row["loss"] for row in rows], colours, "{:.2f}")
    draw_bars(top_axes, names, [100 * row["accuracy"] for row in rows], colours, "{:.0f}")
    for axes in (loss_axes, top_axes):
        axes.set_xlabel(f"{title} (below: predictions)")
    loss_axes.set_title("Test loss")
    loss_axes.set_ylabel("Loss (nats)")
    top_axes.set_title("Test accuracy")
    set_percent(top_axes, CLASS_ACCURACY)
    return figure


def draw_bars(axes: Axes, names: list[str], values: list, colours: list, form: str) -> None:
    """Bars with their values above them."""
    axes.bar(range(len(names)), values, color=colours, width=0.65)
    for x, value in enumerate(values):
        axes.annotate(
            form.format(value), (x, value), (0, 3), textcoords="offset points",
            ha="center", fontsize=7, color=figures.TEXT_GRAY, zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
        )  # fmt: skip
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)
