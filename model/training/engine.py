"""The training and the evaluation loop, for every model and dataset."""

from collections.abc import Callable, Iterable
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from model.training.optimizer import Group
from model.training.passes import Pass, Result, on_device
from model.training.tasks import Output
from utils.runtime.device import Runtime
from utils.samples import Batch

BATCHES_FOR_BATCH_NORM = 200


class Learner:
    """A task and what makes it learn: forward, backward, and an update after every `accumulate`
    batches, by the mean of their gradients. With several processes gradients are averaged over
    them."""

    def __init__(
        self,
        task: nn.Module,
        groups: list[Group],
        optimizer: torch.optim.Optimizer,
        runtime: Runtime,
        accumulate: int = 1,
    ):
        self.task = task
        self.model = task.model
        self.groups = groups
        self.optimizer = optimizer
        self.runtime = runtime
        self.accumulate = accumulate
        self.pending = 0  # batches since the last update
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.amp == "fp16")
        self.forward = task
        if runtime.processes.count > 1:
            self.forward = DistributedDataParallel(task)

    def learn(self, clips: Tensor, batch: Batch) -> Output:
        """One batch."""
        with self.runtime.autocast():
            output = self.forward(clips, batch)
        # processes exchange their gradients after each batch: simple, and hidden by the backward
        self.scaler.scale(output.loss / self.accumulate).backward()
        self.pending += 1
        return output

    def update(self, at_end: bool = False) -> None:
        """Once there are enough batches; `at_end` with however many there are."""
        if not self.pending or (self.pending < self.accumulate and not at_end):
            return
        if self.pending < self.accumulate:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.accumulate / self.pending)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()  # now, so that their memory is free for the next forward
        self.pending = 0


def train_epoch(learner: Learner, run: Pass) -> Result:
    train_mode(learner.model)
    for clips, batch in run:
        with run.network.running():
            output = learner.learn(clips, batch)
        learner.update()
        run.add(batch, output)
    learner.update(at_end=True)
    return run.result()


def evaluate(task: nn.Module, run: Pass) -> Result:
    """With the first process's running statistics of batch norm, where there are any."""
    task.eval()
    run.runtime.processes.take_from_first(task.buffers())
    with torch.inference_mode():
        for clips, batch in run:
            with run.network.running(), run.runtime.autocast():
                output = task(clips, batch)
            run.add(batch, output)
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


def estimate_statistics(
    task: nn.Module,
    batches: Iterable[Batch],
    runtime: Runtime,
    between: Callable[[], None] = lambda: None,
) -> int:
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
            between()
            if not len(batch.item):
                continue
            with runtime.autocast():
                task(*on_device(batch, runtime.device))
            count += 1
    for norm in missing:
        norm.momentum = momentum[norm]
    return count
