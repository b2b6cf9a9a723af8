"""What learns, how fast, and when the rate drops."""

from inspect import unwrap
from typing import NamedTuple

import torch
from torch import nn

from utils.errors import UsageError

CLASSIFIER = ("final_bn", "final_fc")
FINETUNE_FACTOR = 0.1


class Group(NamedTuple):
    """Parameters that learn at `factor` times the run's rate."""

    name: str
    factor: float
    parameters: list[nn.Parameter]

    @property
    def size(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters)


def parameter_groups(model: nn.Module, train_what: str) -> list[Group]:
    """`all`: everything at the full rate. `ft`: backbone and aggregator at a tenth of it, the
    classifier at the full rate. `last`: the classifier alone; the rest is frozen.

    Raises UsageError where a group has no parameters.
    """
    classifier, body = [], []
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
    learning = {id(parameter) for group in groups for parameter in group.parameters}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in learning)


class Adam(torch.optim.Adam):
    """torch's, without the wrappers around its methods that import all of torch's compiler (two
    seconds, 150 MB), of which the optimizer has no use."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)


def make_optimizer(groups: list[Group], lr: float, weight_decay: float) -> Adam:
    settings = [{"params": g.parameters, "lr": lr * g.factor, "name": g.name} for g in groups]
    return Adam(settings, lr=lr, weight_decay=weight_decay, fused=True)


def rate_factor(steps: tuple[int, int] | None, epoch: int) -> float:
    """Of the rate in an epoch (from 1): × 0.1 from the first step on, × 0.01 from the second on,
    counted in epochs already trained. None: a constant rate."""
    if steps is None:
        return 1.0
    return 0.1 ** sum(epoch - 1 >= step for step in steps)


def set_rates(optimizer: torch.optim.Optimizer, groups: list[Group], lr: float) -> None:
    for settings, group in zip(optimizer.param_groups, groups, strict=True):
        settings["lr"] = lr * group.factor
