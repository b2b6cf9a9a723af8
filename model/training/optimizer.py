"""The optimizer: which parameters learn, at which rate, and when the rate drops."""

from typing import NamedTuple, Protocol

import torch
from torch import nn

from model.fast.optimizers import SGD, Adam
from utils.config.checks import milestones
from utils.config.described import info_of
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


def make_optimizer(
    groups: list[Group], lr: float, weight_decay: float, optim: str = "adam", momentum: float = 0.0
) -> torch.optim.Optimizer:
    """Return Adam, or SGD with its momentum, over the groups, each at its own rate."""
    settings = [{"params": g.parameters, "lr": lr * g.factor, "name": g.name} for g in groups]
    if optim == "sgd":
        return SGD(settings, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    return Adam(settings, lr=lr, weight_decay=weight_decay, fused=True)


class Schedule(Protocol):
    """How the learning rate changes over a run."""

    def factor(self, epoch: int) -> float:
        """Return the share of the run's rate that an epoch, counted from 1, learns at."""

    def text(self) -> str:
        """Return in words when the rate changes."""


class Steps(NamedTuple):
    """A learning rate that drops by a factor at each milestone; without any it is constant.

    A milestone counts trained epochs: with milestone 60, epoch 61 is the first at the lower rate.
    """

    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def factor(self, epoch: int) -> float:
        """Return gamma to the number of milestones passed in an epoch, counted from 1."""
        return self.gamma ** sum(epoch - 1 >= milestone for milestone in self.milestones)

    def text(self) -> str:
        """Return in words when the rate drops, and how far."""
        if not self.milestones:
            return "the rate stays as it is"
        epochs = "epoch " if len(self.milestones) == 1 else "epochs "
        epochs += " and ".join(map(str, self.milestones))
        return f"the rate is multiplied by {self.gamma:g} after {epochs}"


def schedule_of(config: Config) -> Schedule:
    """Return the drops that --schedule names.

    Without it they are none for dpc-rnn, and for lc-rnn the published ones, which depend on the
    data set and the image size.
    """
    epochs = milestones(config)
    if epochs is None and config.is_dpc:
        epochs = ()
    if epochs is None:
        epochs = info_of(config).milestones[config.img_dim >= LARGE_IMAGE]
    return Steps(epochs, config.lr_gamma)


def optimizer_text(config: Config) -> str:
    """Return in words how a run learns: the optimizer, its settings, and when the rate drops."""
    momentum = f"momentum {config.momentum:g} and " if config.optim == "sgd" else ""
    settings = f"{momentum}weight decay {config.weight_decay:g}"
    return f"{config.optim} with {settings}; {schedule_of(config).text()}"


def set_rates(optimizer: torch.optim.Optimizer, groups: list[Group], lr: float) -> None:
    """Set each group's rate, from the run's rate `lr`."""
    for settings, group in zip(optimizer.param_groups, groups, strict=True):
        settings["lr"] = lr * group.factor
