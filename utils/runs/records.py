"""A run's records: plain rows in CSV files, from which every picture is drawn.

`epochs.csv` has a row per epoch and mode, `predictions.csv` one per prediction, `windows.csv` one
per window of a whole video, `accuracies.csv` one per class of a test, `classes.csv` one per class,
`faults.csv` one per file that could not be read. Rows are appended when their pass is complete,
those of faults at once.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.errors import RunError
from utils.runs.folder import write_atomically
from utils.samples import ClassInfo


class EpochRow(NamedTuple):
    """Accuracies and chance as fractions; `seconds` of the pass, spent waiting for data, in the
    network (forward and backward) and with the rest; `clips_per_second`, or whole videos; peaks of
    memory in MiB, of a GPU's in the pass, of the program's since it started; `evaluated` of the
    set's `total` clips or videos were read and counted."""

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
    network_seconds: float
    rest_seconds: float
    clips_per_second: float
    device_MiB: int | None
    host_MiB: int
    evaluated: int
    total: int


class PredictionRow(NamedTuple):
    """`item`: index into the dataset, for videos the row of the split file. `step`: which predicted
    block, or window of a video. `target`, `predicted`: indices into classes.csv. `image` and
    `orientation` are the target's, with D and U told apart; `loss` is averaged over positions.
    `rank` of the target among a classifier's classes, from 1. `name`: of a video, in tests."""

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
    rank: int | None
    name: str


class AccuracyRow(NamedTuple):
    """Of a class, or of all, in a test: `level` video or clip, which a window of a video is too."""

    level: str
    name: str
    top1: float | None
    top3: float | None
    top5: float | None
    evaluated: int
    total: int | None


class FaultRow(NamedTuple):
    """A file of an item's clip that could not be read."""

    epoch: int
    mode: str
    item: int
    path: str
    reason: str


# columns of epochs.csv that differ from run to run
MEASURED = EpochRow._fields[EpochRow._fields.index("seconds") : -2]
EPOCHS, PREDICTIONS, WINDOWS = "epochs.csv", "predictions.csv", "windows.csv"
CLASSES, ACCURACIES, FAULTS = "classes.csv", "accuracies.csv", "faults.csv"
HEADERS = {
    EPOCHS: EpochRow._fields,
    PREDICTIONS: PredictionRow._fields,
    WINDOWS: PredictionRow._fields,
    FAULTS: FaultRow._fields,
    ACCURACIES: AccuracyRow._fields,
}
STARTED = (EPOCHS, PREDICTIONS)  # there from the start; the others once they have rows


def start_records(folder: Path, classes: Sequence[ClassInfo]) -> None:
    rows = [(index, *class_info) for index, class_info in enumerate(classes)]
    write_atomically(folder / CLASSES, _lines([("index", *ClassInfo._fields), *rows]))
    for name in STARTED:
        write_atomically(folder / name, _lines([HEADERS[name]]))


def append_rows(folder: Path, name: str, rows: Sequence[tuple]) -> None:
    """On the disk when it returns."""
    if not rows and name not in STARTED:
        return
    if name not in STARTED and not (folder / name).exists():
        write_atomically(folder / name, _lines([HEADERS[name]]))
    try:
        before = (folder / name).stat().st_size
        try:
            with open(folder / name, "a", encoding="utf-8", newline="") as file:
                file.write(_lines(rows))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(folder / name, before)  # no part of the rows, on a full disk
            raise
    except OSError as error:
        raise RunError(f"can't write {folder / name}: {error.strerror}") from error


def drop_rows_after(folder: Path, epoch: int) -> None:
    """Rows of later epochs, and a last line that was cut off, go."""
    for name, header in HEADERS.items():
        path = folder / name
        if name not in STARTED and not path.exists():
            continue
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


def last_epoch(folder: Path) -> int:
    """The last one with rows in epochs.csv, -1 if none has."""
    try:
        lines = (folder / EPOCHS).read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return -1
    epochs = [line.split(",", 1)[0] for line in lines]
    return max((int(epoch) for epoch in epochs if epoch.isdigit()), default=-1)


def _lines(rows: Iterable[tuple]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
