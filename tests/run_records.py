"""What runs leave behind and print: whether the folders of two are the same, and how one ended."""

from pathlib import Path

import pandas as pd
import torch

from forked import Ended
from utils.runs.reading import read_checkpoint
from utils.runs.records import MEASURED

NOT_TO_BE_SEEN = ("Traceback", "Exception ignored", "Logging error", "Exception in thread")


def only(folder: Path) -> Path:
    """Return the only run folder in a folder."""
    (found,) = folder.iterdir()
    return found


def records(folder: Path) -> dict[str, str]:
    """Return the records of a run without times and memory."""
    epochs = pd.read_csv(folder / "epochs.csv").drop(columns=list(MEASURED))
    return {
        "epochs": epochs.to_csv(),
        "predictions": (folder / "predictions.csv").read_text(),
        "classes": (folder / "classes.csv").read_text(),
    }


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Return a checkpoint's weights under the model's own names."""
    state = read_checkpoint(path, "resume")["state_dict"]
    return {key.removeprefix("module."): value for key, value in state.items()}


def equal_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def same_weights(one: Path, other: Path) -> bool:
    return equal_weights(weights(one), weights(other))


def same_end(folder: Path, expected: Path) -> None:
    """Check that records, weights, optimizers and random states are equal, bit for bit."""
    assert records(folder) == records(expected)
    names = {path.name for path in (expected / "model").iterdir()}
    assert {path.name for path in (folder / "model").iterdir()} == names
    for name in names:
        one, other = (read_checkpoint(f / "model" / name, "resume") for f in (folder, expected))
        assert one["best"] == other["best"]
        assert one["iteration"] == other["iteration"]
        for key, value in other["state_dict"].items():
            assert torch.equal(one["state_dict"][key], value), key
        for index, state in other["optimizer"]["state"].items():
            for key, value in state.items():
                assert torch.equal(one["optimizer"]["state"][index][key], value)
        states = (content["random_states"][0]["torch"] for content in (one, other))
        assert torch.equal(*states)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files except the lock, which every start writes."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def ends_in_one_line(ended: Ended, status: int, *parts: str, noise: bool = False) -> None:
    """Check that its last line alone begins with the program's name, and has these parts in it.

    `noise`: whether tracebacks are allowed before it.
    """
    lines = ended.text.splitlines()
    told = [line for line in lines if line.startswith("run_model.py")]
    assert (ended.status, told) == (status, lines[-1:]), ended.text
    assert noise or not any(seen in ended.text for seen in NOT_TO_BE_SEEN), ended.text
    for part in parts:
        assert part in lines[-1]


def ends_well(ended: Ended, folder: Path, expected: Path) -> None:
    """Check that it ended as the undisturbed run `expected` did, and left no other files."""
    assert ended.status == 0, ended.text
    assert not any(noise in ended.text for noise in NOT_TO_BE_SEEN), ended.text
    same_end(folder, expected)
    names = {path.name for path in expected.iterdir()} | {"log.txt"}
    assert {path.name for path in folder.iterdir()} <= names | {"tensorboard"}
