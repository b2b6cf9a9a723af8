"""The process that draws a run's pictures beside it: python -m utils.plots.drawing FOLDER [BACKEND]

Each letter of its input asks for a drawing, and a line of JSON answers when it is done. A new one
ends the drawing in hand, which may leave half of a file. The process ends with its input, so with
the run, however that ends.
"""

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path

from utils.errors import UsageError

BESIDE, LAST = b"b", b"l"  # while the run goes on, giving way to it; when it waits
READY = b"r"  # an answer that isn't asked for: all is imported
NICE = 19
forking = multiprocessing.get_context("fork")  # shares what is imported


def import_plots() -> None:
    os.nice(NICE)  # of this thread
    import matplotlib.backends.backend_agg  # noqa: F401  (matplotlib does when it first draws)

    import utils.plots.draw  # noqa: F401


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def answer(asked: bytes, draw: Callable[[], None]) -> None:
    """When it is drawn: what was asked for, CPU seconds, and why it could not be, or null."""
    start, failed = time.process_time(), None
    try:
        draw()
    except (OSError, UsageError) as error:
        failed = reason(error)
    told = {"asked": asked.decode(), "seconds": time.process_time() - start, "failed": failed}
    with suppress(BrokenPipeError):  # the run was killed
        os.write(sys.stdout.fileno(), json.dumps(told).encode() + b"\n")


def draw_beside(folder: Path, backend: str | None) -> None:
    from utils.plots import draw as plots

    os.nice(NICE)
    answer(BESIDE, lambda: plots.draw_all(folder, backend))


def draw_last(folder: Path, backend: str | None) -> None:
    """By two processes, each of which takes the next picture."""
    from utils.plots import draw as plots

    pictures = plots.list_pictures(plots.read_records(folder))
    numbers, filled = os.pipe()
    os.write(filled, bytes(range(len(pictures))))
    os.close(filled)

    def taken() -> Iterator[plots.Picture]:
        while number := os.read(numbers, 1):
            yield pictures[number[0]]

    def help_out() -> None:
        try:
            plots.draw(taken(), folder, backend)
        except Exception:
            sys.exit(1)

    helper = forking.Process(target=help_out)
    helper.start()
    try:
        plots.draw(taken(), folder, backend)
    finally:
        os.close(numbers)
        helper.join()
    if helper.exitcode:
        plots.draw(pictures, folder, backend)  # where it fails again, it is told


def main(folder: Path, backend: str | None) -> int:
    importing = threading.Thread(target=import_plots)
    importing.start()
    importing.join()
    answer(READY, lambda: None)
    requests, beside = sys.stdin.fileno(), None
    while True:
        if beside and requests not in wait([requests, beside.sentinel]):
            beside.join()
            if beside.exitcode:
                return 1  # the run finds that no one answers
            beside = None
        asked = os.read(requests, 1)
        if beside:
            beside.kill()
            beside.join()
            beside = None
        if asked == BESIDE:
            beside = forking.Process(target=draw_beside, args=(folder, backend))
            beside.start()
        elif asked == LAST:
            answer(LAST, lambda: draw_last(folder, backend))
        else:
            return 0


if __name__ == "__main__":
    status = main(Path(sys.argv[1]), sys.argv[2] or None)
    os._exit(status)  # without clearing up all that is imported, which takes long
