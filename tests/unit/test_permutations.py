"""The USI under permuted labels: against all labellings of a small case, and under the null."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from model.analysis.permutations import PermutedSums, merged, relabelled
from utils.streams import stream

CPU = torch.device("cpu")


def usi(values: np.ndarray, is_U: np.ndarray) -> np.ndarray:
    """Compute d′ of `values` `[n, nodes]` from its definition."""
    U, D = values[is_U], values[~is_U]
    return (U.mean(axis=0) - D.mean(axis=0)) / np.sqrt((U.var(axis=0) + D.var(axis=0)) / 2)


def sums_of(values: np.ndarray, rows: np.ndarray, sizes: list[int]) -> PermutedSums:
    """Add the blocks in batches of these sizes."""
    made = PermutedSums(len(rows), values.shape[1], CPU)
    ends = np.cumsum([0, *sizes])
    for start, end in itertools.pairwise(ends):
        made.add(torch.from_numpy(values[start:end]), torch.from_numpy(rows[:, start:end]))
    return made


def all_labellings(n: int, n_U: int) -> np.ndarray:
    """Return every labelling of n blocks with n_U of them U; in the first, the first ones are."""
    rows = np.zeros((0, n), bool)
    for chosen in itertools.combinations(range(n), n_U):
        row = np.zeros(n, bool)
        row[list(chosen)] = True
        rows = np.vstack([rows, row])
    return rows


def test_every_labelling_has_as_many_u_and_the_first_is_the_true_one():
    is_U = np.arange(50) % 7 == 0
    rows = relabelled(is_U, stream(1, "permutations", 4), 200)
    assert rows.shape == (201, 50)
    assert (rows[0] == is_U).all()
    assert (rows.sum(axis=1) == is_U.sum()).all()
    assert len({row.tobytes() for row in rows}) == 201
    again = relabelled(is_U, stream(1, "permutations", 4), 200)
    assert (rows == again).all()
    # each block is U as often as any other
    often = relabelled(is_U, stream(2, "permutations", 4), 4000)[1:].mean(axis=0)
    assert np.abs(often - is_U.mean()).max() < 0.03


@pytest.mark.parametrize("sizes", [[6], [1] * 6, [0, 2, 4]])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_the_usi_of_each_labelling_follows_its_definition(sizes, offset):
    values = np.random.default_rng(0).normal(size=(6, 5)) + offset
    rows = all_labellings(6, 2)
    found = sums_of(values, rows, sizes).usi(slice(None))
    for row, made in zip(rows, found, strict=True):
        np.testing.assert_allclose(made, usi(values, row), rtol=1e-6)


def test_p_and_the_central_95_percent_are_those_of_a_small_case_by_hand():
    """Of 15 labellings of 6 blocks, the true one has the largest USI, and its mirror is as far."""
    values = np.array([[5.0, 4.0, 1.0, 2.0, 3.0, 1.5]]).T  # blocks 0 and 1 are U
    rows = all_labellings(6, 2)
    null = sums_of(values, np.vstack([rows[:1], rows]), [6]).null(torch.tensor([False]))
    each = np.array([usi(values, row)[0] for row in rows])
    as_far = int((np.abs(each) >= np.abs(each[0])).sum())  # the true one is among them
    assert as_far == 1
    assert null.p.item() == pytest.approx((1 + as_far) / 16)
    assert null.low.item() == pytest.approx(np.quantile(each, 0.025))
    assert null.high.item() == pytest.approx(np.quantile(each, 0.975))


def test_a_labelling_that_is_the_true_one_is_as_far_from_0():
    values = np.random.default_rng(3).normal(size=(9, 200)).astype(np.float32) * 1e3
    is_U = np.arange(9) < 3
    null = sums_of(values, np.tile(is_U, (11, 1)), [4, 5]).null(torch.zeros(200, dtype=torch.bool))
    assert (null.p == 1).all()


def test_permutations_that_are_as_far_up_to_rounding_count():
    """Many are, for a node that answers a few blocks alone; fractions have no rounding."""
    rng = np.random.default_rng(4)
    values = rng.integers(1, 4, size=(30, 60)) * (rng.random((30, 60)) < 0.1)
    values[0] = 1  # from which the sums are taken
    rows = relabelled(np.arange(30) % 6 == 1, stream(4, "permutations", 0), 300)
    nodes = [node for node in values.T if node[1::6].any()]

    def squared(node: np.ndarray, is_U: np.ndarray) -> Fraction:
        U, D = ([Fraction(int(value)) for value in node[is_U == u]] for u in (True, False))
        (mean_U, var_U), (mean_D, var_D) = (
            (mean, sum((value - mean) ** 2 for value in own) / len(own))
            for own in (U, D)
            for mean in [sum(own) / len(own)]
        )
        return (mean_U - mean_D) ** 2 / (var_U + var_D)

    exact = [[squared(node, row) for row in rows] for node in nodes]
    expected = [(1 + sum(one >= true for one in rest)) / 301 for true, *rest in exact]
    null = sums_of(0.1 * np.stack(nodes, axis=1), rows, [7, 23]).null(
        torch.zeros(len(nodes), dtype=torch.bool)
    )
    assert null.p.tolist() == pytest.approx(expected, rel=1e-12)


def test_p_values_are_uniform_where_the_labels_mean_nothing():
    """Kolmogorov-Smirnov over many nodes, each with labels of its own chance."""
    rng = np.random.default_rng(5)
    nodes, n = 600, 60
    values = rng.gamma(1.5, size=(n, nodes))  # skewed, as responses are
    rows = relabelled(np.arange(n) % 5 == 0, stream(5, "permutations", 0), 500)
    null = sums_of(values, rows, [20, 40]).null(torch.zeros(nodes, dtype=torch.bool))
    p = null.p.numpy()
    assert stats.kstest(p, "uniform").pvalue > 0.01
    true = sums_of(values, rows, [60]).usi(slice(None))[0].numpy()
    outside = ((true < null.low.numpy()) | (true > null.high.numpy())).mean()
    assert stats.binomtest(round(outside * nodes), nodes, 0.05).pvalue > 0.01


def test_p_is_small_where_the_labels_matter():
    rng = np.random.default_rng(6)
    is_U = np.arange(60) % 5 == 0
    values = rng.normal(size=(60, 50)) + 3 * is_U[:, None]
    rows = relabelled(is_U, stream(6, "permutations", 0), 1000)
    null = sums_of(values, rows, [60]).null(torch.zeros(50, dtype=torch.bool))
    assert (null.p == 1 / 1001).all()


def test_nodes_left_out_have_no_p():
    values = np.ones((6, 3)) * [1.0, 2.0, 3.0] + np.arange(6)[:, None] * [0.0, 1.0, 0.0]
    rows = all_labellings(6, 2)
    null = sums_of(values, rows, [3, 3]).null(torch.tensor([True, False, True]))
    for part in null:
        assert part.isnan().tolist() == [True, False, True]


def test_sums_of_several_ranks_are_merged_exactly():
    """Each rank takes its values from another centre, and one has no block at all."""
    values = np.random.default_rng(8).normal(size=(30, 4), loc=(0, 10, 100, -50))
    rows = relabelled(np.arange(30) % 4 == 0, stream(8, "permutations", 0), 100)
    parts = [sums_of(values[:11], rows[:, :11], [11]), sums_of(values[:0], rows[:, :0], [0])]
    parts += [sums_of(values[11:], rows[:, 11:], [9, 10])]
    for order in (parts, [parts[1], parts[0], parts[2]]):
        copies = [PermutedSums(101, 4, CPU) for _ in order]
        for copy, part in zip(copies, order, strict=True):
            copy.merge(part)
        together = merged(copies)
        expected = sums_of(values, rows, [30])
        assert together.blocks == 30
        assert torch.allclose(together.usi(slice(None)), expected.usi(slice(None)), rtol=1e-9)
