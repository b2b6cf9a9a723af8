"""How far a run is, and the checkpoints that say so."""

from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from model.training.engine import Learner
from model.training.passes import Position
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.runs import checkpoints
from utils.runtime.processes import Processes


class Best(NamedTuple):
    epoch: int
    top1: float


class State(NamedTuple):
    """How far a run is: `epoch` is the last complete one, -1 before epoch 0; `iteration` counts the
    batches trained on; `best` has the best validation top-1 of each phase."""

    epoch: int = -1
    iteration: int = 0
    best: dict[str, Best] = {}


class Saver:
    """Writes a run's `model` folder. Of several processes all call `save` and `save_position`, and
    the first one writes. At the end of this context all is written; raises RunError where it could
    not be, from whatever comes next."""

    def __init__(
        self,
        config: Config,
        *,
        learner: Learner,
        lr_steps: tuple[int, int] | None,
        dataset: Dataset,
        folder: Path,
    ):
        self.config = config
        self.learner = learner
        self.lr_steps = lr_steps
        self.dataset = dataset
        self.folder = folder
        self.processes = learner.runtime.processes
        self.thread = ThreadPoolExecutor(1)
        self.writing: Future | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *_: object) -> None:
        with self.thread:
            self.wait()

    def wait(self) -> None:
        """Until the last epoch's checkpoint is written."""
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.result()

    def save(self, state: State) -> None:
        """An epoch's checkpoint, as of now; it is written while the run goes on."""
        self.wait()
        content = self.content(state)
        if self.processes.leads:
            self.writing = self.thread.submit(self.write, state, deepcopy(content))

    def write(self, state: State, content: dict[str, Any]) -> None:
        checkpoints.write_checkpoint(self.path(state.epoch), content)
        checkpoints.remove(self.folder / checkpoints.LAST)
        self.settle(state)

    def save_position(self, state: State, position: Position | None) -> None:
        """Where the run is after the last complete epoch: in the training of the next one, or
        before it."""
        self.wait()
        content = self.content(state)
        plain = None if position is None else position.plain()
        content["position"] = self.processes.gather_to_first(plain)
        if self.processes.leads:
            checkpoints.write_checkpoint(self.folder / checkpoints.LAST, content)
        self.processes.barrier()

    def resume(self, state: State) -> State:
        """Mends what a kill or another course of the run has left."""
        if self.processes.leads:
            self.settle(state)
        self.processes.barrier()
        return self.without_lost_best(state)

    def settle(self, state: State) -> None:
        """The best checkpoint gets its name, and those that are not kept go."""
        phase = self.dataset.phase(state.epoch)
        path = self.path(state.epoch)
        if phase in state.best and state.best[phase].epoch == state.epoch and path.exists():
            checkpoints.keep_best(self.folder, path, state.epoch, phase)
        checkpoints.prune(self.folder, self.dataset.landmark_epochs)

    def path(self, epoch: int) -> Path:
        return self.folder / checkpoints.epoch_name(epoch, self.dataset.phase(epoch))

    def best_path(self, state: State, phase: str) -> Path | None:
        if phase not in state.best:
            return None
        return self.folder / checkpoints.best_name(state.best[phase].epoch, phase)

    def without_lost_best(self, state: State) -> State:
        """Going on from an earlier epoch, a later best may have taken an earlier one's place; the
        best is then looked for anew."""
        lost = [phase for phase in state.best if not self.best_path(state, phase).exists()]
        for phase in lost:
            log.warning("the best checkpoint (%s) is gone: the best is looked for anew", phase)
        kept = {phase: best for phase, best in state.best.items() if phase not in lost}
        return state._replace(best=kept)

    def content(self, state: State) -> dict[str, Any]:
        best = state.best.get(self.dataset.phase(max(0, state.epoch)))
        learner = self.learner
        return {
            "epoch": state.epoch,
            "iteration": state.iteration,
            "net": self.config.net,
            "model": self.config.model,
            "state_dict": learner.model.state_dict(),
            "optimizer": learner.optimizer.state_dict(),
            "scaler": learner.scaler.state_dict(),
            "schedule": {"lr": self.config.lr, "steps": self.lr_steps},
            "best_acc": best.top1 if best else 0.0,
            "best": {name: tuple(value) for name, value in state.best.items()},
            "config": vars(self.config),
            "classes": [info.name for info in self.dataset.classes],
            "random_states": self.processes.gather(random_state(learner.runtime.device)),
        }


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Of torch, in this process."""
    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore(
    content: dict[str, Any], learner: Learner, reset_optimizer: bool, weight_decay: float
) -> State:
    """The run's state, torch's random state and, unless it is to start anew, the optimizer, as
    saved. The random states of another number of processes are not taken, with a warning."""
    if not reset_optimizer:
        learner.optimizer.load_state_dict(content["optimizer"])
        for settings in learner.optimizer.param_groups:
            settings["weight_decay"] = weight_decay
        if content["scaler"] and learner.scaler.is_enabled():
            learner.scaler.load_state_dict(content["scaler"])
    processes, states = learner.runtime.processes, content["random_states"]
    if len(states) == processes.count:
        state = states[processes.rank]
        torch.set_rng_state(state["torch"])
        if "cuda" in state and learner.runtime.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], learner.runtime.device)
    else:
        log.warning(
            "the run had %d processes and now has %d: dropout and negatives will differ",
            len(states),
            processes.count,
        )
    best = {phase: Best(*value) for phase, value in content["best"].items()}
    return State(content["epoch"], content["iteration"], best)


def restored_position(content: dict[str, Any], processes: Processes) -> Position | None:
    """Where this process goes on within an epoch; raises UsageError on what is no position of as
    many processes."""
    positions = content.get("position", [None])
    if positions[0] is None:
        return None
    if len(positions) != processes.count:
        raise UsageError(
            f"the position was saved by {len(positions)} processes: start as many, or resume the "
            "run's folder"
        )
    try:
        return Position.from_plain(positions[processes.rank])
    except (TypeError, ValueError) as error:
        raise UsageError(f"the position in {checkpoints.LAST} can't be read ({error})") from error
