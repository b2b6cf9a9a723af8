"""A run's records: CSV files from which every picture is drawn, each with one kind of row.

Rows are appended when their pass is complete, those of faults at once.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from utils.errors import UsageError
from utils.files import csv_text, read_text, regular_only, write_whole, writing
from utils.logs import log
from utils.samples import ClassInfo


class EpochRow(NamedTuple):
    """A pass of an epoch, in epochs.csv. Accuracies and chance are fractions, times seconds.

    `network_seconds` are those of forward and backward passes. `device_MiB` is the GPU's peak
    memory in the pass, `host_MiB` the program's since it started. `evaluated` of the data set's
    `total` clips or whole videos were read. Of a contrast, `score_…` are the mean scores of each
    kind of pairs, and `wrong_…` the shares of the wrong predictions whose best candidate is another
    clip (easy), another position of the clip (spatial), or another step at the position (temporal).
    """

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
    score_positive: float | None = None
    score_easy: float | None = None
    score_spatial: float | None = None
    score_temporal: float | None = None
    wrong_easy: float | None = None
    wrong_spatial: float | None = None
    wrong_temporal: float | None = None


class PredictionRow(NamedTuple):
    """A prediction, in predictions.csv, or that of a whole video's window, in windows.csv.

    A whole video's is that from the most crops, a window's that of the centre crop. `item` is the
    index in the data set, for videos the row of the split file; `step` counts the predicted blocks,
    or the windows. `target` and `predicted` are indices into classes.csv; `image` and `orientation`
    are the target's, with D and U told apart. The loss is averaged over positions. `rank` is the
    target's among a classifier's classes, from 1; `name` a tested video's.
    """

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
    """A test's accuracies of a class, or of all classes, in accuracies.csv.

    `level` is video, 'video, 5 crops', 'video, 10 crops' or clip. Without a number, videos have one
    crop, the centre, and so have their windows, which count as clips.
    """

    level: str
    name: str
    top1: float | None
    top3: float | None
    top5: float | None
    evaluated: int
    total: int | None


class FaultRow(NamedTuple):
    """A file of an item's clip that could not be read, in faults.csv."""

    epoch: int
    mode: str
    item: int
    path: str
    reason: str


EPOCHS, PREDICTIONS, WINDOWS = "epochs.csv", "predictions.csv", "windows.csv"
CLASSES, ACCURACIES, FAULTS = "classes.csv", "accuracies.csv", "faults.csv"
ROWS: dict[str, type[NamedTuple]] = {
    EPOCHS: EpochRow,
    PREDICTIONS: PredictionRow,
    WINDOWS: PredictionRow,
    FAULTS: FaultRow,
    ACCURACIES: AccuracyRow,
}
# the columns that earlier versions of a file ended with; those after them were added since
ENDED_WITH = {EPOCHS: ("total",)}
STARTED = (EPOCHS, PREDICTIONS)  # files that every run has; the others are made with their rows
MOST_BYTES = 2**40  # of a file: records have any length
# columns of epochs.csv that differ between two runs of the same configuration
MEASURED = tuple(name for name in EpochRow._fields if name.endswith(("seconds", "_second", "_MiB")))


def start_records(folder: Path, classes: Sequence[ClassInfo]) -> None:
    """Write classes.csv, and the headers of the files that every run has."""
    rows = [(index, *info) for index, info in enumerate(classes)]
    write_whole(folder / CLASSES, csv_text([("index", *ClassInfo._fields), *rows]))
    for name in STARTED:
        write_whole(folder / name, _header(name))


def append_rows(folder: Path, name: str, rows: Sequence[tuple]) -> None:
    """Append rows to a file and make sure that they are on the disk; raises RunError."""
    path = folder / name
    if name not in STARTED:
        if not rows:
            return
        if not path.exists():
            write_whole(path, _header(name))
    with writing(path):
        before = path.stat().st_size
        try:
            with open(path, "ab", opener=regular_only) as file:
                file.write(csv_text(rows).encode(errors="backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(path, before)  # on a full disk, rather no rows than a part of them
            raise


def drop_rows_after(folder: Path, epoch: int) -> None:
    """Remove the rows of later epochs and damaged lines; raises RunError or UsageError.

    A last line that was cut off counts as damaged. A file that every run has is made if it is gone.
    In a file of an earlier version, columns that were added since are filled with empty values.
    """
    for name in ROWS:
        path = folder / name
        if os.path.lexists(path):
            _drop_rows(path, epoch)
        elif name in STARTED:
            write_whole(path, _header(name))


def _drop_rows(path: Path, epoch: int) -> None:
    text = read_text(path, MOST_BYTES, errors="replace")
    header = _header(path.name).rstrip()
    first, *lines = text.replace("\r\n", "\n").split("\n")[:-1] or [header]
    for column in ENDED_WITH.get(path.name, ()):
        known = header.partition(f",{column},")[0] + f",{column}"
        if first == known:
            missing = header.count(",") - known.count(",")
            first, lines = header, [line + "," * missing for line in lines]
    if first != header:
        raise UsageError(
            f"{path}: its first line is not that of this program's version; put it back, or "
            "move the file away"
        )
    epochs = [_epoch_of(line, path.name) for line in lines]
    if damaged := epochs.count(-1):
        log.warning("%s: removed %d damaged lines", path, damaged)
    kept = [line for line, number in zip(lines, epochs, strict=True) if -1 < number <= epoch]
    if (whole := "".join(f"{line}\n" for line in (header, *kept))) != text:
        write_whole(path, whole)


def _epoch_of(line: str, name: str) -> int:
    """Return the epoch in a row's first column, -1 for a damaged row."""
    epoch = line.split(",", 1)[0]
    whole = len(next(csv.reader([line]), ())) == len(ROWS[name]._fields) and "\ufffd" not in line
    return int(epoch) if whole and epoch.isdecimal() and len(epoch) < 10 else -1


def _header(name: str) -> str:
    return csv_text([ROWS[name]._fields])
