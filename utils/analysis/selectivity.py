"""The USI, a node's selectivity for unexpected images: its definition, and what chance gives."""

from typing import Any

import numpy as np

ROUNDING = 1e-9  # the share by which two USIs may differ that are equal but for rounding


def d_prime(mean_U: Any, var_U: Any, mean_D: Any, var_D: Any) -> Any:
    """Return (μ_U − μ_D) / √(½(σ²_U + σ²_D)), NaN where both variances are 0.

    The arguments are NumPy arrays or torch tensors of one shape, or of shapes that broadcast; the
    variances are those of the population. The source is the unexpected-event selectivity index
    of Gillon et al. 2021.
    """
    variance = 0.5 * (var_U + var_D)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (mean_U - mean_D) / variance**0.5 * (variance / variance)  # the last: 1, or NaN


def chance_selectivity(blocks_D: Any, blocks_U: Any) -> Any:
    """Return about the mean |USI| of nodes that respond to D and to U alike.

    The difference of two means of n values is normal, with the values' variance times the sum of
    both 1/n, and the mean of its size is √(2/π) of its standard deviation. With few blocks the mean
    |USI| is higher, by 3 % with 20 blocks of U and by 17 % with 3 of them.
    """
    return np.sqrt(2 / np.pi * (1 / blocks_D + 1 / blocks_U))
