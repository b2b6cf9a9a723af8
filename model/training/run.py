"""A training run from epoch to epoch: train, validate, record, keep a checkpoint, draw."""

import time
from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader

from model.training.engine import (
    Learner,
    estimate_statistics,
    evaluate,
    norms_without_statistics,
    train_epoch,
)
from model.training.optimizer import rate_factor, set_rates
from model.training.passes import Pass, Position, Result
from model.training.recording import epoch_line, epoch_row, record, record_accuracies
from model.training.saving import Best, Saver, State
from utils.config.flags import Config
from utils.logs import Progress, log
from utils.plots.pictures import Pictures
from utils.runs.faults import Faults
from utils.runs.records import AccuracyRow, EpochRow
from utils.runtime.interrupts import Clock, Interrupts, stopped

MUCH_WAITING = 0.2  # of a training epoch's time


class Training:
    """`loaders` by mode: train, and val unless the best model is not looked for. `lr_steps`: see
    `optim.rate_factor`. `position`: where to go on in the epoch after the state's."""

    def __init__(
        self,
        config: Config,
        *,
        learner: Learner,
        loaders: dict[str, DataLoader],
        lr_steps: tuple[int, int] | None,
        folder: Path,
        state: State,
        position: Position | None,
        interrupts: Interrupts,
    ):
        self.config = config
        self.learner = learner
        self.runtime = learner.runtime
        self.loaders = loaders
        self.lr_steps = lr_steps
        self.folder = folder
        self.state = state
        self.position = position
        self.interrupts = interrupts
        self.clock = Clock(config.checkpoint_minutes)
        self.trained: Pass | None = None  # the training pass of the epoch in hand
        self.dataset = loaders["train"].dataset
        self.leads = self.runtime.processes.leads
        self.saver = Saver(
            config,
            learner=learner,
            lr_steps=lr_steps,
            dataset=self.dataset,
            folder=folder / "model",
        )
        self.faults = Faults(folder, config.strict_data, writes=self.leads)
        self.pictures = Pictures(folder, config.plt_bkend)
        self.waiting_named = False
        self.tensorboard = None
        if config.use_tb and self.leads:
            from utils.runs.tensorboard import Tensorboard

            self.tensorboard = Tensorboard(folder, state.epoch + 1)

    def run(self) -> None:
        with self.saver, self.pictures:
            self.run_epochs()

    def run_epochs(self) -> None:
        last = self.config.num_epochs
        for group in self.learner.groups:
            rate = self.config.lr * group.factor
            log.info("training %s: %d parameters at rate %g", group.name, group.size, rate)
        if self.state.epoch >= 0:  # resumed
            self.state = self.saver.resume(self.state)
        else:
            self.fill_statistics()
        if self.state.epoch >= last:
            self.draw(at_once=True)
        for epoch in range(self.state.epoch + 1, last + 1):
            start = time.perf_counter()
            rows = self.measure(epoch) if epoch == 0 else self.train(epoch)
            is_best = self.update_state(epoch, rows)
            if self.tensorboard:
                self.tensorboard.add_rows(rows)
            self.saver.save(self.state)
            self.draw(at_once=epoch == last)
            left = (time.perf_counter() - start) * (last - epoch)
            log.info("%s", epoch_line(rows, last, is_best, left))
        if self.tensorboard:
            self.tensorboard.close()

    def fill_statistics(self) -> None:
        """Batch norm that evaluates with running statistics, and has none yet, gets them first."""
        if norms_without_statistics(self.learner.task):
            stop = partial(  # before there is anything to save
                self.interrupts.stop_if_asked,
                self.runtime.processes,
                f"to start again: run_model.py --resume {self.folder}",
            )
            loader = self.loaders["train"]
            count = estimate_statistics(self.learner.task, loader, self.runtime, stop)
            log.info("estimated the batch norm's statistics over %d training batches", count)

    def measure(self, epoch: int) -> list[EpochRow]:
        """The model as it is, on every set."""
        if self.tensorboard:
            self.tensorboard.add_clip(self.dataset[epoch, 0].clip, epoch)
        return [self.pass_over(mode, epoch, self.config.lr) for mode in self.loaders]

    def train(self, epoch: int) -> list[EpochRow]:
        lr = self.config.lr * rate_factor(self.lr_steps, epoch)
        set_rates(self.learner.optimizer, self.learner.groups, lr)
        rows = [self.pass_over("train", epoch, lr, learn=True)]
        if "val" in self.loaders:
            rows.append(self.pass_over("val", epoch, lr))
        return rows

    def pass_over(self, mode: str, epoch: int, lr: float, learn: bool = False) -> EpochRow:
        """One pass, recorded."""
        loader = self.loaders[mode]
        position = (learn and self.position) or Position()
        loader.batch_sampler.epoch = epoch
        loader.batch_sampler.done = position.done
        label = f"epoch {epoch}/{self.config.num_epochs} {mode}"
        self.faults.start_pass(epoch, mode, len(loader.dataset))
        with Progress(label, len(loader), self.config.log_freq, position.done) as progress:
            run = Pass(
                zip(loader, loader.batch_sampler.numbers(), strict=True),
                self.runtime,
                progress,
                self.faults,
                together=learn or self.config.gather_negatives,
                keep=loader.dataset.records_predictions,
                between=self.between_steps,
                position=position,
            )
            if learn:
                self.trained, self.position = run, None
                result = train_epoch(self.learner, run)
                self.name_waiting(result)
            else:
                result = evaluate(self.learner.task, run)
        if not self.leads:
            return epoch_row(loader.dataset, epoch, mode, lr, result)
        return record(self.folder, loader.dataset, epoch, mode, lr, result)

    def between_steps(self) -> None:
        """Saves the position when it is time to, and ends the run when asked to."""
        if self.learner.pending:
            return
        due = int(self.clock.due)
        asked, save = self.runtime.processes.largest(self.interrupts.asked, due)
        if asked or save:
            position = self.trained and self.trained.position()
            self.saver.save_position(self.state, position)
            self.clock.restart()
        if asked:
            raise stopped(asked, f"to go on: run_model.py --resume {self.folder}")

    def name_waiting(self, result: Result) -> None:
        """Once, when data are too slow."""
        share = result.times.data / result.times.seconds
        if share > MUCH_WAITING and not self.waiting_named:
            self.waiting_named = True
            log.warning(
                "%.0f %% of the epoch went by waiting for data: raise --num_workers (now %d); for "
                "videos, pack the frames or copy them to the node's disk (--temp_data_dir)",
                100 * share,
                self.config.num_workers,
            )

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
        self.trained = None
        return is_best

    def draw(self, at_once: bool) -> None:
        if at_once:
            self.saver.wait()  # so that a kill while it draws loses nothing
        if self.leads:
            self.pictures.draw(at_once)

    def result_text(self) -> str:
        parts = [
            f"best validation top-1 {best.top1:.1%} in epoch {best.epoch} ({phase})"
            for phase, best in self.state.best.items()
        ]
        return ", ".join(parts) or f"trained {self.state.epoch} epochs"


def test_pass(
    learner: Learner,
    loader: DataLoader,
    folder: Path,
    config: Config,
    interrupts: Interrupts,
) -> list[AccuracyRow]:
    """One recorded pass over a test set, with its pictures; → the accuracies, overall first, to the
    first process."""
    runtime = learner.runtime
    dataset, leads = loader.dataset, runtime.processes.leads
    faults = Faults(folder, config.strict_data, writes=leads)
    faults.start_pass(0, "test", len(dataset))
    remedy = f"{folder} has no results; run the test again"
    with Progress("test", len(loader), config.log_freq) as progress:
        run = Pass(
            zip(loader, loader.batch_sampler.numbers(), strict=True),
            runtime,
            progress,
            faults,
            together=False,
            between=partial(interrupts.stop_if_asked, runtime.processes, remedy),
        )
        result = evaluate(learner.task, run)
    if not leads:
        return []
    record(folder, dataset, 0, "test", config.lr, result)
    accuracies = record_accuracies(folder, dataset, result)
    Pictures(folder, config.plt_bkend).draw(at_once=True)
    return accuracies
