"""The network that is analysed: an instance of its own, with the weights of a checkpoint."""

import dataclasses
import hashlib
from pathlib import Path

import torch
from torch import Tensor

from model.training.restoring import check_classes
from model.training.tasks import Task, build_task
from model.training.tensor_names import tensors_of, weights_of
from model.training.weights import load_exactly
from utils.config.flags import Config
from utils.runs.reading import read_checkpoint
from utils.samples import ClassInfo


def build_network(config: Config, num_classes: int, device: torch.device) -> Task:
    """Return a run's task in eval mode, in float32 whatever --amp, with random weights.

    Its parameters need no gradients. The random states of a training that goes on stay as they are.
    """
    # the backbone is run without a graph, so nothing needs to be recomputed
    config = dataclasses.replace(config, grad_checkpoint=False)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        task = build_task(config, num_classes)
    task = task.requires_grad_(False).eval().to(device)
    if not config.plain and device.type != "cuda":  # as in training
        task.model.backbone.to(memory_format=torch.channels_last_3d)
    return task


def read_weights(path: Path, task: Task, classes: tuple[ClassInfo, ...]) -> dict[str, Tensor]:
    """Read a checkpoint's weights; raises UsageError for another model's or other classes."""
    content, told = read_checkpoint(path, "analysis"), f"--analysis {path}"
    names = [info.name for info in classes]
    check_classes(content.get("classes", names), names, told)
    return weights_of(task.model, content, told)


def load_weights(task: Task, weights: dict[str, Tensor], told: str) -> str:
    """Load all of the model's weights, and return their SHA-256, of names, kinds and values.

    Raises UsageError if one is missing or not finite.
    """
    load_exactly(task.model, weights, told)
    digest = hashlib.sha256()
    for name, value in sorted(tensors_of(task.model).items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
