"""Mean responses to each image, over the blocks that show it and over nodes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.analysis.loading import list_images, list_responses
from utils.analysis.moments import pooled
from utils.analysis.recorded import Recorded


class ResponseRow(NamedTuple):
    """A row of responses.csv."""

    epoch: int
    when: str
    module: str
    kind: str
    image: str
    blocks: int
    mean: float
    mean_abs: float
    relative: float


def measure(recorded: Recorded) -> list[ResponseRow]:
    """Return the rows of a pass, whose `relative` needs those of the other passes."""
    rows = []
    for module, kind in list_responses(recorded):
        for image in list_images(recorded):
            group = recorded.group(image)
            found = None if group is None else pooled(recorded, f"{module}_{kind}", [group])
            if found is not None:
                means = (float(found.mean.mean()), float(abs(found.mean).mean()))
                where = (*recorded.of, module, kind, image)
                rows.append(ResponseRow(*where, found.blocks, *means, np.nan))
    return rows


def relate(rows: Sequence[ResponseRow]) -> list[ResponseRow]:
    """Return rows in the order of epochs with `mean_abs` relative to the first of its `when`."""
    first: dict[tuple[str, ...], float] = {}
    related = []
    for row in rows:
        base = first.setdefault((row.when, row.module, row.kind, row.image), row.mean_abs)
        related.append(row._replace(relative=row.mean_abs / base if base else np.nan))
    return related
