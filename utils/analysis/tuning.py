"""Orientation and direction selectivity of channels, from mean responses to each orientation."""

from typing import NamedTuple

import numpy as np

from utils.analysis.loading import list_stages
from utils.analysis.moments import pooled
from utils.analysis.recorded import ANY, Recorded

ROUNDING = 1e-9  # as a share of the largest response
HALF_TURN, FULL_TURN = 180.0, 360.0  # the periods of orientation and of direction, in degrees


class TuningRow(NamedTuple):
    """A row of tuning.csv."""

    epoch: int
    when: str
    stage: str
    channels: int
    osi_mean: float
    osi_sd: float
    osi_median: float
    dsi_mean: float
    dsi_sd: float
    dsi_median: float


class Curve(NamedTuple):
    """Mean responses `[n, C]` of channels to n angles in degrees, and the blocks of each, `[n]`."""

    angles: np.ndarray
    blocks: np.ndarray
    responses: np.ndarray


def measure(recorded: Recorded) -> tuple[list[TuningRow], dict[str, np.ndarray]]:
    """Return the rows of a pass, and each channel's OSI and DSI by the names in README.md.

    Both are empty where the images' orientations allow neither. `channels` counts those with an
    OSI, or, where orientations allow none, with a DSI.
    """
    rows, arrays = [], {}
    for stage in list_stages(recorded):
        curve = tuning_curve(recorded, stage)
        if curve is None:
            continue
        osi, dsi = (selectivity(curve, period) for period in (HALF_TURN, FULL_TURN))
        sizes = [int(np.isfinite(index).sum()) for index in (osi, dsi)]
        if not any(sizes):
            continue
        summary = (*_summary(osi), *_summary(dsi))
        rows.append(TuningRow(*recorded.of, stage, sizes[0] or sizes[1], *summary))
        arrays[f"{recorded.of.name}_{stage}_osi"] = osi
        arrays[f"{recorded.of.name}_{stage}_dsi"] = dsi
    return rows, arrays


def tuning_curve(recorded: Recorded, stage: str) -> Curve | None:
    """Return the mean responses to each orientation, over all images and steps; None for none."""
    angles, blocks, responses = [], [], []
    for index, (image, angle) in enumerate(recorded.groups):
        if image == ANY and not np.isnan(angle):
            found = pooled(recorded, stage, [index])
            if found is not None:
                angles.append(angle)
                blocks.append(found.blocks)
                responses.append(found.mean)
    if not angles:
        return None
    return Curve(np.array(angles), np.array(blocks), np.array(responses))


def folded(curve: Curve, period: float) -> Curve:
    """Return the curve over angles modulo the period, those that coincide averaged over blocks."""
    angles, index = np.unique(curve.angles % period, return_inverse=True)
    member = index == np.arange(len(angles))[:, None]  # [angles, n]
    blocks = member @ curve.blocks
    responses = (member * curve.blocks) @ curve.responses / blocks[:, None]
    return Curve(angles, blocks, responses)


def are_even(angles: np.ndarray, period: float) -> bool:
    """Return whether at least three ascending angles divide the period evenly."""
    steps = np.diff([*angles, angles[0] + period])
    return len(angles) > 2 and bool(np.allclose(steps, period / len(angles)))


def selectivity(curve: Curve, period: float) -> np.ndarray:
    """Return |Σ r·e^(2πiθ/period)| / Σ r of each channel, with r shifted so that its least is 0.

    That is the OSI for a period of 180°, and the DSI for one of 360°: 1 for a channel that
    responds to one orientation or direction alone, 0 where responses are even. NaN for channels
    with the same response to all angles, up to rounding, and for all channels if the angles don't
    divide the period evenly, or are only two: the index would be 1 whatever the responses.
    """
    angles, _, responses = folded(curve, period)
    if not are_even(angles, period):
        return np.full(responses.shape[1], np.nan)
    shifted = responses - responses.min(0)  # [n, C]
    shifted[:, shifted.max(0) <= ROUNDING * abs(responses).max(0)] = np.nan
    turns = np.exp(2j * np.pi * angles / period)
    return abs(turns @ shifted) / shifted.sum(0)


def _summary(index: np.ndarray) -> tuple[float, float, float]:
    """Return mean, population sd and median over channels that have the index."""
    found = index[np.isfinite(index)]
    if not len(found):
        return np.nan, np.nan, np.nan
    return float(found.mean()), float(found.std()), float(np.median(found))
