"""Mean and standard deviation over the runs of each group, where the run is the unit."""

from typing import NamedTuple

import pandas as pd

from utils.analysis.recorded import POST
from utils.compare.groups import Group, Grouping
from utils.compare.measures import BEST, CHANCE_OF, EVALUATED, KEYS
from utils.plots.figures import MODES

MODE_ORDER = ("", *MODES)
# parts of the summary, beside those of BEST; tests and retrievals have one mode
LAST, ANALYSIS, TEST, RETRIEVAL = "last", "analysis", "test", "retrieval"
PARTS = (LAST, *BEST.values(), ANALYSIS, TEST, RETRIEVAL)
OF_RETRIEVAL = (*EVALUATED, *map(CHANCE_OF.format, EVALUATED))


class Comparison(NamedTuple):
    """All numbers: `single` has those of each run, `table` the statistics of each group.

    Both have the columns `group` (its place) and KEYS. `single` has `place`, that of the run in its
    group, and `value`. `table` has `n`, `mean`, `sd` (the sample's, n − 1; NaN for one run), and
    lists of the `values` and their runs' `places`.
    """

    grouping: Grouping
    single: pd.DataFrame
    table: pd.DataFrame


def compare(grouping: Grouping) -> Comparison:
    """Compute the statistics of every number over the runs that have it."""
    single = pd.concat(
        [
            one.values.assign(group=index, place=place)
            for index, group in enumerate(grouping.groups)
            for place, one in enumerate(group.measured)
        ],
        ignore_index=True,
    )
    single["mode"] = pd.Categorical(single["mode"], MODE_ORDER)
    keys = ["group", *KEYS]
    single = single.sort_values([*keys, "place"], kind="stable", ignore_index=True)
    grouped = single.groupby(keys, dropna=False, observed=True)
    table = grouped["value"].agg(n="size", mean="mean", sd="std", values=list).reset_index()
    table["places"] = grouped["place"].agg(list).to_numpy()
    return Comparison(grouping, single, table)


def summarise(comparison: Comparison) -> pd.DataFrame:
    """Return the rows of the table that matter most, under the column `part`.

    Of each group: validation, else training, in the last epoch that all of its runs have; the best
    epochs; the analysis after the last epoch that all of its analyses have; tests and retrievals.
    """
    parts = []
    for index, group in enumerate(comparison.grouping.groups):
        rows = comparison.table[comparison.table["group"] == index]
        parts.append(_last_epoch(rows, group).assign(part=LAST))
        for when in BEST.values():
            is_best = (rows["when"] == when) & (rows["mode"] == "val")
            parts.append(rows[is_best].assign(part=when))
        parts.append(_last_analysis(rows).assign(part=ANALYSIS))
        parts.append(of_tests(rows).assign(part=TEST))
        parts.append(of_retrievals(rows).assign(part=RETRIEVAL))
    return pd.concat(parts, ignore_index=True)


def of_tests(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of tests of classifiers."""
    return table[(table["mode"] == "test") & ~table["metric"].isin(OF_RETRIEVAL)]


def of_retrievals(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of what was done with stored features."""
    return table[table["metric"].isin(OF_RETRIEVAL)]


def select(table: pd.DataFrame, metric: str, **keys: object) -> pd.DataFrame:
    """Return the rows of a number, at the given values of other keys."""
    return having(table, metric=metric, **keys)


def having(table: pd.DataFrame, **keys: object) -> pd.DataFrame:
    """Return the rows with these values of keys."""
    is_wanted = pd.Series(True, table.index)
    for key, value in keys.items():
        is_wanted &= table[key] == value
    return table[is_wanted]


def _last_epoch(rows: pd.DataFrame, group: Group) -> pd.DataFrame:
    of_all = rows[(rows["metric"] == "loss") & rows["epoch"].notna()]
    of_all = of_all[of_all["n"] == sum(one.run.own for one in group.measured)]
    for mode in ("val", "train"):
        epochs = of_all.loc[of_all["mode"] == mode, "epoch"]
        if len(epochs):
            return rows[(rows["mode"] == mode) & (rows["epoch"] == epochs.max())]
    return rows[:0]


def _last_analysis(rows: pd.DataFrame) -> pd.DataFrame:
    analysed = rows[rows["when"] == POST]
    if analysed.empty:
        return analysed
    of_all = analysed[analysed["n"] == analysed["n"].max()]
    return analysed[analysed["epoch"] == of_all["epoch"].max()]
