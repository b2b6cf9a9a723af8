"""Trials: one call of a program each, with something odd, and what is wrong with how it ended."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from forked import Ended, Starter, children, has_ended
from run_records import NOT_TO_BE_SEEN

STATUSES = (0, 1, 2, 75, 130)  # of the table in slurm/README.md
SECONDS = 180  # after which a trial counts as hanging; the longest takes 5 on a slow CPU
LONGEST = 700  # characters of a line; messages are cut at 600, and name a file before that
LEFT_BY_RIGHT = (".lock", "printed")  # which every start writes, and the trial's own log


class Trial(NamedTuple):
    """One call of a program in a folder. `function`, as in `Starter.call`, gets the flags.

    Once it has printed `waits`, it is told to stop, since it waits for what never comes.
    """

    name: str
    folder: Path
    flags: list
    function: str = "odd_calls.run_model"
    environment: dict[str, str] | None = None
    waits: str | None = None


def all_pass(starter: Starter, kind: str, trials: Iterable[Trial]) -> None:
    """Make all trials of a kind, print the count, and fail if one of them failed."""
    faults, count = [], 0
    for trial in trials:
        count += 1
        if fault := fault_of(starter, trial):
            faults.append(f"{trial.name}: {fault}")
    print(f"\n{kind}: {count - len(faults)} of {count} passed", *faults, sep="\n  ")
    assert not faults


def fault_of(starter: Starter, trial: Trial, seconds: float = SECONDS) -> str:
    """Make the trial, and return what is wrong with its end; empty if nothing is."""
    before = listing(trial.folder)
    started = starter.call(
        trial.function, list(map(str, trial.flags)), folder=trial.folder,
        environment=trial.environment,
    )  # fmt: skip
    end, told = time.monotonic() + seconds, False
    while not has_ended(started.pid):
        if trial.waits and not told and trial.waits in started.log.read_text(errors="replace"):
            told = True
            os.kill(started.pid, signal.SIGTERM)
        if time.monotonic() > end:
            for pid in (*children(started.pid), started.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            starter.end(started)
            return "hangs"
        time.sleep(0.005)
    ended = starter.end(started)
    started.log.unlink()
    return fault_in(ended, listing(trial.folder) - before)


def fault_in(ended: Ended, left: set[str]) -> str:
    """Return what is wrong with how a program ended that has left these new files behind."""
    status, text = ended
    lines = text.splitlines() or [""]
    program = lines[-1].partition(": ")[0].partition(", rank")[0]
    if status not in STATUSES:
        return f"status {status}: {text[-300:]}"
    if any(noise in text for noise in NOT_TO_BE_SEEN):
        return f"noise: {text[-600:]}"
    if max(map(len, lines)) > LONGEST:
        return f"a line of {max(map(len, lines))} characters: {max(lines, key=len)[:200]}"
    if status == 1 and lines[-1].partition(";")[0].endswith(" failed"):
        return ""  # the report of a script that has told each file's fault
    if status and not (program.endswith(".py") or program.startswith("python -m ")):
        return f"status {status} without a line of the program: {text[-300:]}"
    if status and sum(line.startswith(f"{program}: ") for line in lines) > 1:
        return f"status {status} with several lines of the program: {text[-600:]}"
    if status == 2 and left:
        return f"left behind: {sorted(left)[:3]}"
    return ""


def listing(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if not path.name.startswith(LEFT_BY_RIGHT))
    return {str(path.relative_to(folder)) for path in found}
