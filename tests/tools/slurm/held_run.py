"""narrow_run.py, which a test can stop at a known place, however fast or slow the machine is.

$HOLD has words TASK:SEED:EPOCH. The run of that seed in that array task halts before the seventh
clip that it draws in that epoch, says so with a file in $HELD, and goes on once it has got a
SIGUSR1 or SIGTERM; in a requeued job it does not halt. No pictures are drawn: at this size they
take longer than the training.
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]

import run_model  # noqa: E402
from conftest import narrow  # noqa: E402
from dataset.gabors import GaborDataset  # noqa: E402
from utils.plots.pictures import Pictures  # noqa: E402

CLIPS_BEFORE = 6


def hold(at_epoch: int) -> None:
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
    Pictures.draw = lambda *_: []
    with narrow():
        sys.exit(run_model.main(sys.argv[1:]))
