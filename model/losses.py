"""The contrastive loss over a score `[B, P, S, B, P, S]`, predicted × true (Han et al. 2019,
equation 5).
"""

import torch
from torch import Tensor
from torch.nn import functional

POSITIVE, EASY, TEMPORAL, SPATIAL = 1, 0, -1, -3


def contrastive_logits(score: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
    """→ (logits `[R, R']`, target `[R]`), R = B·P·S: a row is a prediction, a column a true vector.

    Rows and columns are in the same order, so the positive (same clip, step and position) is the
    diagonal; or, where there are more clips in the columns, that from their clip `first` on.
    """
    logits = score.flatten(3).flatten(0, 2)
    target = torch.arange(len(logits), device=score.device)
    return logits, target + first * score.shape[1] * score.shape[2]


def contrastive_loss(score: Tensor, first: int = 0) -> Tensor:
    """Cross entropy of each prediction over all true vectors of the batch, `[B, P, S]`."""
    logits, target = contrastive_logits(score, first)
    return functional.cross_entropy(logits, target, reduction="none").view(score.shape[:3])


def negative_kinds(batch: int, steps: int, positions: int) -> Tensor:
    """The kind of each pair of a score, int8 `[B, P, S, B, P, S]`.

    EASY: another clip. SPATIAL: the same clip, another position. TEMPORAL: the same clip and
    position, another step. POSITIVE: the same clip, step and position.
    """
    clip, step, position = torch.meshgrid(
        torch.arange(batch), torch.arange(steps), torch.arange(positions), indexing="ij"
    )
    here, there = (..., None, None, None), (None, None, None, ...)
    same_clip = clip[here] == clip[there]
    same_position = position[here] == position[there]
    same_step = step[here] == step[there]
    kinds = torch.full(same_clip.shape, EASY, dtype=torch.int8)
    kinds[same_clip & ~same_position] = SPATIAL
    kinds[same_clip & same_position & ~same_step] = TEMPORAL
    kinds[same_clip & same_position & same_step] = POSITIVE
    return kinds
