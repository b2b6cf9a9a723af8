"""Accuracies over rows of logits, and their means over an epoch."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

TOP = (1, 3, 5)


class Means(NamedTuple):
    """Over an epoch's rows. A top-k that can't be wrong, k being all there is, is None."""

    loss: float
    top1: float | None
    top3: float | None
    top5: float | None
    chance: float


def hits(logits: Tensor, target: Tensor) -> Tensor:
    """For each k of TOP, how many rows of `logits` `[R, K]` have `target` `[R]` among their k
    highest.
    """
    best = logits.topk(min(TOP[-1], logits.shape[1]), dim=1).indices  # [R, up to 5]
    found = best == target[:, None]
    return torch.stack([found[:, :k].sum() for k in TOP])


class Tally:
    """Sums over batches, kept on the device until they are read."""

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(1 + len(TOP), dtype=torch.float64, device=device)
        self.rows = 0
        self.batches = 0
        self.chances = 0.0
        self.fewest_columns = math.inf

    def add(self, row_loss: Tensor, logits: Tensor, target: Tensor) -> None:
        """`row_loss` `[R]`, `logits` `[R, K]`, `target` `[R]`."""
        with torch.no_grad():
            total = row_loss.double().sum()
            self.sums += torch.cat([total[None], hits(logits, target).double()])
        self.rows += len(target)
        self.batches += 1
        self.chances += 1 / logits.shape[1]
        self.fewest_columns = min(self.fewest_columns, logits.shape[1])

    def means(self) -> Means:
        loss, *found = (self.sums / self.rows).tolist()
        top = [
            value if k < self.fewest_columns else None for k, value in zip(TOP, found, strict=True)
        ]
        return Means(loss, *top, chance=self.chances / self.batches)
