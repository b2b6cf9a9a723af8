"""When the pictures of a run are drawn: never so often that they cost much of its time, and beside
it, by a process of their own, as soon as it has lasted longer than that takes to start."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from utils.errors import RunError, UsageError
from utils.logs import log
from utils.plots.drawing import BESIDE, LAST, reason
from utils.runtime.interrupts import STOPPING

ROOT = Path(__file__).resolve().parents[2]
SHARE = 0.05  # of the time that drawing may take
GUESS = 1.5  # CPU seconds for the first drawing
START = 1.0  # seconds of a run, after which the process starts
PATIENCE = 1.0  # seconds that it has for its end
FILE_BACKENDS = ("agg", "cairo")  # of matplotlib, that write PNG and open no window


class Pictures:
    """At the end of this context no drawing goes on. Raises RunError where one failed."""

    def __init__(self, folder: Path, backend: str):
        self.folder = folder
        self.backend = backend.lower() if backend.lower() in FILE_BACKENDS else None
        if backend and not self.backend:
            log.warning("--plt_bkend %s: pictures are files here, drawn with agg", backend)
        self.process: subprocess.Popen | None = None
        self.ready = False
        self.was_lost = False
        self.drawing = False
        self.took = GUESS
        self.start = self.asked = time.perf_counter()

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.end_process()

    def draw(self, at_once: bool) -> None:
        """From the records so far: `at_once`, or beside the run, unless one is being drawn or that
        would be more than its share."""
        if at_once:
            self.draw_last()
            return
        late = time.perf_counter() - self.start > START
        if self.process is None and late and not self.was_lost:
            self.start_process()
        if self.process is not None:
            self.draw_beside()

    def draw_beside(self) -> None:
        self.listen()
        now = time.perf_counter()
        if self.process and not self.drawing and now - self.asked > self.took / SHARE:
            self.asked, self.drawing = now, True
            self.ask(BESIDE)

    def draw_last(self) -> None:
        self.listen()
        if not self.ready:  # with its low priority that may take long
            self.end_process()
        if self.process is not None:
            self.ask(LAST)
        while self.process is not None:
            if self.hear() == LAST:
                return
        self.draw_here()

    def draw_here(self) -> None:
        from utils.plots import draw as plots  # slow to import

        try:
            plots.draw_all(self.folder, self.backend)
        except (OSError, UsageError) as error:
            raise self.failed(reason(error)) from error

    # ---- the process ----

    def start_process(self) -> None:
        command = [sys.executable, "-m", "utils.plots.drawing", self.folder.absolute()]
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # in the process for ever
        try:
            self.process = subprocess.Popen(
                [*command, self.backend or ""],
                bufsize=0,
                cwd=ROOT,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as error:
            self.do_without(error)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def ask(self, request: bytes) -> None:
        with suppress(BrokenPipeError):  # it was lost, as its answer will tell
            self.process.stdin.write(request)

    def listen(self) -> None:
        """To the answers that have come."""
        while self.process is not None and wait([self.process.stdout], 0):
            self.hear()

    def hear(self) -> bytes | None:
        """Waits for an answer; → what was asked, None where there will be no more answers."""
        line = self.process.stdout.readline()
        if not line:
            self.do_without(f"status {self.end_process()}")
            return None
        answer: dict[str, Any] = json.loads(line)
        if answer["failed"] is not None:
            raise self.failed(answer["failed"])
        self.ready, asked = True, answer["asked"].encode()
        if asked == BESIDE:
            self.drawing, self.took = False, answer["seconds"]
        return asked

    def do_without(self, why: object) -> None:
        self.was_lost = True
        log.warning("lost the process that draws (%s); drawing at the end", why)

    def end_process(self) -> int | None:
        if self.process is None:
            return None
        process, self.process = self.process, None
        with process:  # waits for it
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE if self.ready or wait([process.stdout], 0) else 0)
            process.kill()  # where it has not ended
        for half_drawn in self.folder.glob(".*.png.*.part"):
            half_drawn.unlink(missing_ok=True)
        return process.returncode

    def failed(self, why: str) -> RunError:
        return RunError(f"can't draw the pictures in {self.folder}: {why}")
