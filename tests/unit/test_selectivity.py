"""The USI: d prime of a node's responses to U and D."""

import numpy as np
import torch

from utils.analysis.selectivity import d_prime


def test_d_prime_is_the_difference_in_units_of_the_root_mean_variance():
    # μ 5 and 1, σ² 6 and 2: 4 / √4
    assert d_prime(np.array(5.0), np.array(6.0), np.array(1.0), np.array(2.0)) == 2


def test_d_prime_is_that_of_raw_responses_with_population_variances():
    rng = np.random.default_rng(0)
    U, D = rng.normal(1, 2, (30, 4)), rng.normal(0, 1, (50, 4))
    for node, found in enumerate(d_prime(U.mean(0), U.var(0), D.mean(0), D.var(0))):
        u, d = U[:, node].tolist(), D[:, node].tolist()
        mean_u, mean_d = sum(u) / 30, sum(d) / 50
        var_u = sum((x - mean_u) ** 2 for x in u) / 30
        var_d = sum((x - mean_d) ** 2 for x in d) / 50
        np.testing.assert_allclose(found, (mean_u - mean_d) / ((var_u + var_d) / 2) ** 0.5)


def test_d_prime_without_variance_is_nan_and_with_one_variance_is_not():
    mean_U, var_U = np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, 2.0])
    found = d_prime(mean_U, var_U, np.zeros(3), np.zeros(3))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 1.0])


def test_d_prime_of_tensors_equals_that_of_arrays():
    arrays = np.random.default_rng(0).random((4, 3, 5))
    arrays[1, :, 0] = arrays[3, :, 0] = 0
    mean_U, var_U, mean_D, var_D = map(torch.from_numpy, arrays)
    found = d_prime(mean_U, var_U, mean_D, var_D)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found.numpy(), d_prime(*arrays))
    assert np.isnan(found.numpy()[:, 0]).all()
    assert np.isfinite(found.numpy()[:, 1:]).all()
