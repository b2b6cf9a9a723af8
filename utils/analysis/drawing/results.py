"""What `compute` has left in an analysis' folder, read for drawing (columns: ../README.md)."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from utils.analysis.recorded import (
    KINDS,
    MODULES,
    POST,
    Pass,
    folder_of,
    list_passes,
    open_arrays,
    read_made,
)
from utils.errors import UsageError
from utils.files import read_text, reason
from utils.plots.breakdowns import TYPE_ORDER
from utils.runs.folder import config_in, is_run_folder

KEYS = ("epoch", "when", "module", "kind")
COLUMNS = {  # of each table; those of TEXT hold text, the others numbers
    "usi": (*KEYS, "over", "mean", "mean_abs", "sd", "nodes", "left_out", "blocks_D", "blocks_U",
            "significant", "significant_low", "significant_high"),
    "usi_correlation": (*KEYS, "next_epoch", "r", "low", "high", "nodes"),
    "responses": (*KEYS, "image", "blocks", "mean", "mean_abs", "relative"),
    "rsm": (*KEYS, "first_image", "second_image", "mean", "pairs"),
    "rsm_similarity": ("first", "second", "kind", "level", "rows", "tau", "r", "cka", "ceiling"),
    "decoding": (*KEYS, "target", "accuracy", "sd", "shuffled", "shuffled_sd", "classes", "blocks",
                 "splits"),
    "tuning": ("epoch", "when", "stage", "channels", "osi_mean", "osi_sd", "osi_median",
               "dsi_mean", "dsi_sd", "dsi_median"),
    "embedding": (*KEYS, "method", "item", "step", "image", "orientation", "x", "y"),
}  # fmt: skip
TEXT = {"when", "module", "kind", "over", "image", "first_image", "second_image", "first", "second"}
TEXT |= {"level", "target", "stage", "method"}
WHOLE = ("epoch", "next_epoch")
AGAIN = "compute the analysis again (python -m utils.analysis)"


@dataclass(frozen=True)
class Results:
    """The tables of an analysis by their files' stems; one whose file is not there has no rows.

    `settings` is the run's configuration, as far as it is known. `onset` is the first epoch that
    trained on U images, None where none does or it is not known.
    """

    folder: Path
    passes: tuple[Pass, ...]
    tables: Mapping[str, pd.DataFrame]
    settings: Mapping[str, Any]

    @property
    def onset(self) -> int | None:
        """The first epoch that trained on U images."""
        first = self.settings.get("unexp_epoch")
        is_shown = self.are_gabors and self.settings.get("U_prob") != 0
        return first if is_shown and isinstance(first, int) else None

    @property
    def are_gabors(self) -> bool:
        """Whether blocks show Gabor images, and not videos of classes."""
        return set(self.tables["responses"]["image"]) <= set(TYPE_ORDER)

    @property
    def blocks_by_image(self) -> pd.Series:
        """The number of blocks of each image type or class, of all passes."""
        rows = self.tables["responses"].drop_duplicates(["epoch", "when", "image"])
        return rows.groupby("image")["blocks"].sum()

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of the passes that any table or the recorded files have, ascending."""
        tables = (table["epoch"] for table in self.tables.values() if "epoch" in table)
        return tuple(sorted({int(e) for e in pd.concat(tables)} | {p.epoch for p in self.passes}))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that any table has, in the order of the network."""
        tables = (table["module"] for table in self.tables.values() if "module" in table)
        seen = set(pd.concat(tables))
        return tuple(module for module in MODULES if module in seen)

    def select(self, table: str, **values: Any) -> pd.DataFrame:
        """Return the rows of a table whose columns have these values."""
        rows = self.tables[table]
        for column, value in values.items():
            rows = rows[rows[column] == value]
        return rows

    def kinds(self, table: str) -> list[str]:
        """Return which of activation and error a table has."""
        return [kind for kind in KINDS if (self.tables[table]["kind"] == kind).any()]

    def landmarks(self, table: str, when: str = POST) -> list[int]:
        """Return the first epoch of a table, the last one before U's onset, and the last epoch."""
        epochs = sorted(set(self.select(table, when=when)["epoch"]))
        before = [e for e in epochs if self.onset is not None and e < self.onset]
        return sorted({*epochs[:1], *before[-1:], *epochs[-1:]})

    def arrays(self, file: str, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return those of the named arrays that a `.npz` file of the folder has.

        Raises UsageError for a file that can't be read.
        """
        path = self.folder / file
        if not path.exists():
            return {}
        try:
            with open_arrays(str(path)) as stored:
                return {name: stored[name] for name in names if name in stored}
        except MemoryError:
            raise
        except Exception as error:  # zipfile and NumPy raise many kinds for a damaged file
            raise UsageError(f"{path}: can't be read ({reason(error)}); {AGAIN}") from error


def read_results(run: Path, clips_of: int | None = None) -> Results:
    """Read what was computed for a run; raises UsageError where nothing was."""
    folder = folder_of(run, clips_of)
    paths = {stem: folder / f"{stem}.csv" for stem in COLUMNS}
    if not any(path.exists() for path in paths.values()):
        raise UsageError(f"{folder}: nothing was computed there; {AGAIN}")
    tables = {stem: read_table(path, COLUMNS[stem]) for stem, path in paths.items()}
    passes = tuple(list_passes(folder))
    return Results(folder, passes, tables, read_settings(run, folder, passes))


def read_settings(run: Path, folder: Path, passes: Sequence[Pass]) -> Mapping[str, Any]:
    """Return the configuration in a run's folder, else the one that the last pass was made with."""
    if is_run_folder(run):
        return vars(config_in(run))
    made = (read_made(folder, passes[-1]) if passes else None) or {}
    settings = made.get("run")
    return settings if isinstance(settings, dict) else {}


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read columns of a CSV file, text and numbers apart; raises UsageError.

    A class may be named "nan", so in text nothing is missing. Infinite numbers count as missing.
    """
    numbers = [name for name in columns if name not in TEXT]
    dtypes = {name: "str" if name in TEXT else "float64" for name in columns}
    if not path.exists():
        table = pd.DataFrame({name: pd.Series(dtype=dtypes[name]) for name in columns})
        return table.astype({name: "int64" for name in WHOLE if name in table})
    try:
        table = pd.read_csv(
            io.StringIO(read_text(path)), usecols=list(columns), dtype=dtypes,
            keep_default_na=False, na_values={name: ["", "nan", "NaN"] for name in numbers},
        )  # fmt: skip
        table[numbers] = table[numbers].where(np.isfinite(table[numbers]))
        return table.astype({name: "int64" for name in WHOLE if name in table})
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{path}: can't be read ({reason(error)}); {AGAIN}") from error
