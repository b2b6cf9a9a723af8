"""The scores of a contrast: means by kind of pairs, and what wins where a prediction is wrong."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from utils.plots import curves, figures
from utils.plots.figures import MODES

KINDS = {  # of pairs, with their name and colour
    "positive": ("Positive", figures.DARK),
    "easy": ("Easy negative:\nanother clip", figures.SKY),
    "spatial": ("Spatial negative:\nsame clip,\nanother position", figures.GREEN),
    "temporal": ("Temporal negative:\nsame clip and position,\nanother step", figures.ORANGE),
}


def has_scores(epochs: pd.DataFrame) -> bool:
    """Whether an epoch of training or validation has scores: one of a contrast."""
    return bool(epochs.loc[epochs["mode"].isin(["train", "val"]), "score_positive"].notna().any())


def draw_scores(epochs: pd.DataFrame) -> Figure:
    """Draw mean scores, and the shares of wrong predictions, over epochs; a column per mode."""
    epochs = epochs.sort_values("epoch")
    scored = epochs[epochs["score_positive"].notna()]
    modes = [mode for mode in ("train", "val") if (scored["mode"] == mode).any()]
    figure = Figure((2.3 + 3.1 * len(modes), 4.4), layout="constrained")
    grid = figure.subplots(2, len(modes), squeeze=False, sharex=True, sharey="row")
    shown = {kind: look for kind, look in KINDS.items() if scored[f"score_{kind}"].notna().any()}
    for mode, (score_axes, share_axes) in zip(modes, grid.T, strict=True):
        rows = scored[scored["mode"] == mode].set_index("epoch")
        for kind, (_, colour) in shown.items():
            curves.draw_series(score_axes, rows[f"score_{kind}"], colour)
            if kind != "positive":
                curves.draw_series(share_axes, 100 * rows[f"wrong_{kind}"], colour)
        score_axes.set_title(MODES[mode])
        curves.finish_epochs(score_axes, epochs, above=True, below=False)
        curves.finish_epochs(share_axes, epochs, above=False, below=True)
    grid[0, 0].set_ylabel("Mean score")
    curves.set_percent(grid[1, 0], "Wrong predictions\nwon by each kind (%)")
    figure.align_ylabels(grid[:, 0])
    handles = [Line2D([], [], color=colour, label=name) for name, colour in shown.values()]
    figures.side_legend(grid[0, -1], handles)
    return figure
