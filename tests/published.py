"""Checkpoint files in the format of the published ones, and the weights of a file."""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from model.training.tensor_names import weights_of
from model.training.weights import load_exactly

PARITY = Path(__file__).parent / "data" / "parity"


def save_as_published(content: dict, path: Path) -> None:
    """Save in the format before zip files, with NumPy's functions named as in NumPy 1."""
    torch.save(content, path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    # a module name of protocol 2 ends at a newline, so it may change its length
    path.write_bytes(raw.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))


def save_random_weights(net: str, path: Path) -> None:
    """Save random weights with the names and shapes of the published dpc-rnn."""
    shapes = json.loads((PARITY / f"dpc-rnn_{net}_state_dict.json").read_text())
    torch.manual_seed(0)
    state = OrderedDict((f"module.{k}", 0.05 * torch.randn(shape)) for k, shape in shapes.items())
    for key in state:  # the cell's tensors have two names each
        state[key] = state[key.replace("agg.ConvGRUCell_00.", "agg.cell_list.0.")]
    content = {"epoch": 100, "net": net, "state_dict": state, "best_acc": np.float64(0.5)}
    save_as_published({**content, "optimizer": {}, "iteration": 1}, path)


def load_file(model: torch.nn.Module, content: dict, told: str) -> None:
    """Load what a file holds into a model, all of it."""
    load_exactly(model, weights_of(model, content, told), told)
