"""The contrastive loss, and what else is read from a score (Han et al. 2019, equation 5).

A score `[B, P, S, B, P, S]` holds the dot product of every predicted vector with every true one.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.dpc import score
from model.metrics import hits

POSITIVE, EASY, TEMPORAL, SPATIAL = 1, 0, -1, -3


class Contrast(NamedTuple):
    """Loss and top-5 hits of each prediction, and the best-matching block of each predicted one.

    `loss` is `[B, P, S]`, `hits` `[B*P*S, up to 5]` (see model.metrics). `best` `[B, P]` is the
    true block with the highest score, averaged over all pairs of positions: c*P + q for step q of
    clip c.
    """

    loss: Tensor
    hits: Tensor
    best: Tensor


def contrast(predicted: Tensor, targets: Tensor, first: int = 0) -> Contrast:
    """Compute the InfoNCE loss of `predicted` `[B, P, F, S]` against all `targets` `[B', P, F, S]`.

    The predictions' own clips start at target clip `first`.
    """
    scores = score(predicted, targets)  # [B, P, S, B', P, S]
    loss = contrastive_loss(scores, first)  # [B, P, S]
    best = scores.mean(dim=(2, 5)).flatten(2).argmax(dim=2)  # [B, P]
    return Contrast(loss, hits(*contrastive_logits(scores, first)), best)


def contrastive_logits(score: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits `[B*P*S, B'*P*S]`, predictions × true vectors, and each row's target column.

    Rows and columns are in the same order, so the positives (same clip, step and position) are the
    diagonal that starts at column `first`*P*S.
    """
    logits = score.flatten(3).flatten(0, 2)  # [B*P*S, B'*P*S]
    target = torch.arange(len(logits), device=score.device)  # [B*P*S]
    return logits, target + first * score.shape[1] * score.shape[2]


def contrastive_loss(score: Tensor, first: int = 0) -> Tensor:
    """Return the cross entropy `[B, P, S]` of each prediction over all true vectors."""
    logits, target = contrastive_logits(score, first)
    losses = functional.cross_entropy(logits, target, reduction="none")  # [B*P*S]
    return losses.view(score.shape[:3])  # [B, P, S]


def negative_kinds(batch: int, steps: int, positions: int) -> Tensor:
    """Return the kind of each pair of a score, int8 `[B, P, S, B, P, S]`.

    EASY: another clip. SPATIAL: the same clip, another position. TEMPORAL: the same clip and
    position, another step. POSITIVE: the same clip, step and position.
    """
    clip, step, position = torch.meshgrid(
        torch.arange(batch), torch.arange(steps), torch.arange(positions), indexing="ij"
    )  # each [B, P, S]
    here, there = (..., None, None, None), (None, None, None, ...)
    same_clip = clip[here] == clip[there]  # [B, P, S, B, P, S]
    same_position = position[here] == position[there]
    same_step = step[here] == step[there]
    kinds = torch.full(same_clip.shape, EASY, dtype=torch.int8)
    kinds[same_clip & ~same_position] = SPATIAL
    kinds[same_clip & same_position & ~same_step] = TEMPORAL
    kinds[same_clip & same_position & same_step] = POSITIVE
    return kinds
