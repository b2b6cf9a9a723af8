"""How a node's USI would come out if the labels D and U meant nothing: permutations of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from utils.analysis.selectivity import ROUNDING, d_prime

PERMUTATIONS = 1000
CENTRAL = (0.025, 0.975)  # the ends of the central 95 percent
CHUNK = 2**22  # labellings × nodes whose USIs are computed at once


def relabelled(is_U: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Return labels of n blocks, bool `[1 + count, n]`: the true ones `is_U` `[n]`, then permuted.

    Each row has as many U as the true one.
    """
    rows = np.tile(is_U.astype(bool), (1 + count, 1))
    rows[1:] = rng.permuted(rows[1:], axis=1)
    return rows


class Null(NamedTuple):
    """The USI of each node under permuted labels, `[nodes]` each; NaN for nodes left out.

    `low` and `high` are the ends of the central 95 percent. `p` is two-sided: (1 + the number of
    permutations at least as far from 0 as the true USI) / (1 + the number of permutations).
    """

    low: Tensor
    high: Tensor
    p: Tensor


class PermutedSums:
    """Sums over the blocks that are U in each labelling, of values and of their squares.

    Values are taken from `centre` on, the first block, so that the variances keep their precision.
    The memory doesn't depend on the number of blocks: 2 × labellings × nodes × 8 bytes.
    """

    def __init__(self, labellings: int, nodes: int, device: torch.device):
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        self.centre = zeros(nodes)
        self.blocks = 0
        self.all, self.all_squares = zeros(nodes), zeros(nodes)
        self.number = zeros(labellings)  # of the blocks that are U
        self.sums, self.squares = zeros(labellings, nodes), zeros(labellings, nodes)

    def add(self, values: Tensor, is_U: Tensor) -> None:
        """Add blocks `values` `[R, nodes]`, with their labels `is_U` `[labellings, R]`."""
        if not len(values):
            return
        values = values.double()
        if not self.blocks:
            self.centre = values[0]
        values = values - self.centre
        squares, is_U = values.square(), is_U.double()
        self.blocks += len(values)
        self.all += values.sum(dim=0)
        self.all_squares += squares.sum(dim=0)
        self.number += is_U.sum(dim=1)
        self.sums.addmm_(is_U, values)
        self.squares.addmm_(is_U, squares)

    def merge(self, other: "PermutedSums") -> None:
        """Add the blocks of another, which may have another centre."""
        if not other.blocks:
            return
        if not self.blocks:
            self.centre = other.centre
        shift = other.centre - self.centre  # [nodes]
        moved = other.number[:, None] * shift  # [labellings, nodes]
        self.squares += other.squares + shift * (2 * other.sums + moved)
        self.sums += other.sums + moved
        self.all_squares += other.all_squares + shift * (2 * other.all + other.blocks * shift)
        self.all += other.all + other.blocks * shift
        self.blocks += other.blocks
        self.number += other.number

    def to(self, device: torch.device) -> "PermutedSums":
        """Move to the device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def usi(self, nodes: slice) -> Tensor:
        """Return the USI of some nodes in each labelling, `[labellings, nodes]`."""
        number = self.number[:, None]
        means, variances = [], []
        for count, sums, squares in (
            (number, self.sums[:, nodes], self.squares[:, nodes]),
            (
                self.blocks - number,
                self.all[nodes] - self.sums[:, nodes],
                self.all_squares[nodes] - self.squares[:, nodes],
            ),
        ):
            means.append(sums / count)
            variances.append((squares / count - means[-1].square()).clamp(min=0))
        return d_prime(means[0], variances[0], means[1], variances[1])

    def null(self, left_out: Tensor) -> Null:
        """Return the distribution under permuted labels; `left_out` `[nodes]` get NaN."""
        labellings, nodes = self.sums.shape
        parts = []
        for nodes_of_chunk in torch.arange(nodes).split(max(1, CHUNK // labellings)):
            usi = self.usi(slice(int(nodes_of_chunk[0]), int(nodes_of_chunk[-1]) + 1))
            true, permuted = usi[0], usi[1:]
            ends = permuted.nanquantile(permuted.new_tensor(CENTRAL), dim=0)  # [2, nodes]
            as_far = (permuted.abs() >= (1 - ROUNDING) * true.abs()).sum(dim=0)
            p = (1 + as_far.double()) / labellings
            parts.append(torch.stack([*ends, p]))  # [3, nodes]
        found = torch.cat(parts, dim=1).masked_fill(left_out, math.nan)
        return Null(*found)


def merged(parts: Sequence[PermutedSums]) -> PermutedSums:
    """Merge the sums of all ranks, in their order, into the first one's."""
    first, *others = parts
    for other in others:
        first.merge(other)
    return first
