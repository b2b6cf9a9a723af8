"""Representations compared: correlations of responses, their matrices, and what two share.

A representation is `[n, C]`: the responses of C channels, or neurons, to n blocks or conditions.
Its RSM (representational similarity matrix; Kriegeskorte et al. 2008) holds the correlations of
its rows, `[n, n]`.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

FEWEST = 3  # rows that can be compared: two give one pair alone
SPLITS = 20  # of each condition's blocks in halves


class Similarity(NamedTuple):
    """How similar two representations of the same rows are, and how many rows were compared."""

    rows: int
    tau: float
    r: float
    cka: float


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's r over the last axis, NaN where one is constant or both are empty."""
    if x.shape[-1] == 0:
        return np.full(x.shape[:-1], np.nan)
    x, y = (values - values[..., :1] for values in (x, y))  # equal values become 0, unrounded
    x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def unit_rows(responses: np.ndarray) -> np.ndarray:
    """Return the rows centred over features and scaled to length 1, so that r is their product.

    Rows without variance, or with values that are not finite, are NaN.
    """
    values = responses.astype(np.float64)
    constant = values.max(-1) == values.min(-1)
    values[constant | ~np.isfinite(values).all(-1)] = np.nan
    values -= values.mean(-1, keepdims=True)
    values /= abs(values).max(-1, keepdims=True)  # squares of errors could be too small
    return values / np.sqrt((values**2).sum(-1, keepdims=True))


def similarity_matrix(responses: np.ndarray) -> np.ndarray:
    """Return the RSM: Pearson's r of each two rows, NaN for rows without variance."""
    unit = unit_rows(responses)
    return unit @ unit.T  # [n, n]


def below_diagonal(matrix: np.ndarray) -> np.ndarray:
    """Return the strict lower triangle, row by row, `[n (n − 1) / 2]`."""
    return matrix[np.tril_indices(len(matrix), -1)]


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Return Kendall's τ-b of paired values, NaN where one of both is constant."""
    return float(kendalltau(x, y, variant="b").statistic)


def linear_cka(X: np.ndarray, Y: np.ndarray) -> float:
    """Return linear CKA (Kornblith et al. 2019): HSIC(X,Y) / √(HSIC(X,X) · HSIC(Y,Y)).

    HSIC is the biased one with linear kernels, up to a factor that cancels: the product of the
    kernels' cells, summed. NaN where one of both has the same values in all rows.
    """
    X, Y = (_centred(values) for values in (X, Y))
    K, L = X @ X.T, Y @ Y.T  # [n, n] each, however many channels there are
    own = np.linalg.norm(K) * np.linalg.norm(L)
    return float((K * L).sum() / own) if own > 0 else np.nan


def _centred(values: np.ndarray) -> np.ndarray:
    """Return the columns centred over rows; all are scaled alike, which CKA doesn't depend on."""
    centred = values.astype(np.float64) - values[0]  # equal rows become 0, without rounding
    centred -= centred.mean(0)
    scale = abs(centred).max()
    return centred / scale if scale > 0 else centred


def compare(X: np.ndarray, Y: np.ndarray) -> Similarity | None:
    """Compare two representations of the same rows: their RSMs by τ and r, and both by CKA.

    Rows without variance in one of them are left out; None where fewer than three are left.
    """
    kept = np.isfinite(unit_rows(X)).all(1) & np.isfinite(unit_rows(Y)).all(1)
    if kept.sum() < FEWEST:
        return None
    X, Y = X[kept], Y[kept]
    x, y = (below_diagonal(similarity_matrix(values)) for values in (X, Y))
    return Similarity(int(kept.sum()), kendall(x, y), float(correlation(x, y)), linear_cka(X, Y))


def condition_means(responses: np.ndarray, condition: np.ndarray, number: int) -> np.ndarray:
    """Return the mean response to each condition, `[number, C]`, NaN for one without blocks.

    `condition` `[R]` holds each block's condition by its index, −1 for none.
    """
    member = condition == np.arange(number)[:, None]  # [number, R]
    with np.errstate(invalid="ignore"):
        return member.astype(np.float64) @ responses / member.sum(1, keepdims=True)


def split_half_ceiling(
    responses: np.ndarray, condition: np.ndarray, clip: np.ndarray, rng: np.random.Generator
) -> float:
    """Return how well the RSM of conditions agrees between halves of their blocks.

    `condition` and `clip` `[R]` hold what each block shows, −1 for none, and the clip it is from.
    The clips of each condition are divided at random, 20 times, so that no clip is in both halves
    of a condition; Pearson's r between both halves' RSMs is averaged. Conditions of a single clip
    are left out; NaN where fewer than three are left.
    """
    members = (np.flatnonzero(condition == one) for one in np.unique(condition[condition >= 0]))
    numbered = [(rows, pd.factorize(clip[rows])[0]) for rows in members]  # clips from 0 on
    divided = [(rows, clips) for rows, clips in numbered if clips.max() > 0]
    if len(divided) < FEWEST:
        return np.nan
    agreement = []
    for _ in range(SPLITS):
        halves = np.full((2, len(condition)), -1)
        for number, (rows, clips) in enumerate(divided):
            order = rng.permutation(clips.max() + 1)
            is_first = np.isin(clips, order[: len(order) // 2])
            halves[0, rows[is_first]] = halves[1, rows[~is_first]] = number
        means = (condition_means(responses, half, len(divided)) for half in halves)
        x, y = (below_diagonal(similarity_matrix(half)) for half in means)
        defined = np.isfinite(x) & np.isfinite(y)
        agreement.append(correlation(x[defined], y[defined]))
    return float(np.mean(agreement))
