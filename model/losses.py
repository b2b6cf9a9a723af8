"""The contrastive loss, and what else is read from a score (Han et al. 2019, equation 5).

A score `[B, P, S, B, P, S]` holds the dot product of every predicted vector with every true one.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.dpc import score
from model.metrics import best_candidates

POSITIVE, EASY, TEMPORAL, SPATIAL = 1, 0, -1, -3


class Contrast(NamedTuple):
    """Loss and top-5 hits of each prediction, and the best-matching block of each predicted one.

    `loss` is `[B, P, S]`, `hits` `[B*P*S, up to 5]` (see model.metrics). `best` `[B, P]` is the
    true block with the highest score, averaged over all pairs of positions: c*P + q for step q of
    clip c. `winner` `[B*P*S]` is the true vector with the highest score: (c*P + q)*S + r for its
    position r.
    """

    loss: Tensor
    hits: Tensor
    best: Tensor
    winner: Tensor


def contrast(predicted: Tensor, targets: Tensor, first: int = 0) -> Contrast:
    """Compute the InfoNCE loss of `predicted` `[B, P, F, S]` against all `targets` `[B', P, F, S]`.

    The predictions' own clips start at target clip `first`.
    """
    scores = score(predicted, targets)  # [B, P, S, B', P, S]
    loss = contrastive_loss(scores, first)  # [B, P, S]
    best = scores.mean(dim=(2, 5)).flatten(2).argmax(dim=2)  # [B, P]
    logits, target = contrastive_logits(scores, first)
    found = best_candidates(logits)  # [B*P*S, up to 5]
    return Contrast(loss, found == target[:, None], best, found[:, 0])


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


class KindSums(NamedTuple):
    """Sums over the pairs of each kind: POSITIVE, EASY, SPATIAL and TEMPORAL, in this order.

    `scores`, float64 `[4]`, sums the scores of the pairs, and `pairs` is their number. `winners`,
    float64 `[4]`, counts the predictions whose best candidate is of this kind.
    """

    scores: Tensor
    winners: Tensor
    pairs: tuple[int, int, int, int]


def sum_by_kind(predicted: Tensor, targets: Tensor, winner: Tensor, first: int = 0) -> KindSums:
    """Sum over a score's pairs by kind (see `negative_kinds`), but compute no pair's score.

    `predicted` `[B, P, F, S]`, `targets` `[B', P, F, S]` and `first` are those of `contrast`, and
    `winner` is what it returns. No gradients flow.
    """
    B, P, _, S = predicted.shape
    with torch.no_grad():
        scores = _sum_nested_scores(predicted, targets, first)  # [4]
        winners = _count_nested_winners(winner, P * S, S, first)  # [4]
        scores, winners = _apart(scores), _apart(winners)  # [4] each
    easy, spatial = B * (len(targets) - 1) * (P * S) ** 2, B * P**2 * S * (S - 1)
    return KindSums(scores, winners, (B * P * S, easy, spatial, B * P * (P - 1) * S))


def _sum_nested_scores(predicted: Tensor, targets: Tensor, first: int) -> Tensor:
    """Return the sums of the scores of four sets of pairs, each within the one before, `[4]`.

    The sets: all pairs; the same clip; the same clip and position; the positives. A sum of dot
    products is the dot product of sums, so vectors are summed before they are multiplied. This is
    in float64, since the differences of the sums are wanted.
    """
    predicted, targets = predicted.double(), targets.double()  # [B, P, F, S], [B', P, F, S]
    own = slice(first, first + len(predicted))
    positives = (predicted * targets[own]).sum()
    predicted, targets = predicted.sum(dim=1), targets.sum(dim=1)  # [B, F, S], [B', F, S]
    same_position = (predicted * targets[own]).sum()
    predicted, targets = predicted.sum(dim=2), targets.sum(dim=2)  # [B, F], [B', F]
    same_clip = (predicted * targets[own]).sum()
    everything = (predicted.sum(dim=0) * targets.sum(dim=0)).sum()
    return torch.stack([everything, same_clip, same_position, positives])  # [4]


def _count_nested_winners(winner: Tensor, vectors: int, positions: int, first: int) -> Tensor:
    """Return how many winners are in each set of `_sum_nested_scores`, `[4]`.

    A clip has `vectors` true vectors (P*S), and a step of it `positions` (S).
    """
    positive = torch.arange(len(winner), device=winner.device) + first * vectors  # [B*P*S]
    is_right = winner == positive
    same_clip = winner // vectors == positive // vectors
    same_position = same_clip & (winner % positions == positive % positions)
    sets = torch.stack([torch.ones_like(is_right), same_clip, same_position, is_right])
    return sets.sum(dim=1, dtype=torch.float64)  # [4]


def _apart(nested: Tensor) -> Tensor:
    """Return the sums over POSITIVE, EASY, SPATIAL and TEMPORAL pairs from those over the sets."""
    return torch.cat([nested[3:], nested[:3] - nested[1:]])  # [4]
