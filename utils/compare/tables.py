"""The statistics as CSV files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from utils.compare.groups import Group
from utils.compare.measures import KEYS
from utils.compare.statistics import Comparison, summarise
from utils.files import write_whole

TABLE, SUMMARY = "comparison.csv", "summary.csv"
DIGITS = "%.9g"


def write_tables(comparison: Comparison, out: Path) -> list[Path]:
    """Write both files into a folder, and return their paths; raises RunError."""
    paths = [out / TABLE, out / SUMMARY]
    for path, rows in zip(paths, (comparison.table, summarise(comparison)), strict=True):
        table = csv_table(rows, comparison.grouping.groups)
        write_whole(path, table.to_csv(index=False, lineterminator="\n", float_format=DIGITS))
    return paths


def csv_table(rows: pd.DataFrame, groups: Sequence[Group]) -> pd.DataFrame:
    """Return the rows behind the flags that tell the groups apart, with values and seeds as text.

    Flags can have no name of another column.
    """
    columns: dict[str, object] = {
        name: [groups[index].flags[name] for index in rows["group"]] for name in groups[0].flags
    }
    columns |= {name: rows[name] for name in ("part", *KEYS, "n", "mean", "sd") if name in rows}
    columns["epoch"] = rows["epoch"].astype("Int64")
    columns["values"] = [";".join(DIGITS % value for value in values) for values in rows["values"]]
    columns["seeds"] = [
        ";".join(groups[index].repeats[place] for place in places)
        for index, places in zip(rows["group"], rows["places"], strict=True)
    ]
    return pd.DataFrame(columns)
