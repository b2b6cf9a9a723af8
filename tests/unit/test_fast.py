"""model/fast computes what the plain modules do."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from model.dpc import DPC_RNN
from model.fast.batch_norm import BatchNorm3d
from model.fast.optimizers import SGD, Adam
from model.fast.resnet_2d3d import FastResNet2d3d
from model.lc import LC_RNN
from model.losses import contrast
from model.resnet_2d3d import ResNet2d3d

FAST = [FastResNet2d3d, partial(FastResNet2d3d, grad_checkpoint=True)]
fast_ones = pytest.mark.parametrize("fast", FAST, ids=["fast", "grad_checkpoint"])


def assert_equal(ours: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """In float64 but for the order of summation; relative to a whole tensor, since single values
    may cancel to nothing."""
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        difference = (ours[key].double() - value.double()).norm()
        assert difference <= 1e-10 * value.double().norm() + 1e-13, key


def gradients_and_statistics(module: nn.Module) -> dict[str, Tensor]:
    gradients = {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
    return {**gradients, **dict(module.named_buffers())}


@fast_ones
@pytest.mark.parametrize("frame_repeats", [1, 2, 5])
@pytest.mark.parametrize("track_bn", [False, True])
@pytest.mark.parametrize("net", ["resnet18", "resnet50"])
def test_the_backbone(net, track_bn, frame_repeats, fast, narrow_backbone):
    frames = 5 if frame_repeats == 1 else 1
    blocks = torch.randn(11, 3, frames, 33, 31, dtype=torch.float64)
    results = []
    for backbone in (ResNet2d3d, fast):
        torch.manual_seed(0)
        network = backbone(net, track_bn).double()
        for _ in range(2):  # a second batch sees what the first left in the statistics
            network.zero_grad()
            features = network(blocks, frame_repeats)
            features.square().mean().backward()
        results.append({"features": features.detach(), **gradients_and_statistics(network)})
    assert_equal(results[1], results[0])


@fast_ones
@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize("net", ["resnet18", "resnet50"])
@pytest.mark.parametrize(
    ("network", "sizes"), [(DPC_RNN, (64, 2, 5, 1, True)), (LC_RNN, (64, 3, 5, 4, 0.0))]
)
def test_the_model(network, sizes, net, frames, fast, narrow_backbone):
    clips = torch.randn(3, 3, 3, frames, 64, 64, dtype=torch.float64)
    results = []
    for backbone in (ResNet2d3d, fast):
        torch.manual_seed(0)
        model = network(net, *sizes, backbone=backbone).double()
        model.agg.dropout.p = 0.0
        output = contrast(*model.predict(clips))[:1] if network is DPC_RNN else model(clips)
        output[0].square().sum().backward()
        outputs = {f"output {i}": part.detach() for i, part in enumerate(output)}
        results.append({**outputs, **gradients_and_statistics(model)})
    assert_equal(results[1], results[0])
    assert any("running_var" in key for key in results[0])


@fast_ones
def test_the_backbone_in_evaluation(fast, narrow_backbone):
    """It normalises with the statistics, keeps them and has gradients all the same."""
    blocks = torch.randn(5, 3, 5, 32, 32, dtype=torch.float64)
    results = []
    for backbone in (ResNet2d3d, fast):
        torch.manual_seed(0)
        network = backbone("resnet18", True).double().eval()
        for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm3d)):
            nn.init.uniform_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)
        before = {key: value.clone() for key, value in network.named_buffers()}
        features = network(blocks)
        features.square().mean().backward()
        assert_equal(dict(network.named_buffers()), before)
        results.append({"features": features.detach(), **gradients_and_statistics(network)})
    assert_equal(results[1], results[0])


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("in_parts", [False, True])
def test_batch_norm_counts_repeated_frames(in_parts, momentum):
    """As for an average of all batches, too, which --track_bn estimates."""
    torch.manual_seed(0)
    ours, torchs = (kind(4, momentum=momentum).double() for kind in (BatchNorm3d, nn.BatchNorm3d))
    for frames in (3, 1, 3):
        x = torch.randn(4, 4, 1, 3, 3, dtype=torch.float64)
        expected = torchs(x.expand(-1, -1, frames, -1, -1))[:, :, :1]
        if in_parts:
            parts = x.split(3)
            moments = ours.merge([ours.moments(p) for p in parts], [3 * 9, 1 * 9], frames)
            y = torch.cat([ours.normalise(part, *moments) for part in parts])
        else:
            y = ours(x, frames)
        assert_equal(
            {"y": y, **dict(ours.named_buffers())}, {"y": expected, **dict(torchs.named_buffers())}
        )


@pytest.mark.parametrize(
    ("kinds", "options"),
    [
        ((Adam, torch.optim.Adam), {}),
        ((SGD, torch.optim.SGD), {"momentum": 0.9}),
        ((SGD, torch.optim.SGD), {"momentum": 0.0}),
    ],
)
def test_an_optimizer_is_torchs(kinds, options):
    torch.manual_seed(0)
    start = torch.randn(50, dtype=torch.float64)
    values = []
    for kind in kinds:
        weight = nn.Parameter(start.clone())
        optimizer = kind([weight], lr=1e-2, weight_decay=1e-3, fused=True, **options)
        for step in range(1, 6):
            (weight.square() * torch.arange(50) * step).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        again = kind([weight], lr=1e-2, weight_decay=1e-3, fused=True, **options)
        again.load_state_dict(optimizer.state_dict())
        values.append({"weight": weight.detach(), **again.state_dict()["state"].get(0, {})})
    assert_equal(*values)
    assert len(values[0]) == {Adam: 4, SGD: 1 + bool(options.get("momentum"))}[kinds[0]]
