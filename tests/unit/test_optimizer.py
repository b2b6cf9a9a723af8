"""SGD and schedules: steps, words, and what a checkpoint gives back."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from learners import batch, learner
from model.fast.optimizers import SGD
from model.training.learner import Learner
from model.training.optimizer import (
    Group,
    Steps,
    make_optimizer,
    optimizer_text,
    schedule_of,
    set_rates,
)
from model.training.restoring import restore_optimizer
from utils.config.datasets import CATALOGUE
from utils.config.flags import Config
from utils.runs.structure import MisfitError

pytestmark = pytest.mark.usefixtures("narrow_backbone")
PAGE = Path(__file__).parents[2] / "model" / "README.md"
SGD_FLAGS = {"optim": "sgd", "lr": 0.01, "momentum": 0.9}


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_sgd_steps_as_the_formula_says(momentum):
    """v ← momentum·v + gradient + decay·w;  w ← w − rate·v, each group at its own rate."""
    torch.manual_seed(0)
    parts = [nn.Parameter(torch.randn(3, dtype=torch.float64)) for _ in range(2)]
    groups = [Group("body", 0.1, parts[:1]), Group("classifier", 1.0, parts[1:])]
    optimizer = make_optimizer(groups, 0.5, 1e-3, "sgd", momentum)
    expected = [part.tolist() for part in parts]
    velocity = [[0.0] * 3 for _ in parts]
    for step in range(1, 7):
        lr = 0.5 if step < 4 else 0.05
        set_rates(optimizer, groups, lr)
        sum((part.square() * step).sum() for part in parts).backward()
        optimizer.step()
        optimizer.zero_grad()
        for one, factor in ((0, 0.1), (1, 1.0)):
            for i in range(3):
                gradient = 2 * step * expected[one][i] + 1e-3 * expected[one][i]
                velocity[one][i] = momentum * velocity[one][i] + gradient
                expected[one][i] -= lr * factor * velocity[one][i]
    for part, values in zip(parts, expected, strict=True):
        assert part.tolist() == pytest.approx(values, rel=1e-12)


def test_sgd_forgets_a_first_step_that_was_left_out():
    """With fp16 the first gradients often overflow: torch's momentum would begin as garbage."""
    torch.manual_seed(0)
    start = torch.randn(1000)
    weight, plain = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = SGD([weight], lr=0.1, momentum=0.9, weight_decay=1e-3, fused=True)
    expected = torch.optim.SGD([plain], lr=0.1, momentum=0.9, weight_decay=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for gradient in (torch.full_like(start, torch.inf), torch.randn(1000), torch.randn(1000)):
        scaled = scaler.scale((weight * gradient).sum())
        scaled.backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if gradient.isfinite().all():
            plain.grad = gradient
            expected.step()
        assert torch.allclose(weight, plain, atol=1e-6)
    assert not torch.equal(weight, start)


@pytest.mark.parametrize(
    ("flags", "steps", "rates"),
    [
        ({}, Steps(), {1: 1.0, 1000: 1.0}),
        ({"schedule": "none", "model": "lc-rnn"}, Steps(), {1: 1.0, 1000: 1.0}),
        ({"schedule": "300"}, Steps((300,)), {300: 1.0, 301: 0.1}),
        ({"model": "lc-rnn", "lr_gamma": 0.5}, Steps((60, 80), 0.5), {60: 1, 61: 0.5, 81: 0.25}),
        (
            {"schedule": "1 2 40", "lr_gamma": 0.2, "model": "lc-rnn"},
            Steps((1, 2, 40), 0.2),
            {1: 1.0, 2: 0.2, 3: 0.04, 40: 0.04, 41: 0.008},
        ),
    ],
)
def test_the_rate_drops_after_the_epochs_of_the_schedule(flags, steps, rates):
    schedule = schedule_of(Config(**flags))
    assert schedule == steps
    for epoch, factor in rates.items():
        assert schedule.factor(epoch) == pytest.approx(factor, rel=1e-12)


def test_the_published_drops_are_the_same_floats_as_ever():
    schedule = schedule_of(Config(model="lc-rnn"))
    assert [schedule.factor(epoch) for epoch in (60, 61, 81)] == [0.1**0, 0.1**1, 0.1**2]


def test_the_page_lists_the_milestones_of_each_data_set():
    rows = re.findall(r"^\| (\w+) \| (\d+) (\d+) \| (\d+) (\d+) \|$", PAGE.read_text(), re.M)
    listed = {name: tuple(map(int, epochs)) for name, *epochs in rows}
    assert listed == {
        info.name: (*info.milestones[0], *info.milestones[1]) for info in CATALOGUE.values()
    }


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({}, "adam with weight decay 1e-05; the rate stays as it is"),
        (
            {"model": "lc-rnn"},
            "adam with weight decay 0.001; the rate is multiplied by 0.1 after epochs 60 and 80",
        ),
        (
            {"optim": "sgd", "schedule": "5", "lr_gamma": 0.5, "wd": 0.0},
            "sgd with momentum 0.9 and weight decay 0; the rate is multiplied by 0.5 after epoch 5",
        ),
    ],
)
def test_how_a_run_learns_is_told_in_words(flags, text):
    assert optimizer_text(Config(**flags)) == text


# ---- what is restored ----


def stepped(**flags) -> Learner:
    """Return a learner after an update."""
    made = learner(**flags)
    update(made)
    return made


def update(made: Learner, seed: int = 0) -> None:
    made.backward(made.forward(batch(seed=seed)).loss)
    made.update()


def content_of(made: Learner) -> dict:
    return {"optimizer": deepcopy(made.optimizer.state_dict()), "scaler": {}}


@pytest.mark.parametrize("flags", [{}, SGD_FLAGS, {**SGD_FLAGS, "momentum": 0.0}])
@pytest.mark.parametrize("plain", [False, True])
def test_an_optimizer_goes_on_where_it_was_in_the_layout_of_the_weights(flags, plain):
    """--plain has another layout in memory, which torch's fused kernels don't look at."""
    before, after = stepped(**flags), learner(**flags, plain=plain)
    restore_optimizer(content_of(before), after)
    state = before.optimizer.state_dict()["state"]
    again = after.optimizer.state_dict()["state"]
    assert list(again) == list(state)
    assert bool(state) == (flags.get("momentum", 1) > 0)
    for one, other in zip(state.values(), again.values(), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    torch.manual_seed(1)
    for own, other in zip(before.model.parameters(), after.model.parameters(), strict=True):
        other.data.copy_(own.data)
        own.grad = torch.zeros_like(own).copy_(torch.randn(own.shape))
        other.grad = torch.zeros_like(other).copy_(own.grad)
    before.optimizer.step()
    after.optimizer.step()
    for own, other in zip(before.model.parameters(), after.model.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize(
    ("stored", "own", "told"),
    [
        ({}, SGD_FLAGS, "its optimizer is adam, and this run's is sgd with momentum 0.9"),
        (SGD_FLAGS, {}, "its optimizer is sgd with momentum 0.9, and this run's is adam"),
        (
            {**SGD_FLAGS, "momentum": 0.0},
            SGD_FLAGS,
            "its optimizer is sgd with momentum 0, and this run's is sgd with momentum 0.9",
        ),
    ],
)
def test_the_state_of_another_optimizer_is_refused(stored, own, told):
    with pytest.raises(MisfitError, match=told):
        restore_optimizer(content_of(stepped(**stored)), learner(**own))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("momentum_buffer", torch.ones(3), r"state.0.momentum_buffer is a tensor \[3\]"),
        ("momentum_buffer", None, "state.0.momentum_buffer is None"),
        ("momentum_buffer", "like it, of nan", "values that are not finite"),
        ("other", torch.ones(3), "lacks optimizer.state.0.momentum_buffer"),
    ],
)
def test_wrong_momentum_is_refused(name, value, told):
    made = stepped(**SGD_FLAGS)
    content = content_of(made)
    (old,) = content["optimizer"]["state"][0].values()
    new = torch.full_like(old, torch.nan) if isinstance(value, str) else value
    content["optimizer"]["state"][0] = {name: new}
    with pytest.raises(MisfitError, match=told):
        restore_optimizer(content, made)
