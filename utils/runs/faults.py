"""Files that can't be read: each is named once and recorded, and too many of them end the run."""

from collections.abc import Sequence
from pathlib import Path

from utils.errors import RunError
from utils.logs import log
from utils.runs.records import FAULTS, FaultRow, append_rows
from utils.samples import Fault

FEW = 3  # clips with faults are never too many,
SHARE = 0.01  # and this share of a pass's clips isn't either


class Faults:
    """The unreadable files of a run; `writes` says whether this rank records them."""

    def __init__(self, folder: Path, strict: bool, writes: bool = True):
        self.folder = folder
        self.strict = strict
        self.writes = writes
        self.named: set[str] = set()
        self.so_far: dict[str, list[Fault]] = {}  # of the last pass of each mode

    def start_pass(self, epoch: int, mode: str, clips: int, before: Sequence[Fault] = ()) -> None:
        """Start to count the faults of a pass over so many clips.

        `before`: the faults of the part of the pass that was done earlier; they are recorded again.
        """
        self.epoch = epoch
        self.mode = mode
        self.clips = clips
        self.items: set[int] = set()
        self.so_far[mode] = []
        self._record(before)
        self.named |= {fault.path for fault in before}

    def of(self, mode: str) -> list[Fault]:
        """Return the faults of the mode's last pass."""
        return list(self.so_far.get(mode, []))

    def _record(self, faults: Sequence[Fault]) -> None:
        self.so_far[self.mode].extend(faults)
        self.items |= {fault.item for fault in faults}
        if self.writes:
            rows = [FaultRow(self.epoch, self.mode, *fault) for fault in faults]
            append_rows(self.folder, FAULTS, rows)

    def add(self, faults: tuple[Fault, ...]) -> None:
        """Record faults; raises RunError at the first one with `strict`, or at one too many."""
        if not faults:
            return
        self._record(faults)
        for _, path, reason in faults:
            if path not in self.named:
                log.warning("can't be read: %s (%s)", path, reason)
                self.named.add(path)
        first = f"{faults[0].path} {faults[0].reason}"
        if self.strict:
            raise RunError(f"--strict_data: {first}; all faults are in {self.folder / FAULTS}")
        if len(self.items) > max(FEW, SHARE * self.clips):
            raise RunError(
                f"{len(self.items)} of {self.clips} clips of {self.mode} met frames that can't be "
                f"read, such as {first}; they are in {self.folder / FAULTS}; "
                "look for more with process_data/verify.py"
            )
