"""A run's checkpoint files: written whole or not at all, read from the furthest on, and pruned."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from utils.errors import RunError, UsageError
from utils.files import reason, replacing
from utils.logs import log
from utils.runs.contents import checkpoint_of
from utils.runs.folder import CHECKPOINT_SUFFIX
from utils.runs.reading import read_checkpoint
from utils.runs.structure import plain

LAST = f"last{CHECKPOINT_SUFFIX}"  # a position within an epoch
KEPT_EPOCHS = 2  # so many newest checkpoints are never pruned
EPOCH_NAME = re.compile(r"epoch(\d+)(?:_unexp)?" + re.escape(CHECKPOINT_SUFFIX))
BEST_NAME = re.compile(r"best(?:_unexp)?_epoch(\d+)" + re.escape(CHECKPOINT_SUFFIX))


def read_to_resume(path: Path) -> dict[str, Any]:
    """Read a checkpoint that a run can go on from; raises UsageError."""
    content = read_checkpoint(path, "resume")
    if "config" not in content:
        raise UsageError(
            f"--resume {path}: holds no configuration, so it is of another program; "
            "start from its weights with --pretrained"
        )
    return checkpoint_of(content, f"--resume {path}")


def furthest_readable(folder: Path, processes: int) -> tuple[Path, dict[str, Any]] | None:
    """Read the furthest checkpoint in a run's `model` folder that so many processes can resume.

    Returns None if there are no checkpoints; raises UsageError if none of them can be read.
    """
    paths, last = by_epoch(folder), _read_last(folder, processes)
    for epoch, path in paths.items():
        if last is not None and last["epoch"] >= epoch:
            break
        if (content := _if_readable(path)) is not None:
            return path, content
    if last is not None:
        return folder / LAST, last
    if paths or (folder / LAST).exists():
        raise UsageError(
            f"--resume {folder.parent}: none of its checkpoints can be read; start the run anew"
        )
    return None


def _read_last(folder: Path, processes: int) -> dict[str, Any] | None:
    """Read the position within an epoch, if there is one that so many processes can resume."""
    path = folder / LAST
    content = _if_readable(path) if path.exists() else None
    if content is None:
        return None
    positions = content.get("position")
    if positions is None:
        log.warning("%s: lacks its position; taking the one before it", path)
        return None
    if positions[0] is not None and len(positions) != processes:
        message = "%s was saved by %d processes, and now there are %d: its epoch starts anew"
        log.warning(message, path, len(positions), processes)
        return None
    return content


def _if_readable(path: Path) -> dict[str, Any] | None:
    try:
        return read_to_resume(path)
    except UsageError as error:
        log.warning("%s; taking the one before it", error)
        return None


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, or raise RunError and leave the old file."""
    with _writing(path), replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(plain(content), file)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise RunError for an error in writing the file."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if str(error).startswith("DataLoader "):  # a lost worker; torch raises that anywhere
            raise
        # on a full disk, torch raises a RuntimeError in the place of the OSError
        cause: BaseException = error
        while not isinstance(cause, OSError) and cause.__context__ is not None:
            cause = cause.__context__
        what = f"can't write {path}: {reason(cause)}"
        raise RunError(f"{what}; earlier checkpoints are kept") from error


def remove(path: Path) -> None:
    """Remove a file, if it is there; raises RunError."""
    with _writing(path):
        path.unlink(missing_ok=True)


def epoch_name(epoch: int, phase: str) -> str:
    """Return the name of an epoch's checkpoint."""
    return f"epoch{epoch}{'_unexp' if phase == 'unexpected' else ''}{CHECKPOINT_SUFFIX}"


def best_name(epoch: int | str, phase: str) -> str:
    """Return the name of a phase's best checkpoint; with `*` as the epoch, a pattern."""
    return f"best{'_unexp' if phase == 'unexpected' else ''}_epoch{epoch}{CHECKPOINT_SUFFIX}"


def by_epoch(folder: Path) -> dict[int, Path]:
    """Return the epochs' checkpoints in a run's `model` folder, newest first."""
    return dict(_matching(folder, EPOCH_NAME))


def _matching(folder: Path, name: re.Pattern[str]) -> list[tuple[int, Path]]:
    """Return the files of such names with their epochs, newest first."""
    paths = list(folder.iterdir()) if folder.is_dir() else []
    found = [(int(match[1]), path) for path in paths if (match := name.fullmatch(path.name))]
    return sorted(found, reverse=True)


def prune(folder: Path, keep: set[int]) -> None:
    """Remove the epochs' checkpoints except the newest ones and those of the epochs in `keep`."""
    for epoch, path in list(by_epoch(folder).items())[KEPT_EPOCHS:]:
        if epoch not in keep:
            remove(path)


def keep_best(folder: Path, source: Path, epoch: int, phase: str) -> None:
    """Make `source` the phase's best checkpoint, by a second name; raises RunError."""
    best = folder / best_name(epoch, phase)
    with _writing(best), replacing(best) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # a disk without links
            shutil.copyfile(source, temporary)
    for path in folder.glob(best_name("*", phase)):
        if path != best:
            remove(path)


def later_than(folder: Path, epoch: int) -> list[Path]:
    """Return all checkpoints from after an epoch, newest first."""
    later = [path for number, path in _matching(folder, EPOCH_NAME) if number > epoch]
    later += [path for path in [folder / LAST] if path.exists()]
    return later + [path for number, path in _matching(folder, BEST_NAME) if number > epoch]


def drop_later(folder: Path, epoch: int) -> list[str]:
    """Remove all checkpoints from after an epoch, newest first; return their names."""
    later = later_than(folder, epoch)
    for path in later:
        remove(path)
    return [path.name for path in later]
