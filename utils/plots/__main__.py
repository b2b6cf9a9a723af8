"""Draw the pictures of a run, or of a test, again, from the records in its folder.

With --epoch or --mode, draw only the confusion matrices of one epoch, under names that tell which.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals, heard, stopped

if __name__ == "__main__":
    end_at_signals("python -m utils.plots")  # at once, since the modules below take a while
    tell_failed_imports("python -m utils.plots")

import signal
import sys
from types import FrameType
from typing import NoReturn

from utils.config.command_line import Parser, typed_path
from utils.errors import RunError, Stopped, UsageError, leave
from utils.logs import open_streams, say
from utils.machine import machine_told
from utils.plots.pictures import FILE_BACKENDS, NAME
from utils.runtime.temporary import own_temporary_folder


def main(arguments: list[str]) -> int:
    """Draw, print the pictures' paths, and return the exit status, as run_model.py's."""
    open_streams()
    parser = Parser(prog=NAME, description=__doc__)
    parser.add_argument("folder", type=typed_path, help="folder of a run, or of a test in it")
    parser.add_argument("--epoch", type=int, metavar="N", help="epoch of the matrices [the last]")
    modes = ("train", "val", "test")
    parser.add_argument("--mode", choices=modes, help="mode of the matrices [test, else val]")
    parser.add_argument("--backend", choices=FILE_BACKENDS, help="of matplotlib")
    try:
        flags = parser.parse_args(arguments)
        for number in heard():
            signal.signal(number, _stop)
        with machine_told("the number of epochs in the records"), own_temporary_folder():
            from utils.plots import draw  # slow to import

            if flags.epoch is None and flags.mode is None:
                paths = draw.draw_all(flags.folder, flags.backend)
            else:
                paths = draw.draw_epoch(flags.folder, flags.epoch, flags.mode, flags.backend)
            print(*paths, sep="\n")
    except (UsageError, RunError, Stopped) as error:
        say(f"{NAME}: {error}")
        return error.status
    except SystemExit as shown:  # --help
        return int(shown.code or 0)
    return 0


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise stopped(number, "run the same command again")


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
