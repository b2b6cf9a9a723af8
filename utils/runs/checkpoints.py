"""Checkpoint files: written whole or not at all, read without running code."""

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.errors import RunError, UsageError
from utils.files import replacing
from utils.logs import log
from utils.runs.folder import CHECKPOINT_SUFFIX

LAST = f"last{CHECKPOINT_SUFFIX}"  # a position within an epoch
KEPT_EPOCHS = 2  # the newest checkpoints that stay in any case
NEEDED = ("epoch", "iteration", "state_dict", "optimizer", "scaler", "best", "random_states")
NAME = re.compile(r"^epoch(\d+)(_unexp)?" + re.escape(CHECKPOINT_SUFFIX) + "$")

# NumPy scalars and arrays, which older files hold under the names that NumPy then had
_core = np._core.multiarray
SAFE_GLOBALS = [
    np.dtype,
    np.ndarray,
    *(
        type(np.dtype(code))
        for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u4", "u8")
    ),
    np.dtypes.BoolDType,
    *(
        (function, f"numpy.{module}.multiarray.{function.__name__}")
        for function in (_core.scalar, _core._reconstruct)
        for module in ("core", "_core")
    ),
]


def read_checkpoint(path: Path | str, flag: str) -> dict[str, Any]:
    """The file's dictionary, on the CPU; raises UsageError naming the flag that asked for it.

    Nothing in the file is executed: only tensors, plain values and NumPy numbers are accepted.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"--{flag} {path}: no such file")
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes of the unpickler
        reason = str(error).split("\n")[0]
        if "Unsupported global" in str(error) or "weights_only" in str(error).lower():
            reason = "it holds more than weights and plain values, or is no checkpoint"
        raise UsageError(
            f"--{flag} {path}: can't be loaded ({reason[:120]}); name a whole checkpoint"
        ) from error
    if not isinstance(content, dict):
        raise UsageError(f"--{flag} {path}: holds no dictionary; name a checkpoint of this program")
    return content


def read_to_resume(path: Path) -> dict[str, Any]:
    """A whole checkpoint of a run, without a changed byte; raises UsageError."""
    content = read_checkpoint(path, "resume")
    if "config" not in content:
        raise UsageError(
            f"--resume {path}: holds no configuration, so it is of another program; "
            "start from its weights with --pretrained"
        )
    missing = [key for key in NEEDED if key not in content]
    if missing:
        raise UsageError(f"--resume {path}: lacks {', '.join(missing)}; name a whole checkpoint")
    if not _sums_agree(path):
        raise UsageError(f"--resume {path}: was damaged after it was written; name a whole one")
    return content


def _sums_agree(path: Path) -> bool:
    """torch reads a file's tensors without a look at their check sums."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    with _told(path), replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raises RunError when this or what is beside it can't be written."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if str(error).startswith("DataLoader "):  # a lost worker, of which torch tells anywhere
            raise
        cause = error  # torch makes a RuntimeError of a full disk's OSError
        while not isinstance(cause, OSError) and cause.__context__ is not None:
            cause = cause.__context__
        reason = getattr(cause, "strerror", None) or str(error).split("\n")[0]
        raise RunError(f"can't write {path}: {reason}; earlier checkpoints are kept") from error


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name, without writing it twice where the disk can do that."""
    with _told(target), replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def remove(path: Path) -> None:
    """Where it is there; raises RunError."""
    with _told(path):
        path.unlink(missing_ok=True)


def epoch_name(epoch: int, phase: str) -> str:
    return f"epoch{epoch}{'_unexp' if phase == 'unexpected' else ''}{CHECKPOINT_SUFFIX}"


def best_name(epoch: int, phase: str) -> str:
    return f"best{'_unexp' if phase == 'unexpected' else ''}_epoch{epoch}{CHECKPOINT_SUFFIX}"


def by_epoch(folder: Path) -> dict[int, Path]:
    """The epochs' checkpoints in a run's `model` folder, newest first."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        match = NAME.match(path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items(), reverse=True))


def furthest_readable(folder: Path, processes: int) -> tuple[Path, dict[str, Any]] | None:
    """The furthest checkpoint of a run's `model` folder that can be read and that as many processes
    can go on from; None where there is none at all. Raises UsageError where there are only others.
    """
    candidates = [(epoch, 0, path) for epoch, path in by_epoch(folder).items()]
    last = _last(folder, processes)
    if last is not None:
        candidates.append((last["epoch"], 1, folder / LAST))
    for _, is_last, path in sorted(candidates, reverse=True):
        if is_last:
            return path, last
        try:
            return path, read_to_resume(path)
        except UsageError as error:
            log.warning("%s; taking the one before it", error)
    if candidates or (folder / LAST).exists():
        raise UsageError(
            f"--resume {folder.parent}: none of its checkpoints can be read; start the run anew"
        )
    return None


def _last(folder: Path, processes: int) -> dict[str, Any] | None:
    """The position within an epoch, where there is one to go on from."""
    if not (folder / LAST).exists():
        return None
    try:
        content = read_to_resume(folder / LAST)
    except UsageError as error:
        log.warning("%s; taking the one before it", error)
        return None
    positions = content.get("position")
    if positions is None:
        log.warning("%s: lacks its position; taking the one before it", folder / LAST)
        return None
    if positions[0] is not None and len(positions) != processes:
        log.warning(
            "%s was saved by %d processes, and now there are %d: its epoch starts anew",
            folder / LAST,
            len(positions),
            processes,
        )
        return None
    return content


def prune(folder: Path, keep: set[int]) -> None:
    """Removes epochs' checkpoints but the newest ones and those of the epochs to keep."""
    for epoch, path in list(by_epoch(folder).items())[KEPT_EPOCHS:]:
        if epoch not in keep:
            remove(path)


def keep_best(folder: Path, source: Path, epoch: int, phase: str) -> None:
    """`source` becomes the phase's best checkpoint, the one before it goes."""
    name = best_name(epoch, phase)
    link_or_copy(source, folder / name)
    for path in folder.glob(best_name(0, phase).replace("epoch0", "epoch*")):
        if path.name != name:
            remove(path)


def drop_later(folder: Path, epoch: int) -> list[str]:
    """Removes checkpoints of epochs past `epoch`, and the position within one, the furthest first;
    returns their names."""
    later = [path for number, path in by_epoch(folder).items() if number > epoch]
    later += [path for path in [folder / LAST] if path.exists()]
    for path in folder.glob(f"best*_epoch*{CHECKPOINT_SUFFIX}"):
        if int(re.search(r"_epoch(\d+)", path.name)[1]) > epoch:
            later.append(path)
    for path in later:
        remove(path)
    return [path.name for path in later]
