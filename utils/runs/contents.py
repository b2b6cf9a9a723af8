"""What a checkpoint holds that a run goes on from: one description of every value in it."""

import math
import sys
from typing import Any, NamedTuple

import torch

from utils.config.checks import from_stored
from utils.errors import UsageError
from utils.runs.structure import (
    FLOATS,
    INTEGERS,
    Check,
    MisfitError,
    Words,
    anything,
    choice,
    items,
    mapping,
    number,
    record,
    row,
    tensor,
    text,
    unless,
)

COUNT = number(int, 0)
POSITIVE = number(float, 0)


class Limits(NamedTuple):
    """Of a run's data: batches of an epoch, clips, and classes."""

    batches: int = sys.maxsize
    clips: int = sys.maxsize
    classes: int = sys.maxsize


def position(limits: Limits) -> Check:
    """Describe `Position.plain()` in model/training/meter.py."""
    done = number(int, 0, limits.batches)
    # the sums of the loss and of the top-1, 3 and 5 hits; rows, batches, chances, fewest columns
    sums = row(number(float), POSITIVE, POSITIVE, POSITIVE)
    counts = row(sums, COUNT, done, POSITIVE, number(float, 1, math.inf))
    fault = row(COUNT, text, text)
    per_clip: list[int | None] = [None, None]
    labels = tensor(INTEGERS, [None, None, 2], least=0, below=limits.classes)
    predicted = tensor(INTEGERS, per_clip, least=0, below=limits.classes)
    rank = tensor(INTEGERS, per_clip, least=0, below=limits.classes + 1)
    predictions = row(labels, predicted, tensor(FLOATS, per_clip), rank)
    clip = tensor(INTEGERS, [None], least=0, below=limits.clips)
    batch = row(number(int, 0, limits.batches), clip, predictions)
    whole = row(done, counts, COUNT, row(POSITIVE, POSITIVE, POSITIVE), items(fault), items(batch))

    def check(value: Any, name: str) -> None:
        whole(value, name)
        (sums, rows, batches, _, _), evaluated = value[1], value[2]
        in_all = batches <= value[0] and bool(rows) == bool(batches) == bool(evaluated)
        if not in_all or max(sums[1:]) > rows:
            raise MisfitError(f"{name}[1]", value[1])
        for index, (_, own, parts) in enumerate(value[5]):
            if len({part.shape[:2] for part in parts}) > 1 or len(parts[0]) != len(own):
                raise MisfitError(f"{name}[5][{index}]", parts)

    return check


def positions_within(limits: Limits) -> Check:
    """Describe the positions of all ranks, which are None before an epoch."""
    return items(unless(None, position(limits)))


def content() -> Check:
    """Describe a checkpoint; what its tensors must fit, the model and the optimizer tell."""
    generator = tensor([torch.uint8], torch.get_rng_state().shape)
    scaler = {
        "scale": number(float, sys.float_info.min),
        "growth_factor": number(float, 1),
        "backoff_factor": number(float, 0, 1),
        "growth_interval": number(int, 1),
        "_growth_tracker": COUNT,
    }
    fields = {
        **{"epoch": number(int, -1), "net": text, "model": text, "best_acc": number(float, 0, 1)},
        "iteration": COUNT,
        "state_dict": mapping(tensor()),
        "optimizer": record({"state": mapping(anything, COUNT), "param_groups": items(anything)}),
        "scaler": unless({}, record(scaler)),
        "best": mapping(row(COUNT, number(float, 0, 1)), choice("expected", "unexpected")),
        "config": mapping(anything),
        "classes": items(text),
        "random_states": items(
            record({"torch": generator, "cuda": tensor([torch.uint8])}, optional=["cuda"])
        ),
        "position": positions_within(Limits()),
    }
    return record(fields, optional=["net", "model", "best_acc", "classes", "position"])


def check_content(value: dict[str, Any]) -> None:
    """Raise MisfitError unless a run can go on from a checkpoint with this content."""
    content()(value, "")
    try:
        config = from_stored(value["config"])
    except UsageError as error:
        raise MisfitError("config", Words(f"wrong: {error}")) from None
    number(int, -1, config.num_epochs)(value["epoch"], "epoch")
    mapping(row(number(int, 0, max(0, value["epoch"])), anything))(value["best"], "best")
    for name in ("random_states", "position"):
        if value.get(name, [None]) == []:
            raise MisfitError(name, [])
