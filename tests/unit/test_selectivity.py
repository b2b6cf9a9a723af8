"""The USI: d prime of a node's responses to U and D, its significance, and its stability."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import beta

from analysis_records import FOUR, Made, write_analysis
from utils.analysis import usi
from utils.analysis.loading import load_pass
from utils.analysis.moments import pooled
from utils.analysis.recorded import POST, PRE, Pass, Recorded
from utils.analysis.selectivity import d_prime
from utils.streams import stream

OF = Pass(9, POST)
NAME = "encoder_activation"
SMALL = Made(passes=(OF,), modules=("encoder",), clips=200, orientations=FOUR, maps=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_analysis(tmp_path_factory.mktemp("run"), SMALL)


def with_statistics(recorded: Recorded, **arrays: np.ndarray) -> Recorded:
    groups = ("group_image", "group_orientation")
    kept = {name: recorded.statistics[name] for name in recorded.statistics if name not in groups}
    return recorded._replace(statistics={**kept, **arrays})


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
    np.testing.assert_allclose(found.numpy(), d_prime(*arrays), rtol=1e-14)
    assert np.isnan(found.numpy()[:, 0]).all()
    assert np.isfinite(found.numpy()[:, 1:]).all()


def test_moments_of_merged_groups_equal_those_of_their_blocks(folder):
    recorded = load_pass(folder, OF)
    groups = [i for i, g in enumerate(recorded.groups) if g.image in "AU" and g.orientation == 90]
    table, maps = recorded.blocks, np.load(folder / "recorded" / f"{OF.name}_maps.npz")
    is_in = table["image"].isin(["A", "U"]) & (table["orientation"] == 90)
    values = maps[NAME][is_in.to_numpy()].astype(np.float64)
    found = pooled(recorded, NAME, groups)
    assert found is not None
    assert len(groups) == 2
    assert found.blocks == len(values)
    assert set(table["step"][is_in]) == {0, 1}
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, values.var(0), rtol=1e-12)


def test_a_node_with_one_value_in_all_groups_has_no_variance(folder):
    recorded = load_pass(folder, OF)
    mean = np.full_like(recorded.statistics[f"{NAME}_mean"], 0.1)
    constant = with_statistics(
        recorded, **{f"{NAME}_mean": mean, f"{NAME}_sd": np.zeros_like(mean)}
    )
    found = pooled(constant, NAME, list(range(1, len(recorded.groups))))
    assert found is not None
    assert (found.mean == 0.1).all()
    assert (found.variance == 0).all()


@pytest.mark.parametrize("over", [usi.ALL, usi.SHARED])
def test_the_usi_from_merged_groups_equals_that_of_single_blocks(folder, over):
    rows, nodes = usi.measure(load_pass(folder, OF))
    row = next(row for row in rows if (row.over, row.kind) == (over, "activation"))
    table = load_pass(folder, OF).blocks
    shared = {90.0, 135.0}  # of D's 0 to 135° and U's 90 to 225°
    kept = table["orientation"].isin(shared) if over == usi.SHARED else table["image"].notna()
    values = np.load(folder / "recorded" / f"{OF.name}_maps.npz")[NAME].astype(np.float64)
    assert {*table["orientation"][table["image"] == "D"]} >= shared
    U, D = (values[(kept & (table["image"] == image)).to_numpy()] for image in "UD")
    direct = d_prime(U.mean(0), U.var(0), D.mean(0), D.var(0))
    assert (row.blocks_U, row.blocks_D) == (len(U), len(D))
    assert (row.nodes, row.left_out) == (direct.size, 0)
    np.testing.assert_allclose(row.mean, direct.mean())
    np.testing.assert_allclose(row.mean_abs, abs(direct).mean())
    np.testing.assert_allclose(row.sd, direct.std())
    if over == usi.ALL:
        np.testing.assert_allclose(nodes[OF, "encoder", "activation"], direct)
    else:
        assert np.isnan(row.significant)


def test_an_orientation_that_u_has_not_shown_is_not_shared(folder):
    recorded = load_pass(folder, OF)
    count = recorded.statistics["count"].copy()
    count[:, recorded.group("U", 90)] = 0
    rows = usi.measure(with_statistics(recorded, count=count))[0]
    row = next(row for row in rows if row.over == usi.SHARED)
    assert row.blocks_D == count[:, recorded.group("D", 135)].sum()
    assert row.blocks_U == count[:, recorded.group("U", 135)].sum()


def test_a_node_without_variance_is_left_out_and_counted(folder):
    recorded = load_pass(folder, OF)
    before = usi.measure(recorded)[1][OF, "encoder", "activation"]
    mean, sd = (recorded.statistics[f"{NAME}_{what}"].copy() for what in ("mean", "sd"))
    mean[:, :, 2, 0, 1], sd[:, :, 2, 0, 1] = 0.3, 0
    changed = with_statistics(recorded, **{f"{NAME}_mean": mean, f"{NAME}_sd": sd})
    rows, nodes = usi.measure(changed)
    row, after = rows[0], nodes[OF, "encoder", "activation"]
    assert (row.nodes, row.left_out) == (before.size - 1, 1)
    assert np.argwhere(np.isnan(after)).tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(row.mean, (before.sum() - before[2, 0, 1]) / (before.size - 1))


def test_the_share_of_significant_nodes_counts_those_outside_their_permutations(folder):
    recorded = load_pass(folder, OF)
    found = usi.measure(recorded)[1][OF, "encoder", "activation"]
    low, high = found - 1, found + 1
    low[0], high[1, 0, 0] = found[0] + 0.5, found[1, 0, 0] - 0.5  # 4 nodes below, 1 above
    low[2, 0, 0] = np.nan  # not tested
    limits = {f"{NAME}_usi_low": low, f"{NAME}_usi_high": high}
    row = usi.measure(with_statistics(recorded, **limits))[0][0]
    n = found.size - 1
    assert row.significant == 5 / n
    np.testing.assert_allclose(row.significant_low, beta.ppf(0.025, 5, n - 4))
    np.testing.assert_allclose(row.significant_high, beta.ppf(0.975, 6, n - 5))


def test_a_usi_that_equals_a_limit_but_for_rounding_is_not_significant(folder):
    recorded = load_pass(folder, OF)
    found = usi.measure(recorded)[1][OF, "encoder", "activation"]
    above, below = (found + sign * 1e-14 * abs(found) for sign in (1, -1))
    limits = {f"{NAME}_usi_low": above, f"{NAME}_usi_high": below}
    assert usi.measure(with_statistics(recorded, **limits))[0][0].significant == 0


def test_the_interval_of_no_hit_is_exact():
    found = usi.binomial_share(0, 20)
    assert found[:2] == (0, 0)
    np.testing.assert_allclose((1 - found.high) ** 20, 0.025)  # so likely are 20 misses then
    assert np.isnan(usi.binomial_share(0, 0)).all()


def test_there_is_no_usi_without_u(tmp_path):
    made = Made(passes=(OF,), modules=("encoder",), clips=10, unexpected=False)
    assert usi.measure(load_pass(write_analysis(tmp_path, made), OF)) == ([], {})


def test_the_bootstrap_resamples_pairs_of_nodes():
    x, noise = np.random.default_rng(1).normal(size=(2, 40))
    y = x + noise
    r, low, high = usi.bootstrapped_correlation(x, y, np.random.default_rng(2))
    rng, drawn = np.random.default_rng(2), []
    for index in rng.integers(40, size=(usi.DRAWS, 40)):
        drawn.append(np.corrcoef(x[index], y[index])[0, 1])
    np.testing.assert_allclose(r, np.corrcoef(x, y)[0, 1])
    np.testing.assert_allclose((low, high), np.percentile(drawn, (2.5, 97.5)), atol=1e-9)


def test_the_bootstrap_interval_covers_the_true_correlation():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(100):
        x, noise = rng.normal(size=(2, 60))
        _, low, high = usi.bootstrapped_correlation(x, 0.6 * x + 0.8 * noise, rng)
        hits += low <= 0.6 <= high
    assert 87 <= hits <= 99  # 95 are expected, and the percentile bootstrap misses some


def test_epochs_are_correlated_with_the_next_of_the_same_kind():
    rng = np.random.default_rng(0)
    passes = [Pass(0, POST), Pass(9, PRE), Pass(9, POST), Pass(10, PRE), Pass(10, POST)]
    nodes = {(of, "encoder", "error"): rng.normal(size=(3, 2, 2)) for of in passes}
    nodes[passes[0], "encoder", "error"][0, 0, 0] = np.nan
    nodes[passes[4], "encoder", "error"][1, 0, 0] = np.nan
    rows = usi.correlate_epochs(nodes, seed=5)
    assert [(row.when, row.epoch, row.next_epoch) for row in rows] == [
        (POST, 0, 9),
        (POST, 9, 10),
        (PRE, 9, 10),
    ]
    assert [row.nodes for row in rows] == [11, 11, 12]
    x, y = (nodes[of, "encoder", "error"].ravel()[1:] for of in (passes[0], passes[2]))
    np.testing.assert_allclose(rows[0].r, np.corrcoef(x, y)[0, 1])
    expected = usi.bootstrapped_correlation(
        x, y, stream(5, "usi bootstrap", "encoder", "error", POST, 0)
    )
    assert rows[0][5:8] == expected
