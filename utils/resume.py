"""Checkpoints to go on from: where they are, and what may differ from their configuration."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from utils import checkpoints
from utils.config import FIELDS, Config, fields_on_resume, from_stored
from utils.errors import UsageError
from utils.logs import log
from utils.run_folder import is_run_folder, run_folder_of


class Found(NamedTuple):
    """`folder`: the run folder that the checkpoint lies in, if any."""

    checkpoint: Path
    content: dict[str, Any]
    folder: Path | None


def find(path: Path) -> Found:
    """A run folder's furthest readable checkpoint, or the checkpoint named; raises UsageError."""
    if path.is_dir():
        if not is_run_folder(path):
            raise UsageError(f"--resume {path}: is not a run folder; name one, or a checkpoint")
        checkpoint, content = checkpoints.newest_readable(path / "model")
        return Found(checkpoint, content, path)
    content = checkpoints.read_checkpoint(path, "resume")
    return Found(path, content, run_folder_of(path))


def stored_config(content: dict[str, Any], path: Path) -> Config:
    if "config" not in content:
        raise UsageError(
            f"--resume {path}: holds no configuration, so it is of another program; "
            "start from its weights with --pretrained"
        )
    return from_stored(content["config"])


def resumed_config(stored: Config, typed: dict[str, Any]) -> Config:
    """The stored configuration with what was typed, each change logged.

    Raises UsageError for flags that a run can't change half-way.
    """
    starts = fields_on_resume("start")
    wanted = {name: value for name, value in typed.items() if name not in starts}
    new = dataclasses.replace(stored, **wanted)
    free = fields_on_resume("free") | ({"lr"} if typed.get("reset_lr") else set())
    for name in FIELDS:
        before, after = getattr(stored, name), getattr(new, name)
        if name not in wanted or before == after:
            continue
        if name not in free:
            hint = "; --reset_lr allows it" if name == "lr" else ""
            raise UsageError(
                f"--{name} {after}: the run to resume has {before}; leave the flag out{hint}, "
                "or start a new run"
            )
        if name == "U_prob" and (before == 0) != (after == 0):
            raise UsageError(
                f"--U_prob {after:g}: the run to resume has {before:g}, and other classes with it; "
                "start a new run"
            )
        log.info("--%s: %s instead of %s", name, after, before)
    return dataclasses.replace(
        new, **{name: typed.get(name, FIELDS[name].default) for name in starts}
    )


def tested_config(content: dict[str, Any] | None, typed: dict[str, Any]) -> Config:
    """The configuration of a test: the checkpoint's, where it holds one, with what was typed.

    Gabors have no test set: they are tested on a pass of epoch 0, of expected images unless
    `--unexp_epoch 0` is typed. Raises UsageError for typed flags that would make another model.
    """
    base = Config(model="lc-rnn")
    if content is not None and "config" in content:
        base = from_stored(content["config"])
        if base.is_dpc:
            raise UsageError(
                f"--test {typed['test']}: is a dpc-rnn, which has no classifier; finetune it first "
                "(--model lc-rnn --pretrained)"
            )
        for name in ("model", "net", "track_bn"):
            if typed.get(name, getattr(base, name)) != getattr(base, name):
                raise UsageError(
                    f"--{name} {typed[name]}: the checkpoint to test has {getattr(base, name)}; "
                    "leave the flag out"
                )
    unexp_epoch = 0 if typed.get("unexp_epoch") == 0 else 1
    return dataclasses.replace(base, **{**typed, "pretrained": "", "unexp_epoch": unexp_epoch})
