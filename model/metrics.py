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
    """Whether the highest, the second highest and so on of each row of `logits` `[R, K]` is its
    `target` `[R]`: bool `[R, up to 5]`."""
    best = logits.detach().topk(min(TOP[-1], logits.shape[1]), dim=1).indices  # [R, up to 5]
    return best == target[:, None]


class Counts(NamedTuple):
    """Sums over batches: of the rows' loss and of the hits for each k of TOP, of rows, of batches
    and of their chances; and the fewest columns that a batch had."""

    sums: tuple[float, ...] = (0.0,) * (1 + len(TOP))
    rows: int = 0
    batches: int = 0
    chances: float = 0.0
    fewest_columns: float = math.inf

    def plus(self, other: "Counts") -> "Counts":
        return Counts(
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            self.rows + other.rows,
            self.batches + other.batches,
            self.chances + other.chances,
            min(self.fewest_columns, other.fewest_columns),
        )

    def means(self) -> Means:
        loss, *found = (value / self.rows for value in self.sums)
        top = [
            value if k < self.fewest_columns else None for k, value in zip(TOP, found, strict=True)
        ]
        return Means(loss, *top, chance=self.chances / self.batches)


class Tally:
    """Counts, starting from `done`; the sums are kept on the device until they are read."""

    def __init__(self, device: torch.device, done: Counts = Counts()):  # noqa: B008  (immutable)
        self.sums = torch.tensor(done.sums, dtype=torch.float64, device=device)
        self.done = done

    def add(self, row_loss: Tensor, hits: Tensor, columns: int) -> None:
        """`row_loss` `[R]` and `hits` `[R, up to 5]` of rows of `columns` logits."""
        with torch.no_grad():
            total = row_loss.double().sum()
            self.sums += torch.stack([total, *(hits[:, :k].sum() for k in TOP)])
        nothing = (0.0,) * len(self.sums)
        self.done = self.done.plus(Counts(nothing, len(row_loss), 1, 1 / columns, columns))

    def counts(self) -> Counts:
        return self.done._replace(sums=tuple(self.sums.tolist()))
