"""--grad_checkpoint: the same results in less memory."""

import pytest
import torch
from torch import nn

from conftest import ON_CPU
from model.resnet_2d3d import BatchNorm3d, ResNet2d3d
from model.training.build import build_learner
from model.training.passes import on_device
from test_precision import SMALL, batch, bf16, learned, learner, likeness
from utils.config.flags import Config

pytestmark = pytest.mark.usefixtures("narrow_backbone")


@pytest.mark.parametrize("frame_repeats", [1, 5])
@pytest.mark.parametrize("track_bn", [False, True])
@pytest.mark.parametrize("net", ["resnet18", "resnet50"])
def test_gradients_and_statistics_are_equal(net, track_bn, frame_repeats):
    torch.manual_seed(0)
    kept = ResNet2d3d(net, track_bn).double()
    twice = ResNet2d3d(net, track_bn, grad_checkpoint=True).double()
    twice.load_state_dict(kept.state_dict())
    blocks = torch.randn(11, 3, 5 // frame_repeats, 33, 31, dtype=torch.float64)
    results = []
    for network in (kept, twice):
        for _ in range(2):  # a second batch sees what the first left in the statistics
            network.zero_grad()
            features = network(blocks, frame_repeats)
            features.square().mean().backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        results.append([features.detach(), *gradients, *network.buffers()])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-8, atol=1e-10)


def test_evaluation_keeps_its_statistics_and_its_gradient():
    torch.manual_seed(0)
    kept = ResNet2d3d("resnet18", True)
    twice = ResNet2d3d("resnet18", True, grad_checkpoint=True)
    for norm in (module for module in kept.modules() if isinstance(module, BatchNorm3d)):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    twice.load_state_dict(kept.state_dict())
    blocks = torch.randn(5, 3, 5, 32, 32)
    results = []
    for network in (kept.eval(), twice.eval()):
        features = network(blocks)
        features.square().mean().backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        results.append([features.detach(), *gradients, *network.buffers()])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_a_step_of_a_task(model, amp):
    runtime = ON_CPU if amp == "off" else bf16()
    options = {"model": model, "num_seq_in": 2 if model == "dpc-rnn" else 3}
    losses, gradients = learned(learner(runtime, **options), batch())
    losses2, gradients2 = learned(learner(runtime, **options, grad_checkpoint=True), batch())
    assert losses2 == pytest.approx(losses, rel=1e-4 if amp == "off" else 2e-2)
    whole, whole2 = (
        torch.cat([g.flatten() for g in gs.values()]) for gs in (gradients, gradients2)
    )
    assert likeness(whole, whole2) > (0.999 if amp == "off" else 0.9)


def kept_bytes(grad_checkpoint: bool) -> int:
    """For backward, weights aside."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    made = learner(grad_checkpoint=grad_checkpoint)
    weights = {parameter.data_ptr() for parameter in made.model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = made.task(*on_device(batch(), made.runtime.device))
    assert output.loss.requires_grad
    return sum(size for place, size in kept.items() if place not in weights)


def test_little_is_kept():
    assert kept_bytes(True) < kept_bytes(False) / 2


def test_without_gradients_nothing_is_computed_twice(monkeypatch):
    made = build_learner(Config(**SMALL, grad_checkpoint=True), 5, False, learner().runtime)
    monkeypatch.setattr("model.resnet_2d3d.computed_twice", None)
    with torch.inference_mode():
        made.task(*on_device(batch(), made.runtime.device))
