"""Runs in processes of their own, that meet faults: see faulty_run.py."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
# one thread, so that every process rounds alike, and none waits for a busy core
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
NO_FAULT = ("meet_nothing",)


class Ended(NamedTuple):
    """`status`: as of subprocess; `text`: what it printed."""

    status: int
    text: str


class Started(NamedTuple):
    pid: int
    log: Path


class Starter:
    """Starts runs within a folder, to which the names in their flags are relative. `draws`: their
    true pictures, not a stand-in."""

    def __init__(self, draws: bool = False):
        self.draws = draws
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "faulty_run.py")],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.runs = 0
        self.going: set[int] = set()

    def ask(self, what: object) -> int:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, folder: Path, *flags: object, fault: tuple = NO_FAULT) -> Started:
        self.runs += 1
        log = folder / f"printed{self.runs}.txt"
        asked = {
            "folder": str(folder),
            "flags": [str(flag) for flag in flags],
            "fault": fault,
            "log": str(log),
            "draws": self.draws,
        }
        pid = self.ask(asked)
        self.going.add(pid)
        return Started(pid, log)

    def end(self, started: Started) -> Ended:
        status = self.ask(started.pid)
        self.going.remove(started.pid)
        return Ended(status, started.log.read_text())

    def run(self, folder: Path, *flags: object, fault: tuple = NO_FAULT) -> Ended:
        return self.end(self.start(folder, *flags, fault=fault))

    def close(self) -> None:
        for pid in self.going:  # of a test that failed
            os.killpg(pid, signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
