"""A step makes the host wait for no GPU, shown without one: fake tensors pretend to be on it.

Under FakeTensorMode every operation runs on tensors without data, on the device "cuda" too, and a
TorchDispatchMode sees each of them. A host that reads a value (`.item()`, a shape that follows from
data) or copies between devices waits for the GPU, unless the copy is non-blocking.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.training import meter, tasks
from model.training.meter import Meter
from model.training.tasks import Task, build_task
from utils.config.flags import Config
from utils.logs import Progress
from utils.runtime.device import Runtime
from utils.samples import Batch

GPU = torch.device("cuda")
aten = torch.ops.aten
WAITS = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.unique_dim, aten._unique2)
COPIES = (aten._to_copy, aten.copy_, aten.copy)


def can_pretend() -> bool:
    """Torch 2.6 asks the driver even for fake random numbers."""
    with FakeTensorMode(), torch.device(GPU):
        try:
            torch.empty(1).uniform_()
        except RuntimeError:
            return False
    return True


pytestmark = pytest.mark.skipif(not can_pretend(), reason="this torch needs a GPU to pretend one")


@pytest.fixture(autouse=True)
def without_memory_statistics(monkeypatch):
    """There is no memory of a GPU to look at."""
    monkeypatch.setattr(meter, "Memory", lambda device: None)


class Waits(TorchDispatchMode):
    """Collect the operations for which the host would wait; copies that don't block are listed
    apart."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.copied: list[str] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        before = devices((args, kwargs))
        if operation.overloadpacket in WAITS:
            self.found.append(str(operation))
        try:
            result = operation(*args, **kwargs)
        except DataDependentOutputException:  # fake tensors have no data to read
            self.found.append(f"{operation} reads a value")
            raise
        if operation.overloadpacket in COPIES and len(before | devices(result)) > 1:
            blocking = not kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
            (self.found if blocking else self.copied).append(str(operation))
        return result


def devices(values) -> set[str]:
    """Of all tensors but single numbers, which operations take from the host as they are."""
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))
    return {tensor.device.type for tensor in tensors}


def made_task(**options) -> Task:
    settings = {"dataset": "Gabors", "img_dim": 32, "num_seq_in": 2, "pred_step": 1}
    config = Config(**{**settings, **options})
    return build_task(config, num_classes=5, whole_videos=bool(config.test))


def made_batch(blocks: int, frames: int = 5, windows: int = 0, crops: tuple = ()) -> Batch:
    """On the host, as a worker makes it."""
    B = 1 if windows else 4
    return Batch(
        torch.zeros(B, blocks, 3, frames, 32, 32, dtype=torch.uint8, device="cpu"),
        torch.zeros(B, blocks, 5, 2, dtype=torch.long, device="cpu"),
        torch.arange(B, device="cpu"),
        torch.zeros(B, *crops, windows, 2, dtype=torch.long, device="cpu") if windows else None,
    )


def watched(make: Callable[[], Task], batch: Callable[[], Batch], learns: bool) -> Waits:
    """What two steps of a pass wait for: copy, forward, loss, hits, and the meter's sums.

    Autocast and backward need a true device; forward doesn't.
    """
    waits = Waits()
    with FakeTensorMode(), torch.device(GPU):
        task = make().train(learns)
        counts = Meter(Runtime(GPU), Progress("a pass", 2, 1), keep_probabilities=not learns)
        with waits, torch.set_grad_enabled(learns):
            for _ in range(2):
                on_gpu = batch().to(GPU)
                counts.add(on_gpu, task(on_gpu))
    assert counts.evaluated
    return waits


STEPS = {
    "dpc-rnn": (made_task, partial(made_batch, 3)),
    "dpc-rnn, static blocks": (made_task, partial(made_batch, 3, frames=1)),
    "dpc-rnn, running statistics": (partial(made_task, track_bn=True), partial(made_batch, 3)),
    "dpc-rnn, plain torch": (partial(made_task, plain=True), partial(made_batch, 3)),
    "lc-rnn": (partial(made_task, model="lc-rnn"), partial(made_batch, 2)),
    "lc-rnn, static blocks": (partial(made_task, model="lc-rnn"), partial(made_batch, 2, frames=1)),
}


@pytest.mark.parametrize("learns", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("step", STEPS)
def test_the_host_waits_for_nothing_in_a_step(step, learns):
    waits = watched(*STEPS[step], learns)
    assert waits.found == []
    assert len(waits.copied) == 2 * 3  # clip, labels and items of two batches


@pytest.mark.parametrize("crops", [(), (10,)])
def test_the_host_waits_for_nothing_in_a_test_of_whole_videos(crops):
    make = partial(made_task, model="lc-rnn", test="weights.pth.tar", batch_size=2)
    blocks = 7 * max((1, *crops))
    waits = watched(make, partial(made_batch, blocks, windows=6, crops=crops), learns=False)
    assert waits.found == []
    assert len(waits.copied) == 2 * 4


@pytest.mark.parametrize(
    "wait",
    [
        lambda loss: loss.item(),
        lambda loss: loss[loss > 0],
        lambda loss: loss.cpu(),
        lambda loss: loss + torch.tensor([1.0], device="cpu").to(loss.device),
        lambda loss: loss + torch.tensor((0.485, 0.456), device=loss.device),
    ],
    ids=["item", "mask", "to the host", "a constant from the host", "a constant made in the step"],
)
def test_a_wait_in_the_loss_is_found(wait, monkeypatch):
    hits = tasks.hits

    def waiting(logits, target):
        wait(logits.sum())
        return hits(logits, target)

    monkeypatch.setattr(tasks, "hits", waiting)
    make, batch = STEPS["lc-rnn"]
    waits = Waits()
    with FakeTensorMode(), torch.device(GPU):
        task = make()
        on_gpu = batch().to(GPU)
        try:
            with waits:
                task(on_gpu)
        except Exception:  # fake tensors can't tell what isn't known before
            assert waits.found
    assert waits.found
