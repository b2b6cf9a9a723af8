"""Checkpoints to go on from: where they are."""

from pathlib import Path
from typing import Any, NamedTuple

from utils.config.changes import run_identity
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
    wanted = run_identity(typed)
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
        if not kept.get("test") and run_identity(kept) == wanted:
            found.append((started, path.parent))
    return [path for _, path in sorted(found, reverse=True)]
