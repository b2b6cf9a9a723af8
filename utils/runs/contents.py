"""What a checkpoint holds that a run goes on from, and what each value may be."""

import sys
from typing import Annotated, Any, TypedDict

import torch
from torch import Tensor

from utils.config.checks import from_stored
from utils.errors import UsageError
from utils.runs.positions import Best, Count, Position
from utils.runs.structure import Form, MisfitError, Range, typed

Share = Annotated[float, Range(0, 1)]
Generator = Annotated[Tensor, Form([torch.uint8], [None])]  # the state of one
Phase = Annotated[str, ("expected", "unexpected").__contains__]


class _Parameters(TypedDict):
    params: list[Count]


class ParameterGroup(_Parameters, total=False):
    """The parameters of an optimizer's group, and SGD's momentum, which Adam hasn't.

    The other settings are those of the run's configuration.
    """

    momentum: Share


class OptimizerState(TypedDict):
    """The state of each parameter, which has to fit the parameter."""

    state: dict[Count, Any]
    param_groups: list[ParameterGroup]


class ScalerState(TypedDict):
    """The state of torch's GradScaler."""

    scale: Annotated[float, Range(sys.float_info.min)]
    growth_factor: Annotated[float, Range(1)]
    backoff_factor: Share
    growth_interval: Annotated[int, Range(1)]
    _growth_tracker: Count


class Needed(TypedDict):
    """What every checkpoint holds; lists have an item for each rank."""

    epoch: Annotated[int, Range(-1)]
    iteration: Count
    state_dict: dict[str, Tensor]
    optimizer: OptimizerState
    scaler: dict[str, Any]
    best: dict[Phase, Best]
    config: dict[str, Any]
    random_states: Annotated[list[dict[str, Generator]], len]


class Checkpoint(Needed, total=False):
    """What a checkpoint holds; without a position it is that of a whole epoch."""

    net: str
    model: str
    best_acc: Share
    classes: list[str]
    position: Annotated[list[Position | None], len]


def checkpoint_of(content: dict[str, Any], told: str) -> dict[str, Any]:
    """Return what a file holds as a Checkpoint that a run can go on from; raises UsageError."""
    try:
        made = typed(content, Checkpoint, "")
        epoch, config = made["epoch"], from_stored(made["config"])
        if epoch > config.num_epochs:
            raise MisfitError(f"epoch is {epoch} of {config.num_epochs}")
        for phase, best in made["best"].items():
            if best.epoch > epoch:
                raise MisfitError(f"best.{phase}.epoch is {best.epoch} after epoch {epoch}")
    except (MisfitError, UsageError) as error:
        raise UsageError(f"{told}: {error}; name another checkpoint") from error
    return made
