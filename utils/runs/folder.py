"""A run's folder: its name, its making, its lock, and the configuration file in it."""

import errno
import fcntl
import json
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

from utils.config.datasets import CATALOGUE, short_name
from utils.config.flags import Config, from_stored
from utils.errors import RunError, UsageError
from utils.files import write_whole

CONFIG_FILE = "config.json"
LOCK_FILE = ".lock"
CHECKPOINT_SUFFIX = ".pth.tar"
MOST_OF_A_NAME = 1000
HALF_WRITTEN = (".*.tmp", ".*.part")  # what a killed program leaves of files it was writing


class RunInUseError(UsageError):
    """Another program runs this run."""


def checkpoint_stem(path: str) -> str:
    """Return a checkpoint's name without its folder and ending."""
    name = Path(path).name
    for ending in (CHECKPOINT_SUFFIX, ".pth", ".pt"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def run_name(config: Config, seed_typed: bool) -> str:
    """Return the name of a new run's folder; the seed is part of it if it was typed."""
    info = CATALOGUE[config.dataset]
    parts = (
        f"{short_name(config.dataset, config.eye)}-{config.img_dim}",
        f"r{config.net.removeprefix('resnet')}_{config.model}_bs{config.batch_size}",
        f"lr{config.lr:g}_nseq{config.num_seq_in}",
        f"pred{config.pred_step}" if config.is_dpc else "",
        f"len{config.seq_len}",
        f"ds{config.ucf_hmdb_ms_ds}" if info.stride is None else "",
        f"train-{config.train_what}",
        f"seed{config.seed}" if seed_typed else "",
        config.suffix,
        f"pt-{checkpoint_stem(config.pretrained)}" if config.pretrained else "",
    )
    return "_".join(filter(None, parts))


def is_run_folder(path: Path) -> bool:
    """Whether the folder holds a run's configuration."""
    return (path / CONFIG_FILE).is_file()


def run_folder_of(checkpoint: Path) -> Path | None:
    """Return the run folder whose `model` folder holds the checkpoint, if there is one."""
    models = checkpoint.resolve().parent
    return models.parent if models.name == "model" and is_run_folder(models.parent) else None


def make_folder(parent: Path, name: str, overwrite: bool, fill: Callable[[Path], None]) -> Path:
    """Make and fill a folder of that name, or of `name_001` and so on if it is taken.

    The filled folder gets its name in one step, so that two runs that start at the same moment get
    a folder each, and a kill leaves no half of one. Raises UsageError.
    """
    new = parent / f".{name}.{secrets.token_hex(4)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if overwrite and (parent / name).exists():
            _remove_run(parent / name, new.with_name(f"{new.name}.old"))
        new.mkdir()
        fill(new)
        return _rename_to_first_free(new, parent, name)
    except (OSError, RunError) as error:
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        raise UsageError(
            f"--output_dir {parent}: can't write there ({reason}); name another"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _remove_run(folder: Path, renamed: Path) -> None:
    """Remove a run folder, after renaming it, so that a kill leaves no half of a run."""
    if not is_run_folder(folder):
        raise UsageError(f"--overwrite: {folder} is not a run folder; remove it by hand")
    with held(folder):
        shutil.rmtree(folder.rename(renamed))


def _rename_to_first_free(new: Path, parent: Path, name: str) -> Path:
    for number in range(MOST_OF_A_NAME):
        folder = parent / (f"{name}_{number:03d}" if number else name)
        try:
            os.rename(new, folder)  # fails unless there is nothing or an empty folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return folder
    raise UsageError(f"--output_dir {parent}: {MOST_OF_A_NAME} runs of this name; add a --suffix")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a run folder; raises RunInUseError if another process has locked it.

    The lock ends with the process, however that ends. On disks without locks nothing is locked.
    """
    try:
        file = open(folder / LOCK_FILE, "a+b", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{folder}: can't be written ({error.strerror})") from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                holder = file.read().decode().strip()
                raise RunInUseError(f"{folder}: is being run by {holder}") from error
        with suppress(OSError):  # the lock holds even if a full disk takes no text
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        yield


def remove_half_written(folder: Path) -> None:
    """Remove what a killed program left; the run's folder must be locked."""
    for parent, pattern in product((folder, folder / "model"), HALF_WRITTEN):
        for path in parent.glob(pattern):
            path.unlink(missing_ok=True)


def write_config(
    folder: Path, config: Config, typed: dict[str, Any], environment: dict[str, Any]
) -> None:
    """Write the configuration as typed at first and as resolved now, and add this start."""
    before = read_config(folder) if is_run_folder(folder) else {"typed": typed, "starts": []}
    kept = {
        "typed": before["typed"],
        "resolved": vars(config),
        "starts": [*before["starts"], {"typed": typed, **environment}],
    }
    write_whole(folder / CONFIG_FILE, json.dumps(kept, indent=1) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """Read what `write_config` wrote; raises UsageError for a damaged file."""
    path = folder / CONFIG_FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can't be read ({error})") from error
    for name, kind in (("typed", dict), ("resolved", dict), ("starts", list)):
        if not isinstance(kept, dict) or not isinstance(kept.get(name), kind):
            raise UsageError(f"{path}: has no {name!r} as it was written; put it back")
    return kept


def config_in(folder: Path) -> Config:
    """Return the resolved configuration in a run's folder; raises UsageError."""
    resolved = read_config(folder)["resolved"]
    try:
        return from_stored(resolved)
    except UsageError as error:
        raise UsageError(f"{folder / CONFIG_FILE}: {error}") from error
