"""Checkpoints with odd values, and damaged ones, for --resume, --pretrained and --test."""

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from odd_files import ODD_TENSORS, ODD_VALUES, START
from odd_trials import Trial, all_pass

FLAGS = {"resume": ["--num_epochs", 2], "pretrained": START, "test": ["--output_dir", "runs"]}
READ = ("state_dict", "config", "classes", "epoch")  # by --pretrained and --test


def places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    """Yield the keys that lead to each value; of long dictionaries and lists to the first ones."""
    if place:
        yield place
    if isinstance(value, dict):
        for key in list(value)[:40]:
            yield from places(value[key], (*place, key))
    elif isinstance(value, (list, tuple)):
        for index in range(min(3, len(value))):
            yield from places(value[index], (*place, index))


def changed(value: Any, place: tuple, odd: object) -> Any:
    """Return a copy with an odd value at the place."""
    if not place:
        return odd
    key, *rest = place
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = changed(value[key], tuple(rest), odd)
    return tuple(copy) if isinstance(value, tuple) else copy


@pytest.mark.parametrize("use", FLAGS)
def test_values(use, starter, run_folder, classifier, tmp_path):
    folder = classifier if use == "test" else run_folder
    content = torch.load(folder / "model" / "epoch1.pth.tar", weights_only=True)
    copied = tmp_path / "runs" / folder.name
    shutil.copytree(folder, copied)
    file = copied / "model" / f"epoch{1 if use == 'resume' else 7}.pth.tar"
    random = np.random.default_rng(1)
    odds = {**ODD_VALUES, **ODD_TENSORS}

    def trials():
        for place in places(content):
            if use != "resume" and place[0] not in READ:
                continue
            for what in random.choice(list(odds), 4, replace=False).tolist():
                torch.save(changed(content, place, odds[what]), file)
                name = f"{'.'.join(map(str, place))} is {what}"
                yield Trial(name, tmp_path, [f"--{use}", file, *FLAGS[use]])

    all_pass(starter, f"values of checkpoints, --{use}", trials())


@pytest.mark.parametrize("use", ["resume", "pretrained"])
def test_damaged(use, starter, run_folder, tmp_path):
    source = (run_folder / "model" / "epoch1.pth.tar").read_bytes()
    file = tmp_path / "it.pth.tar"
    random = np.random.default_rng(2)

    def trials():
        for n in range(60):
            data = bytearray(source)
            at = int(random.integers(len(data)))
            if n % 3 == 0:
                del data[at:]
            elif n % 3 == 1:
                data[at] ^= 1 << int(random.integers(8))
            else:
                data[at : at + 64] = bytes(64)
            file.write_bytes(data)
            flags = START if use == "pretrained" else FLAGS["test"]
            name = f"{('cut', 'a bit', '64 zeros')[n % 3]} at {at}"
            yield Trial(name, tmp_path, [*flags, f"--{use}", file])

    all_pass(starter, f"damaged checkpoints, --{use}", trials())
