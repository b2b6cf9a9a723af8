"""What a training step takes: floating-point operations and memory, counted without computing."""

import gc
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from model.training.learner import Learner
from model.training.restoring import state_form
from model.training.tasks import Task
from utils.samples import Batch


class StepCost(NamedTuple):
    """What a batch's forward and backward take in one process.

    `flop`: floating-point operations of convolutions and products of matrices; a multiplication
    with its addition is two. The others are bytes on the device. `weights` are with the batch
    norm's statistics, `optimizer` is what it keeps of the weights, `exchanged` are the copies of
    the gradients that several processes average, and `kept` is what forward keeps for backward.
    `peak` is the most at any moment, all of these included.
    """

    flop: int
    weights: int
    gradients: int
    optimizer: int
    exchanged: int
    kept: int
    peak: int


class UncountedError(Exception):
    """A step can't be counted; the message says why."""


class LiveBytes(TorchDispatchMode):
    """Count the bytes of the tensors that operations in this context make, as long as they live.

    Those of the `given` tensors count, too. `live`: the bytes now; `peak`: the most at any moment.
    Tensors that share memory are one. Recomputed activations lie in reference cycles, which torch's
    checkpoints leave to Python's garbage collector; as a rule it is early enough, so `peak` is
    without what waits for it. The collector passes over all objects from before the context, or
    else it would take minutes.
    """

    def __init__(self, given: Iterable[Tensor]):
        super().__init__()
        self.live = 0
        self._known: set[int] = set()
        for tensor in given:
            self._add(tensor)
        self.peak = self.live

    def __enter__(self) -> "LiveBytes":
        gc.freeze()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        gc.unfreeze()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count what it returns."""
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (list, tuple)) else (made,):
            if isinstance(one, Tensor):
                self._add(one)
        if self.live > self.peak:
            gc.collect()
            self.peak = max(self.peak, self.live)
        return made

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        weakref.finalize(storage, self._remove, key, size).atexit = False

    def _remove(self, key: int, size: int) -> None:
        self._known.remove(key)
        self.live -= size


def step_cost(learner: Learner, sample: Batch, clips: int) -> StepCost:
    """Count what a training step with so many clips like the sample takes; nothing is computed.

    It is a step after the first, so that the optimizer has its state; with --grad_accum, gradients
    are there before. Raises UncountedError where the step talks to other processes, or if an
    operation needs the tensors' values.
    """
    if talks(learner.task):
        raise UncountedError("a step exchanges more than gradients with the other processes")
    learner.train()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        with FakeCopyMode(mode):
            task = deepcopy(learner.task)
        with mode:
            return _counted(learner, task, _batch(sample, clips, learner.runtime.device))
    except Exception as error:  # of whatever a task computes: the run itself may well work
        raise UncountedError(str(error).strip().split("\n")[0][:150]) from error


def _counted(learner: Learner, task: Task, batch: Batch) -> StepCost:
    """Run a copy of the task, made of fake tensors, forward and backward on a fake batch."""
    learning = [parameter for parameter in task.parameters() if parameter.requires_grad]
    if learner.accumulate > 1:
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)
    weights = [*task.parameters(), *task.buffers()]
    gradients = [p.grad for p in learning if p.grad is not None]
    given = [part for part in batch if isinstance(part, Tensor)]
    memory, operations = LiveBytes([*weights, *gradients, *given]), FlopCounterMode(display=False)
    with memory, operations:
        before = memory.live
        with learner.autocast():
            output = task.forward(batch)  # without torch's compiler, which `task(batch)` calls
        kept = memory.live - before
        loss = output.loss / learner.accumulate
        del output
        loss.backward()
    gradients = [p.grad for p in learning if p.grad is not None]
    alone = learner.runtime.processes.count == 1
    exchanged = 0 if alone else storage_bytes(gradients)
    optimizer = optimizer_bytes(learner)
    return StepCost(
        flop=operations.get_total_flops(),
        weights=storage_bytes(weights),
        gradients=storage_bytes(gradients),
        optimizer=optimizer,
        exchanged=exchanged,
        kept=kept,
        peak=memory.peak + optimizer + exchanged,
    )


def talks(task: Task) -> bool:
    """Whether the forward of a task in train mode talks to the other processes."""
    return task.gathers or any(isinstance(part, nn.SyncBatchNorm) for part in task.modules())


def optimizer_bytes(learner: Learner) -> int:
    """Return the bytes that the optimizer keeps of the parameters once it has stepped."""
    total = 0
    for group in learner.optimizer.param_groups:
        for parameter in group["params"]:
            for kind in state_form(parameter, group).values():
                (dtype,), sizes, _ = get_args(kind)[1]
                total += math.prod(sizes) * dtype.itemsize
    return total


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the tensors' memory; what several share counts once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def _batch(sample: Batch, clips: int, device: torch.device) -> Batch:
    """Return a batch of so many clips like the sample on the device, without their values."""

    def repeat(part: Tensor) -> Tensor:
        return torch.zeros(clips, *part.shape, dtype=part.dtype, device=device)

    assert sample.clip is not None
    assert sample.labels is not None
    item = torch.zeros(clips, dtype=torch.int64, device=device)
    return Batch(repeat(sample.clip), repeat(sample.labels), item)
