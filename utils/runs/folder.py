"""A run's folder: its name, its making, and the configuration file in it."""

import errno
import glob
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import product
from pathlib import Path
from typing import Any

from utils.config.checks import from_stored
from utils.config.datasets import short_name
from utils.config.described import facts_of, info_of
from utils.config.flags import Config
from utils.errors import RunError, UsageError
from utils.files import end_of_name, read_json, reason, write_whole
from utils.runs.locks import RunInUseError, RunLocks, held, holder_of

CONFIG_FILE = "config.json"
CHECKPOINT_SUFFIX = ".pth.tar"
STEM_BYTES = 50  # of a checkpoint's name in a folder's, which has at most 255 in all
MOST_OF_A_NAME = 1000
REPLACED = ".old"  # ends the hidden name of a run folder in whose place another one came
HALF_WRITTEN = (".*.tmp", ".*.part")  # what a killed program leaves of files it was writing


def checkpoint_stem(path: str) -> str:
    """Return a checkpoint's name without its folder and ending; of a long name, the end."""
    name = Path(path).name
    for ending in (CHECKPOINT_SUFFIX, ".pth", ".pt"):
        if name.endswith(ending):
            name = name.removesuffix(ending)
            break
    return end_of_name(name, STEM_BYTES)


def run_name(config: Config, seed_typed: bool) -> str:
    """Return the name of a new run's folder; the seed is part of it if it was typed."""
    info = info_of(config)
    parts = (
        f"{short_name(config.dataset, config.eye)}-{config.img_dim}",
        f"r{config.net.removeprefix('resnet')}_{config.model}_bs{config.batch_size}",
        f"lr{config.lr:g}_nseq{config.num_seq_in}",
        f"pred{config.pred_step}" if config.is_dpc else "",
        f"len{config.seq_len}",
        f"ds{config.ucf_hmdb_ms_ds}" if info.stride is None else "",
        f"train-{config.train_what}",
        f"share{config.label_share:g}" if config.label_share < 1 else "",
        "" if config.optim == Config.optim else config.optim,
        f"seed{config.seed}" if seed_typed else "",
        config.suffix,
        f"pt-{checkpoint_stem(config.pretrained)}" if config.pretrained else "",
    )
    return "_".join(filter(None, parts))


def is_run_folder(path: Path) -> bool:
    """Whether the folder holds a run's configuration."""
    return os.path.isfile(path / CONFIG_FILE)


def run_folder_of(checkpoint: Path) -> Path | None:
    """Return the run folder whose `model` folder holds the checkpoint, if there is one.

    The file, or `model`, may be a symbolic link.
    """
    for path in (os.path.abspath(checkpoint), os.path.realpath(checkpoint)):
        models = Path(path).parent
        if models.name == "model" and is_run_folder(models.parent):
            return models.parent
    return None


def make_folder(
    parent: Path, name: str, overwrite: bool, fill: Callable[[Path], None], locks: RunLocks
) -> Path:
    """Make, lock and fill a folder of that name, or of `name_001` and so on if it is taken.

    The filled folder gets its name in one step, so that two runs that start at the same moment get
    a folder each, and a kill leaves no half of one. With `overwrite` it takes the place of a run
    folder of that name, which stays as it is until then. Raises UsageError.
    """
    new = parent / f".{name}.{secrets.token_hex(4)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        settle_replaced(parent, name)
        new.mkdir()
        with ExitStack() as lock:  # closed before the folder is removed, as network disks demand
            lock.enter_context(held(new))  # before --resume auto can find it by its name
            fill(new)
            replaces = overwrite and (parent / name).exists()
            folder = (_replace_run if replaces else _rename_to_first_free)(new, parent, name)
            locks.enter_context(lock.pop_all())
        return folder
    except (OSError, RunError) as error:
        cause = error.__cause__ or error
        if getattr(cause, "errno", 0) == errno.ENAMETOOLONG and os.path.isdir(parent):
            raise UsageError(
                f"--suffix: the folder's name {name} is too long for this disk; shorten it"
            ) from error
        raise UsageError(
            f"--output_dir {parent}: can't write there ({reason(cause)}); name another"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _replace_run(new: Path, parent: Path, name: str) -> Path:
    """Give `new` the name of a run folder, and then remove that one as far as the disk lets."""
    folder, old = parent / name, new.with_name(f"{new.name}{REPLACED}")
    check_replaced(folder)
    with held(folder):
        folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            old.rename(folder)
            raise
    shutil.rmtree(old, ignore_errors=True)
    return folder


def settle_replaced(parent: Path, name: str) -> None:
    """Remove what earlier replacements of this name left; a kill's only run gets its name back."""
    for old in parent.glob(f".{glob.escape(name)}.*{REPLACED}"):
        if is_run_folder(old) and not os.path.lexists(parent / name):
            with suppress(RunInUseError), held(old):  # else another program is replacing it now
                old.rename(parent / name)
        else:
            shutil.rmtree(old, ignore_errors=True)


def _rename_to_first_free(new: Path, parent: Path, name: str) -> Path:
    for folder in names_in_turn(parent, name):
        try:
            os.rename(new, folder)  # fails unless there is nothing or an empty folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return folder
    raise AssertionError  # the names end with an error


def planned_folder(parent: Path, name: str, overwrite: bool) -> tuple[Path, bool]:
    """Return the folder that `make_folder` would make now, and whether it would replace a run.

    Nothing is changed. Raises UsageError as far as it can be known before.
    """
    there = next(path for path in (parent, *parent.absolute().parents) if os.path.lexists(path))
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        why = os.strerror(errno.EACCES if os.path.isdir(there) else errno.ENOTDIR)
        raise UsageError(f"--output_dir {parent}: can't write there ({why}); name another")
    if overwrite and (parent / name).exists():
        check_replaced(parent / name)
        if holder := holder_of(parent / name):
            raise RunInUseError(f"{parent / name}: is being run by {holder}")
        return parent / name, True
    return next(path for path in names_in_turn(parent, name) if is_free(path)), False


def is_free(path: Path) -> bool:
    """Whether a new folder can get this name: there is nothing, or an empty folder."""
    is_folder = os.path.isdir(path) and not path.is_symlink()
    return not (any(path.iterdir()) if is_folder else os.path.lexists(path))


def check_replaced(folder: Path) -> None:
    """Raise UsageError for anything but a run folder where a new run is to take its place."""
    if not is_run_folder(folder) or folder.is_symlink():
        raise UsageError(f"--overwrite: {folder} is not a run folder; remove it by hand")


def names_in_turn(parent: Path, name: str) -> Iterator[Path]:
    """Yield the folders of a name: itself, `name_001` and so on; at the end raise UsageError."""
    for number in range(MOST_OF_A_NAME):
        yield parent / (f"{name}_{number:03d}" if number else name)
    raise UsageError(f"--output_dir {parent}: {MOST_OF_A_NAME} runs of this name; add a --suffix")


def remove_half_written(folder: Path) -> None:
    """Remove what a killed program left, as far as it can be; the run's folder must be locked."""
    for parent, pattern in product((folder, folder / "model"), HALF_WRITTEN):
        for path in parent.glob(pattern):
            with suppress(OSError):
                path.unlink()


def write_config(
    folder: Path, config: Config, typed: dict[str, Any], environment: dict[str, Any]
) -> None:
    """Write the configuration as typed at first and as resolved now, and add this start."""
    before = read_config(folder) if is_run_folder(folder) else {"typed": typed, "starts": []}
    kept = {
        "typed": before["typed"],
        "resolved": vars(config),
        "starts": [*before["starts"], {"typed": typed, **environment, "data": facts_of(config)}],
    }
    write_whole(folder / CONFIG_FILE, json.dumps(kept, indent=1) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """Read what `write_config` wrote; raises UsageError for a damaged file."""
    path = folder / CONFIG_FILE
    kept = read_json(path)
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
