"""What is compared: each number that records of a run, its tests and its analysis hold."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from utils.analysis.recorded import folder_of
from utils.analysis.selectivity import chance_selectivity
from utils.compare.found import Run, Test, kept
from utils.errors import UsageError
from utils.logs import log
from utils.plots import breakdowns
from utils.plots.retrieval import COLUMNS, EVALUATIONS
from utils.plots.tables import NUMBER, Records, read_records, read_table

Of = TypeVar("Of")
KEYS = ["metric", "mode", "epoch", "module", "kind", "when"]  # what names a number
DTYPES = dict.fromkeys(KEYS, "str") | {"epoch": NUMBER, "value": NUMBER}
TOPS = ("top1", "top3", "top5")
CONTRAST = ("score_", "wrong_")  # begin the columns of epochs.csv about dpc-rnn's contrast
BEST = {"expected": "best", "unexpected": "best_unexp"}  # by phase, as checkpoints are named
ALL = "all classes"  # the name of a test's row over all of them
LEVELS = ("video", "video, 5 crops", "video, 10 crops", "clip")  # of a test's accuracies
RECALLS = ("R@1", "R@5", "R@10", "R@20", "R@50")  # of a retrieval
NEIGHBOURS = ("knn_top1", "knn_top5", "probe_top1", "probe_top5")  # of classes, on its features
EVALUATED = (*RECALLS, *NEIGHBOURS)
CHANCE_OF = "{}_chance"  # the metric of their chance
ACCURACIES = {"level": "str", "name": "str"} | dict.fromkeys(TOPS, NUMBER)
SELECTIVITY = {
    **{"epoch": NUMBER, "when": "str", "module": "str", "kind": "str", "over": "str"},
    **dict.fromkeys(("mean", "mean_abs", "significant", "blocks_D", "blocks_U"), NUMBER),
}
SELECTIVITY_NAMES = {"mean": "usi", "mean_abs": "usi_abs", "significant": "usi_significant"}
DECODED, SHUFFLED = "decoding_", "_shuffled"  # around the target, in the names of its metrics
DECODING = {
    **{"epoch": NUMBER, "when": "str", "module": "str", "kind": "str", "target": "str"},
    **dict.fromkeys(("accuracy", "shuffled"), NUMBER),
}


class Measured(NamedTuple):
    """A run's numbers: the columns KEYS and `value`, each row of other keys.

    The epoch is NaN, and the other keys are empty, where they don't apply. `onset` is the first
    epoch with U images, `last` the last one in the run's own records, -1 without any.
    """

    run: Run
    values: pd.DataFrame
    onset: float | None
    last: int


def measure_all(runs: Sequence[Run]) -> list[Measured]:
    """Read the numbers of all runs; those that can't be read are left out, with a warning.

    Raises UsageError where nothing is left.
    """
    measured, problems = [], []
    for run in runs:
        try:
            measured.append(measure(run))
        except UsageError as error:
            problems.append(str(error))
    return kept(measured, problems)


def measure(run: Run) -> Measured:
    """Read a run's numbers; raises UsageError for records that can't be read.

    Tests and analyses that can't be read are left out with a warning.
    """
    tables: list[pd.DataFrame] = []
    onset, last = None, -1
    if run.own:
        records = _read_records(run.folder)
        tables += [of_epochs(records.epochs), of_bests(records.epochs), of_aspects(records)]
        onset = breakdowns.first_unexpected(records.epochs)
        last = int(records.epochs["epoch"].max()) if len(records.epochs) else -1
        tables += _readable(of_analysis, folder_of(run.folder))
    for test in last_tests(run.tests):
        tables += _readable(of_retrieval if test.retrieves else of_test, test)
    values = pd.concat([table for table in tables if len(table)] or [nothing()])
    if values.empty and not run.own:
        raise UsageError(f"{run.tests[0].folder}: holds no results")
    if values.empty:
        raise UsageError(f"{run.folder}: has recorded nothing so far")
    return Measured(run, values.reset_index(drop=True), onset, last)


def last_tests(tests: Sequence[Test]) -> list[Test]:
    """Return the tests, of those that tested the same the last one alone, by its folder's name.

    A test with more crops comes after one with fewer, whose results it has, too.
    """
    last: dict[tuple, Test] = {}
    for test in sorted(tests, key=lambda one: (one.crops, len(one.folder.name), one.folder.name)):
        same = test.what, test.retrieves
        if same in last and last[same].crops == test.crops:
            log.warning("%s: was repeated as %s; left out", last[same].folder, test.folder)
        last[same] = test
    return list(last.values())


def _readable(read: Callable[[Of], list[pd.DataFrame]], of: Of) -> list[pd.DataFrame]:
    try:
        return read(of)
    except UsageError as error:
        log.warning("%s; left out", error)
        return []


def _read_records(folder: Path) -> Records:
    try:
        return read_records(folder)
    except UsageError as error:
        raise UsageError(f"{folder}: {error.__cause__ or error}") from error


# ---- a run's own records ----


def of_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return losses, accuracies, chance, and what the contrast was confused by, of each epoch."""
    rows = epochs.drop_duplicates(["epoch", "mode"], keep="last")
    contrast = [name for name in rows.columns if name.startswith(CONTRAST)]
    return long_table(rows, {name: name for name in ("loss", *TOPS, "chance", *contrast)})


def of_bests(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of each phase's best validation epoch, its own number among them."""
    bests = breakdowns.best_epochs(epochs)
    rows = bests.assign(when=bests["phase"].map(BEST), best_epoch=bests["epoch"], epoch=np.nan)
    return long_table(rows, {name: name for name in ("best_epoch", "loss", *TOPS, "chance")})


def of_aspects(records: Records) -> pd.DataFrame:
    """Return the shares of Gabors predicted with the right image type, or orientation."""
    if not records.are_gabors or records.predictions.empty:
        return nothing()
    judged = breakdowns.judged(records.predictions, records.classes)
    rows = breakdowns.breakdown(judged, []).astype({"epoch": NUMBER, "mode": "str"})
    names = {f"{aspect}_hit": f"{aspect}_accuracy" for aspect in ("type", "orientation")}
    return long_table(rows, names | {name: name for name in ("type_chance", "orientation_chance")})


# ---- its tests and its analysis ----


def of_test(test: Test) -> list[pd.DataFrame]:
    """Return a test's loss and accuracies, of whole videos and of clips."""
    records = _read_records(test.folder)
    rows = _read_table(test.folder / "accuracies.csv", ACCURACIES, ["level", "name"])
    rows = rows[(rows["name"] == ALL) & rows["level"].isin(LEVELS)].drop_duplicates("level")
    if records.epochs.empty or rows.empty:
        raise UsageError(f"{test.folder}: holds no results of a test")
    videos = [level for level in LEVELS[:-1] if (rows["level"] == level).any()]
    level = videos[-1] if videos else "clip"  # the loss is that of the most crops
    same: dict[str, Any] = {"mode": "test", "epoch": np.nan, "when": test.what}
    losses = records.epochs.tail(1).assign(kind=level, **same)
    aspects = of_aspects(records).assign(kind=level, **same)
    return [
        long_table(losses, {"loss": "loss", "chance": "chance"}),
        long_table(rows.assign(kind=rows["level"], **same), {top: top for top in TOPS}),
        aspects,
    ]


def of_retrieval(test: Test) -> list[pd.DataFrame]:
    """Return what the stored features of whole videos can do, and the chance of each number."""
    rows = _read_table(test.folder / EVALUATIONS, COLUMNS, ["measure"])
    rows = rows.drop_duplicates("measure", keep="last").assign(
        mode="test", epoch=np.nan, when=test.what
    )
    if not rows.loc[rows["measure"].isin(EVALUATED), "value"].notna().any():
        raise UsageError(f"{test.folder}: holds no results of a retrieval")
    return [
        long_table(rows[rows["measure"] == name], {"value": name, "chance": CHANCE_OF.format(name)})
        for name in EVALUATED
    ]


def of_analysis(folder: Path) -> list[pd.DataFrame]:
    """Return the selectivity for U images of a run's modules, and what can be decoded there."""
    needed = ["epoch", "when", "module", "kind"]
    usi = _read_table(folder / "usi.csv", SELECTIVITY, needed)
    decoding = _read_table(folder / "decoding.csv", DECODING, needed)
    usi = usi[usi["over"] == "all"]
    passes = usi.drop_duplicates(["epoch", "when"])[["epoch", "when", "blocks_D", "blocks_U"]]
    chance = chance_selectivity(passes["blocks_D"], passes["blocks_U"])
    tables = [
        long_table(usi, SELECTIVITY_NAMES),
        long_table(passes.assign(chance=chance), {"chance": "usi_abs_chance"}),
    ]
    for target, rows in decoding.groupby("target"):
        names = {"accuracy": f"{DECODED}{target}", "shuffled": f"{DECODED}{target}{SHUFFLED}"}
        tables.append(long_table(rows, names))
    return tables


def _read_table(path: Path, dtypes: dict[str, str], needed: list[str]) -> pd.DataFrame:
    try:
        return read_table(path, dtypes, needed)
    except ValueError as error:
        raise UsageError(f"{path.parent}: {error}") from error


# ---- their form ----


def long_table(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a row for each number in the columns that are keys of `names`, without missing ones.

    The values of `names` are the metrics. Keys that `rows` lacks are empty.
    """
    tables = [
        pd.DataFrame(
            {
                "metric": metric,
                **{key: rows.get(key, "") for key in KEYS if key != "metric"},
                "value": rows[column],
            },
            index=rows.index,
        )
        for column, metric in names.items()
    ]
    return pd.concat(tables or [nothing()]).astype(DTYPES).dropna(subset="value")


def nothing() -> pd.DataFrame:
    """Return a long table without rows."""
    return pd.DataFrame(columns=[*KEYS, "value"]).astype(DTYPES)
