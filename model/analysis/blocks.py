"""The rows of a pass: what is kept of each predicted block of each clip."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from model.analysis.hooks import Responses
from utils.samples import Batch, ClassInfo


class BlockRows(NamedTuple):
    """The rows of a batch's B clips with P predicted blocks each, on the CPU.

    `number` is the batch's place in the epoch, `item` `[B]`; `labels` `[B, P, 2]` and `loss`
    `[B, P]` are as the task gives them. `vectors` `[B*P, C]` and `maps` `[B*P, C, D, D]` are by
    name, in float32.
    """

    number: int
    item: Tensor
    labels: Tensor
    loss: Tensor
    vectors: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]


def named_responses(responses: Responses) -> dict[str, Tensor]:
    """Return the activations and errors, `[B, P, C, D, D]` each, by the names of their files."""
    return {
        f"{module}_{kind}": found[module]
        for module in responses.activations
        for kind, found in (("activation", responses.activations), ("error", responses.errors))
    }


def rows_of(batch: Batch, responses: Responses, keep_maps: bool) -> BlockRows:
    """Return the rows of a batch."""
    named = named_responses(responses)
    means = {name: values.mean(dim=(3, 4)) for name, values in named.items()}  # [B, P, C]
    predictions = responses.output.predictions
    return BlockRows(
        batch.number,
        batch.item.cpu(),
        predictions.labels.cpu(),
        predictions.loss.cpu(),
        {name: _rows(values) for name, values in {**means, **responses.stages}.items()},
        {name: _rows(values) for name, values in named.items()} if keep_maps else {},
    )


def _rows(values: Tensor) -> np.ndarray:
    return values.flatten(0, 1).to("cpu", torch.float32).numpy()  # [B*P, ...]


def table_of(batches: list[BlockRows], classes: tuple[ClassInfo, ...], epoch: int) -> pd.DataFrame:
    """Return the table of blocks; `epoch` is that of the clips."""
    rows = []
    for one in batches:
        for item, labels, losses in zip(one.item.tolist(), one.labels, one.loss, strict=True):
            for step, ((target, is_U), loss) in enumerate(
                zip(labels.tolist(), losses.tolist(), strict=True)
            ):
                info = classes[target]
                image = info.shown(bool(is_U))
                rows.append((epoch, item, step, image, info.orientation, is_U, loss))
    columns = ["epoch", "item", "step", "image", "orientation", "is_U", "loss"]
    table = pd.DataFrame(rows, columns=columns)
    table["orientation"] = table["orientation"].astype("float64")  # also where none has one
    return table


def joined(batches: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of all batches one after another, by name."""
    return {name: np.concatenate([one[name] for one in batches]) for name in batches[0]}
