"""A training run from epoch to epoch: train, validate, record, keep a checkpoint, draw."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader

from model.engine import evaluate, train_epoch
from model.optim import Group, rate_factor, set_rates
from model.recording import epoch_line, record, record_accuracies
from utils import checkpoints
from utils.config import Config
from utils.faults import Faults
from utils.interrupts import Interrupts
from utils.logs import Progress, log
from utils.pictures import Pictures
from utils.records import AccuracyRow, EpochRow


class Best(NamedTuple):
    epoch: int
    top1: float


class State(NamedTuple):
    """How far a run is: `epoch` is the last complete one, -1 before epoch 0; `iteration` counts the
    batches trained on; `best` has the best validation top-1 of each phase."""

    epoch: int = -1
    iteration: int = 0
    best: dict[str, Best] = {}


class Training:
    """`loaders` by mode: train, and val unless the best model is not looked for. `lr_steps`: see
    `optim.rate_factor`."""

    def __init__(
        self,
        config: Config,
        *,
        task: nn.Module,
        groups: list[Group],
        optimizer: torch.optim.Optimizer,
        loaders: dict[str, DataLoader],
        lr_steps: tuple[int, int] | None,
        device: torch.device,
        folder: Path,
        state: State,
    ):
        self.config = config
        self.task = task
        self.groups = groups
        self.optimizer = optimizer
        self.loaders = loaders
        self.lr_steps = lr_steps
        self.device = device
        self.folder = folder
        self.state = state
        self.dataset = loaders["train"].dataset
        self.interrupts = Interrupts()
        self.faults = Faults(folder, config.strict_data)
        self.pictures = Pictures(folder, config.plt_bkend)
        self.tensorboard = None
        if config.use_tb:
            from utils.tensorboard import Tensorboard

            self.tensorboard = Tensorboard(folder, state.epoch + 1)

    def run(self) -> None:
        last = self.config.num_epochs
        if self.state.epoch >= 0:  # resumed
            self.settle()
            self.forget_lost_best()
        if self.state.epoch >= last:
            self.pictures.draw(at_once=True)
        for epoch in range(self.state.epoch + 1, last + 1):
            start = time.perf_counter()
            rows = self.measure(epoch) if epoch == 0 else self.train(epoch)
            is_best = self.update_state(epoch, rows)
            if self.tensorboard:
                self.tensorboard.add_rows(rows)
            self.save()
            self.pictures.draw(at_once=epoch == last)
            left = (time.perf_counter() - start) * (last - epoch)
            log.info("%s", epoch_line(rows, last, is_best, left))
        if self.tensorboard:
            self.tensorboard.close()

    def measure(self, epoch: int) -> list[EpochRow]:
        """The model as it is, on every set."""
        if self.tensorboard:
            self.tensorboard.add_clip(self.dataset[epoch, 0].clip, epoch)
        return [self.pass_over(mode, epoch, self.config.lr) for mode in self.loaders]

    def train(self, epoch: int) -> list[EpochRow]:
        lr = self.config.lr * rate_factor(self.lr_steps, epoch)
        set_rates(self.optimizer, self.groups, lr)
        rows = [self.pass_over("train", epoch, lr, learn=True)]
        if "val" in self.loaders:
            rows.append(self.pass_over("val", epoch, lr))
        return rows

    def pass_over(self, mode: str, epoch: int, lr: float, learn: bool = False) -> EpochRow:
        """One pass, recorded."""
        loader = self.loaders[mode]
        loader.batch_sampler.epoch = epoch
        label = f"epoch {epoch}/{self.config.num_epochs} {mode}"
        self.faults.start_pass(epoch, mode, len(loader.dataset))
        with Progress(label, len(loader), self.config.log_freq) as progress:
            batches = self.interrupts.watch(loader)
            where = (self.device, progress, self.faults)
            if learn:
                result = train_epoch(self.task, batches, self.optimizer, *where)
            else:
                result = evaluate(self.task, batches, *where)
        return record(self.folder, loader.dataset, epoch, mode, lr, result)

    def update_state(self, epoch: int, rows: list[EpochRow]) -> bool:
        """Returns whether this is the best epoch of its phase so far."""
        best = dict(self.state.best)
        validated = rows[-1] if rows[-1].mode == "val" else None
        is_best = validated is not None and (
            validated.phase not in best or validated.top1 > best[validated.phase].top1
        )
        if is_best:
            best[validated.phase] = Best(epoch, validated.top1)
        trained = len(self.loaders["train"]) if epoch > 0 else 0
        self.state = State(epoch, self.state.iteration + trained, best)
        return is_best

    @property
    def models(self) -> Path:
        return self.folder / "model"

    def save(self) -> None:
        phase = self.dataset.phase(self.state.epoch)
        path = self.models / checkpoints.epoch_name(self.state.epoch, phase)
        checkpoints.write_checkpoint(path, self.content(phase))
        self.settle()

    def settle(self) -> None:
        """The best checkpoint gets its name, and those that are not kept go.

        Done again when a run is resumed, since a kill may have come in between.
        """
        epoch, _, best = self.state
        phase = self.dataset.phase(epoch)
        path = self.models / checkpoints.epoch_name(epoch, phase)
        if phase in best and best[phase].epoch == epoch and path.exists():
            checkpoints.keep_best(self.models, path, epoch, phase)
        checkpoints.prune(self.models, self.dataset.landmark_epochs)

    def best_checkpoint(self, phase: str) -> Path | None:
        if phase not in self.state.best:
            return None
        return self.models / checkpoints.best_name(self.state.best[phase].epoch, phase)

    def forget_lost_best(self) -> None:
        """Going on from an earlier epoch, a later best may have taken an earlier one's place; the
        best is then looked for anew."""
        lost = [phase for phase in self.state.best if not self.best_checkpoint(phase).exists()]
        for phase in lost:
            log.warning("the best checkpoint (%s) is gone: the best is looked for anew", phase)
        kept = {phase: best for phase, best in self.state.best.items() if phase not in lost}
        self.state = self.state._replace(best=kept)

    def result_text(self) -> str:
        parts = [
            f"best validation top-1 {best.top1:.1%} in epoch {best.epoch} ({phase})"
            for phase, best in self.state.best.items()
        ]
        return ", ".join(parts) or f"trained {self.state.epoch} epochs"

    def content(self, phase: str) -> dict[str, Any]:
        best = self.state.best.get(phase)
        return {
            "epoch": self.state.epoch,
            "iteration": self.state.iteration,
            "net": self.config.net,
            "model": self.config.model,
            "state_dict": self.task.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"lr": self.config.lr, "steps": self.lr_steps},
            "best_acc": best.top1 if best else 0.0,
            "best": {name: tuple(value) for name, value in self.state.best.items()},
            "config": vars(self.config),
            "classes": [info.name for info in self.dataset.classes],
            "random_state": {
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            },
        }


def restore(
    content: dict[str, Any], optimizer: torch.optim.Optimizer | None, weight_decay: float
) -> State:
    """The run's state, torch's random state and, where one is given, the optimizer, as saved."""
    if optimizer is not None:
        optimizer.load_state_dict(content["optimizer"])
        for settings in optimizer.param_groups:
            settings["weight_decay"] = weight_decay
    torch.set_rng_state(content["random_state"]["torch"])
    if torch.cuda.is_available() and content["random_state"]["cuda"]:
        torch.cuda.set_rng_state_all(content["random_state"]["cuda"])
    best = {phase: Best(*value) for phase, value in content["best"].items()}
    return State(content["epoch"], content["iteration"], best)


def test_pass(
    task: nn.Module, loader: DataLoader, device: torch.device, folder: Path, config: Config
) -> list[AccuracyRow]:
    """One recorded pass over a test set, with its pictures; → the accuracies, overall first."""
    dataset = loader.dataset
    faults = Faults(folder, config.strict_data)
    faults.start_pass(0, "test", len(dataset))
    with Progress("test", len(loader), config.log_freq) as progress:
        result = evaluate(task, loader, device, progress, faults)
    record(folder, dataset, 0, "test", config.lr, result)
    accuracies = record_accuracies(folder, dataset, result)
    Pictures(folder, config.plt_bkend).draw(at_once=True)
    return accuracies
