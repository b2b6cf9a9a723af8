"""Write what the network sees of Gabor stimuli in an epoch: a film, pictures and tables.

    python -m dataset.show_stimuli RUN_FOLDER --epoch 9 --clips 0:16
    python -m dataset.show_stimuli --out FOLDER --seed 100 --img_dim 128 --num_seq_in 3 --no_augm

The clips are those of a run's configuration, or of the flags of run_model.py that are given.
README.md in this folder says what is written.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals

if __name__ == "__main__":
    end_at_signals("python -m dataset.show_stimuli")  # at once, since the modules take a while
    tell_failed_imports("python -m dataset.show_stimuli")

import sys
from pathlib import Path

from dataset.stimulus_request import NAME, Asked, parse
from utils.errors import leave
from utils.runtime.commands import run_command


def main(arguments: list[str]) -> int:
    """Write the stimuli, print the paths of the tables and the film, and return the exit status."""
    to_lower = "--clips, --num_gabors or --img_dim"
    return run_command(NAME, lambda: parse(arguments), write, to_lower)


def write(asked: Asked) -> list[Path]:
    """Write the stimuli that were asked for, and return the paths of the tables and the film."""
    from dataset.stimulus_files import write_stimuli  # slow to import

    return write_stimuli(asked)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
