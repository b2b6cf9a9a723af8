"""The loop of a pass: batches in, what is recorded of them out."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from model.analysis.groups import Grouping
from model.analysis.hooks import Steps
from model.analysis.labellings import Labellings
from model.analysis.record import Made, Recording
from model.training.batches import copied_ahead
from model.training.tasks import Task
from utils.config.flags import Config
from utils.logs import Progress, log
from utils.runtime.device import Runtime
from utils.runtime.interrupts import Interrupts, stopped
from utils.samples import Batch, Fault, Labelled, Loader, Samples

NAMED_FAULTS = 3  # unreadable files that are named in the log


class WholeBatches(Loader, Protocol):
    """A loader of whole batches, of which each rank takes its share."""

    def batches_of(self, epoch: int) -> list[list[int]]:
        """Return the indices of the clips of each batch of an epoch, of all ranks."""


class Waiting:
    """The seconds spent waiting for batches."""

    seconds = 0.0

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches, and count the seconds until each comes."""
        asked = time.perf_counter()
        for batch in batches:
            self.seconds += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()


@dataclass(frozen=True)
class Evaluator:
    """Evaluate a run's network on the clips of an epoch. `remedy` tells how to go on after a stop.

    `samples` is the run's training set.
    """

    config: Config
    runtime: Runtime
    samples: Samples
    interrupts: Interrupts
    remedy: str

    @property
    def grouping(self) -> Grouping:
        """The groups of blocks that are told apart."""
        return Grouping.of(self.samples.classes)

    @property
    def compares(self) -> bool:
        """Whether there are images D and U, whose labels can be permuted."""
        return self.grouping.has_unexpected and isinstance(self.samples, Labelled)

    def evaluate(self, task: Task, loader: WholeBatches, epoch: int, name: str) -> Made | None:
        """Record a pass over the clips of an epoch; only rank 0 gets what comes of it.

        Raises RunError if no clip could be read, and Stopped after a signal.
        """
        processes, device = self.runtime.processes, self.runtime.device
        labellings = self._labellings(task, loader, epoch)
        recording = Recording(task, self.grouping, labellings, self.config.analysis_maps)
        faults: list[Fault] = []
        label, waiting = f"recording {name}", Waiting()
        # a GPU computes in float32 too, and in the same way each time
        repeatable = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with repeatable, Progress(label, len(loader), self.config.log_freq) as progress:
            batches = waiting.timed(copied_ahead(loader.batches(epoch), device))
            for done, batch in enumerate(batches, start=1):
                (asked,) = processes.largest(self.interrupts.asked)
                if asked:
                    raise stopped(asked, self.remedy)
                faults += batch.faults
                if len(batch.item):
                    recording.add(batch)
                progress.advance()
                if progress.due(done) and recording.rows:
                    loss = recording.loss / len(recording.rows)
                    progress.show(done, loss, None, waiting.seconds)
        self._log_faults(name, processes.gather_to_first(faults))
        return recording.made(processes, self.samples.classes, epoch)

    def _labellings(self, task: Task, loader: WholeBatches, epoch: int) -> Labellings | None:
        samples = loader.samples
        if not (self.compares and isinstance(samples, Labelled)):
            return None
        return Labellings(
            samples,
            self.grouping,
            Steps.of(task.model),
            loader.batches_of(epoch),
            epoch=epoch,
            seed=self.config.seed,
            device=self.runtime.device,
        )

    def _log_faults(self, name: str, of_ranks: list[list[Fault]]) -> None:
        faults = [fault for faults in of_ranks for fault in faults]
        if faults:
            named = ", ".join(f"{f.path} ({f.reason})" for f in faults[:NAMED_FAULTS])
            more = ", …" if len(faults) > NAMED_FAULTS else ""
            log.warning("%s: files that can't be read: %d: %s%s", name, len(faults), named, more)
