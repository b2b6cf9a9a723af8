"""When the pictures of a run are drawn: never so often that they cost much of its time."""

import time
from pathlib import Path

from utils.errors import RunError

SHARE = 0.05  # of the time that drawing may take


class Pictures:
    def __init__(self, folder: Path, backend: str):
        self.folder = folder
        self.backend = backend or None
        self.took = 0.0
        self.drawn = time.perf_counter()

    def draw(self, at_once: bool) -> list[Path]:
        """From the records so far, unless that would be more than its share; `at_once` always."""
        start = time.perf_counter()
        if not at_once and start - self.drawn < self.took / SHARE:
            return []
        from utils import plots  # slow to import

        try:
            pictures = plots.draw_all(self.folder)
        except OSError as error:
            raise RunError(f"can't draw the pictures in {self.folder}: {error.strerror}") from error
        self.drawn = time.perf_counter()
        self.took = self.drawn - start
        return pictures
