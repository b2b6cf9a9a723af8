"""What a training step takes: counted by hand, and against a step that is computed."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from learners import batch, learner
from model.training.cost import LiveBytes, UncountedError, optimizer_bytes, step_cost
from model.training.learner import Learner
from model.training.optimizer import Group, make_optimizer
from model.training.tasks import Output, Task
from small_runs import ON_CPU
from utils.runs.positions import Predictions
from utils.runtime.processes import Processes
from utils.samples import Batch

B, N, L, SIDE = 4, 3, 5, 8
FRAMES = B * N * L
FIRST, SECOND = 3 * 6 * 9, 6 * 2 * 4  # weights of the two convolutions
OUT_FIRST, OUT_SECOND = 6 * SIDE * SIDE, 2 * (SIDE // 2) ** 2  # values of a frame


class TwoConvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(3, 6, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.second = nn.Conv3d(6, 2, (1, 2, 2), stride=(1, 2, 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Summed(Task):
    def output(self, clips, labels, windows):
        loss = self.change(self.model(clips.flatten(0, 1)).sum())
        return Output(loss, loss, loss, 1, Predictions(labels, loss, loss, loss))

    def change(self, loss: Tensor) -> Tensor:
        return loss


class Looking(Summed):
    def change(self, loss):
        return loss if loss.item() > 0 else -loss


def made(task: Task, accumulate: int = 1, optim: str = "adam", momentum: float = 0.0) -> Learner:
    group = Group("all", 1.0, list(task.model.parameters()))
    optimizer = make_optimizer([group], 1e-3, 0.0, optim, momentum)
    return Learner(task, [group], optimizer, ON_CPU, accumulate)


def sample(of: Batch) -> Batch:
    return Batch(of.clip[0], of.labels[0], of.item[0])


def cost(of: Learner, img_dim: int = SIDE):
    return step_cost(of, sample(batch(1, N=N, img_dim=img_dim, L=L)), B)


def test_live_bytes_by_hand():
    given = torch.zeros(100)
    with LiveBytes([given]) as memory:
        one = given + 1
        assert memory.live == 800
        two = torch.zeros(50, dtype=torch.float64)
        same = one[10:].view(9, 10)
        del one
        assert memory.live == 1200
        del same
        assert memory.live == 800
        two.add_(1)
        made = [two.half(), two.bool()]
        assert (memory.live, memory.peak) == (950, 1200)
    del two, made
    assert memory.live == 400


def test_unreachable_cycles_are_no_memory():
    with LiveBytes([]) as memory:
        for _ in range(5):
            cycle = [torch.zeros(100)]
            cycle.append(cycle)
        del cycle
    assert memory.peak <= 800


def test_convolutions_by_hand():
    found = cost(made(Summed(TwoConvolutions())))
    # the first one's input learns nothing, so that it has no gradient
    first, second = 2 * FIRST * SIDE * SIDE, 2 * SECOND * (SIDE // 2) ** 2
    assert found.flop == FRAMES * (2 * first + 3 * second)
    statistics = 2 * 3 * 4  # the mean and the spread that clips are normalised by
    assert found.weights == (FIRST + SECOND) * 4 + statistics
    assert found.gradients == (FIRST + SECOND) * 4
    assert found.optimizer == 2 * (FIRST + SECOND) * 4 + 2 * 4  # a step for each convolution
    normalised = FRAMES * 3 * SIDE * SIDE * 4
    loss = 4
    assert found.kept == normalised + FRAMES * OUT_FIRST * 4 + loss
    given = FRAMES * 3 * SIDE * SIDE + B * N * L * 2 * 8 + B * 8
    forward = found.weights + given + found.kept - loss + FRAMES * OUT_SECOND * 4 + found.optimizer
    # in backward, the gradient of the first one's output is there beside both inputs
    assert forward <= found.peak <= forward + FRAMES * OUT_FIRST * 4 + found.gradients


@pytest.mark.parametrize(
    ("optim", "momentum", "copies"), [("adam", 0.0, 2), ("sgd", 0.9, 1), ("sgd", 0.0, 0)]
)
def test_the_optimizers_bytes_are_those_after_a_step(optim, momentum, copies):
    learner = made(Summed(TwoConvolutions()), optim=optim, momentum=momentum)
    expected = optimizer_bytes(learner)
    learner.backward(learner.forward(batch(N=N, img_dim=SIDE)).loss)
    learner.update()
    states = learner.optimizer.state.values()
    assert expected == sum(value.nbytes for state in states for value in state.values())
    assert expected // ((FIRST + SECOND) * 4) == copies


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_backbone")
@pytest.mark.parametrize(
    "options", [{}, {"grad_checkpoint": True}, {"plain": True}, {"model": "lc-rnn"}]
)
def test_a_step_that_is_computed_takes_the_same(options):
    N = 2 if "model" in options else 3
    of = learner(**options)
    whole = batch(B, N=N)
    found = step_cost(of, sample(whole), B)
    given = [part for part in whole if isinstance(part, Tensor)]
    with (
        LiveBytes([*of.task.parameters(), *of.task.buffers(), *given]) as memory,
        FlopCounterMode(display=False) as operations,
    ):
        before = memory.live
        output = of.forward(whole)
        kept = memory.live - before
        output.loss.backward()
    assert found.flop == operations.get_total_flops()
    assert found.kept == kept
    assert found.peak == pytest.approx(memory.peak + found.optimizer, rel=0.01)
    assert found.gradients == sum(p.grad.nbytes for p in of.model.parameters())
    assert found.peak >= found.weights + found.optimizer + max(found.kept, found.gradients)


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_backbone")
def test_recomputing_takes_less_memory_and_more_operations():
    found, less = (cost(learner(grad_checkpoint=on), 64) for on in (False, True))
    assert less.kept < found.kept / 2
    assert less.peak < found.peak
    assert less.flop > 1.2 * found.flop


def test_accumulated_gradients_are_there_in_forward():
    found = cost(made(Summed(TwoConvolutions()), accumulate=2))
    assert found.peak >= found.weights + found.gradients + found.optimizer + found.kept
    once = cost(made(Summed(TwoConvolutions())))
    assert found.peak > once.peak
    assert found[:-1] == once[:-1]


def test_several_processes_have_copies_of_the_gradients():
    of = made(Summed(TwoConvolutions()))
    once = cost(of)
    of.runtime = of.runtime.__class__(of.runtime.device, Processes(0, 2))
    found = cost(of)
    assert found == once._replace(exchanged=once.gradients, peak=once.peak + once.gradients)


@pytest.mark.usefixtures("narrow_backbone")
def test_nothing_is_changed():
    of = learner(track_bn=True)
    before = {name: value.clone() for name, value in of.task.state_dict().items()}
    state = torch.get_rng_state()
    found = cost(of, 64)
    assert math.isfinite(found.flop)
    assert all(torch.equal(before[name], value) for name, value in of.task.state_dict().items())
    assert all(parameter.grad is None for parameter in of.model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert of.pending == of.updates == 0


def test_a_step_that_looks_at_values_is_not_counted():
    with pytest.raises(UncountedError, match=r"."):
        cost(made(Looking(TwoConvolutions())))


def test_a_step_that_talks_to_other_processes_is_not_counted():
    task = Summed(TwoConvolutions())
    task.gathers = True
    with pytest.raises(UncountedError, match="exchanges"):
        cost(made(task))
    with pytest.raises(UncountedError, match="exchanges"):
        cost(made(Summed(nn.Sequential(nn.Conv3d(3, 2, 1), nn.SyncBatchNorm(2)))))
