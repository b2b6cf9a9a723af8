"""Fewer labels: the share of a training set's videos that a classifier learns from."""

import numpy as np

from utils.streams import stream


def labelled(labels: np.ndarray, items: np.ndarray, *, share: float, seed: int) -> np.ndarray:
    """Return a share of each class's `items`, sorted; at least one of each class that has any.

    `labels` `[V]` are those of all videos, and `items` the videos that are long enough, so the
    share is one of these. Each class's videos have one order, which the seed and the class's index
    decide, and the first of them are taken: those of a smaller share are among those of a larger.
    """
    kept = []
    for label in np.unique(labels[items]):
        of_class = items[labels[items] == label]
        count = max(1, round(share * len(of_class)))
        kept.append(stream(seed, "labels", int(label)).permutation(of_class)[:count])
    return np.sort(np.concatenate(kept)) if kept else items
