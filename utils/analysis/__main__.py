"""Compute and draw the analysis of a run again, from its recorded passes; print the page's path.

The passes are recorded by run_model.py --analysis RUN_FOLDER, which does all of this, too.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals, heard, stopped

if __name__ == "__main__":
    end_at_signals("python -m utils.analysis")  # at once, since the modules below take a while
    tell_failed_imports("python -m utils.analysis")

import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from utils.config.command_line import Parser, typed_path
from utils.errors import RunError, Stopped, UsageError, leave
from utils.logs import open_streams, say, start_logging
from utils.machine import machine_told
from utils.runtime.temporary import own_temporary_folder

NAME = "python -m utils.analysis"
ANALYSIS = re.compile(r"analysis(?:_epoch(\d{1,10}))?")  # the name of an analysis' folder


def main(arguments: list[str]) -> int:
    """Compute, draw, print the path of the page, and return the exit status, as run_model.py's."""
    open_streams()
    parser = Parser(prog=NAME, description=__doc__)
    parser.add_argument("folder", type=typed_path, help="folder of a run, or of its analysis")
    told = "take the analysis on the clips of this epoch alone"
    parser.add_argument("--analysis_epoch", type=int, metavar="N", help=told)
    told = "measured responses [rows, neurons], whose RSM is compared; README.md names the rows"
    parser.add_argument("--neural", type=typed_path, metavar="FILE.npy", help=told)
    try:
        flags = parser.parse_args(arguments)
        for number in heard():
            signal.signal(number, _stop)
        with machine_told("the number of clips that are recorded"), own_temporary_folder():
            run, clips_of = find_run(flags.folder, flags.analysis_epoch)
            start_logging("info")
            from utils.analysis.compute import compute  # slow to import
            from utils.analysis.drawing.draw import draw

            compute(run, clips_of, flags.neural)
            written = draw(run, clips_of)
            print(*[path for path in written if path.suffix == ".html"], sep="\n")
    except (UsageError, RunError, Stopped) as error:
        say(f"{NAME}: {error}")
        return error.status
    except SystemExit as shown:  # --help
        return int(shown.code or 0)
    return 0


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


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise stopped(number, "run the same command again")


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
