"""From the records in a run's folder, or in a test's folder, to the pictures beside them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from utils.errors import RunError, UsageError
from utils.plots import breakdowns, confusion_matrices, curves, figures


class Records(NamedTuple):
    """The tables of one folder, columns as in its CSV files; those not recorded have no rows."""

    epochs: pd.DataFrame
    predictions: pd.DataFrame
    classes: pd.DataFrame


Picture = tuple[str, Callable[[], Figure]]  # its name, and what makes it

EPOCHS = {"mode": "str", "phase": "str"} | dict.fromkeys(
    ("epoch", "loss", "top1", "top3", "top5", "chance"), "float64"
)
# no integers: they allow no holes, and float32 holds these exactly
PREDICTIONS = {"mode": "category", "image": "category"} | dict.fromkeys(
    ("epoch", "batch", "target", "orientation", "is_U", "predicted", "loss"), "float32"
)
CLASSES = {"index": "float64", "name": "str", "image": "str", "orientation": "float64"}


def read_table(path: Path, dtypes: dict[str, str], needed: list[str]) -> pd.DataFrame:
    """Read columns `dtypes` of a CSV file; rows that lack `needed`, cut by a kill, are left out."""
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes.items()})
    try:
        table = pd.read_csv(path, usecols=list(dtypes), dtype=dtypes)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        message = f"{path.name} does not hold the records of a run ({reason})"
        raise UsageError(f"can't draw the pictures in {path.parent}: {message}") from error
    return table.dropna(subset=needed)


def read_records(folder: Path) -> Records:
    """Read the tables of a folder. Raises UsageError where they are not those of a run."""
    if not (folder / "epochs.csv").is_file():
        message = "no epochs.csv there; give the folder of a run or of a test"
        raise UsageError(f"can't draw the pictures in {folder}: {message}")
    epochs = read_table(folder / "epochs.csv", EPOCHS, ["epoch", "mode", "loss", "chance"])
    predictions = read_table(
        folder / "predictions.csv", PREDICTIONS, ["epoch", "mode", "target", "predicted"]
    )
    last = predictions["mode"].map(epochs.groupby("mode")["epoch"].max()).astype("float64")
    classes = read_table(folder / "classes.csv", CLASSES, ["index", "image"])
    return Records(
        epochs,
        predictions[predictions["epoch"] <= last],  # an epoch cut short shows nothing
        classes.astype({"index": "int64"}).sort_values("index", ignore_index=True),
    )


def draw_all(folder: Path, backend: str | None = None) -> list[Path]:
    """Draw every picture that the folder's records allow; return the pictures' paths.

    Raises UsageError where there are no records, RunError where the disk fails.
    """
    written = []
    try:
        with matplotlib.rc_context(figures.STYLE):
            for name, make in list_pictures(read_records(folder)):
                path = folder / f"{name}.png"
                figures.save(make(), path, backend)
                written.append(path)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"can't draw the pictures in {folder}: {reason}") from error
    return written


def list_pictures(records: Records) -> list[Picture]:
    """Return the pictures that the records allow; those that lack records are left out."""
    epochs, predictions, classes = records
    tests = epochs[epochs["mode"] == "test"]
    pictures: list[Picture] = []
    if len(tests):
        pictures.append(("loss_and_accuracy", partial(curves.draw_test, tests.iloc[-1])))
    elif len(epochs):
        pictures.append(("loss_and_accuracy", partial(curves.draw_epochs, epochs)))
    shown = breakdowns.last_shown(epochs, predictions)
    if not shown or not len(classes):
        return pictures
    if classes["orientation"].isna().all():  # named classes of videos
        make = partial(confusion_matrices.draw_named, predictions, classes, shown[-1])
        return [*pictures, ("confusion", make)]
    for name, by in (("gabor_types", "image"), ("gabor_orientations", "orientation")):
        table = breakdowns.breakdown(predictions, by)
        if len(tests):
            pictures.append((name, partial(curves.draw_test_breakdown, table, by)))
        else:
            pictures.append((name, partial(curves.draw_breakdown, table, by, epochs)))
    batches = breakdowns.by_batch(predictions)
    if len(batches):
        first = breakdowns.first_unexpected(epochs)
        pictures.append(("loss_by_batch", partial(curves.draw_batches, batches, first)))
    for name, outer in (("by_type", "image"), ("by_orientation", "orientation")):
        make = partial(confusion_matrices.draw_nested, predictions, classes, shown, outer)
        pictures.append((f"confusion_{name}", make))
    return pictures
