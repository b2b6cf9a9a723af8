"""Hits of logits: whether the true candidate is among the best ones."""

from torch import Tensor

TOP = (1, 3, 5)


def hits(logits: Tensor, target: Tensor) -> Tensor:
    """Return whether the best, second best, … of each row is its target: bool `[R, up to 5]`.

    `logits` `[R, K]`, `target` `[R]`.
    """
    best = logits.detach().topk(min(TOP[-1], logits.shape[1]), dim=1).indices  # [R, up to 5]
    return best == target[:, None]
