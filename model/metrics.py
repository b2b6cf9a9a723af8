"""Hits of logits: whether the true candidate is among the best ones."""

from torch import Tensor

TOP = (1, 3, 5)


def best_candidates(logits: Tensor) -> Tensor:
    """Return the indices of each row's best, second best, … candidate, `[R, up to 5]`.

    `logits` `[R, K]`.
    """
    return logits.detach().topk(min(TOP[-1], logits.shape[1]), dim=1).indices


def hits(logits: Tensor, target: Tensor) -> Tensor:
    """Return whether the best, second best, … of each row is its target: bool `[R, up to 5]`.

    `logits` `[R, K]`, `target` `[R]`.
    """
    return best_candidates(logits) == target[:, None]
