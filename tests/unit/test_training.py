"""The loop's parts: metrics, rates, what learns, batch-norm statistics, the order of an epoch."""

import math

import pytest
import torch
from torch import nn

from conftest import ON_CPU
from dataset.build import build_loader
from model.dpc import score
from model.lc import LC_RNN
from model.metrics import Tally, hits
from model.training.build import build_task
from model.training.engine import estimate_statistics, norms_without_statistics, train_mode
from model.training.optimizer import (
    freeze_all_but,
    make_optimizer,
    parameter_groups,
    rate_factor,
    set_rates,
)
from model.training.passes import normalise
from model.training.tasks import ContrastiveTask
from utils.config.datasets import CATALOGUE
from utils.config.flags import Config
from utils.errors import UsageError
from utils.samples import Batch

SMALL = Config(
    dataset="Gabors",
    img_dim=32,
    num_seq_in=2,
    pred_step=1,
    num_gabors=5,
    batch_size=4,
    train_len=8,
    num_workers=0,
    seed=3,
)


def test_means_are_over_all_rows_of_an_epoch():
    tally = Tally(torch.device("cpu"))
    logits = torch.tensor([[3.0, 2, 1, 0], [0, 1, 2, 3]])
    tally.add(torch.tensor([1.0, 2.0]), hits(logits, torch.tensor([0, 1])), 4)
    tally.add(torch.tensor([6.0]), hits(logits[:1], torch.tensor([1])), 4)
    means = tally.counts().means()
    assert means.loss == 3.0
    assert means.top1 == pytest.approx(1 / 3)
    assert means.top3 == 1.0  # the second row's target is third
    assert means.top5 is None  # of 4 columns
    assert means.chance == 1 / 4


def test_chance_is_averaged_over_batches():
    tally = Tally(torch.device("cpu"))
    for columns in (8, 4):
        tally.add(torch.zeros(1), hits(torch.randn(1, columns), torch.tensor([0])), columns)
    means = tally.counts().means()
    assert means.chance == (1 / 8 + 1 / 4) / 2
    assert means.top5 is None


def test_equal_logits_are_no_success():
    tally = Tally(torch.device("cpu"))
    tally.add(torch.zeros(6), hits(torch.zeros(6, 6), torch.arange(6)), 6)
    assert tally.counts().means().top1 == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("dataset", "large", "steps"),
    [
        ("UCF101", False, (60, 80)),
        ("UCF101", True, (300, 400)),
        ("MouseSim", False, (60, 80)),
        ("HMDB51", False, (30, 40)),
        ("Kinetics400", True, (150, 250)),
        ("Gabors", False, (10, 15)),
        ("Gabors", True, (20, 30)),
    ],
)
def test_the_classifiers_rate_drops_at_the_published_epochs(dataset, large, steps):
    assert CATALOGUE[dataset].lr_steps[large] == steps
    first, second = steps
    expected = {1: 1, first: 1, first + 1: 0.1, second: 0.1, second + 1: 0.01, 1000: 0.01}
    for epoch, factor in expected.items():
        assert rate_factor(steps, epoch) == pytest.approx(factor)
    assert rate_factor(None, 1000) == 1


def test_ft_trains_the_body_at_a_tenth_of_the_rate():
    model = LC_RNN("resnet18", 32, 2, 5, 3)
    groups = parameter_groups(model, "ft")
    optimizer = make_optimizer(groups, 1e-3, 1e-3)
    set_rates(optimizer, groups, 1e-4)
    body, classifier = optimizer.param_groups
    assert body["lr"] == pytest.approx(1e-5)
    assert classifier["lr"] == 1e-4
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)].split(".")[0] for p in body["params"]} == {"backbone", "agg"}
    assert {names[id(p)].split(".")[0] for p in classifier["params"]} == {"final_bn", "final_fc"}
    assert sum(group.size for group in groups) == sum(p.numel() for p in model.parameters())


def test_last_freezes_the_body_and_keeps_it_in_eval_mode():
    model = LC_RNN("resnet18", 32, 2, 5, 3)
    freeze_all_but(model, parameter_groups(model, "last"))
    train_mode(model)
    assert not any(module.training for module in model.backbone.modules())
    assert not model.agg.dropout.training
    assert model.final_bn.training
    assert model.final_fc[0].training


def test_a_group_without_parameters_is_an_error():
    with pytest.raises(UsageError, match="no classifier to train"):
        parameter_groups(nn.Sequential(nn.Linear(1, 1)), "last")


def test_clips_are_normalised_with_imagenets_mean_and_spread():
    clip = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 3, 1, 1, 1)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert normalise(clip).flatten().tolist() == pytest.approx(expected, rel=1e-5)


def test_estimated_statistics_are_the_cumulative_average_over_batches():
    config = Config(**{**vars(SMALL), "model": "lc-rnn"})
    loader = build_loader(config, "train", ON_CPU)
    torch.manual_seed(0)
    task = build_task(config, len(loader.samples.classes))
    assert norms_without_statistics(task)
    seen = []
    task.model.backbone.bn1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert estimate_statistics(task, loader, ON_CPU) == 2
    norm = task.model.backbone.bn1
    means = torch.stack([x.mean(dim=(0, 2, 3, 4)) for x in seen])
    assert torch.allclose(norm.running_mean, means.mean(dim=0), atol=1e-5)
    # the unbiased variance over frames that are each shown 5 times
    repeated = [x.repeat_interleave(5, dim=2) for x in seen]
    variances = torch.stack([x.var(dim=(0, 2, 3, 4)) for x in repeated])
    assert torch.allclose(norm.running_var, variances.mean(dim=0), rtol=1e-4)
    assert not norms_without_statistics(task)
    assert norm.momentum == 0.1


class Vectors(nn.Module):
    """A model whose predicted and true vectors `[B, P, F, S]` are given."""

    def __init__(self, predicted, targets):
        super().__init__()
        self.vectors = predicted, targets

    def predict(self, clips):
        return self.vectors


def test_a_prediction_is_decoded_as_the_class_of_the_best_block():
    B, N, P, F, S = 2, 3, 2, 8, 4
    torch.manual_seed(0)
    predicted, targets = torch.randn(2, B, P, F, S)
    scores = score(predicted, targets)
    labels = torch.arange(B * N).view(B, N, 1, 1).expand(B, N, 5, 2).clone()
    labels[..., 1] = 0
    batch = Batch(torch.zeros(0), labels, torch.arange(B))
    output = ContrastiveTask(Vectors(predicted, targets))(None, batch)
    for b in range(B):
        for p in range(P):
            means = {
                (c, q): scores[b, p, :, c, q, :].mean().item() for c in range(B) for q in range(P)
            }
            c, q = max(means, key=means.get)
            assert output.predictions.predicted[b, p] == c * N + (N - P) + q
            assert output.predictions.labels[b, p, 0] == b * N + (N - P) + p
    assert output.columns == len(output.row_loss) == len(output.hits) == B * P * S
    assert output.loss.item() == pytest.approx(output.row_loss.mean().item())
    block = output.row_loss.view(B, P, S).mean(dim=2)
    assert torch.allclose(output.predictions.loss, block)


def test_weights_follow_from_the_seed():
    def build(seed):
        torch.manual_seed(seed)
        return build_task(SMALL, 3).state_dict()

    first, again, other = build(1), build(1), build(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(
        first["model.backbone.conv1.weight"], other["model.backbone.conv1.weight"]
    )


def test_the_loader_leaves_torchs_random_state_alone():
    loader = build_loader(SMALL, "train", ON_CPU)
    before = torch.get_rng_state()
    assert len(list(loader.batches(0))) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_chance_loss_is_the_logarithm_of_the_number_of_vectors():
    nothing = torch.zeros(2, 1, 8, 4)
    batch = Batch(torch.zeros(0), torch.zeros(2, 3, 5, 2, dtype=torch.long), torch.arange(2))
    assert ContrastiveTask(Vectors(nothing, nothing))(None, batch).loss.item() == pytest.approx(
        math.log(8)
    )
