"""Means and variances of many nodes by group, exact however the blocks are divided."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Each node's mean, and sum of squared deviations from it, over the blocks of each of K groups.

    `blocks` `[K]`, their number, and `mean` and `squares` `[K, nodes]`, are float64. A node that is
    constant in a group has `squares` of exactly 0 there.
    """

    blocks: Tensor
    mean: Tensor
    squares: Tensor

    @classmethod
    def none(cls, groups: int, nodes: int, device: torch.device) -> "Moments":
        """Return those of no blocks."""
        count = torch.zeros(groups, dtype=torch.float64, device=device)
        zeros = torch.zeros(groups, nodes, dtype=torch.float64, device=device)
        return cls(count, zeros, zeros.clone())

    @classmethod
    def of(cls, values: Tensor, group: Tensor, groups: int) -> "Moments":
        """Return those of blocks `values` `[R, nodes]`, each in its `group` `[R]`.

        Two passes: deviations are taken from the mean, which is computed from a block of the group
        on, so that equal values have no deviation.
        """
        values = values.double()
        member = torch.arange(groups, device=group.device)[:, None] == group  # [K, R]
        first = member.int().argmax(dim=1)  # [K], a block of each group
        start = values[first]  # [K, nodes]
        member = member.double()
        count = member.sum(dim=1)  # [K]
        size = count.clamp(min=1)[:, None]
        mean = start + member @ (values - start[group]) / size  # [K, nodes]
        squares = member @ (values - mean[group]).square()
        return cls(count, mean, squares)

    def plus(self, other: "Moments") -> "Moments":
        """Return those of the blocks of both (Chan, Golub & LeVeque 1983)."""
        count = self.blocks + other.blocks
        size = count.clamp(min=1)
        apart = other.mean - self.mean  # [K, nodes]
        mean = self.mean + apart * (other.blocks / size)[:, None]
        cross = apart.square() * (self.blocks * other.blocks / size)[:, None]
        return Moments(count, mean, self.squares + other.squares + cross)

    def union(self, groups: Sequence[int]) -> "Moments":
        """Return those of the blocks of several groups together, as one group."""
        some = [group for group in groups if self.blocks[group] > 0]
        if not some:
            return Moments.none(1, self.mean.shape[1], self.mean.device)
        blocks, means, squares = self.at(torch.tensor(some, device=self.mean.device))
        total, weight = blocks.sum(), blocks[:, None]
        # from one group's mean on, so that equal means have no deviation
        mean = means[0] + (weight * (means - means[0])).sum(dim=0) / total  # [nodes]
        apart = (weight * (means - mean).square()).sum(dim=0)
        return Moments(total[None], mean[None], (squares.sum(dim=0) + apart)[None])

    def at(self, groups: Tensor) -> "Moments":
        """Return those of the groups with these indices."""
        return Moments(*(part[groups] for part in self))

    def to(self, device: torch.device) -> "Moments":
        """Copy to the device."""
        return Moments(*(part.to(device) for part in self))

    def variance(self) -> Tensor:
        """Return the population variance `[K, nodes]`, NaN where there is no block."""
        empty = torch.where(self.blocks > 0, self.blocks, math.nan)
        return self.squares / empty[:, None]


class GroupMoments:
    """Moments by group that batches are added to, on the device of their values."""

    def __init__(self, groups: int, nodes: int, device: torch.device):
        self.moments = Moments.none(groups, nodes, device)

    def add(self, values: Tensor, group: Tensor) -> None:
        """Add blocks `values` `[R, nodes]`, each in its `group` `[R]`, an index."""
        present, place = group.unique(return_inverse=True)
        batch = Moments.of(values, place, len(present))
        merged = self.moments.at(present).plus(batch)
        for kept, part in zip(self.moments, merged, strict=True):
            kept[present] = part
