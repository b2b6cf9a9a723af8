"""What the scores by kind of negatives cost a step: python tests/benchmark_scores.py

    python tests/benchmark_scores.py
    python tests/benchmark_scores.py --only 'dpc-rnn step, 128 px*' --rounds 9

Steps of tests/benchmark.py are timed with the sums (model.losses.sum_by_kind) and without them, in
turns within one process. A step's noise is larger than the difference, so the sums' own seconds
within those steps are told, too, as a share of the median step.
"""

import argparse
import site
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

site.addsitedir(str(Path(__file__).resolve().parent.parent))

from benchmark_choices import STEPS
from benchmark_lines import configured, machine, make_step, timed
from benchmark_list import BATCH_4, Line, chosen
from model.training import tasks

USUAL = ["dpc-rnn step, 64 px, batch 4", "dpc-rnn step, 64 px, batch 8, 3+1 *", BATCH_4]


def measure(line: Line, rounds: int) -> str:
    config = configured(
        {"dataset": "Gabors", "seed": 0, "cpu_only": True, **line.arguments["fields"]}
    )
    run = make_step(config, line.arguments.get("frames", 5), learns=True)
    own: list[float] = []
    sums = tasks.sum_by_kind

    def watched(*arguments: Any) -> Any:
        start = time.perf_counter()
        found = sums(*arguments)
        own.append(time.perf_counter() - start)
        return found

    def left_out(*_: Any) -> None:
        return None

    seconds: dict[Any, list[float]] = {watched: [], left_out: []}
    for _ in range(1 + rounds):
        for replaced, taken in seconds.items():
            with mock.patch.object(tasks, "sum_by_kind", replaced):
                taken.append(timed(run))
    step, without = (statistics.median(taken[1:]) for taken in seconds.values())
    share = statistics.median(own[1:]) / step
    return f"{line.name:48}{step:8.3f} s{without:9.3f} s{step / without:9.3f}{share:10.2%}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="PATTERN", help="steps of this name")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="steps of each kind (7)")
    typed = parser.parse_args(arguments)
    if typed.rounds < 1:
        parser.error("--rounds: at least 1")
    try:
        lines = chosen(STEPS, typed.only or USUAL)
    except ValueError as error:
        parser.error(str(error))
    print(f"{'':48}{'with':>10}{'without':>11}{'ratio':>9}{'own share':>10}")
    for line in lines:
        if "lc-rnn" not in line.name:
            print(measure(line, typed.rounds), flush=True)
    about = machine()
    print(f"{about['cpu']}, {about['instructions']}, torch {about['torch']}")


if __name__ == "__main__":
    main(sys.argv[1:])
