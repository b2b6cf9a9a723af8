"""The key numbers of a run, a test or a retrieval, as small tables for its report."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from utils.plots import breakdowns
from utils.plots.figures import MODES
from utils.plots.page import Table
from utils.plots.retrieval import COLUMNS, EVALUATIONS
from utils.plots.tables import EPOCHS, NUMBER, Records, read_table

LAST_EPOCHS = 5
TOPS = {"top1": "Top-1 (%)", "top3": "Top-3 (%)", "top5": "Top-5 (%)"}
CHANCE = {"chance": "Chance of top-1 (%)"}
MEASURED = {  # columns of epochs.csv that tell of time and memory, where they were recorded
    "lr": "Learning rate", "seconds": "Seconds", "clips_per_second": "Clips per second",
    "device_MiB": "GPU memory (MiB)", "host_MiB": "Memory (MiB)",
}  # fmt: skip
ACCURACIES, FAULTS = "accuracies.csv", "faults.csv"
ALL = "all classes"  # the name of the row over all of them
OF_ACCURACIES = {"level": "str", "name": "str"} | dict.fromkeys(
    ("top1", "top3", "top5", "evaluated", "total"), NUMBER
)
OF_FAULTS = {"epoch": NUMBER, "mode": "str", "path": "str", "reason": "str"}
MOST_FAULTS = 10  # that are listed
MEASURES = {"knn": "Nearest neighbours' vote", "probe": "Linear probe on stored features"}


def of_run(epochs: pd.DataFrame) -> list[Table]:
    """Return the best and the last validation, and the last training, of each phase."""
    rows = [
        [what, row["phase"], int(row["epoch"]), row["loss"], -np.log(row["chance"]), *shares(row)]
        for what, row in chosen_rows(epochs)
    ]
    header = ["", "Phase", "Epoch", "Loss (nats)", "Loss by chance", *TOPS.values()]
    caption = (
        "Expected: epochs without U images, and all those of videos. Unexpected: epochs with them."
    )
    table = Table(caption, [*header, *CHANCE.values()], rows)
    return [without_empty(table)] if rows else []


def chosen_rows(epochs: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Yield the rows of epochs that tell how well each phase went, with what they are."""
    best = breakdowns.best_epochs(epochs)
    for phase in ("expected", "unexpected"):
        of_phase = epochs[epochs["phase"] == phase].sort_values("epoch")
        val, train = (of_phase[of_phase["mode"] == mode] for mode in ("val", "train"))
        for _, row in best[best["phase"] == phase].iterrows():
            yield "Validation, best top-1", row
        if len(val):
            yield "Validation, lowest loss", val.iloc[int(val["loss"].to_numpy().argmin())]
            yield "Validation, last", val.iloc[-1]
        if len(train):
            yield "Training, last", train.iloc[-1]


def shares(row: pd.Series) -> list[float]:
    """Return a row's accuracies and chance in per cent."""
    return [100 * row[name] for name in (*TOPS, *CHANCE)]


def last_epochs(folder: Path) -> list[Table]:
    """Return the last rows of epochs.csv, with time and memory; raises ValueError."""
    path = folder / "epochs.csv"
    epochs = read_table(path, EPOCHS, ["epoch", "loss", "chance"], tuple(MEASURED))
    last = epochs[epochs["epoch"] > epochs["epoch"].max() - LAST_EPOCHS]
    rows = [
        [int(row["epoch"]), MODES.get(row["mode"], row["mode"]), row["phase"], row["loss"],
         *shares(row), *(counted(row[name]) for name in MEASURED)]
        for _, row in last.iterrows()
    ]  # fmt: skip
    header = ["Epoch", "Pass", "Phase", "Loss (nats)", *TOPS.values(), *CHANCE.values()]
    caption = f"The last {last['epoch'].nunique()} epochs of epochs.csv."
    table = Table(caption, [*header, *MEASURED.values()], rows)
    return [without_empty(table)] if rows else []


def of_test(folder: Path, records: Records) -> tuple[list[Table], list[Table]]:
    """Return a test's accuracies over all classes, and those of each class; raises ValueError."""
    found = read_table(folder / ACCURACIES, OF_ACCURACIES, ["evaluated"])
    chance = 100 / len(records.classes) if len(records.classes) else np.nan
    columns = [*TOPS.values(), "Chance of top-1 (%)", "Evaluated", "In all"]

    def row(one: pd.Series) -> list[float]:
        tops = [100 * one[name] for name in TOPS]
        return [*tops, chance, counted(one["evaluated"]), counted(one["total"])]

    is_all = found["name"] == ALL
    whole = [[one["level"], *row(one)] for _, one in found[is_all].iterrows()]
    each = [[one["level"], one["name"], *row(one)] for _, one in found[~is_all].iterrows()]
    caption = "Over all classes. A clip is a window of a video, from the centre crop."
    tables = [without_empty(Table(caption, ["", *columns], whole))] if whole else []
    of_classes = Table("Each class.", ["", "Class", *columns], each)
    return tables, [without_empty(of_classes)] if each else []


def of_retrieval(folder: Path) -> list[Table]:
    """Return the measures of a retrieval with their chance; raises ValueError."""
    found = read_table(folder / EVALUATIONS, COLUMNS, ["measure"])
    rows = [
        [
            measure_name(one["measure"]), 100 * one["value"], 100 * one["chance"],
            counted(one["evaluated"]), counted(one["gallery"]),
        ]
        for _, one in found.iterrows()
    ]  # fmt: skip
    header = ["", "Share (%)", "Chance (%)", "Queries", "Videos to find"]
    caption = (
        "R@k: queries with a video of their class among the k nearest ones. A measure without a "
        "number is not defined with so few videos or classes."
    )
    return [Table(caption, header, rows)] if rows else []


def measure_name(measure: str) -> str:
    """Return a measure in words, such as "Linear probe on stored features, top-1"."""
    kind, _, top = measure.partition("_top")
    return f"{MEASURES[kind]}, top-{top}" if kind in MEASURES else measure


def of_faults(folder: Path) -> tuple[int, list[Table]]:
    """Return how many files could not be read, and a table of some; raises ValueError."""
    if not os.path.lexists(folder / FAULTS):
        return 0, []
    found = read_table(folder / FAULTS, OF_FAULTS, ["epoch"]).drop_duplicates("path")
    rows = [
        [one["path"], one["reason"], int(one["epoch"]), one["mode"]]
        for _, one in found.head(MOST_FAULTS).iterrows()
    ]
    caption = "Each file once, with the pass that met it first."
    table = Table(caption, ["File", "Why it can't be read", "Epoch", "Pass"], rows)
    return len(found), [table] if rows else []


def counted(value: float) -> float:
    """Return a whole number as an integer, and other ones, missing ones too, as they are."""
    return int(value) if np.isfinite(value) and float(value).is_integer() else value


def without_empty(table: Table) -> Table:
    """Leave out the columns that have no number in any row."""
    kept = [
        place
        for place in range(len(table.header))
        if any(isinstance(row[place], str) or np.isfinite(row[place]) for row in table.rows)
    ]
    rows = [[row[place] for place in kept] for row in table.rows]
    return Table(table.caption, [table.header[place] for place in kept], rows)
