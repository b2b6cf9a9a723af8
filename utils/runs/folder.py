"""A run's folder: its name, its making, what lies where, and the configuration file in it."""

import errno
import fcntl
import json
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from utils.config.datasets import CATALOGUE, short_name
from utils.config.flags import Config, from_stored
from utils.errors import RunError, UsageError
from utils.files import replacing

CONFIG_FILE = "config.json"
LOCK_FILE = ".lock"
CHECKPOINT_SUFFIX = ".pth.tar"
MOST_OF_A_NAME = 1000
HALF_WRITTEN = (".*.tmp", ".*.part")  # what a kill leaves of files that are written whole


class RunInUseError(UsageError):
    """A run that another process has in hand."""


def checkpoint_stem(path: str) -> str:
    """A checkpoint's name without its folder and ending."""
    name = Path(path).name
    for ending in (CHECKPOINT_SUFFIX, ".pth", ".pt"):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def run_name(config: Config, seed_typed: bool) -> str:
    parts = [
        f"{short_name(config.dataset, config.eye)}-{config.img_dim}",
        f"r{config.net.removeprefix('resnet')}",
        config.model,
        f"bs{config.batch_size}",
        f"lr{config.lr:g}",
        f"nseq{config.num_seq_in}",
    ]
    if config.is_dpc:
        parts.append(f"pred{config.pred_step}")
    parts.append(f"len{config.seq_len}")
    if CATALOGUE[config.dataset].stride is None:
        parts.append(f"ds{config.ucf_hmdb_ms_ds}")
    parts.append(f"train-{config.train_what}")
    if seed_typed:
        parts.append(f"seed{config.seed}")
    if config.suffix:
        parts.append(config.suffix)
    if config.pretrained:
        parts.append(f"pt-{checkpoint_stem(config.pretrained)}")
    return "_".join(parts)


def is_run_folder(path: Path) -> bool:
    return (path / CONFIG_FILE).is_file()


def run_folder_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in, as `model/NAME` of it."""
    folder = checkpoint.resolve().parent.parent
    return folder if checkpoint.resolve().parent.name == "model" and is_run_folder(folder) else None


def make_folder(parent: Path, name: str, overwrite: bool, fill: Callable[[Path], None]) -> Path:
    """A new folder of that name, or of `name_001` and so on where it is taken; it is filled before
    it gets its name.

    Naming is atomic, so two runs that start at the same moment get one each, and a kill leaves no
    half of a folder.
    """
    folder = parent / name
    new = parent / f".{name}.{secrets.token_hex(4)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if overwrite and folder.exists():
            if not is_run_folder(folder):
                raise UsageError(f"--overwrite: {folder} is not a run folder; remove it by hand")
            with held(folder):
                shutil.rmtree(folder.rename(new.with_name(f"{new.name}.old")))  # never half of it
        new.mkdir()
        fill(new)
        for number in range(MOST_OF_A_NAME):
            try:
                os.rename(new, folder)  # fails where there is anything but an empty folder
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                folder = parent / f"{name}_{number + 1:03d}"
            else:
                return folder
    except (OSError, RunError) as error:
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        raise UsageError(
            f"--output_dir {parent}: can't write there ({reason}); name another"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    raise UsageError(f"--output_dir {parent}: {MOST_OF_A_NAME} runs of this name; add a --suffix")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Within, no other process can hold this run; raises UsageError where one does.

    The lock goes with the process, however it ends. Disks without locks do without.
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
        with suppress(OSError):  # on a full disk it is locked all the same
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        yield


def remove_half_written(folder: Path) -> None:
    """In a run's folder that no other program has in hand."""
    for parent in (folder, folder / "model"):
        for pattern in HALF_WRITTEN:
            for path in parent.glob(pattern):
                path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"can't write {path}: {error.strerror}") from error


def write_config(
    folder: Path, config: Config, typed: dict[str, Any], environment: dict[str, Any]
) -> None:
    """The configuration as typed and as resolved; each start of the run adds to `starts`."""
    before = read_config(folder) if is_run_folder(folder) else {"typed": typed, "starts": []}
    kept = {
        "typed": before["typed"],
        "resolved": vars(config),
        "starts": [*before["starts"], {"typed": typed, **environment}],
    }
    write_atomically(folder / CONFIG_FILE, json.dumps(kept, indent=1) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """What `write_config` has written; raises UsageError where that was damaged since."""
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
    """Return the resolved configuration that the folder keeps; raises UsageError."""
    resolved = read_config(folder)["resolved"]
    try:
        return from_stored(resolved)
    except UsageError as error:
        raise UsageError(f"{folder / CONFIG_FILE}: {error}") from error
