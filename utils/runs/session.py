"""From the start of the program to its end: its processes, its signals, and the run in hand."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from utils.config.flags import Config
from utils.logs import log, log_to_folder
from utils.runs.folder import (
    RunInUseError,
    checkpoint_stem,
    held,
    is_run_folder,
    make_folder,
    remove_half_written,
    run_name,
    write_config,
)
from utils.runs.records import start_records
from utils.runtime.interrupts import Interrupts
from utils.runtime.processes import Processes, joined
from utils.samples import ClassInfo


class Session:
    """Within it, the processes are joined, and signals wait for the end of a step. Folders are made
    and written by the first process; all have to call."""

    def __init__(self, processes: Processes):
        self.processes = processes
        self.interrupts = Interrupts(repeats=processes.count > 1)
        self.stack = ExitStack()

    def __enter__(self) -> "Session":
        with ExitStack() as stack:
            stack.enter_context(self.interrupts)
            stack.enter_context(joined(self.processes))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def hold(self, folder: Path | None) -> None:
        """No other program can run it until this one ends; raises UsageError where one does."""
        if folder is not None and is_run_folder(folder):
            self.processes.from_first(lambda: self._hold(folder))

    def _hold(self, folder: Path) -> None:
        self.stack.enter_context(held(folder))

    def hold_first_free(self, list_folders: Callable[[], Sequence[Path]]) -> Path | None:
        """The first that no other program runs."""

        def choose() -> Path | None:
            for folder in list_folders():
                try:
                    self._hold(folder)
                except RunInUseError as error:
                    log.info("%s", error)
                else:
                    return folder
            return None

        return self.processes.from_first(choose)

    def new_folder(
        self,
        parent: Path,
        config: Config,
        typed: dict[str, Any],
        environment: dict[str, Any],
        classes: Sequence[ClassInfo],
    ) -> Path:
        """With the run's configuration, empty records and a log."""
        if config.test:
            name = f"test_{checkpoint_stem(config.test)}"
        else:
            name = run_name(config, seed_typed=typed.get("seed", -1) >= 0)

        def fill(folder: Path) -> None:
            self._hold(folder)  # before it has a name by which --resume auto can find it
            write_config(folder, config, typed, environment)
            start_records(folder, classes)
            if not config.test:
                (folder / "model").mkdir()

        def make() -> Path:
            folder = make_folder(parent, name, config.overwrite, fill)
            log_to_folder(folder)
            log.info("run folder: %s", folder)
            return folder

        return self.processes.from_first(make)

    def take_up(
        self, folder: Path, config: Config, typed: dict[str, Any], environment: dict[str, Any]
    ) -> None:
        """Notes in a run's folder that it is gone on with."""
        if self.processes.leads:
            write_config(folder, config, typed, environment)
            log_to_folder(folder)
            remove_half_written(folder)
