"""Draw the pictures of a run, a test or a retrieval again, and write report.html, which has all.

Both are made from the records in its folder. With --epoch or --mode, draw only the confusion
matrices of one epoch, under names that tell which.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals

if __name__ == "__main__":
    end_at_signals("python -m utils.plots")  # at once, since the modules below take a while
    tell_failed_imports("python -m utils.plots")

import argparse
import sys
from pathlib import Path

from utils.config.command_line import Parser, typed_path
from utils.errors import leave
from utils.plots.pictures import FILE_BACKENDS, NAME
from utils.runtime.commands import run_command


def main(arguments: list[str]) -> int:
    """Draw, print the paths of what was written, and return the exit status."""
    parser = Parser(prog=NAME, description=__doc__)
    parser.add_argument(
        "folder", type=typed_path, help="folder of a run, or of a test or a retrieval in it"
    )
    parser.add_argument("--epoch", type=int, metavar="N", help="epoch of the matrices [the last]")
    modes = ("train", "val", "test")
    parser.add_argument("--mode", choices=modes, help="mode of the matrices [test, else val]")
    parser.add_argument("--backend", choices=FILE_BACKENDS, help="of matplotlib")
    to_lower = "the number of epochs in the records"
    return run_command(NAME, lambda: parser.parse_args(arguments), draw, to_lower)


def draw(flags: argparse.Namespace) -> list[Path]:
    """Draw what the flags ask for, and return the pictures' paths."""
    from utils.plots.draw import draw_all, draw_epoch  # slow to import

    if flags.epoch is None and flags.mode is None:
        return draw_all(flags.folder, flags.backend)
    return draw_epoch(flags.folder, flags.epoch, flags.mode, flags.backend)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
