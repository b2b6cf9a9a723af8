"""Confusion matrices: rows are targets, columns predictions, each row in shares of its targets."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from utils.errors import CONTROL
from utils.plots import breakdowns
from utils.plots.breakdowns import Shown
from utils.plots.figures import DARK, MODES, NO_DATA, ORANGE, TEXT_GRAY

KEPT_BESIDE = 4  # panels of kept epochs in a row
KEPT_SIDE = 1.7  # inches of such a panel
LEAST_SIDE = 3.2  # inches of a panel, so that its title has room
LONGEST_NAME = 40  # characters


def draw_nested(
    predictions: pd.DataFrame, classes: pd.DataFrame, shown: list[Shown], outer: str
) -> Figure:
    """Draw Gabor classes grouped by `outer` ('image' or 'orientation'), a panel per epoch shown.

    Image types that are neither target nor predicted in these epochs are left out.
    """
    counts = count(predictions, classes, shown)
    order = order_seen(counts, classes, outer)
    side = float(np.clip(0.2 * len(order), LEAST_SIDE, 4.3))
    figure = Figure((len(shown) * side + 1.8, side + 1.3), layout="compressed")
    panels = list(figure.subplots(1, len(shown), squeeze=False).flat)
    places = order.index.to_numpy()
    tables = [table[np.ix_(places, places)] for table in counts]
    draw_panels(figure, panels, tables, side, np.arange(len(places)))
    cell = 72 * side / len(order)
    for axes, one, table in zip(panels, shown, counts, strict=True):
        phase = f", {one.phase}" if len(shown) > 1 else ""
        axes.set_title(f"{name(one)}{phase}, n = {table.sum()}\n{hits(table, classes)}")
        divide(axes, order, order)
        label_groups(axes, order, cell, below=True)
    label_groups(panels[0], order, cell, below=False)
    return figure


def draw_unexpected(predictions: pd.DataFrame, classes: pd.DataFrame, shown: list[Shown]) -> Figure:
    """Draw what U images are taken for, a panel per epoch shown; `predictions` are those of U."""
    counts = count(predictions, classes, shown)
    order = order_seen(counts, classes, "image")
    targets = order[order["group"].isin(breakdowns.UNEXPECTED)].assign(group="U")
    columns, rows = order.index.to_numpy(), targets.index.to_numpy()
    width = float(np.clip(0.2 * len(columns), LEAST_SIDE, 6.2))
    height = len(shown) * (width * len(rows) / len(columns) + 0.5)
    figure = Figure((width + 1.8, height + 0.7), layout="compressed")
    panels = list(figure.subplots(len(shown), 1, squeeze=False).flat)
    tables = [table[np.ix_(rows, columns)] for table in counts]
    draw_panels(figure, panels, tables, height, np.flatnonzero(np.isin(columns, rows)))
    cell = 72 * width / len(columns)
    for axes, one, table in zip(panels, shown, counts, strict=True):
        axes.set_title(f"{name(one)}, n = {table.sum()}\n{hits(table, classes)}")
        divide(axes, targets, order)
        label_groups(axes, targets, cell, below=False)
    label_groups(panels[-1], order, cell, below=True)
    return figure


def draw_kept(predictions: pd.DataFrame, classes: pd.DataFrame, shown: list[Shown]) -> Figure:
    """Draw all classes, a small panel per epoch shown; only image types are named."""
    counts = count(predictions, classes, shown)
    beside = min(KEPT_BESIDE, len(shown))
    above = -(-len(shown) // beside)
    size = (beside * (KEPT_SIDE + 0.15) + 1.8, above * (KEPT_SIDE + 0.4) + 0.6)
    figure = Figure(size, layout="compressed")
    grid = list(figure.subplots(above, beside, squeeze=False).flat)
    panels = grid[: len(shown)]
    for axes in grid[len(shown) :]:
        axes.remove()
    if are_gabors := bool(classes["orientation"].notna().any()):
        order = order_seen(counts, classes, "image")
        places = order.index.to_numpy()
    else:
        places = np.arange(len(classes))
    cell = 72 * KEPT_SIDE / len(places)
    tables = [table[np.ix_(places, places)] for table in counts]
    own = np.arange(len(places)) if cell > 1 else None
    draw_panels(figure, panels, tables, above * (KEPT_SIDE + 0.4), own)
    for place, (axes, one, table) in enumerate(zip(panels, shown, counts, strict=True)):
        shares = " / ".join(f"{share:.0%}" for share in shares_correct(table, classes).values())
        axes.set_title(f"Epoch {one.epoch}: {shares}", fontsize=8)
        if are_gabors:
            divide(axes, order, order)
            if place % beside == 0:
                label_groups(axes, order, cell, below=False, cells=False)
            if place + beside >= len(panels):
                label_groups(axes, order, cell, below=True, cells=False)
    aspects = " / ".join(shares_correct(counts[0], classes))
    figure.suptitle(f"{MODES[shown[0].mode]}: correct {aspects}", fontsize=9)
    return figure


def draw_named(predictions: pd.DataFrame, classes: pd.DataFrame, shown: Shown) -> Figure:
    """Draw all classes by name; with their number the figure grows, and the names shrink."""
    counts = count(predictions, classes, [shown])
    cell = 0.075 + 1.9 / (len(classes) + 1)  # inches: 0.39 for 5 classes, 0.08 for 400
    size = float(np.clip(72 * cell / 1.2, 4.5, 8))
    names = [shortened(text) for text in classes["name"]]
    room = 0.6 * size / 72 * max(map(len, names))
    side = cell * len(names)
    figure = Figure((side + room + 1.3, side + room + 0.8), layout="compressed")
    axes = figure.subplots()
    draw_panels(figure, [axes], counts, side, np.arange(len(names)))
    correct = shares_correct(counts[0], classes)["class"]
    axes.set_title(f"{name(shown)}\n{correct:.1%} correct of {counts[0].sum()}")
    label_cells(axes, names, size, "black", below=True)
    label_cells(axes, names, size, "black", below=False)
    return figure


# ---- what is counted ----


def count(predictions: pd.DataFrame, classes: pd.DataFrame, shown: list[Shown]) -> list[np.ndarray]:
    """Return counts [target, predicted] of each epoch shown."""
    selected = (breakdowns.select(predictions, one) for one in shown)
    return [breakdowns.confusion(rows, len(classes)) for rows in selected]


def order_seen(counts: list[np.ndarray], classes: pd.DataFrame, outer: str) -> pd.DataFrame:
    """Return the classes of the image types that occur in any of the counts, nested."""
    seen = sum(table.sum(axis=0) + table.sum(axis=1) for table in counts) > 0
    return breakdowns.nested_classes(classes, outer, set(classes["image"][seen]))


def name(shown: Shown) -> str:
    """Return the mode and epoch shown as a title."""
    return MODES[shown.mode] + ("" if shown.mode == "test" else f", epoch {shown.epoch}")


def shares_correct(counts: np.ndarray, classes: pd.DataFrame) -> dict[str, float]:
    """Return the share of correct predictions of the class, for Gabors of the other aspects too."""
    kinds = breakdowns.kinds(classes)
    if classes["orientation"].isna().all():
        kinds = {"class": kinds["class"]}
    total = max(1, counts.sum())
    return {aspect: counts[kind[:, None] == kind].sum() / total for aspect, kind in kinds.items()}


def hits(counts: np.ndarray, classes: pd.DataFrame) -> str:
    """Return a title such as "correct class 20%, type 90%, orientation 25%"."""
    shares = shares_correct(counts, classes)
    return "correct " + ", ".join(f"{aspect} {share:.0%}" for aspect, share in shares.items())


def shortened(text: str) -> str:
    """Return a class's name as one line that is not too long."""
    text = CONTROL.sub(" ", text)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


# ---- how it is drawn ----


def draw_panels(
    figure: Figure,
    panels: list[Axes],
    counts: list[np.ndarray],
    height: float,
    own: np.ndarray | None,
) -> None:
    """Draw counts [target, predicted] as row shares on one scale; rows without targets are gray.

    A line marks correct predictions, if `own` gives the columns of the rows' classes.
    All panels together are about `height` inches high.
    """
    matrices = [100 * breakdowns.row_shares(table) for table in counts]
    colours = matplotlib.colormaps["Blues"].with_extremes(bad=NO_DATA)
    top = max(np.nanmax(shares, initial=1) for shares in matrices)
    for axes, shares in zip(panels, matrices, strict=True):
        across, down = (np.arange(length + 1) - 0.5 for length in shares.T.shape)
        mesh = axes.pcolormesh(  # quicker than an image at 400 classes
            across, down, np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=top
        )
        if own is not None:
            correct = own[0] - 0.5, own[-1] + 0.5
            axes.plot(correct, (down[0], down[-1]), color=ORANGE, lw=0.5, alpha=0.7)
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.set(xlim=(across[0], across[-1]), ylim=(down[-1], down[0]))
        axes.spines[:].set_visible(True)
    scale = figure.colorbar(
        mesh, ax=panels, anchor=(0, 1), aspect=15, pad=0.02, shrink=min(1.5 / height, 0.9)
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


def divide(axes: Axes, rows: pd.DataFrame, columns: pd.DataFrame) -> None:
    """Draw lines between the groups of nested classes."""
    for draw_line, order in ((axes.axhline, rows), (axes.axvline, columns)):
        for place in np.flatnonzero(order["group"].ne(order["group"].shift()))[1:]:
            draw_line(place - 0.5, color=DARK, lw=0.5)


def label_groups(
    axes: Axes, order: pd.DataFrame, cell: float, *, below: bool, cells: bool = True
) -> None:
    """Name nested classes to the left of a matrix, or `below` it: groups and cells.

    A cell has `cell` points.
    """
    inner: Text | str = "axes fraction"
    if cells:
        size = float(np.clip(cell / 1.3, 5.5, 7.5))
        inner = label_cells(axes, order["inner"].tolist(), size, TEXT_GRAY, below=below)
    groups: dict[str, list[int]] = {}
    for place, group in enumerate(order["group"]):
        groups.setdefault(group, []).append(place)
    turned = any(len(text) > 1 and 5 * len(text) > cell * len(g) for text, g in groups.items())
    for text, places in groups.items():
        mean = float(np.mean(places))
        if below:
            axes.annotate(
                text, (mean, 0), (0, -4), xycoords=("data", inner), textcoords="offset points",
                ha="center", va="top", rotation=90 * turned,
            )  # fmt: skip
        else:
            axes.annotate(
                text, (0, mean), (-4, 0), xycoords=(inner, "data"), textcoords="offset points",
                ha="right", va="center",
            )  # fmt: skip


def label_cells(axes: Axes, labels: list[str], size: float, colour: str, *, below: bool) -> Text:
    """Write the cells' labels below a matrix, or to its left, as they are; return a longest one.

    Ticks would do the same, but 800 of them take several times as long.
    """
    along = axes.get_xaxis_text1_transform if below else axes.get_yaxis_text1_transform
    transform, va, ha = along(2)
    longest = max(labels, key=len)
    texts = [
        axes.text(
            *((place, 0) if below else (0, place)), label, transform=transform, va=va, ha=ha,
            rotation=90 if below and len(longest) > 1 else 0, fontsize=size, color=colour,
            parse_math=False,
        )
        for place, label in enumerate(labels)
    ]  # fmt: skip
    return texts[labels.index(longest)]
