"""How to go on with a run, a test or a retrieval: commands that work from the repository's root."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from utils.config.datasets import VIDEOS, entry
from utils.config.flags import FIELDS, RANDOM, Config
from utils.plots.account import Account, command_words, place_of

PYTHON, PROGRAM = "python", "run_model.py"
OF_CLIPS = ("data", "Gabors")  # groups of flags that a classifier of the same clips needs, too
CHECKPOINT = re.compile(r"(best(?:_unexp)?_)?epoch(\d+)(?:_unexp)?\.pth\.tar")
LAST = "last.pth.tar"  # a position within an epoch
MORE_EPOCHS = 10  # of a run that has reached its epochs


class Step(NamedTuple):
    """A command, and in a sentence what it does."""

    told: str
    words: list[str]

    @property
    def line(self) -> str:
        """The command as it is typed into a shell."""
        return shlex.join(self.words)


class Checkpoint(NamedTuple):
    """A file in the folder `model`, with the epoch that its name tells."""

    path: Path
    epoch: int
    is_best: bool
    size: int  # bytes


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Return the checkpoints of a run's epochs: by epoch, the best ones after the others."""
    found = []
    for path in (folder / "model").glob("*.pth.tar"):
        match = CHECKPOINT.fullmatch(path.name)
        if match:
            size = path.stat().st_size if path.exists() else 0
            found.append(Checkpoint(path, int(match[2]), bool(match[1]), size))
    return sorted(found, key=lambda one: (one.is_best, one.epoch, one.path.name))


def list_steps(folder: Path, account: Account, done: int) -> list[Step]:
    """Return the commands for a run that has done so many epochs, or for an evaluation."""
    place = as_argument(place_of(folder))
    steps = []
    config, evaluation = account.config, account.evaluation
    if config is not None and evaluation:
        steps = evaluated_steps(config, account, getattr(config, evaluation))
    elif config is not None:
        steps = run_steps(folder, place, config, account, done)
    told = "Draw the pictures and write this page again, from the records alone."
    return [*steps, Step(told, [PYTHON, "-m", "utils.plots", place])]


def run_steps(folder: Path, place: str, config: Config, account: Account, done: int) -> list[Step]:
    """Return how to train on, and how to use what was learned."""
    resume = program("--resume", place)
    if done < config.num_epochs:
        told = f"Resume the run, up to epoch {config.num_epochs}."
        if done < 0:
            told = "Start the run again, if it isn't going on."
        steps = [Step(told, resume)]
    else:
        more = config.num_epochs + MORE_EPOCHS
        told = f"Train on, up to epoch {more}."
        steps = [Step(told, [*resume, "--num_epochs", str(more)])]
    checkpoint = best_or_last(list_checkpoints(folder))
    if checkpoint is not None:
        steps += uses(as_argument(place_of(checkpoint.path)), config, account)
        told = "Record the responses of its modules, and analyse them."
        steps.append(Step(told, program("--analysis", place)))
    return steps


def uses(weights: str, config: Config, account: Account) -> list[Step]:
    """Return what can be done with a checkpoint's weights."""
    steps = []
    if config.is_dpc:
        told = "Train a classifier on the same data, from these weights."
        flags = ("--model", "lc-rnn", "--train_what", "ft", *clip_flags(config, account))
        steps.append(Step(told, program(*flags, "--pretrained", weights)))
    else:
        told = "Test the classifier."
        steps.append(Step(told, program("--test", weights)))
    if are_videos(config):
        told = "Measure how well test videos find training videos of their class."
        steps.append(Step(told, program("--retrieve", weights)))
    told = "Write the features and the backbone to files."
    steps.append(Step(told, program("--extract", weights)))
    return steps


def evaluated_steps(config: Config, account: Account, weights: str) -> list[Step]:
    """Return how to evaluate again, and what else can be done with the same weights."""
    steps = []
    words = command_words(account.starts[-1]) if account.starts else []
    if words:
        told = "Evaluate again; with --overwrite added, the new folder takes this one's place."
        steps.append(Step(told, [PYTHON, *words]))
    if weights == RANDOM:
        return steps
    if config.test and are_videos(config):
        told = "Measure how well test videos find training videos of their class."
        steps.append(Step(told, program("--retrieve", weights)))
    if config.retrieve:
        told = "Write the features of all data sets, and the backbone, to files."
        steps.append(Step(told, program("--extract", weights)))
    return steps


def program(*words: str) -> list[str]:
    """Return a call of the program."""
    return [PYTHON, PROGRAM, *words]


def as_argument(path: Path) -> str:
    """Return a path that no parser takes for a flag."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def best_or_last(checkpoints: list[Checkpoint]) -> Checkpoint | None:
    """Return the latest of the best checkpoints, else the last one, else None.

    `checkpoints` are in the order of `list_checkpoints`.
    """
    return checkpoints[-1] if checkpoints else None


def are_videos(config: Config) -> bool:
    """Whether its clips are of videos, as those of all data sets of the user's own are."""
    return entry(config.dataset).kind == VIDEOS


def clip_flags(config: Config, account: Account) -> list[str]:
    """Return the typed flags that say what a clip is, with the backbone."""
    names = [
        name
        for name, field in FIELDS.items()
        if field.metadata["group"] in OF_CLIPS and name in account.typed and name != "dataset"
    ]
    values = {name: getattr(config, name) for name in ("dataset", "net", *names)}
    if config.output_dir != FIELDS["output_dir"].default:
        values["output_dir"] = config.output_dir
    return as_flags(values.items())


def as_flags(values: Iterable[tuple[str, Any]]) -> list[str]:
    """Return flags as they are typed; switches that are off and empty texts are left out."""
    words = []
    for name, value in values:
        if value is True:
            words.append(f"--{name}")
        elif value not in (False, None, ""):
            words += [f"--{name}", *(value.split() if name == "schedule" else [f"{value}"])]
    return words
