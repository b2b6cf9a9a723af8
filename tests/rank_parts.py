"""What each of two processes computes of one batch, for tests/runs/test_distributed.py."""

import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from model.dpc import DPC_RNN
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.loop import estimate_statistics
from model.training.meter import Meter
from model.training.optimizer import Group
from model.training.tasks import ContrastiveTask
from small_runs import narrow
from utils.logs import Progress
from utils.runtime.device import Runtime
from utils.runtime.interrupts import Interrupts
from utils.runtime.launchers import found
from utils.runtime.meeting import joined
from utils.samples import Batch

SIZE = {"img_dim": 64, "num_seq_in": 2, "seq_len": 5, "pred_step": 2}
CLIPS_EACH = 2


def compute(folder: str) -> int:
    """Compute all that follows in one of two processes, and save it in a file named by its rank."""
    processes = found()
    with joined(processes, Interrupts()):
        rank, runtime = processes.rank, Runtime(torch.device("cpu"), processes)
        made = {
            "own negatives": share(rank, runtime, gather=False),
            "gathered negatives": share(rank, runtime, gather=True),
            "accumulated": accumulated(rank, runtime),
            "estimated": estimated(rank, runtime),
        }
    torch.save(made, f"{folder}/{rank}")
    return 0


def clips_and_labels() -> tuple[torch.Tensor, torch.Tensor]:
    """The batch that the processes share."""
    torch.manual_seed(5)
    B, N = 2 * CLIPS_EACH, SIZE["num_seq_in"] + SIZE["pred_step"]
    shape = (B, N, 3, SIZE["seq_len"], SIZE["img_dim"], SIZE["img_dim"])
    labels = torch.arange(B * N).view(B, N, 1, 1).expand(B, N, SIZE["seq_len"], 2)
    return torch.randn(shape), labels.contiguous()


def batch_of(rank: int, shift: float = 0.0) -> Batch:
    clips, labels = clips_and_labels()
    own = slice(rank * CLIPS_EACH, (rank + 1) * CLIPS_EACH)
    return Batch(clips[own] + shift, labels[own], torch.arange(CLIPS_EACH))


def model() -> DPC_RNN:
    """Return a model with the same weights in every process, and no dropout, which would differ."""
    torch.manual_seed(0)
    with narrow():
        made = DPC_RNN("resnet18", **SIZE)
    made.agg.dropout.p = 0.0
    return made.double()


class OnFeatures(nn.Module):
    """A model without batch norm: each clip's predictions and targets depend on it alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.weight = nn.Parameter(torch.randn(2, 3, 6, dtype=torch.float64))

    def predict(self, clips):
        means = clips.mean(dim=(3, 5)).unflatten(3, (4, 16)).mean(dim=4)  # [B, N, C, S]
        made = torch.einsum("bncs,pcf->bnpfs", means, self.weight)
        return made[:, 0], made[:, 1]  # [B, P, F, S]


class OnFloats(ContrastiveTask):
    """A task whose clips are normalised already."""

    def normalise(self, clip):
        return clip.double()


def learner_of(
    network: nn.Module, runtime: Runtime, gather: bool = False, accumulate: int = 1
) -> Learner:
    task = OnFloats(network, *([runtime.processes] if gather else []))
    parameters = list(network.parameters())
    groups = [Group("all", 1.0, parameters)]
    learner = Learner(task, groups, torch.optim.SGD(parameters, lr=1.0), runtime, accumulate)
    learner.distribute()
    learner.train()
    return learner


class CountedExchanges:
    """Counts how often gradients are exchanged, with DDP's communication hook."""

    def __init__(self, learner: Learner):
        self.count = 0
        if learner.distributed is not None:
            learner.distributed.register_comm_hook(None, self.exchange)

    def exchange(self, _, bucket):
        self.count += 1
        return allreduce_hook(None, bucket)


def share(rank: int, runtime: Runtime, gather: bool) -> dict:
    """Return loss and gradients of a rank's share of the batch."""
    learner = learner_of(OnFeatures() if gather else model(), runtime, gather)
    output = learner.forward(batch_of(rank))
    learner.backward(output.loss)
    return {
        "loss": output.loss.detach(),
        "gradients": [parameter.grad for parameter in learner.model.parameters()],
        "predicted": output.predictions.predicted,
        "columns": output.columns,
    }


def accumulated(rank: int, runtime: Runtime) -> dict:
    """Return the weights after 5 batches, with an update after every second one and at the end."""
    learner = learner_of(OnFeatures(), runtime, accumulate=2)
    exchanges = CountedExchanges(learner)
    for number in range(5):
        learner.backward(learner.forward(batch_of(rank, shift=number / 10)).loss)
        learner.update()
    learner.update(at_end=True)
    return {"weight": learner.model.weight.detach(), "exchanges": exchanges.count}


def estimated(rank: int, runtime: Runtime) -> int:
    """Estimate statistics from three batches, of which rank 1 can't read the second.

    Negatives are gathered.
    """
    empty = Batch(None, None, torch.zeros(0))
    batches = [batch_of(rank), empty if rank == 1 else batch_of(rank), batch_of(rank)]
    network = OnFeatures()
    network.norm = nn.BatchNorm1d(2)  # has no running statistics yet
    learner = learner_of(network, runtime, gather=True)
    meter = Meter(runtime, Progress("statistics", 3, 1))
    return estimate_statistics(learner, batches, meter, Guard(learner, Interrupts(), remedy=""))
