"""Timings of this code, as a table: python tests/benchmark.py

    python tests/benchmark.py                           all lines, about 20 minutes on two cores
    python tests/benchmark.py --only 'dpc-rnn step*' --only job      some of them
    python tests/benchmark.py --repeat 3 --json new.json             three rounds, kept
    python tests/benchmark.py --compare old.json                     and their ratios to others
    python tests/benchmark.py --reference CHECKOUT --pairs 3         beside the published code

Each line is measured in a process of its own: the median, the shortest and the longest of several
runs, and the peak memory of its largest process, in GB of 10^9 bytes. `of peak` is how fast a step
computes, in share of the peak: the best rate that torch reaches here, in this sitting, at the
forward pass of the backbone's convolutions, in the step's precision. FLOPs are nominal, 2 for a
product and its sum, of all that a step computes: what is static once, and what --grad_checkpoint
computes twice, twice.

A job is a run of run_model.py in all, and below the table comes where its time goes, from a further
run with timers in it: `start` ends when the first batch is asked for; forward, backward and
optimizer are the training's; `other` is what no timer holds, so that they add up to `wall`.

With --reference, the lines are other ones: work that a checkout of the published Gabor code does,
too, on a CPU. Both programs run in turns, in fresh processes, ABBA; the table, in Markdown, has
the median of the pairs' ratios, and the smallest and largest. Dense blocks and those of a repeated
image, which is what Gabors have by default, have a row each: the published code computes every
frame of both. tests/README.md says what the checkout needs to run with current packages.

Timings depend on the machine and on what else it does: compare those of one sitting, or look at the
peaks, which --compare shows as well. To measure another version of this code, copy benchmark*.py,
job_times.py and reference_lines.py into its tests/; lines for flags that it hasn't are skipped.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmark_lines import Measured, UnavailableError, convolution_peak, machine, step
from benchmark_list import GPU_LINES, LINES, Line, chosen
from benchmark_pairs import (
    PAIRS,
    PublishedError,
    own_lines,
    pairs_table,
    rows,
    try_reference,
    version,
)
from benchmark_tables import clock, comparison, table

ROOT = Path(__file__).parent.parent

# ------------------------------------------------------------------ measuring


def measure(name: str) -> Any:
    """In this process; what the command does in a fresh one for every line."""
    if name == "machine":
        return machine()
    if name.startswith("peak"):
        return convolution_peak(gpu=name == "peak of the GPU")
    lines = (line for pair in PAIRS for line in own_lines(pair))
    (line,) = (line for line in (*LINES, *GPU_LINES, *lines) if line.name == name)
    try:
        return line.function(**line.arguments)._asdict()
    except UnavailableError as why:
        return {"skipped": str(why)}


def in_fresh_process(name: str) -> Any:
    """What `measure` returns; raises RuntimeError with the last line of its complaint."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if name.startswith("peak"):  # that of the machine, whatever the allocator: memory is kept
        environment |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
    command = [sys.executable, __file__, "--line", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


class Sitting:
    """The results so far, as they are written to the file."""

    def __init__(self, lines: list[Line], machine: dict[str, Any]):
        self.lines = lines
        self.peaks: list[dict[str, dict[str, float]]] = []
        self.measured: dict[str, list[Measured]] = {}
        self.machine = machine
        self.failed = False

    def measure_peaks(self) -> None:
        on_gpu = {line.arguments.get("gpu", False) for line in self.lines if line.function is step}
        found = {}
        for gpu in sorted(on_gpu):
            found |= in_fresh_process("peak of the GPU" if gpu else "peak")
        self.peaks.append(found)

    def measure_round(self) -> None:
        for number, line in enumerate(self.lines, 1):
            said = f"[{number}/{len(self.lines)}] {line.name}: "
            try:
                found = in_fresh_process(line.name)
            except RuntimeError as error:
                self.failed = True
                print(f"{said}FAILED: {error}", file=sys.stderr)
                continue
            if "skipped" in found:
                print(f"{said}skipped: {found['skipped']}", file=sys.stderr)
                continue
            measured = Measured(**found)
            self.measured.setdefault(line.name, []).append(measured)
            print(said + clock(statistics.median(measured.seconds)), file=sys.stderr, flush=True)

    def results(self) -> dict[str, Any]:
        best: dict[str, float] = {}
        for found in self.peaks:
            for precision, rates in found.items():
                best[precision] = max(best.get(precision, 0), *rates.values())
        lines = {
            line.name: result(line, self.measured[line.name], best)
            for line in self.lines
            if line.name in self.measured
        }
        return {
            "machine": self.machine,
            "peak_GFLOP_per_s": best,
            "peaks": self.peaks,
            "lines": lines,
        }


def result(line: Line, rounds: list[Measured], peaks: dict[str, float]) -> dict[str, Any]:
    """Of a line's rounds together; of its splits the one of median length."""
    seconds = [second for measured in rounds for second in measured.seconds]
    median = statistics.median(seconds)
    gflop, precision = rounds[0].gflop, rounds[0].precision
    splits = sorted((m.split for m in rounds if m.split), key=lambda split: split["wall"])
    return {
        "median": median,
        "min": min(seconds),
        "max": max(seconds),
        "seconds": seconds,
        "peak_GB": max(measured.peak_gb for measured in rounds),
        "GFLOP": gflop or None,
        "precision": precision or None,
        "share_of_peak": gflop / median / peaks[precision] if precision else None,
        "frames_per_s": line.frames / median if line.frames else None,
        "part_of": line.whole,
        "split": splits[len(splits) // 2] if splits else None,
    }


# ------------------------------------------------------------------ the command


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="PATTERN", help="lines whose name has it")
    add("--repeat", type=int, default=1, metavar="N", help="rounds over all lines (1)")
    add("--json", type=Path, metavar="FILE", help="where the results go")
    add("--compare", type=Path, metavar="FILE", help="results from --json, to compare with")
    add("--reference", type=Path, metavar="CHECKOUT", help="the published Gabor code, timed beside")
    add("--pairs", type=int, metavar="N", help="with --reference: pairs of processes (3)")
    add("--line", help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> int:
    """→ 1 if a line failed."""
    parser = make_parser()
    typed = parser.parse_args(arguments)
    if typed.line:
        print(json.dumps(measure(typed.line)))
        return 0
    if typed.reference:
        return main_pairs(parser, typed)
    old = None
    try:
        if typed.pairs is not None:
            raise ValueError("--pairs: goes with --reference")
        if typed.repeat < 1:
            raise ValueError("--repeat: at least 1")
        if typed.compare:
            old = read(typed.compare)
        if typed.json:
            typed.json.touch()
        about = in_fresh_process("machine")
        lines = chosen((*LINES, *GPU_LINES) if about["gpu"] else LINES, typed.only)
    except (OSError, RuntimeError, ValueError) as error:
        parser.error(str(error))
    sitting = Sitting(lines, about)
    sitting.measure_peaks()
    for number in range(typed.repeat):
        sitting.measure_round()
        if number + 1 == typed.repeat:
            sitting.measure_peaks()
        results = sitting.results()
        if typed.json:
            typed.json.write_text(json.dumps(results, indent=1) + "\n")
    print(*table(results), sep="\n")
    if old:
        print("", *comparison(old, results), sep="\n")
    return int(sitting.failed)


def main_pairs(parser: argparse.ArgumentParser, typed: argparse.Namespace) -> int:
    """→ 1 if work failed, 2 if the published code can't be measured."""
    checkout, count = typed.reference.resolve(), 3 if typed.pairs is None else typed.pairs
    try:
        if count < 1:
            raise ValueError("--pairs: at least 1")
        if typed.compare or typed.repeat != 1:
            raise ValueError("--reference: takes neither --compare nor --repeat")
        pairs = chosen(PAIRS, typed.only)
        if typed.json:
            typed.json.touch()
        try_reference(checkout, pairs)
        results: dict[str, Any] = {
            "machine": in_fresh_process("machine"),
            "reference": version(checkout),
        }
    except PublishedError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 2
    except (OSError, RuntimeError, ValueError) as error:
        parser.error(str(error))
    results["pairs"], failed = [], False
    for number, pair in enumerate(pairs, 1):
        said = f"[{number}/{len(pairs)}] {pair.name}: "
        begun = time.perf_counter()
        try:
            found = rows(pair, count, lambda name: Measured(**in_fresh_process(name)), checkout)
            results["pairs"] += found
        except (PublishedError, RuntimeError) as error:
            failed = True
            print(f"{said}FAILED: {error}", file=sys.stderr)
            continue
        ratios = ", ".join(f"{line['ratio']:.2f}" for line in found)
        taken = clock(time.perf_counter() - begun)
        print(f"{said}{ratios}, in {taken}", file=sys.stderr, flush=True)
        if typed.json:
            typed.json.write_text(json.dumps(results, indent=1) + "\n")
    print(*pairs_table(results), sep="\n")
    return int(failed)


def read(path: Path) -> dict[str, Any]:
    """Raises ValueError for what --json has not written."""
    try:
        results = json.loads(path.read_text())
        if results.keys() >= {"machine", "peak_GFLOP_per_s", "lines"}:
            return results
    except (ValueError, AttributeError):
        pass
    raise ValueError(f"--compare {path}: holds no results of this benchmark")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
