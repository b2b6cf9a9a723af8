"""Retrieval as a picture: some queries, each beside the videos that are most similar to it."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from utils.errors import UsageError
from utils.files import reason, regular_only
from utils.plots.confusion_matrices import shortened
from utils.plots.figures import DARK, GREEN, ORANGE, TEXT_GRAY
from utils.plots.tables import NUMBER, read_table

SHOWN, EVALUATIONS = "retrieval_shown.npz", "evaluations.csv"
NAME, FIRST = "retrieval", "R@1"  # of the picture, and of the measure in its title
COLUMNS = {"measure": "str"} | dict.fromkeys(("value", "chance", "evaluated", "gallery"), NUMBER)
DIMENSIONS = {"frames": 5, "classes": 2, "right": 2, "similarity": 2}
MOST_QUERIES, MOST_FOUND = 10, 10  # that are drawn of files with more
SIGNS = {True: ("✓", GREEN), False: ("✗", ORANGE)}  # of the right class, or not
# inches: a frame's width and its least and greatest height, spaces, the lines below a frame
WIDTH, LOWEST, HIGHEST = 1.12, 0.4, 2.0
GAP, APART, MARGIN, HEAD, BELOW = 0.12, 0.4, 0.1, 0.74, 0.38
LEAST_WIDTH = 4.4  # of the picture, so that its title has room
LEGEND = "✓ the query's class, ✗ another class; below: cosine similarity"
SIZE = 7.5  # points of a class's name
SIGN = 0.12  # inches of a sign and a space before it
INCH = 72.0  # points


class Shown(NamedTuple):
    """Q queries, each with the K videos of the gallery that are nearest to it.

    `frames` [Q, 1+K, H, W, 3] are RGB and `classes` [Q, 1+K] names, of the query first. `right` and
    `similarity` are [Q, K].
    """

    frames: np.ndarray
    classes: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


# ---- what is read ----


def is_retrieval(folder: Path) -> bool:
    """Whether the folder holds frames of a retrieval."""
    return os.path.lexists(folder / SHOWN)


def read_shown(folder: Path) -> Shown:
    """Read the frames of a retrieval; raises UsageError for a file that no retrieval wrote."""
    path = folder / SHOWN
    try:
        os.close(regular_only(str(path), os.O_RDONLY))  # np.load would wait for a pipe
        with np.load(path) as arrays:
            shown = Shown(*(arrays[name] for name in Shown._fields))
        _check(shown)
    except Exception as error:  # zipfile and NumPy raise many kinds for a damaged file
        raise UsageError(f"{path}: can't be read ({reason(error)}); retrieve again") from error
    queries, found = shown.right.shape
    rows, columns = slice(min(queries, MOST_QUERIES)), min(found, MOST_FOUND)
    return Shown(
        *(array[rows, : 1 + columns] for array in shown[:2]),
        *(array[rows, :columns] for array in shown[2:]),
    )


def _check(shown: Shown) -> None:
    """Raise ValueError for arrays that don't belong together."""
    for (name, dimensions), array in zip(DIMENSIONS.items(), shown, strict=True):
        if array.ndim != dimensions or not array.size:
            raise ValueError(f"{name} has the shape {array.shape}")
    queries, found = shown.right.shape
    beside = (queries, 1 + found)
    if shown.frames.shape[:2] != beside or shown.classes.shape != beside:
        raise ValueError("its arrays are of different queries")
    if shown.frames.dtype != np.uint8 or shown.frames.shape[-1] != 3:
        raise ValueError("its frames are not RGB")
    if shown.similarity.shape != shown.right.shape or shown.similarity.dtype.kind != "f":
        raise ValueError("its similarities are not those of the videos")


def read_title(folder: Path) -> str:
    """Return the share of right first videos and its chance, as far as these were written.

    Raises UsageError for a table that no retrieval writes.
    """
    try:
        table = read_table(folder / EVALUATIONS, COLUMNS, ["measure", "value"])
    except ValueError as error:
        raise UsageError(f"{folder}: {error}") from error
    rows = table[table["measure"] == FIRST]
    if rows.empty:
        return "Retrieval"
    row = rows.iloc[-1]
    chance = "" if np.isnan(row["chance"]) else f" (chance {row['chance']:.1%})"
    title = f"{FIRST} {row['value']:.1%}{chance}"
    if np.isnan(row["evaluated"]) or np.isnan(row["gallery"]):
        return title
    return f"{title}: {row['evaluated']:.0f} queries, {row['gallery']:.0f} videos to find"


# ---- how it is drawn ----


def draw_retrieval(shown: Shown, title: str) -> Figure:
    """Draw a row for each query: its middle frame, and right of it those of what it finds."""
    queries, found = shown.right.shape
    tall = WIDTH * shown.frames.shape[2] / shown.frames.shape[3]
    height = float(np.clip(tall, LOWEST, HIGHEST))
    row = height + BELOW
    across = 2 * MARGIN + (1 + found) * WIDTH + APART + (found - 1) * GAP
    size = max(across, LEAST_WIDTH), HEAD + queries * row + (queries - 1) * GAP + MARGIN
    figure = Figure(size)
    lefts = [MARGIN, *(MARGIN + WIDTH + APART + place * (WIDTH + GAP) for place in range(found))]
    _write(figure, MARGIN, size[1] - 0.2, title, 9, "black")
    _write(figure, MARGIN, size[1] - 0.38, LEGEND, SIZE, TEXT_GRAY)
    _write(figure, lefts[0], size[1] - HEAD + 0.06, "Query", SIZE, TEXT_GRAY)
    nearest = "Nearest videos" if found > 1 else "Nearest video"
    _write(figure, lefts[1], size[1] - HEAD + 0.06, nearest, SIZE, TEXT_GRAY)
    for query in range(queries):
        bottom = size[1] - HEAD - height - query * (row + GAP)
        for place, left in enumerate(lefts):
            place_in = (left / size[0], bottom / size[1], WIDTH / size[0], height / size[1])
            axes = figure.add_axes(place_in, anchor="SW", xticks=[], yticks=[])
            axes.imshow(shown.frames[query, place])
            sign, colour = SIGNS[bool(shown.right[query, place - 1])] if place else ("", DARK)
            axes.spines[:].set(visible=True, color=colour, linewidth=2.2 if place else 1.0)
            start = f"{sign} " if place else ""
            told = start + fitted(
                str(shown.classes[query, place]), WIDTH + GAP / 2 - SIGN * len(sign)
            )
            _write(figure, left, bottom - 0.15, told, SIZE, colour)
            if place:
                similarity = f"{shown.similarity[query, place - 1]:.2f}"
                _write(figure, left, bottom - 0.29, similarity, SIZE, TEXT_GRAY)
    return figure


def _write(figure: Figure, x: float, y: float, text: str, size: float, colour: str) -> None:
    """Write a line that begins x and y inches from the lower left corner, as it is."""
    wide, high = figure.get_size_inches()
    figure.text(x / wide, y / high, text, fontsize=size, color=colour, parse_math=False)


def fitted(text: str, width: float) -> str:
    """Return a name as one line, shortened so that it has at most so many inches."""
    font = FontProperties(family=["DejaVu Sans"], size=SIZE)

    def is_wide(line: str) -> bool:
        return text_to_path.get_text_width_height_descent(line, font, False)[0] > width * INCH

    whole = shortened(text.encode(errors="backslashreplace").decode())  # half a character
    line = whole
    while line and is_wide(line):
        whole = whole[:-1]
        line = f"{whole.rstrip()}…"
        if not whole:
            break
    return line
