"""The optimizer: which parameters learn, at which rate, and when the rate drops."""

from typing import NamedTuple, Protocol

import torch
from torch import nn

from model.fast.adam import Adam
from utils.config.datasets import CATALOGUE
from utils.config.flags import Config
from utils.errors import UsageError

CLASSIFIER = ("final_bn", "final_fc")
FINETUNE_FACTOR = 0.1
LARGE_IMAGE = 224  # pixels, from which on the published milestones are later ones


class Group(NamedTuple):
    """Parameters that learn at `factor` times the run's rate."""

    name: str
    factor: float
    parameters: list[nn.Parameter]

    @property
    def size(self) -> int:
        """The number of values that learn."""
        return sum(parameter.numel() for parameter in self.parameters)


def parameter_groups(model: nn.Module, train_what: str) -> list[Group]:
    """Return the groups of --train_what.

    `all`: everything at the full rate. `ft`: backbone and aggregator at a tenth of it, the
    classifier at the full rate. `last`: the classifier alone; the rest is frozen. Raises
    UsageError if a group has no parameters.
    """
    classifier: list[nn.Parameter] = []
    body: list[nn.Parameter] = []
    for name, module in model.named_children():
        (classifier if name in CLASSIFIER else body).extend(module.parameters())
    groups = {
        "all": [Group("all", 1.0, body + classifier)],
        "ft": [
            Group("backbone and aggregator", FINETUNE_FACTOR, body),
            Group("classifier", 1.0, classifier),
        ],
        "last": [Group("classifier", 1.0, classifier)],
    }[train_what]
    for group in groups:
        if not group.parameters:
            raise UsageError(f"--train_what {train_what}: the model has no {group.name} to train")
    return groups


def freeze_all_but(model: nn.Module, groups: list[Group]) -> None:
    """Let only the groups' parameters learn."""
    learning = {id(parameter) for group in groups for parameter in group.parameters}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in learning)


def make_optimizer(groups: list[Group], lr: float, weight_decay: float) -> Adam:
    """Return Adam over the groups, each at its own rate."""
    settings = [{"params": g.parameters, "lr": lr * g.factor, "name": g.name} for g in groups]
    return Adam(settings, lr=lr, weight_decay=weight_decay, fused=True)


class Schedule(Protocol):
    """How the learning rate changes over a run."""

    def factor(self, epoch: int) -> float:
        """Return the share of the run's rate that an epoch, counted from 1, learns at."""


class Steps(NamedTuple):
    """A learning rate that drops to a tenth at each milestone; without any it is constant.

    A milestone counts trained epochs: with milestone 60, epoch 61 is the first at the lower rate.
    """

    milestones: tuple[int, ...] = ()

    def factor(self, epoch: int) -> float:
        """Return 0.1 to the number of milestones passed in an epoch, counted from 1."""
        return 0.1 ** sum(epoch - 1 >= milestone for milestone in self.milestones)


def schedule_of(config: Config) -> Schedule:
    """Return dpc-rnn's constant rate, or lc-rnn's milestones for the data set and image size."""
    if config.is_dpc:
        return Steps()
    return Steps(CATALOGUE[config.dataset].milestones[config.img_dim >= LARGE_IMAGE])


def set_rates(optimizer: torch.optim.Optimizer, groups: list[Group], lr: float) -> None:
    """Set each group's rate, from the run's rate `lr`."""
    for settings, group in zip(optimizer.param_groups, groups, strict=True):
        settings["lr"] = lr * group.factor
