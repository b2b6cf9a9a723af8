"""Statistics of nodes by group: against brute force, of any batches, and of constant nodes."""

import math

import numpy as np
import pytest
import torch

from model.analysis.groups import Grouping
from model.analysis.moments import GroupMoments, Moments
from utils.gabor_utils import gabor_classes
from utils.samples import ClassInfo

CPU = torch.device("cpu")


def values_and_groups(blocks: int = 40, nodes: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of nodes with means far from 0, and groups of which number 3 stays empty."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(blocks, nodes, generator=generator) + 100 * torch.arange(nodes)
    groups = torch.tensor([0, 1, 2, 4])[torch.randint(4, (blocks,), generator=generator)]
    return values, groups


def added(values: torch.Tensor, groups: torch.Tensor, sizes: list[int]) -> Moments:
    made = GroupMoments(5, values.shape[1], CPU)
    for part, group in zip(values.split(sizes), groups.split(sizes), strict=True):
        made.add(part, group)
    return made.moments


def check(moments: Moments, values: torch.Tensor, groups: torch.Tensor) -> None:
    found = moments.variance().sqrt().numpy()
    for group in range(5):
        own = values[groups == group].double().numpy()
        assert moments.blocks[group] == len(own)
        if len(own):
            np.testing.assert_allclose(moments.mean[group], own.mean(axis=0), rtol=1e-13)
            np.testing.assert_allclose(found[group], own.std(axis=0), rtol=1e-10, atol=1e-12)
        else:
            assert np.isnan(found[group]).all()


@pytest.mark.parametrize("sizes", [[40], [1] * 40, [3, 7, 30], [39, 1]])
def test_moments_are_those_of_all_blocks_however_they_come(sizes):
    values, groups = values_and_groups()
    check(added(values, groups, sizes), values, groups)


def test_moments_of_parts_that_are_merged_are_those_of_the_whole():
    values, groups = values_and_groups()
    first = added(values[:11], groups[:11], [11])
    rest = added(values[11:], groups[11:], [4, 25])
    check(first.plus(rest), values, groups)
    check(first.plus(rest).plus(Moments.none(5, 7, CPU)), values, groups)
    check(Moments.none(5, 7, CPU).plus(rest).plus(first), values, groups)


def test_a_union_of_groups_has_the_moments_of_their_blocks():
    values, groups = values_and_groups()
    moments = added(values, groups, [13, 27])
    for chosen in ([1], [0, 3], [0, 1, 2, 4], [3]):
        own = values[torch.isin(groups, torch.tensor(chosen))].double()
        union = moments.union(chosen)
        assert union.blocks.item() == len(own)
        if len(own):
            assert torch.allclose(union.mean[0], own.mean(dim=0), rtol=1e-13)
            assert torch.allclose(union.variance()[0], own.var(dim=0, correction=0), rtol=1e-10)
        else:
            assert union.variance().isnan().all()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_constant_node_has_a_variance_of_exactly_0(kind):
    """Sums of such values, or of their squares, would be rounded."""
    values = torch.full((30, 3), 0.1, dtype=kind) * torch.tensor([1.0, 1e5, -3e-7], dtype=kind)
    groups = torch.arange(30) % 3
    moments = added(values, groups, [7, 7, 7, 9])
    union = moments.union([0, 1, 2])
    for made in (moments.at(torch.tensor([0, 1, 2])), union):
        assert (made.squares == 0).all()
        assert torch.equal(made.mean, values[: len(made.mean)].double())


def test_the_groups_are_all_then_images_then_orientations_then_both():
    classes = gabor_classes((0, 90), gray=True, unexpected=True, own_U_layout=True).classes
    found = [str(tuple(group)) for group in Grouping.of(classes).groups]
    expected = [
        ("any", math.nan),
        *((image, math.nan) for image in "ABCDUG"),
        *(("any", angle) for angle in (0.0, 90.0, 180.0)),
        *((image, angle) for image in "ABCD" for angle in (0.0, 90.0)),
        *(("U", angle) for angle in (90.0, 180.0)),
    ]
    assert found == [str(one) for one in expected]


def test_d_and_u_are_apart_where_they_share_a_class():
    classes = gabor_classes((0, 90), gray=False, unexpected=True, own_U_layout=False).classes
    grouping = Grouping.of(classes)
    shared = next(i for i, info in enumerate(classes) if info.name == "D/U 90°")
    cells = grouping.cells_of(torch.tensor([[shared, 0], [shared, 1]]))
    assert [tuple(grouping.cells[cell]) for cell in cells] == [("D", 90.0), ("U", 90.0)]
    assert grouping.has_unexpected


def test_each_block_is_in_the_groups_that_hold_it():
    classes = gabor_classes((0, 45, 90), gray=True, unexpected=True, own_U_layout=False).classes
    grouping = Grouping.of(classes)
    for number, info in enumerate(classes):
        for is_U in (0, 1):
            cell = int(grouping.cells_of(torch.tensor([number, is_U])))
            image = info.shown(bool(is_U))
            angle = math.nan if info.orientation is None else info.orientation
            for group, members in zip(grouping.groups, grouping.members, strict=True):
                assert (cell in members) == group.holds(image, angle)


def test_classes_without_orientations_are_groups_by_name():
    classes = [ClassInfo(name, name, None) for name in ("Run", "Dive")]
    grouping = Grouping.of(classes)
    assert [group.image for group in grouping.groups] == ["any", "Run", "Dive"]
    assert all(math.isnan(group.orientation) for group in grouping.groups)
    assert grouping.members == ((0, 1), (0,), (1,))
    assert not grouping.has_unexpected
