"""A training run from epoch to epoch: train, validate, record, save, draw; and a test's pass."""

import time
from collections.abc import Callable
from pathlib import Path

from model.training.batches import copied_ahead
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.loop import (
    evaluate,
    fill_statistics,
    train_epoch,
)
from model.training.meter import Meter
from model.training.optimizer import optimizer_text, schedule_of, set_rates
from model.training.probabilities import write_probabilities
from model.training.recording import Recorder, record
from model.training.rows import record_accuracies
from model.training.saving import Saver, State
from utils.config.flags import Config
from utils.errors import LostWorkerError
from utils.logs import Progress, log
from utils.plots.pictures import Pictures
from utils.runs.faults import Faults
from utils.runs.positions import Position
from utils.runs.records import AccuracyRow, EpochRow
from utils.runtime.interrupts import Interrupts
from utils.samples import Loader


class TrainingRun:
    """The epochs of a run, from a state on.

    `loaders` has those of train and, unless with --not_save_best, of val. `position`: where to go
    on in the training of the epoch after the state's. `look` is called, in all ranks, whenever an
    epoch's checkpoint has just been written, and when a run is resumed.
    """

    def __init__(
        self,
        config: Config,
        *,
        learner: Learner,
        loaders: dict[str, Loader],
        folder: Path,
        state: State,
        position: Position | None,
        interrupts: Interrupts,
        look: Callable[[], object] | None = None,
    ):
        self.config = config
        self.learner = learner
        self.loaders = loaders
        self.folder = folder
        self.position = position
        self.look = look
        self.schedule = schedule_of(config)
        leads = learner.runtime.processes.leads
        self.faults = Faults(folder, config.strict_data, writes=leads)
        self.recorder = Recorder(folder, config, leads, state.epoch + 1)
        self.saver = Saver(
            config,
            learner=learner,
            samples=loaders["train"].samples,
            folder=folder / "model",
            state=state,
            faults=self.faults,
        )
        remedy = f"to go on: run_model.py --resume {folder}"
        self.guard = Guard(learner, interrupts, remedy, self.saver, self.faults)

    def run(self) -> State:
        """Train up to --num_epochs, and return the state that was reached."""
        with self.saver, self.recorder:
            for group in self.learner.groups:
                rate = self.config.lr * group.factor
                log.info("training %s: %d parameters at rate %g", group.name, group.size, rate)
            log.info("%s", optimizer_text(self.config))
            if self.saver.state.epoch >= 0:
                self.saver.resume()
                self.look_at_checkpoints()
            else:
                self.fill_statistics()
            last = self.config.num_epochs
            try:
                for epoch in range(self.saver.state.epoch + 1, last + 1):
                    self.run_epoch(epoch, last)
            except LostWorkerError as error:
                if self.learner.pending or self.learner.runtime.processes.count > 1:
                    raise
                self.saver.save_position()
                raise LostWorkerError(f"{error}; {self.guard.remedy}") from error
            self.saver.wait()  # so that a kill while it draws loses nothing
            self.recorder.finish()
        return self.saver.state

    def run_epoch(self, epoch: int, last: int) -> None:
        """Run an epoch: epoch 0 only measures, the others train and validate."""
        start = time.perf_counter()
        rows = self.measure() if epoch == 0 else self.train(epoch)
        trained = len(self.loaders["train"]) if epoch > 0 else 0
        state = self.saver.state.after(rows, trained)
        self.recorder.add_scalars(rows)
        self.saver.save(state)
        is_best = any(best.epoch == epoch for best in state.best.values())
        self.recorder.end_epoch(rows, is_best, time.perf_counter() - start, last)
        self.look_at_checkpoints()

    def look_at_checkpoints(self) -> None:
        """Let others look at the checkpoints, which are all written by then."""
        if self.look is not None:
            self.saver.wait()
            self.look()

    def fill_statistics(self) -> None:
        """Estimate the running statistics of batch norms that have none yet."""
        remedy = f"to start again: run_model.py --resume {self.folder}"
        guard = Guard(self.learner, self.guard.interrupts, remedy)
        fill_statistics(self.learner, self.loaders["train"], guard, self.config.log_freq)

    def measure(self) -> list[EpochRow]:
        """Measure the model as it is on every set."""
        self.recorder.show_clip(self.loaders["train"].samples, 0)
        return [self.run_pass(mode, 0, self.config.lr) for mode in self.loaders]

    def train(self, epoch: int) -> list[EpochRow]:
        """Train for an epoch, and validate."""
        lr = self.config.lr * self.schedule.factor(epoch)
        set_rates(self.learner.optimizer, self.learner.groups, lr)
        rows = [self.run_pass("train", epoch, lr, learn=True)]
        if "val" in self.loaders:
            rows.append(self.run_pass("val", epoch, lr))
        return rows

    def run_pass(self, mode: str, epoch: int, lr: float, learn: bool = False) -> EpochRow:
        """Run and record one pass over a set."""
        loader, runtime = self.loaders[mode], self.learner.runtime
        samples = loader.samples
        position = (learn and self.position) or Position()
        label = f"epoch {epoch}/{self.config.num_epochs} {mode}"
        self.faults.start_pass(epoch, mode, len(samples), position.faults)
        with Progress(label, len(loader), self.config.log_freq, position.done) as progress:
            meter = Meter(runtime, progress, samples.records_predictions, position)
            source = copied_ahead(loader.batches(epoch, position.done), runtime.device)
            batches = meter.timed(source)
            if learn:
                self.saver.training, self.position = meter, None
                summary = train_epoch(self.learner, batches, meter, self.guard)
                self.recorder.warn_if_data_bound(summary.times)
            else:
                summary = evaluate(self.learner, batches, meter, self.guard)
        return self.recorder.add(samples, epoch, mode, lr, summary)


def test_run(
    config: Config, learner: Learner, loader: Loader, folder: Path, interrupts: Interrupts
) -> list[AccuracyRow]:
    """Run one recorded pass over a test set, and draw its pictures.

    Returns the accuracies over all classes in rank 0, and nothing in the others.
    """
    samples, runtime = loader.samples, learner.runtime
    faults = Faults(folder, config.strict_data, writes=runtime.processes.leads)
    faults.start_pass(0, "test", len(samples))
    remedy = f"{folder} has no results; run the test again"
    guard = Guard(learner, interrupts, remedy, faults=faults)
    with Progress("test", len(loader), config.log_freq) as progress:
        meter = Meter(runtime, progress, keep_probabilities=True)
        batches = meter.timed(copied_ahead(loader.batches(epoch=0), runtime.device))
        summary = evaluate(learner, batches, meter, guard)
    if not runtime.processes.leads:
        return []
    record(folder, samples, 0, "test", config.lr, summary)
    accuracies = record_accuracies(folder, samples, summary)
    write_probabilities(folder, samples, summary)
    Pictures(folder, config.plt_bkend).draw(at_once=True)
    return accuracies
