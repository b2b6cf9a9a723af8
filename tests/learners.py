"""Learners of small models, batches for them, and how alike their gradients are."""

import torch
from torch import nn
from torch.nn import functional

from model.training.build import build_learner
from model.training.learner import Learner
from small_runs import ON_CPU
from utils.config.flags import Config
from utils.runtime.device import Runtime
from utils.samples import Batch

SMALL = {"dataset": "Gabors", "img_dim": 64, "num_seq_in": 2, "pred_step": 1, "seed": 3}
Gradients = dict[str, torch.Tensor]


def learner(runtime: Runtime = ON_CPU, num_classes: int = 5, **options) -> Learner:
    """Without dropout, whose draws differ between a compiled model and a plain one."""
    made = build_learner(Config(**{**SMALL, **options}), num_classes, False, runtime)
    for module in made.task.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    made.task.train()
    return made


def double_learner(**options) -> Learner:
    """In float64, where only the order of summation is left of what processors round apart."""
    made = learner(**options)
    task = made.task.double()
    task.normalise = lambda clip: (clip.double() - task.mean) / task.std
    return made


def batch(B: int = 4, seed: int = 0, N: int = 3, img_dim: int = 64, L: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randint(256, (B, N, 3, L, img_dim, img_dim), generator=generator).byte()
    labels = torch.randint(2, (B, N, 5, 2), generator=generator)
    return Batch(clip, labels, torch.arange(B))


def learned(made: Learner, *batches: Batch) -> tuple[list[float], Gradients]:
    """→ (losses, the gradients before any update)."""
    losses = []
    for one in batches:
        with made.autocast():
            output = made.forward(one)
        made.backward(output.loss)
        losses.append(output.loss.item())
    return losses, {name: p.grad.clone() for name, p in made.model.named_parameters()}


def assert_same(ours: Gradients, expected: Gradients) -> None:
    """Relative to a whole parameter: single values may cancel to nothing."""
    for name, gradient in expected.items():
        assert (ours[name] - gradient).norm() <= 1e-9 * gradient.norm() + 1e-12, name


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    """1: they point the same way."""
    return functional.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()


def whole_likeness(one: Gradients, other: Gradients) -> float:
    """Of all parameters' gradients together."""
    return likeness(*(torch.cat([g.flatten() for g in parts.values()]) for parts in (one, other)))


def bf16() -> Runtime:
    return Runtime(torch.device("cpu"), amp="bf16")
