"""Measured responses to the stimuli of a run, and their comparison with its representations."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.analysis import similarity
from utils.analysis.loading import Condition
from utils.analysis.recorded import Recorded
from utils.analysis.representations import (
    BLOCKS,
    CONDITIONS,
    NEURAL,
    Clips,
    Representation,
    SimilarityRow,
    all_conditions,
    similar,
)
from utils.errors import UsageError
from utils.files import reason, regular_only
from utils.logs import log

FEWEST_NEURONS = 3  # a correlation over two is 1 or −1, whatever the responses


class Neural(NamedTuple):
    """Measured responses `[rows, neurons]`, a row without a measurement being NaN.

    The rows are `conditions`; where these are None, they are the blocks of the clips of an epoch.
    """

    responses: np.ndarray
    conditions: list[Condition] | None


def read_responses(path: Path) -> np.ndarray:
    """Read an array `[rows, neurons]` as float64; raises UsageError, which names the file.

    Rows without any value stay, as NaN. Then neurons with missing values are left out, which is
    logged. A value that is not finite is missing.
    """
    told = f"--neural {path}"
    try:
        with open(path, "rb", opener=regular_only) as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise UsageError(f"{told}: no such file") from error
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise UsageError(f"{told}: can't be read as .npy ({reason(error)})") from error
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise UsageError(
            f"{told}: holds {values.dtype} of shape {values.shape}; save an array of numbers, "
            "[rows, neurons]"
        )
    responses = values.astype(np.float64)
    responses[~np.isfinite(responses)] = np.nan
    measured = ~np.isnan(responses).all(1)
    complete = ~np.isnan(responses[measured]).any(0)
    if measured.sum() < similarity.FEWEST or complete.sum() < FEWEST_NEURONS:
        raise UsageError(
            f"{told}: has {int(complete.sum())} neurons without a missing value and "
            f"{int(measured.sum())} rows with values; {FEWEST_NEURONS} and "
            f"{similarity.FEWEST} are needed"
        )
    if not complete.all():
        log.warning("%s: %d neurons with missing values left out", told, (~complete).sum())
    if not measured.all():
        log.warning("%s: %d rows without values left out", told, (~measured).sum())
    return responses[:, complete]


def match(responses: np.ndarray, path: Path, shown: Sequence[tuple[Recorded, Clips]]) -> Neural:
    """Find out from their number what the rows are; raises UsageError where nothing fits.

    They are the conditions of all passes, as in conditions.csv, or those of one pass; or else they
    are the blocks of the one epoch whose clips were shown.
    """
    number, every = len(responses), all_conditions([clips for _, clips in shown])
    told = f"--neural {path}: has {number} rows"
    fitting = [clips.conditions for _, clips in shown if len(clips.conditions) == number]
    if number == len(every):
        return Neural(responses, every)
    if fitting and all(one == fitting[0] for one in fitting):
        return Neural(responses, fitting[0])
    if fitting:
        raise UsageError(
            f"{told}, as the conditions of several passes, which differ; give a row for each of "
            f"the {len(every)} conditions of all passes, NaN where one wasn't measured"
        )
    fits = [clips for _, clips in shown if number == len(clips.blocks)]
    if fits and all(np.array_equal(fits[0].blocks, clips.blocks) for clips in fits):
        return Neural(responses, None)
    if fits:
        epochs = ", ".join(str(e) for e in sorted({int(clips.blocks[0, 0]) for clips in fits}))
        raise UsageError(
            f"{told}, as the blocks of the clips of epochs {epochs}, which differ; record all "
            "passes on the clips of one epoch (--analysis_epoch N), or give a row for each "
            "condition (image × orientation)"
        )
    numbers = "; ".join(
        f"{recorded.of.name} {len(clips.conditions)} or {len(clips.blocks)}"
        for recorded, clips in shown
    )
    raise UsageError(
        f"{told}; all passes have {len(every)} conditions (image × orientation), and each has so "
        f"many conditions or blocks: {numbers}"
    )


def compare_with(neural: Neural, found: Sequence[Representation]) -> list[SimilarityRow]:
    """Compare each representation with the measured responses to the same conditions or blocks."""
    rows = []
    for one in found:
        if neural.conditions is not None:
            common = [c for c in neural.conditions if c in one.clips.conditions]
            model = one.means[[one.clips.conditions.index(c) for c in common]]
            measured = neural.responses[[neural.conditions.index(c) for c in common]]
            level, ceiling = CONDITIONS, one.ceiling
        elif len(neural.responses) == len(one.clips.blocks):
            model, measured = one.blocks, neural.responses[one.clips.chosen]
            level, ceiling = BLOCKS, np.nan
        else:
            continue
        compared = similarity.compare(model, measured) if len(model) else None
        if compared is not None:
            rows.append(similar(one, NEURAL, level, compared, ceiling))
    return rows
