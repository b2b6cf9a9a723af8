"""The contrastive loss over a score `[B, P, S, B, P, S]`, predicted × true (Han et al. 2019,
equation 5), and what else is read from it.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from model.dpc import score
from model.metrics import hits

POSITIVE, EASY, TEMPORAL, SPATIAL = 1, 0, -1, -3

# Bytes of the scores computed at once; with their backward they take about three times as much. A
# process's own clips stay below at the published sizes (151 MB for 128 clips of 3 steps and 16
# positions); gathered ones may pass it, since a score grows with clips here × clips everywhere.
SCORE_LIMIT = 256 * 2**20


class Contrast(NamedTuple):
    """Of each prediction its `loss` `[B, P, S]` and `hits` `[B·P·S, up to 5]` (utils.metrics); of
    each predicted block `best` `[B, P]`, the true block of all with the highest score, averaged
    over all pairs of positions: c·P + q for step q of clip c."""

    loss: Tensor
    hits: Tensor
    best: Tensor


def contrast(predicted: Tensor, targets: Tensor, first: int = 0) -> Contrast:
    """Of vectors `[B, P, F, S]` and `[B', P, F, S]`, the latter of more clips, perhaps: those of
    the predictions are the ones from `first` on.

    A score of more than SCORE_LIMIT is computed for a few clips' predictions at a time, and again
    in backward, so that no more than one such part of it is ever there.
    """
    B, P, _, S = predicted.shape
    clip_bytes = P * S * len(targets) * P * S * predicted.element_size()
    clips = max(1, SCORE_LIMIT // clip_bytes)
    if clips >= B:
        return contrast_at_once(predicted, targets, first)
    starts = range(first, first + B, clips)
    parts = [
        checkpoint(
            contrast_at_once, part, targets, start, use_reentrant=False, preserve_rng_state=False
        )
        for part, start in zip(predicted.split(clips), starts, strict=True)
    ]
    return Contrast(*map(torch.cat, zip(*parts, strict=True)))


def contrast_at_once(predicted: Tensor, targets: Tensor, first: int) -> Contrast:
    scores = score(predicted, targets)  # [B, P, S, B', P, S]
    # the loss comes first: backward computes again what lies before it, and nothing after it
    loss = contrastive_loss(scores, first)  # [B, P, S]
    best = scores.mean(dim=(2, 5)).flatten(2).argmax(dim=2)  # [B, P]
    return Contrast(loss, hits(*contrastive_logits(scores, first)), best)


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
