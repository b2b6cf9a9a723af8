"""A run's folder: its name, its making, what lies where, and the configuration file in it."""

import json
import shutil
from pathlib import Path
from typing import Any

from utils.catalogue import CATALOGUE, short_name
from utils.config import Config
from utils.errors import RunError, UsageError
from utils.files import replacing

CONFIG_FILE = "config.json"
CHECKPOINT_SUFFIX = ".pth.tar"
MOST_OF_A_NAME = 1000


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
    if CATALOGUE[config.dataset].strided:
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


def make_folder(parent: Path, name: str, overwrite: bool) -> Path:
    """A new folder of that name, or of `name_001` and so on where it is taken.

    Making a folder is atomic, so two runs that start at the same moment get one each.
    """
    folder = parent / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if overwrite and folder.exists():
            if not is_run_folder(folder):
                raise UsageError(f"--overwrite: {folder} is not a run folder; remove it by hand")
            shutil.rmtree(folder)
        for number in range(MOST_OF_A_NAME):
            try:
                folder.mkdir()
            except FileExistsError:
                folder = parent / f"{name}_{number + 1:03d}"
            else:
                return folder
    except OSError as error:
        raise UsageError(
            f"--output_dir {parent}: can't write there ({error.strerror}); name another"
        ) from error
    raise UsageError(f"--output_dir {parent}: {MOST_OF_A_NAME} runs of this name; add a --suffix")


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
    starts = read_config(folder)["starts"] if is_run_folder(folder) else []
    starts.append({"typed": typed, **environment})
    resolved = vars(config)
    text = json.dumps(
        {"typed": starts[0]["typed"], "resolved": resolved, "starts": starts}, indent=1
    )
    write_atomically(folder / CONFIG_FILE, text + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / CONFIG_FILE}: can't be read ({error})") from error
