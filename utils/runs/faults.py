"""Frames that can't be read: counted, named once, recorded, and a limit to them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from utils.errors import RunError
from utils.logs import log
from utils.runs.records import FAULTS, FaultRow, append_rows
from utils.samples import Fault

FEW = 3  # clips with faults that are never too many,
SHARE = 0.01  # nor are up to this share of an epoch's


class Faults:
    """Of a run. Each pass starts with `start_pass`, so that clips are counted anew. Only one of
    several processes `writes`."""

    def __init__(self, folder: Path, strict: bool, writes: bool = True):
        self.folder = folder
        self.strict = strict
        self.writes = writes
        self.named: set[str] = set()

    def start_pass(self, epoch: int, mode: str, clips: int) -> None:
        """`clips`: how many the pass is to read."""
        self.epoch = epoch
        self.mode = mode
        self.clips = clips
        self.items: set[int] = set()
        self.so_far: list[Fault] = []

    def restore(self, faults: list[Fault]) -> None:
        """Those of a pass that goes on, whose rows are no longer there."""
        self._record(faults)
        self.named |= {fault.path for fault in faults}

    def _record(self, faults: Sequence[Fault]) -> None:
        self.so_far.extend(faults)
        self.items |= {fault.item for fault in faults}
        if self.writes:
            rows = [FaultRow(self.epoch, self.mode, *fault) for fault in faults]
            append_rows(self.folder, FAULTS, rows)

    def add(self, faults: tuple[Fault, ...]) -> None:
        """Raises RunError when there are too many, with `strict` at the first."""
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


@contextmanager
def told_of_workers() -> Iterator[None]:
    """A data worker that dies or hangs ends the run with one line; torch tells of it wherever the
    program just is."""
    try:
        yield
    except RuntimeError as error:
        text = str(error).split("\n")[0]
        if not text.startswith("DataLoader "):
            raise
        if "timed out" in text:
            remedy = "look at the disk that holds the data, or raise --worker_timeout"
        else:
            remedy = "often memory ran out: lower --num_workers or --batch_size"
        raise RunError(f"a data worker was lost: {text}; {remedy}") from error
