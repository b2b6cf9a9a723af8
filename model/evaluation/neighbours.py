"""Retrieval and weighted k nearest neighbours: what the videos nearest to a video tell of it."""

from collections import Counter
from math import comb
from typing import NamedTuple

import numpy as np

AT_ONCE = 256  # queries whose similarities are held
TEMPERATURE = 0.1  # of the neighbours' votes
VOTERS = 200
DIGITS = 12  # of similarities that count in their order


class Neighbours(NamedTuple):
    """The k nearest of a gallery for each query, nearest first.

    `numbers` `[Q, k]` count the gallery from 0; `similarity` `[Q, k]` is the cosine.
    """

    numbers: np.ndarray
    similarity: np.ndarray


def comparable(features: np.ndarray) -> np.ndarray:
    """Return features `[V, F]` centred by their own mean and of length 1, in float64.

    A feature that equals the mean stays zero: it is as similar to all others.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> Neighbours:
    """Return the nearest of the features `gallery` `[G, F]` for `queries` `[Q, F]`, at most k.

    Both are made comparable first. Of equally near ones, the first of the gallery comes first.
    """
    queries, gallery = comparable(queries), comparable(gallery)
    parts = []
    for start in range(0, len(queries), AT_ONCE):
        similarity = queries[start : start + AT_ONCE] @ gallery.T  # [up to AT_ONCE, G]
        # products of equal rows differ in their last digits, by the rows' places
        index = np.argsort(-similarity.round(DIGITS), axis=1, kind="stable")[:, :k]
        parts.append(Neighbours(index, np.take_along_axis(similarity, index, axis=1)))
    return Neighbours(*map(np.concatenate, zip(*parts, strict=True)))


def recall(right: np.ndarray, k: int) -> float:
    """Return R@k: the share of queries with their class among the k nearest.

    `right` `[Q, K]`: whether a neighbour has the query's class. NaN if k is larger than K.
    """
    return float(right[:, :k].any(axis=1).mean()) if k <= right.shape[1] else np.nan


def recall_by_chance(queries: np.ndarray, gallery: np.ndarray, k: int) -> float:
    """Return what R@k is on average if the gallery comes in a random order.

    `queries` `[Q]` and `gallery` `[G]` are classes. Of G videos, g of the query's class, k
    different ones are drawn: 1 - C(G - g, k) / C(G, k), averaged over the queries.
    """
    total = len(gallery)
    if k > total:
        return np.nan
    orders, of_class = comb(total, k), Counter(gallery.tolist())
    missed = {label: comb(total - of_class[label], k) / orders for label in set(queries.tolist())}
    return float(1 - np.mean([missed[label] for label in queries.tolist()]))


def voted(found: Neighbours, labels: np.ndarray, classes: int, voters: int = VOTERS) -> np.ndarray:
    """Return the votes `[Q, classes]` of the nearest neighbours, each of weight exp(s/0.1).

    `labels` `[G]` are the gallery's classes and s the similarity (Wu et al. 2018). With fewer
    videos in the gallery than `voters`, all of them vote. A class without any vote has -inf.
    """
    index, similarity = found.numbers[:, :voters], found.similarity[:, :voters]
    weights = np.exp(similarity / TEMPERATURE)
    votes = np.full((len(index), classes), -np.inf)  # of a class without any neighbour
    votes[np.arange(len(index))[:, None], labels[index]] = 0
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    np.add.at(votes, (rows, labels[index].ravel()), weights.ravel())
    return votes


def top(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of rows of `scores` `[Q, classes]` with their label among the k highest.

    Of equal scores the first class counts as the highest, and -inf never counts. NaN if k is not
    below the number of classes.
    """
    if k >= scores.shape[1]:
        return np.nan
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    counts = np.take_along_axis(scores, best, axis=1) > -np.inf
    return float(((best == labels[:, None]) & counts).any(axis=1).mean())
