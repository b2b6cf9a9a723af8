"""The USI, a node's selectivity for unexpected images: its one definition."""

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
