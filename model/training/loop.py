"""The loops over the batches of a pass: training, evaluation, and batch-norm statistics."""

from collections.abc import Callable, Iterable
from itertools import islice

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from model.training.batches import copied_ahead
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.meter import Meter, Summary
from utils.logs import Progress, log
from utils.samples import Batch, Loader

BATCHES_FOR_STATISTICS = 200


def train_epoch(learner: Learner, batches: Iterable[Batch], meter: Meter, guard: Guard) -> Summary:
    """Train on every batch once."""
    learner.train()
    for batch in batches:  # on the device, the next one on its way: uint8 [B, N, C, L, H, W]
        if guard.admits(batch, meter, together=True):  # may save the position, or stop the run
            with meter.network.running():
                with learner.autocast():
                    output = learner.forward(batch)  # normalise → features → score → loss, hits
                learner.backward(output.loss)  # gradients are exchanged with the last of grad_accum
            learner.update()  # every grad_accum batches
            meter.add(batch, output)  # stays on the device
        guard.after_step(meter)  # shows the progress; the loss must be finite
    learner.update(at_end=True)
    return meter.summary()


def evaluate(learner: Learner, batches: Iterable[Batch], meter: Meter, guard: Guard) -> Summary:
    """Run the task without gradients, with rank 0's batch-norm statistics."""
    learner.eval()
    with torch.inference_mode():
        for batch in batches:
            if guard.admits(batch, meter, together=learner.task.gathers):
                with meter.network.running(), learner.autocast():
                    output = learner.task(batch)
                meter.add(batch, output)
            guard.after_step(meter)
    return meter.summary()


def norms_without_statistics(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep running statistics but have seen no batch yet."""
    return [
        norm
        for norm in model.modules()
        if isinstance(norm, _BatchNorm)
        and norm.track_running_stats
        and norm.num_batches_tracked == 0
    ]


def fill_statistics(
    learner: Learner,
    loader: Loader,
    guard: Guard,
    log_freq: int,
    forward: Callable[[Batch], object] | None = None,
) -> None:
    """Estimate the running statistics of batch norms that have none yet, over training batches.

    `forward` runs a part of the network in the place of all of it.
    """
    if not norms_without_statistics(learner.task):
        return
    batches = copied_ahead(loader.batches(epoch=0), learner.runtime.device)
    with Progress("statistics", len(loader), log_freq) as progress:
        meter = Meter(learner.runtime, progress)
        count = estimate_statistics(learner, batches, meter, guard, forward)
    log.info("estimated the batch norm's statistics over %d training batches", count)


def estimate_statistics(
    learner: Learner,
    batches: Iterable[Batch],
    meter: Meter,
    guard: Guard,
    forward: Callable[[Batch], object] | None = None,
) -> int:
    """Give batch norms without running statistics the cumulative average over the first batches.

    The task, or the part of it that `forward` runs, is in train mode without gradients. Returns the
    number of batches used.
    """
    missing = norms_without_statistics(learner.task)
    momentum = {norm: norm.momentum for norm in missing}
    learner.task.train()
    for module in learner.task.modules():
        if isinstance(module, _BatchNorm):
            module.train(module in momentum)
    for norm in missing:
        norm.momentum = None
    count = 0
    with torch.no_grad():
        for batch in islice(batches, BATCHES_FOR_STATISTICS):
            if guard.admits(batch, meter, together=learner.task.gathers):
                with learner.autocast():
                    (forward or learner.task)(batch)
                count += 1
    for norm in missing:
        norm.momentum = momentum[norm]
    return count
