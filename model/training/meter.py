"""What comes of a pass: counts on the device, their means, times, and predictions."""

import time
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain
from typing import NamedTuple

import torch

from model.metrics import TOP
from model.training.tasks import Output
from utils.errors import RunError
from utils.logs import Progress
from utils.runs.positions import BatchPredictions, Counts, Position, Sums, Times
from utils.runs.records import EpochRow
from utils.runtime.device import Runtime
from utils.runtime.stopwatch import Memory, Stopwatch
from utils.samples import Batch, Fault


class Means(NamedTuple):
    """Means over an epoch's predictions; a top-k of all candidates can't be wrong and is None."""

    loss: float
    top1: float | None
    top3: float | None
    top5: float | None
    chance: float


def means_of(counts: Counts) -> Means:
    """Divide sums by the number of rows; chance is averaged over batches."""
    loss, *hits = (value / counts.rows for value in counts.sums)
    top1, top3, top5 = (
        share if k < counts.fewest_columns else None for k, share in zip(TOP, hits, strict=True)
    )
    return Means(loss, top1, top3, top5, chance=counts.chances / counts.batches)


class Summary(NamedTuple):
    """Summary of a pass over all ranks; times, memory and predictions are rank 0's.

    `evaluated`: clips or videos. Memory in MiB, of the device None on a CPU. Predictions, and those
    of whole videos' `windows`, are on the CPU, in the order of the batches.
    """

    means: Means
    evaluated: int
    times: Times
    device_memory: int | None
    host_memory: int
    predictions: list[BatchPredictions]
    windows: list[BatchPredictions]

    def row(self, epoch: int, mode: str, phase: str, lr: float, total: int) -> EpochRow:
        """Return the pass's row in epochs.csv."""
        seconds, data, network = self.times
        return EpochRow(
            epoch=epoch,
            mode=mode,
            phase=phase,
            **self.means._asdict(),
            lr=lr,
            seconds=round(seconds, 3),
            data_seconds=round(data, 3),
            network_seconds=round(network, 3),
            rest_seconds=round(max(0.0, seconds - data - network), 3),
            clips_per_second=round(self.evaluated / seconds, 2),
            device_MiB=self.device_memory,
            host_MiB=self.host_memory,
            evaluated=self.evaluated,
            total=total,
        )


class Meter:
    """Count what comes of a pass, from a position on.

    Losses and hits are summed on the device and read only for the progress and the summary.
    `keep`: whether predictions are wanted.
    """

    def __init__(
        self,
        runtime: Runtime,
        progress: Progress,
        keep: bool = True,
        position: Position = Position(),  # noqa: B008  (immutable)
    ):
        self.processes = runtime.processes
        self.progress = progress
        self.keep = keep
        self.before = position
        self.done = position.done
        self.counts = position.counts._replace(sums=Sums())
        self.sums = torch.tensor(position.counts.sums, dtype=torch.float64, device=runtime.device)
        self.evaluated = position.evaluated
        self.predictions = list(position.predictions)
        self.windows: list[BatchPredictions] = []
        self.network = Stopwatch(runtime.device, position.times.network)
        self.memory = Memory(runtime.device)
        self.data_seconds = 0.0
        self.start = time.perf_counter()

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches, and count the seconds spent waiting for them."""
        source = iter(batches)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            self.data_seconds += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def add(self, batch: Batch, output: Output) -> None:
        """Add a batch's rows and predictions, without waiting for the device."""
        with torch.no_grad():
            total = output.row_loss.double().sum()
            self.sums += torch.stack([total, *(output.hits[:, :k].sum() for k in TOP)])
        rows, columns = len(output.row_loss), output.columns
        self.counts = self.counts.plus(Counts(Sums(), rows, 1, 1 / columns, columns))
        self.evaluated += len(batch.item)
        for kept, made in (self.predictions, output.predictions), (self.windows, output.windows):
            if self.keep and made is not None:
                kept.append(BatchPredictions(batch.number, batch.item, made))

    def means(self) -> Means:
        """Return this rank's means so far; waits for the device."""
        return means_of(self._counts())

    def position(self, faults: list[Fault]) -> Position:
        """Return how far this rank is; waits for the device."""
        network = self.network.seconds  # first, since it waits for the device
        before = self.before.times
        seconds = before.seconds + time.perf_counter() - self.start
        times = Times(seconds, before.data + self.data_seconds, network)
        predictions = [batch.cpu() for batch in self.predictions]
        return Position(self.done, self._counts(), self.evaluated, times, faults, predictions)

    def summary(self) -> Summary:
        """Merge all ranks' counts; rank 0 gets their predictions.

        Raises RunError if no clip could be read.
        """
        position = self.position([])
        everyone = self.processes.gather((position.counts, position.evaluated))
        evaluated = sum(clips for _, clips in everyone)
        if not evaluated:
            raise RunError(f"{self.progress.label}: no clip could be read")
        counts = reduce(Counts.plus, (counts for counts, _ in everyone))
        return Summary(
            means_of(counts),
            evaluated,
            position.times,
            self.memory.device,
            self.memory.host,
            self._of_all_ranks(position.predictions),
            self._of_all_ranks([batch.cpu() for batch in self.windows]),
        )

    def _of_all_ranks(self, predictions: list[BatchPredictions]) -> list[BatchPredictions]:
        parts = chain.from_iterable(self.processes.gather_to_first(predictions))
        return sorted(parts, key=lambda batch: batch.number)

    def _counts(self) -> Counts:
        return self.counts._replace(sums=Sums(*self.sums.tolist()))
