"""What comes of a pass: counts on the device, their means, times, and predictions."""

import time
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain
from typing import NamedTuple, TypeVar

import torch

from model.metrics import TOP
from model.training.tasks import Output
from utils.errors import RunError
from utils.logs import Progress
from utils.runs.positions import (
    BatchPredictions,
    Counts,
    Kinds,
    Numbers,
    Position,
    Scores,
    Sums,
    Times,
)
from utils.runs.records import EpochRow
from utils.runtime.device import Runtime
from utils.runtime.stopwatch import Memory, Stopwatch
from utils.samples import Batch, Fault


class Means(NamedTuple):
    """Means over an epoch's predictions; a top-k of all candidates can't be wrong and is None.

    `score_…` are the mean scores of each kind of pairs, and `wrong_…` the shares of the wrong
    predictions whose best candidate is of this kind. A kind without pairs has None for both, and
    all shares are None where nothing was wrong.
    """

    loss: float
    top1: float | None
    top3: float | None
    top5: float | None
    chance: float
    score_positive: float | None = None
    score_easy: float | None = None
    score_spatial: float | None = None
    score_temporal: float | None = None
    wrong_easy: float | None = None
    wrong_spatial: float | None = None
    wrong_temporal: float | None = None


def means_of(counts: Counts) -> Means:
    """Divide sums by the number of rows; chance is averaged over batches."""
    loss, *hits = (value / counts.rows for value in counts.sums)
    top1, top3, top5 = (
        share if k < counts.fewest_columns else None for k, share in zip(TOP, hits, strict=True)
    )
    chance = counts.chances / counts.batches
    return Means(loss, top1, top3, top5, chance, *kind_means(counts.kinds))


def kind_means(kinds: Kinds) -> list[float | None]:
    """Return the mean score of each kind of pairs, and of each negative kind its share in errors.

    The order is that of the last fields of Means.
    """
    scores = [
        total / pairs if pairs else None
        for total, pairs in zip(kinds.scores, kinds.pairs, strict=True)
    ]
    wrong = sum(kinds.winners[1:])
    shares = [
        winners / wrong if pairs and wrong else None
        for winners, pairs in zip(kinds.winners[1:], kinds.pairs[1:], strict=True)
    ]
    return scores + shares


class BatchProbabilities(NamedTuple):
    """What BatchPredictions are of: `shares` `[B, V, classes]` from V numbers of crops."""

    number: int
    item: torch.Tensor
    shares: torch.Tensor

    def cpu(self) -> "BatchProbabilities":
        """Copy the tensors to the CPU."""
        return BatchProbabilities(self.number, self.item.cpu(), self.shares.cpu())


Made = TypeVar("Made", BatchPredictions, BatchProbabilities)


class Summary(NamedTuple):
    """Summary of a pass over all ranks; times, memory and predictions are rank 0's.

    `evaluated`: clips or videos. Memory in MiB, of the device None on a CPU. Predictions, those
    of whole videos' `windows` and from each number of `crops`, and probabilities are on the CPU, in
    the order of the batches.
    """

    means: Means
    evaluated: int
    times: Times
    device_memory: int | None
    host_memory: int
    predictions: list[BatchPredictions]
    windows: list[BatchPredictions]
    crops: list[BatchPredictions]
    probabilities: list[BatchProbabilities]

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

    Losses, hits, and scores and winners by kind are summed on the device, and read only for the
    progress and the summary. `keep`: whether predictions are wanted; `keep_probabilities`: whether
    those of classifiers are.
    """

    def __init__(
        self,
        runtime: Runtime,
        progress: Progress,
        keep: bool = True,
        position: Position = Position(),  # noqa: B008  (immutable)
        keep_probabilities: bool = False,
    ):
        self.processes = runtime.processes
        self.progress = progress
        self.keep = keep
        self.keep_probabilities = keep_probabilities
        self.before = position
        self.done = position.done
        sums, kinds = position.counts.sums, position.counts.kinds
        self.counts = position.counts._replace(sums=Sums(), kinds=Kinds(pairs=kinds.pairs))
        self.sums = torch.tensor(sums, dtype=torch.float64, device=runtime.device)
        started = [kinds.scores, kinds.winners]
        self.kinds = torch.tensor(started, dtype=torch.float64, device=runtime.device)  # [2, 4]
        self.evaluated = position.evaluated
        self.predictions = list(position.predictions)
        self.windows: list[BatchPredictions] = []
        self.crops: list[BatchPredictions] = []
        self.probabilities: list[BatchProbabilities] = []
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
            if output.kinds is not None:
                self.kinds += torch.stack([output.kinds.scores, output.kinds.winners])
        rows, columns = len(output.row_loss), output.columns
        pairs = Numbers() if output.kinds is None else Numbers(*output.kinds.pairs)
        added = Counts(Sums(), rows, 1, 1 / columns, columns, Kinds(pairs=pairs))
        self.counts = self.counts.plus(added)
        self.evaluated += len(batch.item)
        for kept, made in (
            (self.predictions, output.predictions),
            (self.windows, output.windows),
            (self.crops, output.crops),
        ):
            if self.keep and made is not None:
                kept.append(BatchPredictions(batch.number, batch.item, made))
        if self.keep_probabilities and output.probabilities is not None:
            made_here = batch.number, batch.item, output.probabilities
            self.probabilities.append(BatchProbabilities(*made_here))

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
            self._of_all_ranks([batch.cpu() for batch in self.crops]),
            self._of_all_ranks([batch.cpu() for batch in self.probabilities]),
        )

    def _of_all_ranks(self, made: list[Made]) -> list[Made]:
        parts = chain.from_iterable(self.processes.gather_to_first(made))
        return sorted(parts, key=lambda batch: batch.number)

    def _counts(self) -> Counts:
        scores, winners = self.kinds.tolist()
        kinds = Kinds(Scores(*scores), Numbers(*map(int, winners)), self.counts.kinds.pairs)
        return self.counts._replace(sums=Sums(*self.sums.tolist()), kinds=kinds)
