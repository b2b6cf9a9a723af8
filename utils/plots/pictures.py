"""When a run's pictures are drawn: from time to time beside the run, and once more at its end."""

import os
import subprocess
import sys
import time
from pathlib import Path

from utils.errors import RunError, UsageError
from utils.logs import log

ROOT = Path(__file__).resolve().parents[2]
NAME = "python -m utils.plots"
COMMAND = (sys.executable, "-W", "ignore", "-m", "utils.plots")
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
NICE = 19  # the lowest priority
SHARE = 0.05  # of the run's time that drawing may take
GUESS = 3.0  # CPU seconds of the first drawing
START = 1.0  # seconds at the start of a run without any drawing
FILE_BACKENDS = ("agg", "cairo")  # of matplotlib, which write PNG files and open no window


class Pictures:
    """Draws a run's pictures; within its context at times in a process of its own, never in two.

    Raises RunError where a drawing failed. A drawing that a signal ended is only left out.
    """

    def __init__(self, folder: Path, backend: str):
        self.folder = folder
        self.backend = backend.lower() if backend.lower() in FILE_BACKENDS else None
        if backend and not self.backend:
            log.warning("--plt_bkend %s: pictures are files here, drawn with agg", backend)
        self.process: subprocess.Popen[str] | None = None
        self.seconds = GUESS  # CPU time of the latest drawing
        self.start = self.begun = time.perf_counter()  # of the run, of the latest drawing

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.end_drawing()

    def draw(self, at_once: bool) -> None:
        """Draw the records so far: `at_once`, or beside the run as often as its share allows."""
        if at_once:
            self.draw_last()
            return
        self.check_drawing()
        now = time.perf_counter()
        is_due = now - self.start > START and now - self.begun > self.seconds / SHARE
        if self.process is None and is_due:
            self.begun = now
            self.start_drawing()

    def draw_last(self) -> None:
        """Draw in this process, after any drawing beside it was ended."""
        from utils.plots.draw import draw_all  # slow to import

        self.end_drawing()
        try:
            draw_all(self.folder, self.backend)
        except UsageError as error:
            raise RunError(str(error)) from error

    def start_drawing(self) -> None:
        """Start `python -m utils.plots` in a session of its own, which the run's signals miss."""
        backend = ("--backend", self.backend) if self.backend else ()
        try:
            self.process = subprocess.Popen(
                (*COMMAND, self.folder.absolute(), *backend), cwd=ROOT, start_new_session=True,
                env={**os.environ, **ONE_THREAD}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            os.setpriority(os.PRIO_PROCESS, self.process.pid, NICE)
        except OSError as error:
            log.warning("can't start a process that draws (%s); going on", error)

    def check_drawing(self) -> None:
        """Note the CPU time of a drawing that has ended. Raises RunError where it failed."""
        if self.process is None:
            return
        ended, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if ended:
            self.seconds = usage.ru_utime + usage.ru_stime
            self.process.returncode = status = os.waitstatus_to_exitcode(status)
            message = self.end_drawing()
            if status in (RunError.status, UsageError.status):
                raise RunError(message.removeprefix(f"{NAME}: "))
            if status:
                log.warning("a signal ended a drawing of pictures; going on")

    def end_drawing(self) -> str:
        """End the drawing beside the run, if there is one; return the errors it printed."""
        if self.process is None:
            return ""
        self.process.kill()
        _, message = self.process.communicate()
        for half_drawn in self.folder.glob(f".*.{self.process.pid}.part"):
            half_drawn.unlink(missing_ok=True)
        self.process = None
        return message.strip()
