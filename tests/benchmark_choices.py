"""Timings of what is chosen for CPUs, each choice alone: python tests/benchmark_choices.py

    python tests/benchmark_choices.py                                 about 5 minutes on two cores
    python tests/benchmark_choices.py --only 'dpc-rnn step*, bf16' --threads 4 --rounds 9
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python tests/benchmark_choices.py

The last one imitates a CPU without AVX-512. The choices: `own gradient` is that of a few
convolutions' weights by products of matrices (model/fast/convolution.py), and `channels last` the
layout of the backbone's tensors (model/training/build.py). The steps are some of those of
tests/benchmark.py. With neither choice, one of them and both they take turns within one process, so
that what else the machine does meets all alike. A cell is the median of a step's seconds, and in
brackets the shortest and the longest.
"""

import argparse
import site
import statistics
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from unittest import mock

site.addsitedir(str(Path(__file__).resolve().parent.parent))

import torch

from benchmark_lines import UnavailableError, configured, machine, make_step, step, timed
from benchmark_list import BATCH_4, LINES, Line, chosen
from model.fast import convolution

STEPS = tuple(line for line in LINES if line.function is step and "learns" not in line.arguments)
USUAL = ["dpc-rnn step, 64 px, batch 4", "dpc-rnn step, 64 px, batch 8, 3+1 *", BATCH_4]
NO_OWN_GRADIENT = {"FEW_POSITIONS": 0, "FEW_IN_LOWER_PRECISION": 0}


class Choice(NamedTuple):
    name: str
    own_gradient: bool
    layout: torch.memory_format


CHOICES = (
    Choice("neither", False, torch.contiguous_format),
    Choice("own gradient", True, torch.contiguous_format),
    Choice("channels last", False, torch.channels_last_3d),
    Choice("both", True, torch.channels_last_3d),
)


def measure(line: Line, rounds: int) -> list[list[float]]:
    """→ the seconds of each choice's steps, but for a first round."""
    config = configured(
        {"dataset": "Gabors", "seed": 0, "cpu_only": True, **line.arguments["fields"]}
    )
    frames = line.arguments.get("frames", 5)
    steps = {
        layout: make_step(config, frames, learns=True, layout=layout)
        for layout in (torch.contiguous_format, torch.channels_last_3d)
    }
    seconds: list[list[float]] = [[] for _ in CHOICES]
    for _ in range(1 + rounds):
        for choice, taken in zip(CHOICES, seconds, strict=True):
            without = mock.patch.multiple(convolution, **NO_OWN_GRADIENT)
            with nullcontext() if choice.own_gradient else without:
                taken.append(timed(steps[choice.layout]))
    return [taken[1:] for taken in seconds]


def table(lines: list[Line], threads: list[int], rounds: int) -> Iterator[str]:
    yield columns("", "threads", *(choice.name for choice in CHOICES))
    for line in lines:
        for count in threads:
            torch.set_num_threads(count)
            try:
                measured = measure(line, rounds)
            except UnavailableError as why:
                yield f"{line.name}: skipped: {why}"
                break
            yield columns(line.name, str(count), *map(cell, measured))
    about = machine()
    yield f"{about['cpu']}, {about['instructions']}, torch {about['torch']}"


def columns(name: str, threads: str, *cells: str) -> str:
    return f"{name:48}{threads:>7}" + "".join(f"{each:>19}" for each in cells)


def cell(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", action="append", metavar="PATTERN", help="steps whose name has it")
    add("--threads", type=int, nargs="+", default=[2, 1], metavar="N", help="(2 and 1)")
    add("--rounds", type=int, default=5, metavar="N", help="steps of each choice (5)")
    typed = parser.parse_args(arguments)
    if min(typed.rounds, *typed.threads) < 1:
        parser.error("--rounds, --threads: at least 1")
    try:
        lines = chosen(STEPS, typed.only or USUAL)
    except ValueError as error:
        parser.error(str(error))
    for text in table(lines, typed.threads, typed.rounds):
        print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
