"""The start of a run: what it starts from, and its folder.

Rank 0 alone calls these functions and tells the other ranks what they return, so that ranks that
see different files on a network disk can't disagree.
"""

import dataclasses
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.config.changes import (
    analysed_config,
    evaluated_config,
    kept_config,
    resumed_config,
    run_identity,
    technical_flags,
)
from utils.config.checks import check, evaluation_in, from_stored
from utils.config.described import facts_of
from utils.config.flags import AUTO, EVALUATIONS, RANDOM, SEEDS, Config
from utils.errors import UsageError
from utils.files import reason, writing
from utils.logs import log, log_to_folder
from utils.runs.checkpoints import LAST, drop_later, furthest_readable, read_to_resume
from utils.runs.folder import (
    CHECKPOINT_SUFFIX,
    CONFIG_FILE,
    checkpoint_stem,
    config_in,
    is_run_folder,
    make_folder,
    read_config,
    remove_half_written,
    run_folder_of,
    run_name,
    write_config,
)
from utils.runs.locks import RunLocks
from utils.runs.positions import Position
from utils.runs.reading import read_checkpoint
from utils.runs.records import drop_rows_after, start_records
from utils.samples import ClassInfo


class Start(NamedTuple):
    """What a run or a test starts from.

    `content` is what the checkpoint at `path` holds, named by --resume, --pretrained or --test;
    None for random weights. With `resumes` the run goes on from the checkpoint's state. `folder`:
    the run folder to go on in; None if a new one is to be made.
    """

    config: Config
    folder: Path | None = None
    path: Path = Path()
    content: dict[str, Any] | None = None
    resumes: bool = False


# ---- what a run starts from ----


def find_start(typed: dict[str, Any], processes: int, locks: RunLocks) -> Start:
    """Find what the typed flags ask to start from, and lock the run folder to go on in.

    Raises UsageError for wrong flags and files.
    """
    if name := evaluation_in(typed):
        return find_evaluated(name, typed)
    if "analysed" in typed:
        return find_analysed(typed)
    if typed.get("resume") == AUTO:
        parent = Path(typed.get("output_dir", Config.output_dir))
        folder = locks.hold_first_free(matching_runs(parent, typed))
        if folder is not None:
            return find_resumed(folder, technical_flags(typed), processes)
        log.info("--resume auto: no run of this configuration to go on with; starting it")
        typed = {name: value for name, value in typed.items() if name != "resume"}
    if typed.get("resume"):
        path = Path(typed["resume"])
        folder = path if os.path.isdir(path) else run_folder_of(path)
        if folder is not None and is_run_folder(folder):
            locks.hold(folder)
        return find_resumed(path, typed, processes)
    return with_pretrained(checked_and_seeded(dataclasses.replace(Config(), **typed)))


def find_evaluated(name: str, typed: dict[str, Any]) -> Start:
    """Read the checkpoint of a test, a retrieval or an extraction; 'random': random weights."""
    path = Path(typed[name])
    content = None if typed[name] == RANDOM else read_checkpoint(path, name)
    config = checked_and_seeded(evaluated_config(content, typed))
    return Start(config, path=path, content=content)


def find_analysed(typed: dict[str, Any]) -> Start:
    """Find the run to analyse, which may be being trained: nothing of it is locked."""
    typed = dict(typed)
    folder = Path(typed.pop("analysed"))
    if not is_run_folder(folder):
        raise UsageError(f"--analysis {folder}: is no run's folder; name one")
    config = analysed_config(config_in(folder), typed, folder)
    check(config)
    return Start(config, folder)


def with_pretrained(config: Config, folder: Path | None = None) -> Start:
    """Start from the weights of --pretrained, or from random ones."""
    if not config.pretrained:
        return Start(config, folder)
    path = Path(config.pretrained)
    if config.pretrained == RANDOM and not os.path.lexists(path):
        raise UsageError("--pretrained random: is what a run without the flag has; leave it out")
    return Start(config, folder, path, read_checkpoint(path, "pretrained"))


def find_resumed(path: Path, typed: dict[str, Any], processes: int) -> Start:
    """Find a run folder's furthest readable checkpoint, or read the checkpoint named.

    A run that stopped before its first checkpoint starts again in its folder.
    """
    if path.name == LAST:  # what comes after it in the folder may be further
        path = run_folder_of(path) or path
    if not os.path.isdir(path):
        return going_on(run_folder_of(path), path, read_to_resume(path), typed)
    if not is_run_folder(path):
        raise UsageError(
            f"--resume {path}: is not a run folder that can be read; name one, or a checkpoint"
        )
    if kind := EVALUATIONS.get(config_in(path).evaluation):
        raise UsageError(f"--resume {path}: is the folder of a {kind}; name that of the run")
    found = furthest_readable(path / "model", processes)
    if found is not None:
        return going_on(path, *found, typed)
    if left := sorted((path / "model").glob(f"*{CHECKPOINT_SUFFIX}")):
        raise UsageError(
            f"--resume {path}: only {left[0].name} is left in model/; start a new run, with "
            "--pretrained for its weights"
        )
    config = resumed_config(config_in(path), typed)
    check(config)
    return with_pretrained(config, path)


def going_on(
    folder: Path | None, path: Path, content: dict[str, Any], typed: dict[str, Any]
) -> Start:
    """Go on from a checkpoint; what its run's folder says of later starts counts too."""
    stored = from_stored(content["config"])
    if folder is not None:
        kept, reset_lr = config_in(folder), typed.get("reset_lr", False)
        stored = kept_config(stored, kept, folder / CONFIG_FILE, reset_lr)
    config = resumed_config(stored, typed)
    check(config)
    return Start(config, folder, path, content, resumes=True)


def matching_runs(parent: Path, typed: dict[str, Any]) -> list[Path]:
    """Return the run folders in `parent` that were started with these flags, newest first.

    Technical flags and the number of epochs may differ.
    """
    wanted = run_identity(typed)
    try:
        names = os.listdir(parent) if os.path.lexists(parent) else []
    except OSError as error:
        raise UsageError(f"--output_dir {parent}: can't be read ({reason(error)})") from error
    found = []
    for folder in (parent / name for name in names if not name.startswith(".")):  # unfinished
        try:
            started = (folder / CONFIG_FILE).stat().st_mtime_ns
            kept = read_config(folder)["typed"]
        except OSError:
            continue  # no run folder, or one that has just been removed
        except UsageError as error:
            log.warning("%s; left out", error)
            continue
        if not evaluation_in(kept) and run_identity(kept) == wanted:
            found.append((started, folder))
    return [path for _, path in sorted(found, reverse=True)]


def checked_and_seeded(config: Config) -> Config:
    """Check the configuration, and draw a seed if none was typed."""
    check(config)
    if config.seed >= 0:
        return config
    seed = secrets.randbelow(SEEDS)
    if not config.dry_run:  # the run itself will draw another one
        log.info("drew --seed %d", seed)
    return dataclasses.replace(config, seed=seed)


def seed_typed(typed: dict[str, Any]) -> bool:
    """Whether a seed was typed, rather than one to be drawn."""
    return typed.get("seed", Config.seed) >= 0


# ---- its folder ----


def new_folder(
    config: Config,
    typed: dict[str, Any],
    environment: dict[str, Any],
    classes: Sequence[ClassInfo],
    locks: RunLocks,
) -> Path:
    """Make and lock the folder of a new run or evaluation, with its configuration.

    A run and a test have empty records. The folder of a test or another evaluation lies in the run
    folder of its checkpoint, if there is one that can be written.
    """
    parent, evaluation = Path(config.output_dir), config.evaluation
    if evaluation:
        checkpoint = getattr(config, evaluation)
        name = f"{evaluation}_{checkpoint_stem(checkpoint)}"
        run = run_folder_of(Path(checkpoint))
        parent = run if run is not None and os.access(run, os.W_OK) else parent
        if run is not None:
            warn_of_other_data(run, config)
    else:
        name = run_name(config, seed_typed(typed))

    def fill(folder: Path) -> None:
        write_config(folder, config, typed, environment)
        if evaluation in ("", "test"):
            start_records(folder, classes)
        if not evaluation:
            (folder / "model").mkdir()

    folder = make_folder(parent, name, config.overwrite, fill, locks)
    log_to_folder(folder)
    log.info("run folder: %s", folder)
    return folder


def warn_of_other_data(run: Path, config: Config) -> None:
    """Warn of what dataset.json says otherwise than when the run was started last."""
    if config_in(run).dataset != config.dataset:
        return
    before: dict[str, Any] = {}
    for start in read_config(run)["starts"]:
        data = start.get("data") if isinstance(start, dict) else None
        before = data if isinstance(data, dict) else before
    for key, now in facts_of(config).items():
        if before.get(key, now) != now:
            log.warning(
                "--dataset %s: %s is %s, in the run %s", config.dataset, key, now, before[key]
            )


def tell_resumed(
    folder: Path, config: Config, epoch: int, position: Position | None, batches: int
) -> None:
    """Log where a run goes on: after an epoch, and the position among so many batches."""
    where = f"after epoch {epoch} of {config.num_epochs}" if epoch >= 0 else "before epoch 0"
    if position is not None:
        where += f" and {position.done} of {batches} batches"
    log.info("resuming %s %s", folder, where)
    if epoch >= config.num_epochs:
        log.info("the run has reached its epochs already; a larger --num_epochs trains on")


def reopen_folder(
    start: Start, folder: Path, epoch: int, typed: dict[str, Any], environment: dict[str, Any]
) -> Path:
    """Note in a run's folder that the run goes on after `epoch`, and remove what came after it."""
    warn_of_other_data(folder, start.config)
    write_config(folder, start.config, typed, environment)
    log_to_folder(folder)
    remove_half_written(folder)
    if start.resumes and start.path.name != LAST:
        removed = drop_later(folder / "model", epoch)
        if removed:
            log.warning("removed, being past epoch %d: %s", epoch, ", ".join(removed))
    drop_rows_after(folder, epoch)
    if not start.resumes:
        with writing(folder / "model"):
            (folder / "model").mkdir(exist_ok=True)
        log.info("%s stopped before its first checkpoint; starting it again", folder)
    return folder
