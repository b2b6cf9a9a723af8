"""A run's records: plain rows in CSV files, from which every picture is drawn.

`epochs.csv` has a row per epoch and mode, `predictions.csv` one per prediction, `classes.csv` one
per class. Rows are appended when their epoch is complete.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.batch import ClassInfo
from utils.errors import RunError
from utils.run_folder import write_atomically


class EpochRow(NamedTuple):
    """Accuracies and chance as fractions; `seconds` of the pass, of which `data_seconds` were spent
    waiting for data."""

    epoch: int
    mode: str
    phase: str
    loss: float
    top1: float | None
    top3: float | None
    top5: float | None
    chance: float
    lr: float
    seconds: float
    data_seconds: float


class PredictionRow(NamedTuple):
    """`item`: index into the dataset. `target`, `predicted`: indices into classes.csv. `image` and
    `orientation` are the target's, with D and U told apart; `loss` is averaged over positions."""

    epoch: int
    mode: str
    batch: int
    item: int
    step: int
    target: int
    image: str
    orientation: float | None
    is_U: int
    predicted: int
    loss: float


EPOCHS, PREDICTIONS, CLASSES = "epochs.csv", "predictions.csv", "classes.csv"
HEADERS = {EPOCHS: EpochRow._fields, PREDICTIONS: PredictionRow._fields}


def start_records(folder: Path, classes: Sequence[ClassInfo]) -> None:
    rows = [(index, *class_info) for index, class_info in enumerate(classes)]
    write_atomically(folder / CLASSES, _lines([("index", *ClassInfo._fields), *rows]))
    for name, header in HEADERS.items():
        write_atomically(folder / name, _lines([header]))


def append_rows(folder: Path, name: str, rows: Iterable[tuple]) -> None:
    """On the disk when it returns."""
    try:
        with open(folder / name, "a", encoding="utf-8", newline="") as file:
            file.write(_lines(rows))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"can't write {folder / name}: {error.strerror}") from error


def drop_rows_after(folder: Path, epoch: int) -> None:
    """Rows of later epochs, and a last line that was cut off, go."""
    for name, header in HEADERS.items():
        path = folder / name
        try:
            with open(path, encoding="utf-8", newline="") as file:
                lines = file.readlines()
        except OSError as error:
            raise RunError(f"can't read {path}: {error.strerror}") from error
        kept = [",".join(header) + "\n"]
        for line in lines[1:]:
            fields = line.split(",", 1)
            if line.endswith("\n") and fields[0].isdigit() and int(fields[0]) <= epoch:
                kept.append(line)
        if kept != lines:
            write_atomically(path, "".join(kept))


def _lines(rows: Iterable[tuple]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
