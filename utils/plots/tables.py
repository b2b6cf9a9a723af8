"""The CSV files of a run's folder, or of a test's, as tables of what pictures can show."""

import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from utils.errors import UsageError
from utils.files import reason, regular_only
from utils.plots.breakdowns import TYPE_ORDER
from utils.plots.figures import MODES

NUMBER = "float64"
EPOCHS = {"mode": "str", "phase": "str"} | dict.fromkeys(
    ("epoch", "loss", "top1", "top3", "top5", "chance"), NUMBER
)
# columns of epochs.csv that earlier versions did not write
SCORES = tuple(f"score_{kind}" for kind in ("positive", "easy", "spatial", "temporal"))
SCORES += tuple(f"wrong_{kind}" for kind in ("easy", "spatial", "temporal"))
# no integers: they allow no holes, and float32 holds these exactly
PREDICTIONS = {"mode": "category"} | dict.fromkeys(
    ("epoch", "batch", "target", "is_U", "predicted", "loss", "rank"), "float32"
)
CLASSES = {"index": NUMBER, "name": "str", "image": "str", "orientation": NUMBER}
PHASES = ("expected", "unexpected")
MISSING = ["", "nan", "NaN"]  # in a column of numbers; in one of text, nothing is missing
LARGEST = 1e30  # of a number that can be drawn
LARGEST_INDEX = 2**24  # float32 holds whole numbers up to this one
MOST_BYTES = 2**30  # of a file; the longest runs write a fifth of it
MOST_HEADER = 2**16  # bytes of a first line


class Records(NamedTuple):
    """The tables of one folder, columns as in its CSV files; those not recorded have no rows."""

    epochs: pd.DataFrame
    predictions: pd.DataFrame
    classes: pd.DataFrame

    @property
    def are_gabors(self) -> bool:
        """Whether the classes have orientations."""
        return bool(self.classes["orientation"].notna().any())


def read_records(folder: Path) -> Records:
    """Read the tables of a folder; rows that lack what pictures need, cut by a kill, are left out.

    Raises UsageError for tables that no run writes.
    """
    try:
        if not os.path.lexists(folder / "epochs.csv"):
            raise ValueError("no epochs.csv there; give the folder of a run or of a test")
        epochs = read_epochs(folder / "epochs.csv")
        classes = read_classes(folder / "classes.csv")
        last = epochs.groupby("mode")["epoch"].max()
        predictions = read_predictions(folder / "predictions.csv", last, len(classes))
        return Records(epochs, predictions, classes)
    except ValueError as error:
        raise UsageError(f"can't draw the pictures in {folder}: {error}") from error


def read_epochs(path: Path) -> pd.DataFrame:
    """Return the complete rows of epochs.csv."""
    table = read_table(path, EPOCHS, ["epoch", "loss", "chance"], SCORES)
    check_indices(path, table, ["epoch"], LARGEST_INDEX)
    check_column(path, table["mode"], table["mode"].isin(MODES))
    check_column(path, table["phase"], table["phase"].isin(PHASES))
    check_column(path, table["chance"], table["chance"].between(0, 1, inclusive="right"))
    return table


def read_classes(path: Path) -> pd.DataFrame:
    """Return the classes in the order of their indices."""
    table = read_table(path, CLASSES, ["index"]).sort_values("index", ignore_index=True)
    check_column(path, table["index"], table["index"] == table.index)
    if table["orientation"].notna().any():
        check_column(path, table["image"], table["image"].isin(TYPE_ORDER))
    return table.astype({"index": "int64"})


def read_predictions(path: Path, last: pd.Series, num_classes: int) -> pd.DataFrame:
    """Return the predictions up to each mode's last epoch: one that was cut short shows nothing."""
    table = read_table(path, PREDICTIONS, ["epoch", "batch", "target", "predicted"])
    check_indices(path, table, ["epoch", "batch"], LARGEST_INDEX)
    check_indices(path, table, ["target", "predicted"], num_classes - 1)
    return table[table["epoch"] <= table["mode"].astype("str").map(last)]


def read_table(
    path: Path, dtypes: dict[str, str], needed: list[str], added: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Read columns of a CSV file, without rows that lack the `needed` ones.

    Numbers that can't be drawn count as missing, and so do the numbers of `added` columns where a
    file has none of them. A file that isn't there has no rows. Raises ValueError, which names the
    file.
    """
    dtypes = dtypes | dict.fromkeys(added, NUMBER)
    if not os.path.lexists(path):
        return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in dtypes.items()})
    numbers = [name for name, dtype in dtypes.items() if dtype.startswith("float")]
    try:
        content = read_whole_lines(path)
        header = content.partition(b"\n")[0].decode(errors="replace").strip().split(",")
        missing = [name for name in added if name not in header]
        table = pd.read_csv(
            io.BytesIO(content), usecols=[*(dtypes.keys() - missing)], dtype=dtypes,
            index_col=False, encoding_errors="backslashreplace", keep_default_na=False,
            na_values=dict.fromkeys(numbers, MISSING),
        )  # fmt: skip
    except OSError as error:
        raise ValueError(f"{path.name} can't be read ({reason(error)})") from error
    except (ValueError, OverflowError, MemoryError) as error:
        told = f"{path.name} does not hold the records of a run ({reason(error)})"
        raise ValueError(told) from error
    table = table.assign(**dict.fromkeys(missing, np.nan))
    drawable = table[numbers].abs() < LARGEST
    return table.assign(**table[numbers].where(drawable)).dropna(subset=needed)


def read_whole_lines(path: Path) -> bytes:
    """Return a regular file's content without a last line that was cut off.

    Raises OSError, and ValueError for a first line without an end.
    """
    with open(path, "rb", opener=regular_only) as file:
        if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
            raise OSError(f"has {size} bytes, and at most {MOST_BYTES} are read")
        header = file.readline(MOST_HEADER)
        if len(header) == MOST_HEADER:
            raise ValueError("its first line has no end")
        content = header + file.read()
    end = content.rfind(b"\n") + 1
    last = content[end:]
    is_whole = last.count(b",") == header.count(b",") and last.count(b'"') % 2 == 0
    return content if is_whole else content[:end]


def check_indices(path: Path, table: pd.DataFrame, columns: list[str], most: int) -> None:
    """Raise ValueError for a number that is not whole, negative or above `most`."""
    for column in columns:
        values = table[column]
        check_column(path, values, values.between(0, most) & (values % 1 == 0))


def check_column(path: Path, values: pd.Series, are_right: pd.Series) -> None:
    """Raise ValueError, which names the file, the column and the first value that is wrong."""
    wrong = values[~are_right]
    if len(wrong):
        value = wrong.iloc[0]
        told = f"{value:g}" if isinstance(value, float | np.floating) else repr(str(value)[:50])
        raise ValueError(
            f"{path.name}: no run writes {told} as {values.name} (rows like this: {len(wrong)}); "
            "put the file back as it was"
        )
