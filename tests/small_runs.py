"""Small runs: their flags, a narrow network, a picture that is drawn at once, and a signal that
arrives in the middle of a run."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import run_model
from model import resnet_2d3d
from utils.plots import draw, figures
from utils.runtime import device

ON_CPU = device.Runtime(torch.device("cpu"))

TINY = [
    *("--dataset", "gabors", "--net", "resnet18", "--img_dim", "32", "--seq_len", "5"),
    *("--num_seq_in", "2", "--pred_step", "1", "--num_gabors", "5", "--diff_U_possizes"),
    *("--no_augm", "--batch_size", "4", "--train_len", "8", "--num_workers", "0"),
    *("--unexp_epoch", "2", "--U_prob", "0.5", "--seed", "7"),
]

NARROW_FEATURES = 32


def run(*arguments: object) -> int:
    """Run run_model.py in this process, and return its exit status."""
    return run_model.main([str(argument) for argument in arguments])


def classifier_arguments(pretrained_run: Path, num_epochs: int) -> list:
    (weights,) = (pretrained_run / "model").glob("best_epoch*")
    finetune = ["--model", "lc-rnn", "--train_what", "ft", "--num_epochs", num_epochs]
    return [*TINY, *finetune, "--pretrained", weights]


def video_flags(csv_root: Path) -> list:
    """Return flags for clips that fit into the videos of `video_data.prepare`."""
    return [
        *("--dataset", "ucf101", "--data_path_dir", csv_root, "--img_dim", 32, "--seq_len", 2),
        *("--num_seq_in", 3, "--ucf_hmdb_ms_ds", 2, "--batch_size", 4, "--num_workers", 0),
        *("--seed", 1),
    ]


@contextmanager
def narrow() -> Iterator[None]:
    """Build resnet18 with few planes: the same code, with checkpoints of 1 MB and not of 175.

    It is small enough for --amp on a CPU that has no instructions for it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_2d3d, "STEM_PLANES", 8)
        patch.setattr(resnet_2d3d, "STAGE_PLANES", (8, 8, 16, NARROW_FEATURES))
        patch.setattr(device, "has_instructions", lambda amp: True)
        yield


@contextmanager
def one_picture() -> Iterator[None]:
    """Draw noise in place of a run's pictures, which take longer than the rest of a small run."""

    def noise() -> Figure:
        figure = Figure(figsize=(1, 1))
        figure.figimage(np.random.default_rng(1).random((figures.DPI, figures.DPI, 3)))
        return figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "list_pictures", lambda _: [("loss_and_accuracy", noise)])
        yield


@contextmanager
def signal_in_call(
    owner: object, name: str, nth: int, number: int = signal.SIGTERM
) -> Iterator[None]:
    """Send this process the signal in the middle of the nth call of the owner's function."""
    original = getattr(owner, name)
    calls = 0

    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), number)
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, call)
        yield
