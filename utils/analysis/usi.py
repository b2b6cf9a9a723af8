"""The USI, a node's selectivity for unexpected images: in each pass, and from epoch to epoch."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from utils.analysis.loading import list_responses
from utils.analysis.moments import pooled
from utils.analysis.recorded import Pass, Recorded
from utils.analysis.selectivity import ROUNDING, d_prime
from utils.analysis.similarity import correlation
from utils.streams import stream

ALL, SHARED = "all", "shared"  # orientations over which D and U are compared
DRAWS = 1000  # of the bootstrap
DRAWS_AT_ONCE = 100
CENTRAL = (2.5, 97.5)  # the per cent points between which lie 95 %

Nodes = dict[tuple[Pass, str, str], np.ndarray]  # each node's USI by pass, module and kind


class Share(NamedTuple):
    """A share of hits, and the limits of its 95 % interval."""

    hits: float
    low: float
    high: float


NO_SHARE = Share(np.nan, np.nan, np.nan)


class UsiRow(NamedTuple):
    """A row of usi.csv."""

    epoch: int
    when: str
    module: str
    kind: str
    over: str
    mean: float
    mean_abs: float
    sd: float
    nodes: int
    left_out: int
    blocks_D: int
    blocks_U: int
    significant: float
    significant_low: float
    significant_high: float


class CorrelationRow(NamedTuple):
    """A row of usi_correlation.csv."""

    module: str
    kind: str
    when: str
    epoch: int
    next_epoch: int
    r: float
    low: float
    high: float
    nodes: int


def measure(recorded: Recorded) -> tuple[list[UsiRow], Nodes]:
    """Return the rows of a pass, and each node's USI over all orientations, `[C, D, D]`.

    Both are empty without blocks of D and of U.
    """
    rows: list[UsiRow] = []
    nodes: Nodes = {}
    for module, kind in list_responses(recorded):
        for over, (groups_D, groups_U) in _compared(recorded).items():
            name = f"{module}_{kind}"
            D, U = pooled(recorded, name, groups_D), pooled(recorded, name, groups_U)
            if D is None or U is None:
                continue
            usi = d_prime(U.mean, U.variance, D.mean, D.variance)  # [C, D, D]
            found = usi[np.isfinite(usi)]
            significant = NO_SHARE
            if over == ALL:
                nodes[recorded.of, module, kind] = usi
                significant = _significant(recorded, name, usi)
            numbers = (len(found), usi.size - len(found), D.blocks, U.blocks)
            where = (*recorded.of, module, kind, over)
            rows.append(UsiRow(*where, *_summary(found), *numbers, *significant))
    return rows, nodes


def _compared(recorded: Recorded) -> dict[str, tuple[list[int], list[int]]]:
    """Return the groups of D and those of U: of all orientations, and of those that both have."""
    shown = recorded.statistics["count"].sum(0) > 0  # [K]
    of: dict[str, dict[float, int]] = {"D": {}, "U": {}}
    for index, (image, orientation) in enumerate(recorded.groups):
        if image in of and shown[index] and not np.isnan(orientation):
            of[image][orientation] = index
    D, U = recorded.group("D"), recorded.group("U")
    if D is None or U is None:
        return {}
    shared = [angle for angle in of["D"] if angle in of["U"]]
    pairs = {ALL: ([D], [U])}
    if shared:
        pairs[SHARED] = ([of["D"][angle] for angle in shared], [of["U"][angle] for angle in shared])
    return pairs


def _summary(usi: np.ndarray) -> tuple[float, float, float]:
    """Return the mean, the mean of absolute values and the population sd, NaN for no values."""
    if not len(usi):
        return np.nan, np.nan, np.nan
    return float(usi.mean()), float(abs(usi).mean()), float(usi.std())


def _significant(recorded: Recorded, name: str, usi: np.ndarray) -> Share:
    """Return the share of nodes outside the central 95 % of their permutations, with an interval.

    NaN where no permutations were recorded.
    """
    if f"{name}_usi_low" not in recorded.statistics:
        return NO_SHARE
    low, high = (recorded.statistics[f"{name}_usi_{end}"] for end in ("low", "high"))
    tested = np.isfinite(usi) & np.isfinite(low) & np.isfinite(high)
    slack = ROUNDING * abs(usi)  # a permuted USI may equal the true one
    outside = int(((usi < low - slack) | (usi > high + slack))[tested].sum())
    return binomial_share(outside, int(tested.sum()))


def binomial_share(hits: int, number: int) -> Share:
    """Return a share with its exact 95 % interval (Clopper & Pearson 1934); NaN for none of 0.

    The interval holds for independent trials, and the nodes of one network are not independent.
    """
    if number == 0:
        return NO_SHARE
    interval = binomtest(hits, number).proportion_ci(0.95, "exact")
    return Share(hits / number, float(interval.low), float(interval.high))


def correlate_epochs(nodes: Nodes, seed: int) -> list[CorrelationRow]:
    """Correlate the nodes' USIs of each recorded epoch with those of the next, pre and post apart.

    Nodes without a USI in one of the two are left out. The interval is the percentile bootstrap
    over nodes.
    """
    rows = []
    series = dict.fromkeys((module, kind, of.when) for of, module, kind in nodes)
    for module, kind, when in series:
        passes = sorted(of for of, m, k in nodes if (m, k, of.when) == (module, kind, when))
        for first, second in pairwise(passes):
            x, y = nodes[first, module, kind].ravel(), nodes[second, module, kind].ravel()
            if len(x) != len(y):  # passes that were recorded with other flags
                continue
            both = np.isfinite(x) & np.isfinite(y)
            rng = stream(seed, "usi bootstrap", module, kind, when, first.epoch)
            found = bootstrapped_correlation(x[both], y[both], rng)
            epochs = (first.epoch, second.epoch)
            rows.append(CorrelationRow(module, kind, when, *epochs, *found, int(both.sum())))
    return rows


def bootstrapped_correlation(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return Pearson's r of paired values, and the central 95 % of the resampled pairs' r."""
    if len(x) < 3:
        return np.nan, np.nan, np.nan
    drawn = []
    for _ in range(DRAWS // DRAWS_AT_ONCE):
        index = rng.integers(len(x), size=(DRAWS_AT_ONCE, len(x)))
        drawn.append(correlation(x[index], y[index]))
    found = np.concatenate(drawn)
    found = found[np.isfinite(found)]
    low, high = np.percentile(found, CENTRAL) if len(found) else (np.nan, np.nan)
    return float(correlation(x, y)), float(low), float(high)
