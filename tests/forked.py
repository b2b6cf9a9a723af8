"""Runs in processes of their own, which are forked by fork_server.py."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
# one thread, so that every process rounds alike, and none waits for a busy core
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "process_data", ROOT / "tests"))),
}  # fmt: skip
LIMIT = 240  # seconds, for whatever is waited for; nothing takes as long
NO_FAULT = ("meet_nothing",)


class Ended(NamedTuple):
    """A process that has ended: its exit status, as subprocess gives it, and what it printed."""

    status: int
    text: str


class Started(NamedTuple):
    """A process that may still run, and the file of what it prints."""

    pid: int
    log: Path

    def wait_for(self, text: str) -> None:
        """Wait until the process has printed the text."""
        wait_until(lambda: text in self.log.read_text() or has_ended(self.pid))
        assert text in self.log.read_text()


class Starter:
    """Starts runs of narrow_run.py within folders, to which the names in their flags are relative.

    `draws`: their true pictures, not a stand-in.
    """

    def __init__(self, draws: bool = False):
        self.draws = draws
        self.temporary = tempfile.TemporaryDirectory(dir="/tmp")  # in which killed runs leave some
        environment = {**ENVIRONMENT, "TMPDIR": self.temporary.name}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "fork_server.py")],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.count = 0
        self.going: set[int] = set()

    def call(
        self, function: str, *arguments: object, folder: Path, environment: dict | None = None
    ) -> Started:
        """Start a process that calls the function ("module.name"), which returns its status."""
        self.count += 1
        log = folder / f"printed{self.count}.txt"
        log.touch()
        pid = self._ask({
            "function": function, "arguments": arguments, "folder": str(folder),
            "environment": environment or {}, "log": str(log),
        })  # fmt: skip
        self.going.add(pid)
        return Started(pid, log)

    def end(self, started: Started) -> Ended:
        """Wait until the process has ended."""
        status = self._ask(started.pid)
        self.going.remove(started.pid)
        return Ended(status, started.log.read_text())

    def start(
        self, folder: Path, *flags: object, fault: tuple = NO_FAULT, environment: dict | None = None
    ) -> Started:
        """Start a run that meets the fault, one of those in faulty_run.py."""
        arguments = (list(map(str, flags)), fault, self.draws)
        return self.call("faulty_run.run", *arguments, folder=folder, environment=environment)

    def run(self, folder: Path, *flags: object, fault: tuple = NO_FAULT) -> Ended:
        return self.end(self.start(folder, *flags, fault=fault))

    def start_ranks(
        self, folders: Sequence[Path], *flags: object, fault: tuple = NO_FAULT
    ) -> list[Started]:
        """Start one run of several processes, as srun does: a rank in each of the folders."""
        return [
            self.start(folder, *flags, fault=fault, environment=environment)
            for folder, environment in zip(folders, self.of_ranks(len(folders)), strict=True)
        ]

    def run_ranks(
        self, folders: Sequence[Path], *flags: object, fault: tuple = NO_FAULT
    ) -> list[Ended]:
        return [self.end(rank) for rank in self.start_ranks(folders, *flags, fault=fault)]

    def of_ranks(self, count: int) -> list[dict[str, str]]:
        """Return the environment that a launcher gives to each of the processes of a run."""
        self._ask("torch._dynamo")  # what DistributedDataParallel imports, for seconds
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        meeting = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return [{"RANK": str(rank), "LOCAL_RANK": str(rank), **meeting} for rank in range(count)]

    def close(self) -> None:
        for pid in self.going:  # of a test that failed
            for each in (*children(pid), pid):
                with suppress(ProcessLookupError):
                    os.killpg(each, signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.temporary.cleanup()

    def _ask(self, what: object) -> int:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], LIMIT)[0], f"no answer to {what}"
        return int(self.process.stdout.readline())


# ---- processes, as the kernel sees them ----


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def state(pid: int) -> str:
    """R: running, S: waiting, T: stopped by a signal, Z: ended; empty: gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def has_ended(pid: int) -> bool:
    return state(pid) in ("", "Z")


def is_pending(pid: int, number: int) -> bool:
    """Whether a stopped process has got the signal, which it receives when it goes on."""
    text = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in text.splitlines() if "Pnd:" in line]
    return any(mask >> (number - 1) & 1 for mask in masks)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
