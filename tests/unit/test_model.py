"""The networks: golden numbers of the published method, all depths, plain and fast alike."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from model.dpc import DPC_RNN
from model.fast.resnet_2d3d import FastResNet2d3d
from model.lc import LC_RNN
from model.losses import contrastive_logits, contrastive_loss, negative_kinds
from model.resnet_2d3d import DEPTHS, ResNet2d3d

PARITY = Path(__file__).parents[1] / "data" / "parity"
plain_and_fast = pytest.mark.parametrize("backbone", [ResNet2d3d, FastResNet2d3d])


def golden_weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight that the numbers in tests/data/parity were made with: it follows from its key."""
    rng = np.random.RandomState(
        zlib.crc32(key.replace("agg.ConvGRUCell_00.", "agg.cell_list.0.").encode())
    )
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if len(shape) > 1:
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif key.endswith(("running_var", "weight")):
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(value.astype(np.float32))


def load_golden(model: torch.nn.Module) -> None:
    state = {k: golden_weight(k, tuple(v.shape)) for k, v in model.state_dict().items()}
    model.load_state_dict(state)


def golden_input(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    values = np.random.RandomState(seed).standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


@plain_and_fast
@pytest.mark.parametrize(
    ("name", "network", "arguments"),
    [
        ("dpc-rnn_resnet18", DPC_RNN, ("resnet18", 64, 2, 5, 2)),
        ("dpc-rnn_resnet34", DPC_RNN, ("resnet34", 64, 2, 5, 2)),
        ("lc-rnn_resnet18", LC_RNN, ("resnet18", 64, 3, 5, 7, 0.5)),
    ],
)
def test_state_dict_has_the_published_names_and_shapes(name, network, arguments, backbone):
    published = json.loads((PARITY / f"{name}_state_dict.json").read_text())
    state = network(*arguments, backbone=backbone).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == published


def golden_step(
    backbone: type[ResNet2d3d], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, dict[str, float]]:
    """Score, loss and each parameter's gradient norm of the golden dpc-rnn, 3 blocks seen and 2
    predicted."""
    model = DPC_RNN("resnet18", 64, 3, 5, 2, backbone=backbone).eval()
    load_golden(model)
    score = model.to(dtype)(golden_input(0, (2, 5, 3, 5, 64, 64)).to(dtype))
    loss = contrastive_loss(score).mean()
    loss.backward()
    norms = {key: parameter.grad.norm().item() for key, parameter in model.named_parameters()}
    return score.detach(), loss.detach(), norms


def golden_norms() -> dict[str, float]:
    norms = json.loads((PARITY / "dpc_r18_64_grad_norms.json").read_text())
    second_name = ("agg.cell_list.0.", "agg.ConvGRUCell_00.")
    return {key.removeprefix("module.").replace(*second_name): norms[key] for key in norms}


@plain_and_fast
def test_dpc_gives_the_golden_score_loss_and_gradients_in_float64(backbone):
    golden = np.load(PARITY / "dpc_r18_64.npz")
    score, loss, norms = golden_step(backbone, torch.float64)
    np.testing.assert_allclose(score.numpy(), golden["score"], rtol=1e-10, atol=1e-10)
    logits, target = contrastive_logits(score)
    assert np.array_equal(target.numpy(), golden["target"].reshape(-1))
    assert (logits.argmax(1) == target).double().mean().item() == pytest.approx(
        float(golden["top1"])
    )
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-10)
    assert np.array_equal(negative_kinds(2, 2, 4).numpy(), golden["mask"])
    for key, norm in golden_norms().items():
        assert norms[key] == pytest.approx(norm, rel=1e-10), key


@plain_and_fast
def test_dpc_in_float32_is_near_the_golden_numbers(backbone):
    # processors round differently: 5e-4 was seen without AVX-512
    golden = np.load(PARITY / "dpc_r18_64.npz")
    score, loss, norms = golden_step(backbone, torch.float32)
    bound = 2e-3 * np.abs(golden["score"]).max()
    assert np.abs(score.numpy() - golden["score"]).max() < bound
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=2e-3)
    for key, norm in golden_norms().items():
        assert norms[key] == pytest.approx(norm, rel=2e-3, abs=1e-5), key


@plain_and_fast
def test_lc_gives_the_golden_output_and_context_in_float64(backbone):
    golden = np.load(PARITY / "lc_r18_64.npz")
    model = LC_RNN("resnet18", 64, 3, 5, 7, 0.5, backbone).eval()
    load_golden(model)
    with torch.no_grad():
        logits, context = model.double()(golden_input(1, (2, 3, 3, 5, 64, 64)).double())
    np.testing.assert_allclose(logits.numpy(), golden["output"], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(context.numpy(), golden["context"], rtol=1e-10, atol=1e-10)


def test_contrastive_loss_equals_the_double_loop():
    B, P, S = 3, 2, 4
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(B, P, S, B, P, S, generator=generator, dtype=torch.float64)
    loss = contrastive_loss(score)
    for b in range(B):
        for p in range(P):
            for s in range(S):
                total = 0.0
                for other in torch.cartesian_prod(
                    torch.arange(B), torch.arange(P), torch.arange(S)
                ):
                    total += score[b, p, s][tuple(other)].exp().item()
                expected = -np.log(score[b, p, s, b, p, s].exp().item() / total)
                assert loss[b, p, s].item() == pytest.approx(expected, rel=1e-10)


def test_contrastive_loss_of_equal_scores_is_that_of_chance():
    assert contrastive_loss(torch.zeros(2, 1, 4, 2, 1, 4)).mean().item() == pytest.approx(np.log(8))


@pytest.mark.slow
@pytest.mark.parametrize("net", DEPTHS)
def test_every_depth_builds_and_runs(net):
    backbone = ResNet2d3d(net, track_bn=False).eval()
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, 2, 32, 32))
    assert features.shape == (2, 256 if net in ("resnet18", "resnet34") else 1024, 1, 1, 1)
    assert features.min() < 0


def test_the_number_of_positions_is_rounded_up():
    model = DPC_RNN("resnet18", 40, 1, 1, 1).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 2, 3, 1, 40, 40)).shape == (2, 1, 4, 2, 1, 4)


def test_clips_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="the model takes"):
        DPC_RNN("resnet18", 32, 1, 5, 1)(torch.zeros(2, 2, 3, 4, 32, 32))


@pytest.mark.usefixtures("narrow_backbone")
@pytest.mark.parametrize("trains", [False, True])
def test_l2_norm_gives_each_context_length_one_before_the_batch_norm(trains):
    torch.manual_seed(0)
    model = LC_RNN("resnet18", 64, 3, 5, 7, 0.0, l2_norm=True).double()
    plain = LC_RNN("resnet18", 64, 3, 5, 7, 0.0).double()
    plain.load_state_dict(model.state_dict())  # the same names and shapes
    features = torch.randn(4, 3, model.backbone.feature_size, 2, 2, dtype=torch.float64)
    features, again = (features.clone().requires_grad_() for _ in range(2))
    model.train(trains).agg.eval()
    plain.train(trains).agg.eval()
    logits, context = model.classify(features)
    pooled = plain.agg(again).mean(dim=(2, 3))
    expected = plain.final_bn(pooled / pooled.square().sum(dim=1, keepdim=True).sqrt())
    assert torch.allclose(context, expected, rtol=1e-10)
    assert torch.allclose(logits, plain.final_fc(expected), rtol=1e-10)
    assert not torch.allclose(context, plain.classify(again)[1], rtol=1e-2)
    weight = torch.randn(4, 7, dtype=torch.float64)
    (logits * weight).sum().backward()
    (plain.final_fc(expected) * weight).sum().backward()
    assert torch.allclose(features.grad, again.grad, rtol=1e-8, atol=1e-14)
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.allclose(one.grad, other.grad, rtol=1e-8, atol=1e-12)
