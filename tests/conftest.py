"""Small runs that several tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import run_model
from model import resnet_2d3d
from utils.runtime.device import Runtime

ON_CPU = Runtime(torch.device("cpu"))

TINY = [
    *("--dataset", "gabors", "--net", "resnet18", "--img_dim", "32", "--seq_len", "5"),
    *("--num_seq_in", "2", "--pred_step", "1", "--num_gabors", "5", "--diff_U_possizes"),
    *("--no_augm", "--batch_size", "4", "--train_len", "8", "--num_workers", "0"),
    *("--unexp_epoch", "2", "--U_prob", "0.5", "--seed", "7"),
]

NARROW_FEATURES = 32


def run(*arguments: str | Path) -> int:
    """run_model.py in this process; returns its exit status."""
    return run_model.main([str(argument) for argument in arguments])


def classifier_arguments(pretrained_run: Path, num_epochs: int) -> list:
    (weights,) = (pretrained_run / "model").glob("best_epoch*")
    finetune = ["--model", "lc-rnn", "--train_what", "ft", "--num_epochs", num_epochs]
    return [*TINY, *finetune, "--pretrained", weights]


def save_as_published(content: dict, path: Path) -> None:
    """In the format before zip files, NumPy's functions named as in NumPy 1."""
    torch.save(content, path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    # a module name of protocol 2 ends at a newline, so it may change its length
    path.write_bytes(raw.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))


@contextmanager
def narrow() -> Iterator[None]:
    """A resnet18 with few planes: the same code with checkpoints of 1 MB rather than 175."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet_2d3d, "STEM_PLANES", 8)
        patch.setattr(resnet_2d3d, "STAGE_PLANES", (8, 8, 16, NARROW_FEATURES))
        yield


@pytest.fixture
def narrow_backbone() -> Iterator[None]:
    with narrow():
        yield


@pytest.fixture(scope="session")
def pretrained_run(tmp_path_factory) -> Path:
    """A dpc-rnn run of three epochs, with U images from epoch 2 on. Not to be changed."""
    output = tmp_path_factory.mktemp("pretrained")
    with narrow():
        assert run(*TINY, "--num_epochs", 3, "--output_dir", output) == 0
    (folder,) = output.iterdir()
    return folder


@pytest.fixture(scope="session")
def classifier_run(pretrained_run, tmp_path_factory) -> Path:
    """An lc-rnn run of two epochs from its weights. Not to be changed."""
    output = tmp_path_factory.mktemp("classifier")
    with narrow():
        assert run(*classifier_arguments(pretrained_run, 2), "--output_dir", output) == 0
    (folder,) = output.iterdir()
    return folder
