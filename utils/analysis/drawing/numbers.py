"""The key numbers of an analysis, as small tables for its page; the CSV files have all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from utils.analysis.drawing import similarity_figures, usi_figures
from utils.analysis.drawing.results import Results
from utils.analysis.loading import load_pass
from utils.analysis.recorded import POST, STAGES, Pass
from utils.plots.page import Table, with_minus

Cell = str | float


def passes(results: Results) -> list[Table]:
    """Return how many clips and blocks each recorded pass has, and its mean loss."""
    rows: list[Sequence[Cell]] = []
    for of in results.passes:
        blocks = load_pass(results.folder, of).blocks
        counts = blocks["image"].value_counts()
        own = [int(counts.get(image, 0)) for image in "DU"] if results.are_gabors else []
        clips, epoch = blocks["item"].nunique(), _epoch_of_clips(of, blocks)
        rows.append(
            (of.name, of.weights, epoch, clips, len(blocks), *own, float(blocks["loss"].mean()))
        )
    own_names = ("of D", "of U") if results.are_gabors else ()
    header = ("Pass", "Weights after epoch", "Clips of epoch", "Clips", "Blocks")
    return [Table("Recorded passes", (*header, *own_names, "Mean loss"), rows)] if rows else []


def _epoch_of_clips(of: Pass, blocks: pd.DataFrame) -> int:
    return int(blocks["epoch"].iloc[0]) if len(blocks) else of.epoch


def responses(results: Results) -> list[Table]:
    """Return the ratio of responses to U and D at the landmarks, or else those to all images."""
    table = results.select("responses", when=POST)
    epochs = results.landmarks("responses")
    images = set(table["image"])
    has_U = results.are_gabors and {"D", "U"} <= images
    rows: list[Sequence[Cell]] = []
    for module, kind in _keys(results, table):
        cells: list[Cell] = [module, kind]
        for epoch in epochs:
            one = table[(table["module"] == module) & (table["kind"] == kind)]
            by_image = one[one["epoch"] == epoch].set_index("image")["mean_abs"]
            cells.append(_ratio(by_image, "U", "D") if has_U else float(by_image.mean()))
        rows.append(cells)
    over = "image types" if results.are_gabors else "classes"
    what = "Mean |response| "
    what += "to U as a multiple of that to D" if has_U else f"averaged over {over}"
    header = ("Module", "Response", *(f"epoch {epoch}" for epoch in epochs))
    return [Table(f"{what} (post)", header, rows)] if rows else []


def _ratio(values: pd.Series, over: str, under: str) -> float:
    if over not in values.index or under not in values.index or not values[under]:
        return np.nan
    return float(values[over] / values[under])


def usi(results: Results) -> list[Table]:
    """Return the mean USI of each module at the landmarks, and more numbers of the last one."""
    table = results.select("usi", when=POST)
    epochs = results.landmarks("usi")
    rows: list[Sequence[Cell]] = []
    has_left_out = bool((table["left_out"] > 0).any())
    for module, kind in _keys(results, table):
        own = table[(table["module"] == module) & (table["kind"] == kind)]
        means = own[own["over"] == "all"].set_index("epoch")["mean"]
        at_last = own[own["epoch"] == epochs[-1]]
        shared = at_last[at_last["over"] == "shared"]["mean"]
        for last in at_last[at_last["over"] == "all"].to_dict("records"):
            rows.append(
                (module, kind, *(float(means.get(epoch, np.nan)) for epoch in epochs),
                 float(shared.mean()), last["mean_abs"], last["sd"], _share(last),
                 _whole(last["nodes"]), *[_whole(last["left_out"])] * has_left_out)
            )  # fmt: skip
    header = (
        *("Module", "Response", *(f"Mean, epoch {epoch}" for epoch in epochs)),
        *("Mean, shared orientations", "Mean |USI|", "SD", "Significant (95 % interval)"),
        *("Nodes", *["Left out"] * has_left_out),
    )
    if not rows:
        return []
    caption = f"USI over nodes (post); columns that name no epoch: epoch {epochs[-1]}"
    return [Table(caption, header, rows)]


def _share(row: Mapping[Any, float]) -> str:
    if not np.isfinite(row["significant"]):
        return "–"
    low, high = row["significant_low"], row["significant_high"]
    return f"{row['significant']:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def correlation(results: Results) -> list[Table]:
    """Return r over the step that the picture shows."""
    table = results.select("usi_correlation", when=POST)
    first, second = usi_figures.shown_step(table, results.onset)
    table = table[(table["epoch"] == first) & (table["next_epoch"] == second)]
    rows: list[Sequence[Cell]] = []
    for module, kind in _keys(results, table):
        own = table[(table["module"] == module) & (table["kind"] == kind)]
        one = own.iloc[0]
        interval = with_minus(f"{one['low']:.2f} to {one['high']:.2f}")
        rows.append((module, kind, one["r"], interval, _whole(one["nodes"])))
    header = ("Module", "Response", "r", "95 % interval", "Nodes")
    return [Table(f"Correlation of nodes' USI, epoch {first} and {second}", header, rows)]


def rsm(results: Results) -> list[Table]:
    """Return the mean correlations within and between image types at the landmarks."""
    table = results.select("rsm", when=POST)
    epochs = results.landmarks("rsm")
    rows: list[Sequence[Cell]] = []
    for module, kind in _keys(results, table):
        own = table[(table["module"] == module) & (table["kind"] == kind)]
        is_within = own["first_image"] == own["second_image"]
        parts = own[is_within], own[~is_within]
        means = [_weighted(part[part["epoch"] == e]) for part in parts for e in epochs]
        rows.append((module, kind, *means))
    heads = [f"{where}, epoch {epoch}" for where in ("Within", "Between") for epoch in epochs]
    what = "image types" if results.are_gabors else "classes"
    caption = f"Mean correlation of two blocks within and between {what} (post)"
    return [Table(caption, ("Module", "Response", *heads), rows)] if rows else []


def _weighted(rows: pd.DataFrame) -> float:
    known = rows[rows["mean"].notna() & (rows["pairs"] > 0)]
    if known.empty:
        return np.nan
    return float((known["mean"] * known["pairs"]).sum() / known["pairs"].sum())


def similarity(results: Results) -> list[Table]:
    """Return the similarity of modules after the last epoch, and of epochs at U's onset."""
    modules, epochs, measured = similarity_figures.similarities(results)
    modules, measured = (rows[rows["when"] == POST] for rows in (modules, measured))
    parts = [
        modules[modules["epoch"] == modules["epoch"].max()],
        _over_onset(epochs, results.onset),
        measured[measured["epoch"] == measured["epoch"].max()],
    ]
    joined = pd.concat([part for part in parts if len(part)] or parts)
    rows = [
        (*(_name(row, side) for side in ("first", "second")), f"{row['rows']:g} {row['level']}",
         row["tau"], row["r"], row["cka"], row["ceiling"])
        for row in joined.to_dict("records")
    ]  # fmt: skip
    header = ("First", "Second", "Compared", "τ", "r", "CKA", "Ceiling of r")
    return [Table("Similarity of two RSMs (activations)", header, rows)] if rows else []


def _name(row: Mapping[Any, Any], side: str) -> str:
    """Return how one RSM of a pair is told."""
    if not isinstance(row[f"{side}_module"], str):
        return "measured responses"
    epoch, when = int(row[f"{side}_epoch"]), row[f"{side}_when"]
    return f"{row[f'{side}_module']}, epoch {epoch} {when}"


def _over_onset(rows: pd.DataFrame, onset: int | None) -> pd.DataFrame:
    """Return the step over U's onset, else the last step between two epochs."""
    steps = rows[rows["first_epoch"] < rows["second_epoch"]]
    if onset is not None:
        over = steps[(steps["first_epoch"] < onset) & (steps["second_epoch"] >= onset)]
        steps = over if len(over) else steps
    return steps[steps["second_epoch"] == steps["second_epoch"].max()]


def decoding(results: Results) -> list[Table]:
    """Return the accuracies after the last epoch that was decoded."""
    table = results.tables["decoding"]
    post = table[table["when"] == POST]
    table = table if post.empty else post
    last = table["epoch"].max()
    names = {"image": "image type" if results.are_gabors else "class", "orientation": "orientation"}
    rows: list[Sequence[Cell]] = [
        (row["module"], row["kind"], names[row["target"]], _percent(row["accuracy"], row["sd"]),
         _percent(row["shuffled"], row["shuffled_sd"]),
         *(_whole(row[name]) for name in ("classes", "blocks", "splits")))
        for row in table[table["epoch"] == last].to_dict("records")
    ]  # fmt: skip
    header = (
        *("Module", "Response", "Target", "Accuracy ± sd", "Shuffled ± sd", "Classes", "Blocks"),
        "Splits",
    )
    return [Table(f"Balanced accuracy after epoch {last}", header, rows)]


def _percent(mean: float, sd: float) -> str:
    return f"{mean:.1%} ± {sd:.1%}" if np.isfinite(mean) else "–"


def tuning(results: Results) -> list[Table]:
    """Return the medians of OSI and DSI by stage, after the first and the last epoch."""
    table = results.select("tuning", when=POST)
    epochs = sorted(set(table["epoch"]))
    epochs = sorted({epochs[0], epochs[-1]})
    names = [index for index in ("osi", "dsi") if table[f"{index}_median"].notna().any()]
    rows: list[Sequence[Cell]] = []
    for stage in STAGES:
        own = table[table["stage"] == stage].set_index("epoch")
        if len(own):
            medians = [
                float(own[f"{n}_median"].get(epoch, np.nan)) for n in names for epoch in epochs
            ]
            rows.append((stage, _whole(own["channels"].iloc[-1]), *medians))
    heads = [f"{name.upper()}, epoch {epoch}" for name in names for epoch in epochs]
    return [Table("Medians over channels", ("Stage", "Channels", *heads), rows)]


def _whole(value: float) -> int | float:
    """Return a count as a whole number; a missing one stays missing."""
    return int(value) if np.isfinite(value) else value


def _keys(results: Results, table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the modules and kinds of a table, in the order of the network."""
    present = set(zip(table["module"], table["kind"], strict=True))
    kinds = ("activation", "error")
    return [(m, kind) for m in results.modules for kind in kinds if (m, kind) in present]
