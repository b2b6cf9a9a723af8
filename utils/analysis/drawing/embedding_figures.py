"""Pictures of the embedding: each block a point in two dimensions, coloured by what it shows."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from utils.analysis.drawing import panels
from utils.analysis.drawing.results import Results
from utils.analysis.recorded import POST
from utils.plots import figures

KIND = "activation"
MOST_ANGLES = 12  # that are named
SIDE = 1.8  # inches of a panel
Look = tuple[str, np.ndarray, list[tuple[str, ColorType]]]  # title, colours of points, legend


def draw_embedding(results: Results, method: str) -> Figure:
    """Draw the last pass: a row per module, coloured by image, orientation and, for P > 1, step.

    Where there is only one of these, the modules are side by side.
    """
    table = results.select("embedding", method=method, kind=KIND)
    post = table[table["when"] == POST]
    table = table if post.empty else post
    table = table[table["epoch"] == table["epoch"].max()]
    modules = [m for m in results.modules if (table["module"] == m).any()]
    colours_of = panels.class_colours(results.blocks_by_image)
    looks = list_looks(table[table["module"] == modules[0]], results.are_gabors, colours_of)
    is_single = len(looks) == 1  # then the modules are side by side
    across, down = (len(modules), 1) if is_single else (len(looks), len(modules))
    figure = panels.new_figure(0.5 + (SIDE + 0.1) * across, 1.15 + (SIDE + 0.1) * down)
    grid = figure.subplots(down, across, squeeze=False)
    grid = grid.T if is_single else grid  # a row for each module
    for module, row in zip(modules, grid, strict=True):
        points = table[table["module"] == module]
        own = list_looks(points, results.are_gabors, colours_of)
        for axes, (title, colours, _) in zip(row, own, strict=True):
            draw_points(axes, points, colours)
            if is_single:
                axes.set_title(panels.module_name(module))
            elif axes in grid[0]:
                axes.set_title(f"By {title}")
        if not is_single:
            row[0].set_ylabel(panels.module_name(module), fontsize=9)
    for axes, (_, _, entries) in zip(grid[-1], looks, strict=True):
        names = [name for name, _ in entries]
        look: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4, "label": " "}
        handles = [Line2D([], [], color=colour, **look) for _, colour in entries]
        if is_single:
            columns = max(1, int(figure.get_figwidth() / (0.5 + 0.07 * max(map(len, names)))))
            legend = figure.legend(
                handles=handles, loc="outside lower left", ncols=columns, borderaxespad=0.8
            )
        else:
            legend = axes.legend(
                handles=handles, loc="upper left", bbox_to_anchor=(0, -0.02), fontsize=7,
                ncols=legend_columns(names), handletextpad=0.1, columnspacing=0.8, handlelength=1,
            )  # fmt: skip
        panels.name_entries(legend, names)
    return figure


def legend_columns(names: list[str]) -> int:
    """Return how many columns of these names are as wide as a panel."""
    longest = max(len(name) for name in names)
    return 6 if longest < 3 else 4 if longest < 7 else 2


def draw_points(axes: Axes, points: pd.DataFrame, colours: np.ndarray) -> None:
    """Draw the blocks in a shuffled order, so that no group hides the others."""
    order = np.random.default_rng(0).permutation(len(points))
    size = float(np.clip(3000 / max(1, len(points)), 2, 12))
    x, y = (points[name].to_numpy()[order] for name in "xy")
    axes.scatter(x, y, s=size, c=colours[order], alpha=0.7, lw=0)
    axes.set(xticks=[], yticks=[], box_aspect=1)
    axes.set_aspect("equal", adjustable="datalim")  # distances are the same in all directions
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#BBBBBB")


def list_looks(points: pd.DataFrame, are_gabors: bool, known: dict[str, ColorType]) -> list[Look]:
    """Return how the points are coloured in each of up to three ways; images as in `known`."""
    images = to_rgba([known.get(name, figures.NO_DATA) for name in points["image"]])
    names = [(panels.shortened(name), colour) for name, colour in known.items()]
    if set(points["image"]) - set(known):
        names.append((panels.OTHERS, figures.NO_DATA))
    looks: list[Look] = [("image type" if are_gabors else "class", images, names)]
    if points["orientation"].notna().any():
        looks.append(by_orientation(points["orientation"]))
    steps = sorted(set(points["step"]))
    if len(steps) > 1:
        ramp = matplotlib.colormaps["viridis"]
        of_step = {step: ramp(0.9 * i / (len(steps) - 1)) for i, step in enumerate(steps)}
        named: list[tuple[str, ColorType]] = [
            (f"step {step + 1:g}", of_step[step]) for step in steps[:8]
        ]
        looks.append(("predicted step", to_rgba([of_step[step] for step in points["step"]]), named))
    return looks


def by_orientation(orientations: pd.Series) -> Look:
    """Return colours around the ring; blocks without an orientation are gray."""
    angles = sorted(orientations.dropna().unique())
    shown = angles[:: -(-len(angles) // MOST_ANGLES)]
    names: list[tuple[str, ColorType]] = [(f"{a:g}°", figures.angle_colour(a)) for a in shown]
    if orientations.isna().any():
        names.append(("none", figures.NO_DATA))
    colours = [figures.angle_colour(a) if np.isfinite(a) else figures.NO_DATA for a in orientations]
    return "orientation", to_rgba(colours), names


def to_rgba(colours: Sequence[ColorType]) -> np.ndarray:
    """Return colours as an array `[points, 4]`."""
    return matplotlib.colors.to_rgba_array(colours)
