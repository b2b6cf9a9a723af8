"""How far a run is, and the checkpoints that keep it."""

import math
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple, cast

import torch

from model.training.learner import Learner
from model.training.meter import Meter
from model.training.tensor_names import published
from utils.config.flags import Config
from utils.errors import RunError
from utils.logs import log
from utils.runs import checkpoints
from utils.runs.contents import Checkpoint, OptimizerState
from utils.runs.faults import Faults
from utils.runs.positions import Best
from utils.runs.records import EpochRow
from utils.runtime.interrupts import Clock
from utils.samples import Samples


class State(NamedTuple):
    """How far a run is.

    `epoch` is the last complete one, -1 before epoch 0; `iteration` counts the batches trained
    on; `best` holds the best epoch of each phase.
    """

    epoch: int = -1
    iteration: int = 0
    best: dict[str, Best] = {}

    def after(self, rows: list[EpochRow], trained: int) -> "State":
        """Return the state after an epoch with these rows and `trained` batches."""
        best, last = dict(self.best), rows[-1]
        if last.mode == "val" and last.top1 is not None:
            before = best.get(last.phase)
            if before is None or last.top1 > before.top1:
                best[last.phase] = Best(last.epoch, last.top1)
        return State(last.epoch, self.iteration + trained, best)

    def text(self) -> str:
        """Return the result in words: the best epoch of each phase."""
        parts = [
            f"best validation top-1 {best.top1:.1%} in epoch {best.epoch} ({phase})"
            for phase, best in self.best.items()
        ]
        return ", ".join(parts) or f"trained {self.epoch} epochs"


class Saver:
    """Write a run's `model` folder: each epoch's checkpoint, and the position within an epoch.

    All ranks call its methods, and rank 0 writes. When the context ends, all is written. A
    failure to write raises RunError from the next call.
    """

    def __init__(
        self,
        config: Config,
        *,
        learner: Learner,
        samples: Samples,
        folder: Path,
        state: State,
        faults: Faults,
    ):
        self.config = config
        self.learner = learner
        self.samples = samples
        self.folder = folder
        self.state = state
        self.faults = faults
        self.training: Meter | None = None  # of the training pass of the epoch in hand
        self.clock = Clock(config.checkpoint_minutes)
        self.processes = learner.runtime.processes
        self.thread = ThreadPoolExecutor(1)
        self.writing: Future | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *_: object) -> None:
        with self.thread:
            self.wait()

    @property
    def due(self) -> bool:
        """Whether --checkpoint_minutes have passed since the last position was saved."""
        return self.clock.due

    def wait(self) -> None:
        """Wait until the last epoch's checkpoint is written."""
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.result()

    def save(self, state: State) -> None:
        """Save an epoch's checkpoint as of now; it is written while the run goes on."""
        self.wait()
        self._require_sound(f"after epoch {state.epoch}")
        self.state, self.training = state, None
        content = self._content()
        if self.processes.leads:
            self.writing = self.thread.submit(self.write, state, deepcopy(content))

    def write(self, state: State, content: Checkpoint) -> None:
        """Write the checkpoint of an epoch; the position within it goes."""
        checkpoints.write_checkpoint(self.path(state.epoch), content)
        checkpoints.remove(self.folder / checkpoints.LAST)
        self._settle()

    def save_position(self) -> None:
        """Save the position in the epoch in hand, or before it, to last.pth.tar."""
        self.wait()
        self._require_sound(f"within epoch {self.state.epoch + 1}")
        content = self._content()
        position = None
        if self.training is not None:
            position = self.training.position(self.faults.of("train"))
        content["position"] = self.processes.gather_to_first(position)
        if self.processes.leads:
            checkpoints.write_checkpoint(self.folder / checkpoints.LAST, content)
        self.processes.barrier()
        self.clock.restart()

    def resume(self) -> None:
        """Put right what a kill has left, or a resume from an earlier epoch.

        A best checkpoint that is gone is forgotten, with a warning.
        """
        if self.processes.leads:
            self._settle()
        self.processes.barrier()
        lost = self.processes.from_first(
            lambda: [phase for phase in self.state.best if not self._best_file(phase).exists()]
        )
        for phase in lost:
            log.warning("the best checkpoint (%s) is gone: the best is looked for anew", phase)
        kept = {phase: best for phase, best in self.state.best.items() if phase not in lost}
        self.state = self.state._replace(best=kept)

    def path(self, epoch: int) -> Path:
        """Return the path of an epoch's checkpoint."""
        return self.folder / checkpoints.epoch_name(epoch, self.samples.phase(epoch))

    def best_path(self) -> Path | None:
        """Return the best checkpoint of the phase that the run has come to, if there is one."""
        phase = self.samples.phase(self.state.epoch)
        return self._best_file(phase) if phase in self.state.best else None

    def divergence(self, what: str) -> RunError:
        """Return the error for a loss or weights that aren't finite, with what is at fault."""
        source = f"of --pretrained {self.config.pretrained}" if self.config.pretrained else ""
        if not self.learner.updates and not self.state.iteration:
            fault = f"the weights {source}" if source else "the initial weights or the data"
            return RunError(f"{what}, before any update: {fault} are at fault, not the rate")
        more = f", or look at the weights {source}" if source else ""
        return RunError(
            f"{what}: the last checkpoint is kept; resume it with a lower rate "
            f"(--reset_lr --lr){more}"
        )

    def _require_sound(self, when: str) -> None:
        """Raise RunError in all ranks unless the weights of each are sound and its loss finite."""
        diverged = not self.learner.is_sound()
        if self.training is not None and self.training.evaluated:
            diverged |= not math.isfinite(self.training.means().loss)
        if any(self.processes.largest(int(diverged))):
            raise self.divergence(
                f"the weights or the loss are not finite, or far too large, {when}"
            )

    def _settle(self) -> None:
        """Update the link to the best checkpoint and delete old ones."""
        state, phase = self.state, self.samples.phase(self.state.epoch)
        path = self.path(state.epoch)
        if phase in state.best and state.best[phase].epoch == state.epoch and path.exists():
            checkpoints.keep_best(self.folder, path, state.epoch, phase)
        checkpoints.prune(self.folder, kept_epochs(self.samples.landmark_epochs))

    def _best_file(self, phase: str) -> Path:
        return self.folder / checkpoints.best_name(self.state.best[phase].epoch, phase)

    def _content(self) -> Checkpoint:
        states = self.processes.gather(random_state(self.learner.runtime.device))
        return content_of(self.config, self.learner, self.samples, self.state, states)


def content_of(
    config: Config,
    learner: Learner,
    samples: Samples,
    state: State,
    random_states: list[dict[str, torch.Tensor]],
) -> Checkpoint:
    """Return what a checkpoint of a run holds; the random states are those of all ranks."""
    best = state.best.get(samples.phase(max(0, state.epoch)))
    return {
        "epoch": state.epoch,
        "iteration": state.iteration,
        "net": config.net,
        "model": config.model,
        "state_dict": published(learner.model),
        "optimizer": cast(OptimizerState, learner.optimizer.state_dict()),
        "scaler": learner.scaler.state_dict(),
        "best_acc": best.top1 if best else 0.0,
        "best": state.best,
        "config": vars(config),
        "classes": [info.name for info in samples.classes],
        "random_states": random_states,
    }


def kept_epochs(landmarks: Collection[int]) -> set[int]:
    """Return the epochs whose checkpoints are kept for good.

    These are the landmark epochs and those before them, with which an analysis compares them.
    """
    return {epoch - back for epoch in landmarks for back in (0, 1)}


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return this rank's random states of torch."""
    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states
