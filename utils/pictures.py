"""When the pictures of a run are drawn: never so often that they cost much of its time."""

import time
from pathlib import Path

from utils.errors import RunError, UsageError
from utils.logs import log

SHARE = 0.05  # of the time that drawing may take
FILE_BACKENDS = ("agg", "cairo")  # of matplotlib, that write PNG and open no window


class Pictures:
    def __init__(self, folder: Path, backend: str):
        self.folder = folder
        self.backend = backend.lower() if backend.lower() in FILE_BACKENDS else None
        if backend and not self.backend:
            log.warning("--plt_bkend %s: pictures are files here, drawn with agg", backend)
        self.took = 0.0
        self.drawn = time.perf_counter()

    def draw(self, at_once: bool) -> list[Path]:
        """From the records so far, unless that would be more than its share; `at_once` always."""
        start = time.perf_counter()
        if not at_once and start - self.drawn < self.took / SHARE:
            return []
        from utils import plots  # slow to import

        try:
            pictures = plots.draw_all(self.folder, self.backend)
        except (OSError, UsageError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(f"can't draw the pictures in {self.folder}: {reason}") from error
        self.drawn = time.perf_counter()
        self.took = self.drawn - start
        return pictures
