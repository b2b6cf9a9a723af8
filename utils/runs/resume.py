"""Checkpoints to go on from: where they are, and what may differ from their configuration."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from utils.config.flags import FIELDS, Config, fields_on_resume, from_stored
from utils.errors import UsageError
from utils.logs import log
from utils.runs import checkpoints
from utils.runs.folder import CONFIG_FILE, is_run_folder, read_config, run_folder_of
from utils.runs.records import last_epoch


class Found(NamedTuple):
    """`folder`: the run folder that the checkpoint lies in, if any."""

    checkpoint: Path
    content: dict[str, Any]
    folder: Path | None


def find(path: Path, processes: int) -> Found | None:
    """A run folder's furthest readable checkpoint, or the checkpoint named; None for a run that was
    stopped before its first one. Raises UsageError."""
    if path.name == checkpoints.LAST and run_folder_of(path):
        path = run_folder_of(path)
    if not path.is_dir():
        content = checkpoints.read_to_resume(path)
        return Found(path, content, run_folder_of(path))
    if not is_run_folder(path):
        raise UsageError(f"--resume {path}: is not a run folder; name one, or a checkpoint")
    furthest = checkpoints.furthest_readable(path / "model", processes)
    if furthest is not None:
        return Found(*furthest, path)
    if last_epoch(path) > 0:
        raise UsageError(f"--resume {path}: there is no checkpoint in model/; start the run anew")
    return None


def matching_runs(parent: Path, typed: dict[str, Any]) -> list[Path]:
    """The run folders in `parent` that were started with these flags, newest first; technical ones
    and the number of epochs may differ."""
    wanted = what_it_is(typed)
    try:
        paths = list(parent.glob(f"[!.]*/{CONFIG_FILE}"))  # with a dot: not yet all there
    except OSError as error:
        raise UsageError(f"--output_dir {parent}: can't be read ({error.strerror})") from error
    found = []
    for path in paths:
        try:
            started = path.stat().st_mtime_ns
            kept = read_config(path.parent)["typed"]
        except OSError:
            continue  # no run any more
        except UsageError as error:
            log.warning("%s; left out", error)
            continue
        if not kept.get("test") and what_it_is(kept) == wanted:
            found.append((started, path.parent))
    return [path for _, path in sorted(found, reverse=True)]


def what_it_is(typed: dict[str, Any]) -> dict[str, Any]:
    """Of a run, by its flags: those that make it another run."""
    kinds = fields_on_resume("fixed") | fields_on_resume("free")
    return {name: typed.get(name, FIELDS[name].default) for name in kinds}


def technical_flags(typed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in typed.items() if name in fields_on_resume("technical")}


def config_in(folder: Path) -> Config:
    """As config.json has it; raises UsageError."""
    resolved = read_config(folder)["resolved"]
    try:
        return from_stored(resolved)
    except UsageError as error:
        raise UsageError(f"{folder / CONFIG_FILE}: {error}") from error


def kept_config(folder: Path, stored: Config, reset_lr: bool) -> Config:
    """A checkpoint's configuration, with what a later start of its run has changed, as config.json
    has it. Raises UsageError where that was edited into another run."""
    kept = config_in(folder)
    for name in fields_on_resume("fixed") - ({"lr"} if reset_lr else set()):
        there, here = getattr(kept, name), getattr(stored, name)
        if there != here:
            hint = f", or repeat --reset_lr --lr {there}" if name == "lr" else ""
            raise UsageError(
                f"{folder / CONFIG_FILE}: {name} is {there!r} there, but the checkpoint has "
                f"{here!r}; put that back{hint}"
            )
    changed = fields_on_resume("free") | fields_on_resume("technical")
    return dataclasses.replace(stored, **{name: getattr(kept, name) for name in changed})


def resumed_config(stored: Config, typed: dict[str, Any]) -> Config:
    """The stored configuration with what was typed, each change logged.

    Raises UsageError for flags that a run can't change half-way.
    """
    starts = fields_on_resume("start")
    wanted = {name: value for name, value in typed.items() if name not in starts}
    new = dataclasses.replace(stored, **wanted)
    free = fields_on_resume("free") | fields_on_resume("technical")
    free |= {"lr"} if typed.get("reset_lr") else set()
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
