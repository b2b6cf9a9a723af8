"""Compute and draw the analysis of a run again, from its recorded passes; print the page's path.

The passes are recorded by run_model.py --analysis RUN_FOLDER, which does all of this, too.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals

if __name__ == "__main__":
    end_at_signals("python -m utils.analysis")  # at once, since the modules below take a while
    tell_failed_imports("python -m utils.analysis")

import argparse
import os
import re
import sys
from pathlib import Path

from utils.config.command_line import Parser, typed_path
from utils.errors import UsageError, leave
from utils.logs import start_logging
from utils.runtime.commands import run_command

NAME = "python -m utils.analysis"
ANALYSIS = re.compile(r"analysis(?:_epoch(\d{1,10}))?")  # the name of an analysis' folder


def main(arguments: list[str]) -> int:
    """Compute, draw, print the path of the page, and return the exit status."""
    parser = Parser(prog=NAME, description=__doc__)
    parser.add_argument("folder", type=typed_path, help="folder of a run, or of its analysis")
    told = "take the analysis on the clips of this epoch alone"
    parser.add_argument("--analysis_epoch", type=int, metavar="N", help=told)
    told = "measured responses [rows, neurons], whose RSM is compared; README.md names the rows"
    parser.add_argument("--neural", type=typed_path, metavar="FILE.npy", help=told)
    to_lower = "the number of clips that are recorded"
    return run_command(NAME, lambda: parser.parse_args(arguments), compute_and_draw, to_lower)


def compute_and_draw(flags: argparse.Namespace) -> list[Path]:
    """Compute and draw what the flags ask for, and return the page's path."""
    run, clips_of = find_run(flags.folder, flags.analysis_epoch)
    start_logging("info")
    from utils.analysis.compute import compute  # slow to import
    from utils.analysis.drawing.draw import draw

    compute(run, clips_of, flags.neural)
    return [path for path in draw(run, clips_of) if path.suffix == ".html"]


def find_run(folder: Path, clips_of: int | None) -> tuple[Path, int | None]:
    """Return the run of a folder, its own or that of its analysis, and the epoch of the clips.

    Raises UsageError.
    """
    if clips_of is not None and clips_of < 0:
        raise UsageError(f"--analysis_epoch {clips_of}: name an epoch, from 0 on")
    whole = Path(os.path.abspath(folder))
    match = ANALYSIS.fullmatch(whole.name)
    if match is None or not (whole / "recorded").is_dir():
        return folder, clips_of
    epoch = None if match[1] is None else int(match[1])
    if clips_of not in (None, epoch):
        raise UsageError(f"{folder}, --analysis_epoch {clips_of}: differ; leave one of them out")
    return whole.parent, epoch


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
