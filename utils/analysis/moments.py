"""Count, mean and variance of nodes over several groups of blocks, from those of each group."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.analysis.recorded import Recorded


class Moments(NamedTuple):
    """A number of blocks, and each node's mean and population variance over them, `[C, …]`."""

    blocks: int
    mean: np.ndarray
    variance: np.ndarray


def pooled(recorded: Recorded, name: str, groups: Sequence[int]) -> Moments | None:
    """Return the moments of a response over all steps and the groups, None where these are empty.

    Exact: they equal those of the single blocks, up to rounding. A node that has one value in all
    blocks keeps it, and a variance of exactly 0.
    """
    count = recorded.statistics["count"][:, groups]  # [P, k]
    used = count > 0
    if not used.any():
        return None
    weight = count[used] / count[used].sum()  # [n]
    means = recorded.statistics[f"{name}_mean"][:, groups][used]  # [n, C, …]
    sds = recorded.statistics[f"{name}_sd"][:, groups][used]
    mean = means[0] + np.tensordot(weight, means - means[0], 1)  # [C, …]
    variance = np.tensordot(weight, sds**2 + (means - mean) ** 2, 1)
    return Moments(int(count[used].sum()), mean, variance)
