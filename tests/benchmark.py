"""Timings of this code, as a table: python tests/benchmark.py

    python tests/benchmark.py                           all lines, about 20 minutes on two cores
    python tests/benchmark.py --only 'dpc-rnn step*' --only job      some of them
    python tests/benchmark.py --repeat 3 --json new.json             three rounds, kept
    python tests/benchmark.py --compare old.json                     and their ratios to others

Each line is measured in a process of its own: the median, the shortest and the longest of several
runs, and the peak memory of its largest process, in GB of 10^9 bytes. `of peak` is how fast a step
computes, in share of the peak: the best rate that torch reaches here, in this sitting, at the
forward pass of the backbone's convolutions, in the step's precision. FLOPs are nominal, 2 for a
product and its sum, of all that a step computes: what is static once, and what --grad_checkpoint
computes twice, twice. `published` is what the reference implementation took on two cores with
avx512_bf16, computing every frame, and `faster` its time in units of this code's.

A job is a run of run_model.py in all, and below the table comes where its time goes, from a further
run with timers in it: `start` ends when the first batch is asked for; forward, backward and
optimizer are the training's; `other` is what no timer holds, so that they add up to `wall`.

Timings depend on the machine and on what else it does: compare those of one sitting, or look at the
peaks, which --compare shows as well. To measure another version of this code, copy benchmark*.py
and job_times.py into its tests/; lines for flags that it hasn't are skipped.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from benchmark_lines import (
    PRECISIONS,
    Measured,
    UnavailableError,
    clip,
    convolution_peak,
    large_split,
    machine,
    step,
    video_clip,
    video_clip_by_pil,
)
from benchmark_tables import clock, comparison, table
from job_times import extraction, help_text, job

ROOT = Path(__file__).parent.parent

LOW_MEMORY = {"batch_size": 4, "low_memory": True}
SMALL = {"img_dim": 64, "num_seq_in": 3, "pred_step": 1, "batch_size": 8}
BATCH_4 = "dpc-rnn step, 128 px, batch 4"
GABORS = ("--dataset", "gabors", "--img_dim", "64", "--seed", "0")


class Line(NamedTuple):
    """`seconds`: the reference's, or their range; `gb`: its peak memory. `whole`: the line of which
    this one's time is told as a share. `frames`: how many those seconds are for."""

    name: str
    function: Callable[..., Measured]
    arguments: dict[str, Any] = {}
    seconds: tuple[float, ...] = ()
    gb: float | None = None
    whole: str = ""
    frames: int = 0


def steps(
    name: str, fields: dict[str, Any], *published: Any, whole: str = "", **options: Any
) -> Line:
    return Line(name, step, {"fields": fields, **options}, *published, whole=whole)


# unless they say otherwise: resnet18, 5 blocks seen and 3 predicted, every frame computed, float32
LINES = (
    steps("dpc-rnn step, 128 px, batch 2", {"batch_size": 2}, (1.45,), 1.88),
    steps(BATCH_4, {"batch_size": 4}, (3.65,), 2.37),
    steps("dpc-rnn step, 128 px, batch 8", {"batch_size": 8}, (9.2,), 3.35),
    steps("dpc-rnn step, 128 px, batch 16", {"batch_size": 16}, (21.5,), 5.74),
    steps(f"{BATCH_4}, bf16", {"batch_size": 4, "amp": "bf16"}, (3.65,), 2.37),
    steps(f"{BATCH_4}, static", {"batch_size": 4}, (3.65,), 2.37, frames=1),
    steps(f"{BATCH_4}, static, bf16", {"batch_size": 4, "amp": "bf16"}, (3.65,), 2.37, frames=1),
    steps(f"{BATCH_4}, --low_memory", LOW_MEMORY, (3.65,), 2.37),
    steps(f"{BATCH_4}, static, --low_memory", LOW_MEMORY, (3.65,), 2.37, frames=1),
    steps(
        f"{BATCH_4}, --grad_checkpoint", {"batch_size": 4, "grad_checkpoint": True}, (3.65,), 2.37
    ),
    steps("dpc-rnn evaluation, 128 px, batch 4", {"batch_size": 4}, whole=BATCH_4, learns=False),
    *(
        steps(f"dpc-rnn step, 64 px, batch {size}", {"img_dim": 64, "batch_size": size}, (seconds,))
        for size, seconds in ((4, 0.64), (8, 1.30), (16, 3.3))
    ),
    steps("dpc-rnn step, 64 px, batch 8, 3+1 blocks", SMALL),
    steps("dpc-rnn step, 64 px, batch 8, 3+1 blocks, static", SMALL, frames=1),
    steps("lc-rnn step, 128 px, 5 blocks, batch 4", {"model": "lc-rnn", "batch_size": 4}, (1.85,)),
    steps("lc-rnn step, 128 px, 5 blocks, batch 8", {"model": "lc-rnn", "batch_size": 8}, (3.84,)),
    Line("Gabor clip, 128 px, 8 images", clip, {"image_len": 5}, (0.061,)),
    Line("Gabor clip, 128 px, 40 images", clip, {"image_len": 1}, (0.264,)),
    Line("UCF101 clip, 40 frames, dpc-rnn", video_clip, {"model": "dpc-rnn"}, (0.043,)),
    Line("UCF101 clip, 40 frames, lc-rnn training", video_clip, {"model": "lc-rnn"}, (0.037,)),
    Line("the same clip with PIL, dpc-rnn", video_clip_by_pil, {"model": "dpc-rnn"}),
    Line("the same clip with PIL, lc-rnn training", video_clip_by_pil, {"model": "lc-rnn"}),
    Line("Kinetics400 split file of 240,000 rows", large_split),
    Line(
        "extraction of 34,510 frames of 320×240, two processes",
        extraction,
        seconds=(34_510 / 2180, 34_510 / 1430),
        frames=34_510,
    ),
    Line("run_model.py --help", help_text),
    Line(
        "Gabor job, 64 px, batch 4, 32 clips, epochs 0 and 1",
        job,
        {"flags": (*GABORS, "--batch_size", "4", "--train_len", "32", "--num_epochs", "1")},
        (45,),
        1.8,
    ),
    Line(
        "Gabor job, 64 px, batch 8, 64 clips, 3+1 blocks, 16 epochs",
        job,
        {
            "flags": (
                *(*GABORS, "--num_seq_in", "3", "--pred_step", "1", "--batch_size", "8"),
                *("--train_len", "64", "--num_epochs", "16"),
            )
        },
        (290,),
    ),
)
GPU_LINES = (
    *(
        steps(
            f"GPU, dpc-rnn step, 128 px, batch 32, {PRECISIONS[amp]}{', compiled' * compiled}",
            {"batch_size": 32, "amp": amp, "compile": compiled},
            gpu=True,
        )
        for compiled in (False, True)
        for amp in PRECISIONS
    ),
)

# ------------------------------------------------------------------ measuring


def chosen(lines: tuple[Line, ...], patterns: list[str]) -> list[Line]:
    """Those that match any of them: by the whole name or else a part of it, or like a file's name.
    Raises ValueError for a pattern that none does."""
    names = [line.name for line in lines]
    wanted = set() if patterns else set(names)
    for pattern in patterns:
        fitting = [name for name in names if pattern in name or fnmatch(name, pattern)]
        if not fitting:
            listed = "\n  ".join(names)
            raise ValueError(f"--only {pattern}: fits none of these lines:\n  {listed}")
        wanted |= {pattern} if pattern in names else set(fitting)
    return [line for line in lines if line.name in wanted]


def measure(name: str) -> Any:
    """In this process; what the command does in a fresh one for every line."""
    if name == "machine":
        return machine()
    if name.startswith("peak"):
        return convolution_peak(gpu=name == "peak of the GPU")
    (line,) = (line for line in (*LINES, *GPU_LINES) if line.name == name)
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
        "published_seconds": line.seconds,
        "published_GB": line.gb,
        "faster": [second / median for second in line.seconds],
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
    add("--line", help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> int:
    """→ 1 if a line failed."""
    parser = make_parser()
    typed = parser.parse_args(arguments)
    if typed.line:
        print(json.dumps(measure(typed.line)))
        return 0
    old = None
    try:
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
