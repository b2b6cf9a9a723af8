"""run_model.py with a narrow network, which a test can stop at a known place of the run.

Each word of $HOLD is TASK:SEED:EPOCH. The run of this seed, in this task of the array, halts before
the seventh clip that it draws in this epoch. It then makes a file in the folder $HELD, and goes on
when it gets a SIGUSR1 or SIGTERM. In a requeued job it does not halt. No pictures are drawn, as at
this size they take longer than the training.
"""

import os
import signal
import sys
import time
from pathlib import Path

import run_model
from dataset.gabors import GaborDataset
from small_runs import narrow
from utils.errors import leave
from utils.plots.pictures import Pictures

CLIPS_BEFORE = 6


def hold(at_epoch: int) -> None:
    """Let the run halt in this epoch."""
    draw = GaborDataset.__getitem__
    seen = 0

    def drawn(dataset: GaborDataset, key: tuple[int, int]):
        nonlocal seen
        if dataset.mode == "train" and key[0] == at_epoch:
            if seen == CLIPS_BEFORE:
                until_signalled()
            seen += 1
        return draw(dataset, key)

    GaborDataset.__getitem__ = drawn


def until_signalled() -> None:
    """Make the file in $HELD and wait for a signal, which the run's own handler gets as well."""
    got = []

    def note(number: int, frame) -> None:
        got.append(number)
        handlers[number](number, frame)

    handlers = {n: signal.signal(n, note) for n in (signal.SIGUSR1, signal.SIGTERM)}
    name = f"{os.environ['SLURM_ARRAY_TASK_ID']}-{os.environ['SLURM_PROCID']}"
    Path(os.environ["HELD"], name).touch()
    while not got:
        time.sleep(0.05)


if __name__ == "__main__":
    task, seed = os.environ["SLURM_ARRAY_TASK_ID"], sys.argv[sys.argv.index("--seed") + 1]
    for word in os.environ["HOLD"].split():
        *run, epoch = word.split(":")
        if run == [task, seed] and "SLURM_RESTART_COUNT" not in os.environ:
            hold(int(epoch))
    Pictures.draw = lambda *_, **__: None
    with narrow():
        leave(run_model.main(sys.argv[1:]))  # as run_model.py ends
