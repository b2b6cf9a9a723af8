"""Frames that can't be read: counted, named once, recorded, and a limit to them."""

from pathlib import Path

from utils.batch import Fault
from utils.errors import RunError
from utils.logs import log
from utils.records import FAULTS, FaultRow, append_rows

FEW = 3  # clips with faults that are never too many,
SHARE = 0.01  # nor are up to this share of an epoch's


class Faults:
    """Of a run. Each pass starts with `start_pass`, so that clips are counted anew."""

    def __init__(self, folder: Path, strict: bool):
        self.folder = folder
        self.strict = strict
        self.named: set[str] = set()

    def start_pass(self, epoch: int, mode: str, clips: int) -> None:
        """`clips`: how many the pass is to read."""
        self.epoch = epoch
        self.mode = mode
        self.clips = clips
        self.items: set[int] = set()

    def add(self, faults: tuple[Fault, ...]) -> None:
        """Raises RunError when there are too many, with `strict` at the first."""
        if not faults:
            return
        append_rows(self.folder, FAULTS, [FaultRow(self.epoch, self.mode, *f) for f in faults])
        for _, path, reason in faults:
            if path not in self.named:
                log.warning("can't be read: %s (%s)", path, reason)
                self.named.add(path)
        self.items |= {fault.item for fault in faults}
        first = f"{faults[0].path} {faults[0].reason}"
        if self.strict:
            raise RunError(f"--strict_data: {first}; all faults are in {self.folder / FAULTS}")
        if len(self.items) > max(FEW, SHARE * self.clips):
            raise RunError(
                f"{len(self.items)} of {self.clips} clips of {self.mode} met frames that can't be "
                f"read, such as {first}; they are in {self.folder / FAULTS}; "
                "look for more with process_data/verify.py"
            )
