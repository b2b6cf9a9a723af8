"""A task with its optimizer: forward, backward, update."""

import warnings
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from model.training.optimizer import Group
from model.training.tasks import Output, Task
from utils.runtime.device import Runtime
from utils.samples import Batch

LARGEST_WEIGHT = 1e6  # thousands of times what networks with batch norm come to


class Learner:
    """Train a task: one update by the mean gradient of every `accumulate` batches.

    With several processes, gradients are averaged over the ranks once per update.
    """

    def __init__(
        self,
        task: Task,
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
        self.updates = 0
        self.scaler = torch.amp.GradScaler(runtime.device.type, enabled=runtime.amp == "fp16")
        self.distributed: DistributedDataParallel | None = None

    def distribute(self) -> None:
        """Give all ranks rank 0's weights and average their gradients from now on.

        Call it once the weights are loaded; ranks that loaded other ones are put right here.
        """
        if self.runtime.processes.count > 1:
            # said of 1×1×1 kernels in channels-last, whose strides mean the same either way
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            self.distributed = DistributedDataParallel(self.task)

    def train(self) -> None:
        """Switch to train mode; parts that are frozen stay in eval mode."""
        for part in self.model.children():
            part.train(any(parameter.requires_grad for parameter in part.parameters()))

    def eval(self) -> None:
        """Switch to eval mode, with rank 0's running statistics on all ranks."""
        self.task.eval()
        self.runtime.processes.take_from_first(self.task.buffers())

    def autocast(self) -> torch.autocast:
        """Return the context in which convolutions and products run in the precision of --amp."""
        return self.runtime.autocast()

    def forward(self, batch: Batch) -> Output:
        """Run the task on a batch, for a `backward` that follows."""
        if self.distributed is None:
            return self.task(batch)
        exchanges = self.pending + 1 == self.accumulate
        with nullcontext() if exchanges else self.distributed.no_sync():
            return self.distributed(batch)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's share to the gradients."""
        self.scaler.scale(loss / self.accumulate).backward()
        self.pending += 1

    def update(self, at_end: bool = False) -> None:
        """Step the optimizer once `accumulate` batches were backpropagated.

        With `at_end`, step with those pending.
        """
        if not self.pending or (self.pending < self.accumulate and not at_end):
            return
        if self.pending < self.accumulate:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            self.runtime.processes.average(gradients)
            for gradient in gradients:
                gradient.mul_(self.accumulate / self.pending)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()  # now, so that their memory is free for the next forward
        self.pending = 0
        self.updates += 1

    def is_sound(self) -> bool:
        """Return whether all weights and statistics can be trained on; waits for the device.

        They are finite numbers, and no weight is beyond LARGEST_WEIGHT: from such ones, the next
        loss or gradient is not finite, whatever the rate.
        """
        weights = [p.detach().abs().amax() <= LARGEST_WEIGHT for p in self.model.parameters()]
        kept = [b.isfinite().all() for b in self.model.buffers() if b.is_floating_point()]
        return bool(torch.stack(weights + kept).all())
