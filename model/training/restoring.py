"""What a run goes on with: its weights, optimizer, random states and position."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from model.training.learner import Learner
from model.training.meter import Position
from model.training.saving import Best, State
from model.training.weights import load_exactly
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.runs.contents import Limits, positions_within
from utils.runs.structure import (
    Check,
    MisfitError,
    choice,
    like,
    record,
    row,
    tensor,
    unless,
)
from utils.runtime.processes import Processes
from utils.samples import Loader


def restore(
    content: dict[str, Any], path: Path, learner: Learner, config: Config, loader: Loader
) -> tuple[State, Position | None]:
    """Load what a checkpoint of this run holds: weights, optimizer and torch's random states.

    With --reset_lr the optimizer starts anew. The random states of another number of processes are
    left out, with a warning. `loader` is that of the training set. Returns the run's state and
    this rank's position within an epoch, if the checkpoint holds one. Raises UsageError for what
    does not fit the model, the optimizer or the data set.
    """
    samples = loader.samples
    classes = [info.name for info in samples.classes]
    stored = content.get("classes", classes)
    if stored != classes:
        pairs = zip_longest(stored, classes)
        number, pair = next((n, pair) for n, pair in enumerate(pairs) if pair[0] != pair[1])
        raise UsageError(
            f"--resume {path}: its classes are other ones than the data set's, or in another "
            f"order: class {number} is {pair[0]!r}, and {pair[1]!r} here; put the data set's class "
            "list back"
        )
    load_exactly(learner.model, content, f"--resume {path}")
    try:
        limits = Limits(len(loader), len(samples), len(classes))
        positions_within(limits)(content.get("position", [None]), "position")
        if not config.reset_lr:
            restore_optimizer(content, learner)
        restore_random_state(content["random_states"], learner)
    except MisfitError as error:
        raise UsageError(f"--resume {path}: {error}; name another checkpoint") from error
    best = {phase: Best(*value) for phase, value in content["best"].items()}
    state = State(content["epoch"], content["iteration"], best)
    return state, own_position(content, learner.runtime.processes)


def restore_optimizer(content: dict[str, Any], learner: Learner) -> None:
    """Restore the optimizer's moments; its settings are those of the run's configuration."""
    groups = learner.optimizer.state_dict()["param_groups"]
    optimizer_like(learner.optimizer, groups)(content["optimizer"], "optimizer")
    state = content["optimizer"]["state"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    if content["scaler"] and learner.scaler.is_enabled():
        learner.scaler.load_state_dict(content["scaler"])


def optimizer_like(optimizer: torch.optim.Optimizer, groups: list[dict[str, Any]]) -> Check:
    """Describe the stored state of an Adam over the same parameters; it is empty before a step."""
    moments = {}
    for index, parameter in enumerate(
        p for group in optimizer.param_groups for p in group["params"]
    ):
        shape = list(parameter.shape)
        moments[index] = record(
            {
                "step": tensor([torch.float32], [], least=0),
                "exp_avg": tensor([parameter.dtype], shape),
                "exp_avg_sq": tensor([parameter.dtype], shape, least=0),
            }
        )
    settings = []
    for group in groups:
        fields = {name: like(value) for name, value in group.items() if name != "params"}
        numbers = row(*map(choice, group["params"]))
        settings.append(
            record({"params": numbers, **fields}, optional=fields)
        )  # as torch adds some
    return record({"state": unless({}, record(moments)), "param_groups": row(*settings)})


def restore_random_state(states: list[dict[str, Any]], learner: Learner) -> None:
    """Set torch's random states to this rank's."""
    processes, device = learner.runtime.processes, learner.runtime.device
    if len(states) != processes.count:
        log.warning(
            "the run had %d processes and now has %d: dropout and negatives will differ",
            len(states),
            processes.count,
        )
        return
    own = states[processes.rank]
    try:
        torch.set_rng_state(own["torch"])
        if "cuda" in own and device.type == "cuda":
            torch.cuda.set_rng_state(own["cuda"], device)
    except (RuntimeError, TypeError) as error:
        raise MisfitError(f"random_states[{processes.rank}]", str(error)) from error


def own_position(content: dict[str, Any], processes: Processes) -> Position | None:
    """Return where this rank goes on within an epoch, if the checkpoint holds a position.

    Raises UsageError unless as many processes saved it.
    """
    positions = content.get("position", [None])
    if positions[0] is None:
        return None
    if len(positions) != processes.count:
        raise UsageError(
            f"the position was saved by {len(positions)} processes: start as many, or resume the "
            "run's folder"
        )
    return Position.from_plain(positions[processes.rank])
