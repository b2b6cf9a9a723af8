"""One pass over batches, of training or evaluation: what comes of it, and how far it is."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from model.metrics import Counts, Means, Tally
from model.training.copying import copied_ahead
from model.training.tasks import Output, Predictions
from utils.errors import RunError
from utils.logs import Progress
from utils.runs.faults import Faults
from utils.runtime.device import Runtime
from utils.runtime.stopwatch import Memory, Stopwatch
from utils.samples import Batch, Fault

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, R G B


class BatchPredictions(NamedTuple):
    """The predictions of the epoch's `number`-th batch, and the index `[B]` of each clip in the
    dataset. `windows`: see Output."""

    number: int
    item: Tensor
    predictions: Predictions
    windows: Predictions | None

    def cpu(self) -> "BatchPredictions":
        windows = None if self.windows is None else self.windows.cpu()
        return BatchPredictions(self.number, self.item.cpu(), self.predictions.cpu(), windows)


class Times(NamedTuple):
    """Seconds of a pass: in all, waiting for data, and in the network, forward and backward."""

    seconds: float = 0.0
    data: float = 0.0
    network: float = 0.0


class Result(NamedTuple):
    """Of `evaluated` clips or videos, over all processes. `times` and the peaks of memory (MiB;
    None on the CPU) are the first process's, and so are `predictions`, on the CPU, in the batches'
    order: it alone has those of the others."""

    means: Means
    evaluated: int
    times: Times
    device_memory: int | None
    host_memory: int
    predictions: list[BatchPredictions]


class Position(NamedTuple):
    """How far a process has come in a pass, from which it can go on: `done` batches."""

    done: int = 0
    counts: Counts = Counts()
    evaluated: int = 0
    times: Times = Times()
    faults: list[Fault] = []
    predictions: list[BatchPredictions] = []

    def plain(self) -> tuple:
        """As tuples, numbers and tensors, which a checkpoint may hold."""
        predictions = [
            (batch.number, batch.item, tuple(batch.predictions)) for batch in self.predictions
        ]
        faults = [tuple(fault) for fault in self.faults]
        counts, times = tuple(self.counts), tuple(self.times)
        return self.done, counts, self.evaluated, times, faults, predictions

    @classmethod
    def from_plain(cls, plain: tuple) -> "Position":
        done, counts, evaluated, times, faults, predictions = plain
        return cls(
            done,
            Counts(*counts),
            evaluated,
            Times(*times),
            [Fault(*fault) for fault in faults],
            [
                BatchPredictions(number, item, Predictions(*parts), None)
                for number, item, parts in predictions
            ],
        )


def normalise(clip: Tensor) -> Tensor:
    """uint8 `[B, N, C, L, H, W]` → float32, each channel with ImageNet's mean and spread."""
    shape = (1, 1, len(MEAN), 1, 1, 1)
    mean = torch.tensor(MEAN, device=clip.device).view(shape) * 255
    std = torch.tensor(STD, device=clip.device).view(shape) * 255
    return (clip.float() - mean) / std


def on_device(batch: Batch, device: torch.device) -> tuple[Tensor, Batch]:
    """→ (normalised clips, the batch that they are of)."""
    batch = batch.to(device)
    return normalise(batch.clip), batch


class Pass:
    """One pass over (batch, its number): hands out batches on the device, and sums up what came of
    them. `between` is called before each step.

    Batches of which no clip could be read are left out; where processes have to step `together`, as
    in training, by all of them. `keep`: whether predictions are wanted. `position`: where to go on.
    """

    def __init__(
        self,
        batches: Iterable[tuple[Batch, int]],
        runtime: Runtime,
        progress: Progress,
        faults: Faults,
        *,
        together: bool,
        keep: bool = True,
        between: Callable[[], None] = lambda: None,
        position: Position = Position(),  # noqa: B008  (immutable)
    ):
        self.batches = batches
        self.runtime = runtime
        self.progress = progress
        self.faults = faults
        self.together = together
        self.keep = keep
        self.between = between
        self.done = position.done
        self.evaluated = position.evaluated
        self.before = position.times
        self.tally = Tally(runtime.device, position.counts)
        self.predictions = list(position.predictions)
        self.network = Stopwatch(runtime.device, position.times.network)
        self.memory = Memory(runtime.device)
        self.data_seconds = 0.0
        self.start = time.perf_counter()
        faults.restore(position.faults)
        self.met = faults.so_far  # of this pass, also when the next one has begun

    def __iter__(self) -> Iterator[tuple[Tensor, Batch]]:
        batches = copied_ahead(self.batches, self.runtime.device)
        while True:
            self.between()
            asked = time.perf_counter()
            batch, self.number = next(batches, (None, None))
            self.data_seconds += time.perf_counter() - asked
            if batch is None:
                return
            fewest = self._share_faults(batch)
            if fewest if self.together else len(batch.item):
                yield on_device(batch, self.runtime.device)
            self.done += 1
            self.progress.advance()
            self._show()

    def _share_faults(self, batch: Batch) -> int:
        """→ the fewest clips that a process has."""
        everyone = self.runtime.processes.gather((batch.faults, len(batch.item)))
        self.faults.add(tuple(fault for faults, _ in everyone for fault in faults))
        return min(clips for _, clips in everyone)

    def add(self, batch: Batch, output: Output) -> None:
        self.tally.add(output.row_loss, output.hits, output.columns)
        self.evaluated += len(batch.item)
        if self.keep:
            parts = (self.number, batch.item, output.predictions, output.windows)
            self.predictions.append(BatchPredictions(*parts))

    def _show(self) -> None:
        """Raises RunError when the loss is found not to be finite."""
        if not self.progress.due(self.done) or not self.evaluated:
            return
        means = self.tally.counts().means()
        if not means.loss < float("inf"):
            raise RunError(
                f"the loss is {means.loss} by batch {self.done} of {self.progress.label}: "
                "the last checkpoint is kept; resume it with a lower rate (--reset_lr --lr)"
            )
        self.progress.show(self.done, means.loss, means.top1, self.data_seconds)

    def times(self) -> Times:
        network = self.network.seconds  # first, since it waits for the GPU
        seconds = self.before.seconds + time.perf_counter() - self.start
        return Times(seconds, self.before.data + self.data_seconds, network)

    def position(self) -> Position:
        predictions = [batch.cpu() for batch in self.predictions]
        counts, faults = self.tally.counts(), list(self.met)
        return Position(self.done, counts, self.evaluated, self.times(), faults, predictions)

    def result(self) -> Result:
        processes, position = self.runtime.processes, self.position()
        everyone = processes.gather((position.counts, position.evaluated))
        evaluated = sum(clips for _, clips in everyone)
        if not evaluated:
            raise RunError(f"{self.progress.label}: no clip could be read")
        counts = reduce(Counts.plus, (counts for counts, _ in everyone))
        parts = chain.from_iterable(processes.gather_to_first(position.predictions))
        return Result(
            counts.means(),
            evaluated,
            position.times,
            self.memory.device,
            self.memory.host,
            sorted(parts, key=lambda batch: batch.number),
        )
