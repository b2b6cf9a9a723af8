"""Write what the network sees of Gabor stimuli in an epoch: a film, pictures and tables.

    python -m dataset.show_stimuli RUN_FOLDER --epoch 9 --clips 0:16
    python -m dataset.show_stimuli --out FOLDER --seed 100 --img_dim 128 --num_seq_in 3 --no_augm

The clips are those of a run's configuration, or of the flags of run_model.py that are given.
README.md in this folder says what is written.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals, heard, stopped

if __name__ == "__main__":
    end_at_signals("python -m dataset.show_stimuli")  # at once, since the modules take a while
    tell_failed_imports("python -m dataset.show_stimuli")

import signal
import sys
from types import FrameType
from typing import NoReturn

from dataset.stimulus_request import NAME, parse
from utils.errors import RunError, Stopped, UsageError, leave
from utils.logs import open_streams, say
from utils.machine import machine_told
from utils.runtime.temporary import own_temporary_folder


def main(arguments: list[str]) -> int:
    """Write the stimuli, print the paths of the tables and the film, and return the exit status.

    0: done; 1: it can't be written; 2: wrong input; 130 or 75: stopped by a signal.
    """
    open_streams()
    try:
        asked = parse(arguments)
        for number in heard():
            signal.signal(number, _stop)
        with machine_told("--clips, --num_gabors or --img_dim"), own_temporary_folder():
            from dataset.stimulus_files import write_stimuli  # slow to import

            print(*write_stimuli(asked), sep="\n")
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
