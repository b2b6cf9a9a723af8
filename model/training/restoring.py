"""What a run goes on with: its weights, optimizer, random states and position."""

from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from model.training.learner import Learner
from model.training.saving import State
from model.training.tensor_names import weights_of
from model.training.weights import Report, load_exactly, load_pretrained
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.runs.contents import ScalerState
from utils.runs.positions import Position
from utils.runs.starts import Start
from utils.runs.structure import Form, MisfitError, shown, typed
from utils.samples import Loader


class Restored(NamedTuple):
    """Where a run goes on, and what became of the tensors of --pretrained."""

    state: State = State()
    position: Position | None = None
    pretrained: Report | None = None


def load_start(start: Start, learner: Learner, loader: Loader) -> Restored:
    """Load the weights, or the whole state, that a run starts from; raises UsageError.

    `loader` is that of the training set.
    """
    config, content = start.config, start.content
    if content is None:
        return Restored()
    if start.resumes:
        return Restored(*restore(content, start.path, learner, config, loader))
    loaded = load_pretrained(learner.model, content, config.pretrained)
    if config.train_what == "last" and any(key.startswith("agg.") for key in loaded.missing):
        log.warning("--train_what last: the weights have no aggregator; a random one is frozen")
    return Restored(pretrained=loaded)


def restore(
    content: dict[str, Any], path: Path, learner: Learner, config: Config, loader: Loader
) -> tuple[State, Position | None]:
    """Load what a checkpoint of this run holds: weights, optimizer and torch's random states.

    With --reset_lr the optimizer starts anew. The random states of another number of processes are
    left out, with a warning. `loader` is that of the training set. Returns the run's state and
    this rank's position within an epoch, if the checkpoint holds one. Raises UsageError for what
    does not fit the model, the optimizer or the data set.
    """
    samples, told = loader.samples, f"--resume {path}"
    classes = [info.name for info in samples.classes]
    check_classes(content.get("classes", classes), classes, told)
    processes, positions = learner.runtime.processes, content.get("position", [None])
    load_exactly(learner.model, weights_of(learner.model, content, told), told)
    try:
        size = (len(loader), len(samples), len(classes))
        for rank, position in enumerate(positions):
            if position is not None:
                position.check(f"position[{rank}]", *size)
        if not config.reset_lr:
            restore_optimizer(content, learner)
        restore_random_state(content["random_states"], learner)
    except MisfitError as error:
        raise UsageError(f"{told}: {error}; name another checkpoint") from error
    state = State(content["epoch"], content["iteration"], content["best"])
    if None in positions:
        return state, None
    if len(positions) != processes.count:
        raise UsageError(
            f"{told}: was saved by {len(positions)} processes within an epoch: start as "
            "many, or resume the run's folder"
        )
    return state, positions[processes.rank]


def check_classes(stored: list[str], classes: list[str], told: str) -> None:
    """Raise UsageError unless a checkpoint's classes are those of the data set, in its order."""
    for number, (before, now) in enumerate(zip_longest(stored, classes)):
        if before != now:
            raise UsageError(
                f"{told}: its classes are other ones than the data set's, or in another order: "
                f"class {number} is {before!r}, and {now!r} here; put the data set's class list "
                "back"
            )


def restore_optimizer(content: dict[str, Any], learner: Learner) -> None:
    """Restore the optimizer's state, if it has stepped; its settings are the configuration's.

    Raises MisfitError unless it is the state of this optimizer and of the same parameters.
    """
    own, stored = learner.optimizer.state_dict()["param_groups"], content["optimizer"]
    there = stored["param_groups"]
    if [group["params"] for group in own] != [group["params"] for group in there]:
        raise MisfitError(f"optimizer.param_groups is {shown(there)}")
    if (before := kinds(there)) != (now := kinds(own)):
        raise MisfitError(f"its optimizer is {' and '.join(before)}, and this run's is {now.pop()}")
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
    forms = {i: form for i, p in enumerate(parameters) if (form := state_form(p, own[0]))}
    state = stored["state"] and typed(stored["state"], forms, "optimizer.state")
    for index, values in state.items():
        for name, value in values.items():
            if value.shape == parameters[index].shape:  # fused kernels need the weight's layout
                values[name] = torch.empty_like(parameters[index]).copy_(value)
    learner.optimizer.load_state_dict({"state": state, "param_groups": own})
    if content["scaler"] and learner.scaler.is_enabled():
        learner.scaler.load_state_dict(typed(content["scaler"], ScalerState, "scaler"))


def kinds(groups: list[dict[str, Any]]) -> set[str]:
    """Return what the groups of an optimizer's parameters learn by, in words."""
    return {
        f"sgd with momentum {group['momentum']:g}" if "momentum" in group else "adam"
        for group in groups
    }


def state_form(parameter: Tensor, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the form of what an optimizer keeps of a parameter: nothing for plain SGD."""
    like = ([parameter.dtype], parameter.shape)
    if "momentum" in settings:
        return {"momentum_buffer": Annotated[Tensor, Form(*like)]} if settings["momentum"] else {}
    return {
        "step": Annotated[Tensor, Form([torch.float32], [], least=0)],
        "exp_avg": Annotated[Tensor, Form(*like)],
        "exp_avg_sq": Annotated[Tensor, Form(*like, least=0)],
    }


def restore_random_state(states: list[dict[str, Tensor]], learner: Learner) -> None:
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
    except (KeyError, RuntimeError) as error:
        raise MisfitError(f"random_states[{processes.rank}] is wrong ({error})") from error
