"""A contrastive score that would be large, computed for a few clips at a time."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.losses import Contrast, contrast

# Bytes of the scores computed at once; with their backward they take about three times as much. A
# process's own clips stay below at the published sizes (151 MB for 128 clips of 3 steps and 16
# positions). Gathered ones may pass it, since a score grows with clips here × clips everywhere.
SCORE_LIMIT = 256 * 2**20


def contrast_in_blocks(predicted: Tensor, targets: Tensor, first: int = 0) -> Contrast:
    """Compute what `contrast` does, with at most SCORE_LIMIT bytes of the score in memory.

    A larger score is computed for a few clips' predictions at a time, and again in backward.
    """
    B, P, _, S = predicted.shape
    clip_bytes = P * S * len(targets) * P * S * predicted.element_size()
    clips = max(1, SCORE_LIMIT // clip_bytes)
    if clips >= B:
        return contrast(predicted, targets, first)
    # backward computes again what contrast needs for its loss, which comes first there
    parts = [
        checkpoint(contrast, part, targets, start, use_reentrant=False, preserve_rng_state=False)
        for part, start in zip(predicted.split(clips), range(first, first + B, clips), strict=True)
    ]
    return Contrast(*map(torch.cat, zip(*parts, strict=True)))
