"""The training and the evaluation loop, for every model and dataset."""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from model.tasks import Output, Predictions
from utils.batch import Batch
from utils.errors import RunError
from utils.faults import Faults
from utils.logs import Progress
from utils.metrics import Means, Tally

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, R G B
BATCHES_FOR_BATCH_NORM = 200


class BatchPredictions(NamedTuple):
    """The predictions of one batch, and the index `[B]` of each clip in the dataset. `windows`: see
    Output."""

    item: Tensor
    predictions: Predictions
    windows: Predictions | None

    def cpu(self) -> "BatchPredictions":
        windows = None if self.windows is None else self.windows.cpu()
        return BatchPredictions(self.item.cpu(), self.predictions.cpu(), windows)


class Result(NamedTuple):
    """Of `evaluated` clips or videos. `data_seconds` of `seconds` went by waiting for data;
    `predictions` has one entry a batch, on the CPU."""

    means: Means
    evaluated: int
    seconds: float
    data_seconds: float
    predictions: list[BatchPredictions]


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
    """One pass over batches: hands out batches on the device, and sums up what came of them.

    Batches of which no clip could be read are left out.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        device: torch.device,
        progress: Progress,
        faults: Faults,
    ):
        self.batches = batches
        self.device = device
        self.progress = progress
        self.faults = faults
        self.tally = Tally(device)
        self.predictions: list[BatchPredictions] = []
        self.data_seconds = 0.0
        self.start = time.perf_counter()

    def __iter__(self) -> Iterator[tuple[Tensor, Batch]]:
        batches = iter(self.batches)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.data_seconds += time.perf_counter() - asked
            if batch is None:
                return
            self.faults.add(batch.faults)
            if len(batch.item):
                yield on_device(batch, self.device)

    def add(self, batch: Batch, output: Output) -> None:
        """Raises RunError when the loss is found not to be finite."""
        self.tally.add(output.row_loss, output.logits, output.target)
        self.predictions.append(BatchPredictions(batch.item, output.predictions, output.windows))
        done = self.tally.batches
        self.progress.advance()
        if self.progress.due(done):
            means = self.tally.means()
            if not means.loss < float("inf"):
                raise RunError(
                    f"the loss is {means.loss} by batch {done} of {self.progress.label}: "
                    "the last checkpoint is kept; resume it with a lower rate (--reset_lr --lr)"
                )
            self.progress.show(done, means.loss, means.top1, self.data_seconds)

    def result(self) -> Result:
        if not self.predictions:
            raise RunError(f"{self.progress.label}: no clip could be read")
        means = self.tally.means()
        predictions = [batch.cpu() for batch in self.predictions]
        evaluated = sum(len(batch.item) for batch in predictions)
        seconds = time.perf_counter() - self.start
        return Result(means, evaluated, seconds, self.data_seconds, predictions)


def train_epoch(
    task: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    progress: Progress,
    faults: Faults,
) -> Result:
    train_mode(task.model)
    run = Pass(batches, device, progress, faults)
    for clips, batch in run:
        output = task(clips, batch)
        optimizer.zero_grad(set_to_none=True)
        output.loss.backward()
        optimizer.step()
        run.add(batch, output)
    return run.result()


def evaluate(
    task: nn.Module,
    batches: Iterable[Batch],
    device: torch.device,
    progress: Progress,
    faults: Faults,
) -> Result:
    task.eval()
    run = Pass(batches, device, progress, faults)
    with torch.inference_mode():
        for clips, batch in run:
            run.add(batch, task(clips, batch))
    return run.result()


def train_mode(model: nn.Module) -> None:
    """Parts that are frozen stay in eval mode: neither dropout nor batch norm changes there."""
    for part in model.children():
        part.train(any(parameter.requires_grad for parameter in part.parameters()))


def norms_without_statistics(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms that keep running statistics and have seen no batch yet."""
    return [
        norm
        for norm in model.modules()
        if isinstance(norm, _BatchNorm)
        and norm.track_running_stats
        and norm.num_batches_tracked == 0
    ]


def estimate_statistics(task: nn.Module, batches: Iterable[Batch], device: torch.device) -> int:
    """Gives batch norms without running statistics their cumulative average over the first batches
    given, in train mode without gradients; returns the number of batches."""
    task.train()
    missing = norms_without_statistics(task)
    momentum = {norm: norm.momentum for norm in missing}
    for norm in task.modules():
        if isinstance(norm, _BatchNorm):
            norm.train(norm in momentum)
    for norm in missing:
        norm.momentum = None
    count = 0
    with torch.no_grad():
        for batch in islice(batches, BATCHES_FOR_BATCH_NORM):
            if not len(batch.item):
                continue
            task(*on_device(batch, device))
            count += 1
    for norm in missing:
        norm.momentum = momentum[norm]
    return count
