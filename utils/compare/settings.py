"""The flags of runs as values that can be compared, and as words."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.compare.found import BEST, RANDOM, Run, checkpoint_kind
from utils.config.datasets import CATALOGUE, GABORS, entry
from utils.config.flags import FIELDS, Config, fields_on_resume
from utils.errors import UsageError
from utils.runs.folder import config_in, run_folder_of

Settings = Mapping[str, Any]
NUMBERS = re.compile(r"(?<!epoch)(?<!\d)(\d+)")  # in a path, but for those of epochs
ALWAYS_TOLD = ("model", "dataset", "net")
TESTED = ("test", "retrieve")  # flags with a checkpoint that is evaluated
# flags that name an experiment, whatever the seed; a tested checkpoint counts where its run is gone
IDENTIFYING = [
    name for name in FIELDS if name in (fields_on_resume("fixed", "free") - {"seed"}) | {*TESTED}
]
OF_GABORS = {
    name: field.default for name, field in FIELDS.items() if field.metadata["group"] == "Gabors"
}


def is_gabor(dataset: str) -> bool:
    """Whether the data set, which may be the user's own, is one of stimuli and not of videos."""
    return entry(dataset).kind == GABORS


def has_splits(dataset: str) -> bool:
    """Whether --split may say which videos a run had; it may for the user's own data sets."""
    info = CATALOGUE.get(dataset)
    return info is None or bool(info.splits)


def settings_of(runs: Sequence[Run]) -> list[Settings]:
    """Return the value of every flag of each run, with checkpoints under names that runs share.

    Flags of Gabors are at their defaults for videos, which they say nothing about.
    """
    pretrained = name_checkpoints([_Checkpoint(run.config.pretrained, run.config) for run in runs])
    tested = name_checkpoints([_Checkpoint(run.config.test, run.config) for run in runs])
    searched = name_checkpoints([_Checkpoint(run.config.retrieve, run.config) for run in runs])
    return [
        {name: getattr(run.config, name) for name in FIELDS}
        | ({} if is_gabor(run.config.dataset) else OF_GABORS)
        | {"wd": run.config.weight_decay, "pretrained": start, "test": test, "retrieve": retrieve}
        for run, start, test, retrieve in zip(runs, pretrained, tested, searched, strict=True)
    ]


# ---- checkpoints ----


class _Checkpoint(NamedTuple):
    """A checkpoint's path, empty for random weights, and the run that starts from it."""

    path: str
    user: Config

    @property
    def parts(self) -> list[str]:
        """The path split at its numbers, which lie at odd places; without a best one's epoch."""
        return NUMBERS.split(BEST.sub(r"\1", self.path))

    @property
    def maker(self) -> Config | None:
        """The configuration of the run that has written it, None where that can't be read."""
        folder = None if self.path in ("", RANDOM) else run_folder_of(Path(self.path))
        try:
            return None if folder is None else config_in(folder)
        except UsageError:
            return None


def name_checkpoints(checkpoints: Sequence[_Checkpoint]) -> list[str]:
    """Return a name for each checkpoint, the same for those that only seeds tell apart.

    The names are as short as they can be without being the same for others.
    """
    origins: list[list[_Checkpoint]] = []
    found = []
    for one in checkpoints:
        same = (i for i, origin in enumerate(origins) if are_alike(origin[0], one))
        found.append(next(same, len(origins)))
        if found[-1] == len(origins):
            origins.append([])
        origins[found[-1]].append(one)
    names: list[str] = []
    for levels in (1, 3, None):  # the file, the run folder with `model` and the file, the path
        names = [_shared_path(origin, levels) for origin in origins]
        if len(set(names)) == len(origins):
            break
    return [names[index] for index in found]


def are_alike(one: _Checkpoint, other: _Checkpoint) -> bool:
    """Whether two checkpoints differ only in what the seeds, or splits, of two runs tell apart.

    They do where they are of the same epoch, or the best, of runs that differ in them alone; or,
    where one of these runs can't be read, where the paths differ only in these numbers.
    """
    if "" in (one.path, other.path) or one.path == other.path:
        return one.path == other.path
    first, second = one.maker, other.maker
    if first is not None and second is not None:
        same_epoch = checkpoint_kind(one.path) == checkpoint_kind(other.path)
        return same_epoch and _are_repeats(first, second)
    allowed = [(one.user.seed, other.user.seed), (one.user.split, other.user.split)]
    return len(one.parts) == len(other.parts) and all(
        a == b or (place % 2 == 1 and (int(a), int(b)) in allowed)
        for place, (a, b) in enumerate(zip(one.parts, other.parts, strict=True))
    )


def _are_repeats(one: Config, other: Config) -> bool:
    fixed = [name for name in IDENTIFYING if name not in ("split", "pretrained", "wd")]
    same = all(getattr(one, name) == getattr(other, name) for name in fixed)
    starts = _Checkpoint(one.pretrained, one), _Checkpoint(other.pretrained, other)
    return same and one.weight_decay == other.weight_decay and are_alike(*starts)


def _shared_path(origin: Sequence[_Checkpoint], levels: int | None) -> str:
    """Return the end of the path, with a star for each part in which the paths differ."""
    if origin[0].path in ("", RANDOM):
        return origin[0].path
    splits = [one.parts for one in origin if len(one.parts) == len(origin[0].parts)]
    shared = "".join(
        tokens[0] if len(set(tokens)) == 1 else "*" for tokens in zip(*splits, strict=True)
    )
    if levels is None:
        return shared
    *folders, name = shared.split("/")[-levels:]
    return "/".join([*(part for part in folders if part != "model"), checkpoint_kind(name)])


# ---- words ----


def joined(values: Iterable[Any]) -> str:
    """Return the text of a flag's value, or of its values where runs that differ are pooled."""
    texts = {text_of(value): None for value in sorted(values, key=rank)}
    return " and ".join(texts)


def text_of(value: Any) -> str:
    """Return a flag's value as it is typed; of one without a value, True or False."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def rank(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts numbers by their size, and texts behind them."""
    is_number = isinstance(value, bool | int | float)
    return (0, float(value), "") if is_number else (1, 0.0, str(value))


def told(name: str, text: str) -> str:
    """Return a flag with its value in words, such as `lr 0.001`, `roll` or `without roll`."""
    if (name, text) == ("schedule", ""):
        return "the model's own schedule"
    if name in TESTED and text in ("", RANDOM):
        return "random weights" if text else "trained"
    if text == "True":
        return name
    return f"without {name}" if text in ("", "False") else f"{name} {text}"


def common_text(settings: Sequence[Settings]) -> str:
    """Return in words what all runs have in common, without flags that are at their defaults."""
    shared = {
        name: settings[0][name]
        for name in (*ALWAYS_TOLD, *(n for n in IDENTIFYING if n not in ALWAYS_TOLD))
        if len({one[name] for one in settings}) == 1
    }
    usual = Config(model=shared.get("model", Config.model))
    default = vars(usual) | {"wd": usual.weight_decay}
    return ", ".join(
        text_of(value) if name in ALWAYS_TOLD else told(name, text_of(value))
        for name, value in shared.items()
        if name in ALWAYS_TOLD or value != default[name]
    )
