"""The runs to compare: found in folders, each with the tests and retrievals of its checkpoints."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from utils.config.changes import run_identity
from utils.config.command_line import parse
from utils.config.flags import RANDOM, Config, fields_on_resume
from utils.errors import UsageError
from utils.files import reason
from utils.logs import log
from utils.runs.folder import checkpoint_stem, config_in, is_run_folder, read_config, run_folder_of

Found = TypeVar("Found")
DEPTH = 4  # levels of folders below a named one that are searched
BEST = re.compile(r"(best(?:_unexp)?)_epoch\d+")  # the stem of a best checkpoint
OF_THE_RUN = {"seed", "pretrained", "unexp_epoch", "wd", "dropout", "suffix"}  # not told of tests


class Test(NamedTuple):
    """The folder of a test, and what was tested: `best`, `epoch8`, with data flags of its own.

    `crops`: of each frame. `retrieves`: it is a retrieval, which evaluates stored features.
    """

    folder: Path
    what: str
    crops: int = 1
    retrieves: bool = False


class Run(NamedTuple):
    """A run with its tests, or tests of weights whose run is not known or had other videos.

    `own`: whether the run's own records are compared; else those of its tests alone.
    """

    folder: Path
    config: Config
    own: bool
    tests: tuple[Test, ...]


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """Return the runs in folders: of each folder, it itself or what lies in it, each run once.

    The folder of a test stands for its run with this test alone. Hidden folders, which hold
    unfinished runs, are left out; damaged ones are too, with a warning. Raises UsageError where
    nothing is left.
    """
    problems: list[str] = []
    runs: dict[Path, Run] = {}
    for folder in folders:
        if not os.path.isdir(folder):
            raise UsageError(f"{folder}: is no folder; name folders of runs, or folders of those")
        before = len(problems)
        found = [path for path in search(folder) if _add(runs, path, problems)]
        if not found and len(problems) == before:
            problems.append(f"{folder}: holds no run")
    return kept(list(runs.values()), problems)


def kept(found: list[Found], problems: Sequence[str]) -> list[Found]:
    """Return what was found, and warn of what is left out; raises UsageError for nothing."""
    problems = list(dict.fromkeys(problems))
    if not found:
        more = f" (and {len(problems) - 1} more like this)" if len(problems) > 1 else ""
        raise UsageError(f"nothing to compare: {problems[0]}{more}")
    for problem in problems:
        log.warning("%s; left out", problem)
    return found


def started_with(runs: Sequence[Run], flags: Sequence[str]) -> list[Run]:
    """Return the runs that were started with these flags of run_model.py, whatever their seeds.

    Technical flags may differ. Raises UsageError for wrong flags, and where there is no such run.
    """

    def identity(typed: dict[str, Any]) -> dict[str, Any]:
        return {**run_identity(typed), "seed": None}

    wanted = identity(parse(list(flags)))
    found = [
        run for run in runs if run.own and identity(read_config(run.folder)["typed"]) == wanted
    ]
    if not found:
        raise UsageError("--like: none of the runs was started with these flags")
    return found


def search(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs and of tests in a folder, or itself; links are followed once."""

    def warn(error: OSError) -> None:
        log.warning("%s: can't be read (%s); left out", error.filename, reason(error))

    seen: set[str] = set()
    for name, inside, _ in os.walk(folder, onerror=warn, followlinks=True):
        path, real = Path(name), os.path.realpath(name)
        is_run = is_run_folder(path)
        if is_run and real not in seen:
            yield path
        goes_on = real not in seen and (is_run or len(path.relative_to(folder).parts) < DEPTH)
        seen.add(real)
        inside[:] = [  # what is searched next; of what lies in a run, its tests alone
            inner
            for inner in sorted(inside)
            if goes_on and not inner.startswith(".") and (not is_run or is_run_folder(path / inner))
        ]


def _add(runs: dict[Path, Run], folder: Path, problems: list[str]) -> bool:
    """Add a run or a test to its run; return whether it could be read."""
    try:
        config = config_in(folder)
        of, run_config = folder, config
        tests: tuple[Test, ...] = ()
        if config.extract:
            return False  # features, which are no numbers to compare
        if checkpoint := config.test or config.retrieve:
            run = _run_of_test(folder, checkpoint)
            if run is not None and _belongs(config, config_in(run)):
                of, run_config = run, config_in(run)
            what = _tested(checkpoint, config, run_config)
            tests = (Test(folder, what, config.test_crops, bool(config.retrieve)),)
    except UsageError as error:
        problems.append(str(error))
        return False
    real = Path(os.path.realpath(of))
    before = runs.get(real, Run(real, run_config, False, ()))
    known = {os.path.realpath(test.folder) for test in before.tests}
    new = tuple(test for test in tests if os.path.realpath(test.folder) not in known)
    runs[real] = before._replace(own=before.own or not tests, tests=before.tests + new)
    return True


def _belongs(config: Config, run: Config) -> bool:
    """Whether a test or retrieval counts as one of the run's own.

    A retrieval among other videos than the run learned from does not: three splits, searched by the
    features of one run, are three repetitions.
    """
    return not config.retrieve or (config.dataset, config.split) == (run.dataset, run.split)


def _run_of_test(folder: Path, checkpoint: str) -> Path | None:
    """Return the run folder that a test lies in, or the one of its checkpoint, if there is one."""
    parent = Path(os.path.realpath(folder)).parent
    if is_run_folder(parent):
        return parent
    return None if checkpoint == RANDOM else run_folder_of(Path(checkpoint))


def _tested(checkpoint: str, config: Config, run: Config) -> str:
    """Return which checkpoint was tested, and the data flags in which the test differs."""
    told = [checkpoint_kind(checkpoint)]
    always = {"pad_short"} if config.retrieve else set()  # every retrieval has it
    for name in sorted(fields_on_resume("fixed", "free") - OF_THE_RUN - always):
        value = getattr(config, name)
        if value != getattr(run, name):
            told.append(name if value is True else f"{name} {value}")
    if config.unexp_epoch == 0:
        told.append("with U")  # else a test of Gabors shows none
    return ", ".join(told)


def checkpoint_kind(path: str) -> str:
    """Return a checkpoint's name; of a best one without its epoch, which seeds don't share."""
    return BEST.sub(r"\1", checkpoint_stem(path))
