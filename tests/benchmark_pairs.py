"""Pairs of this program and a checkout of the published Gabor code, in alternating processes.

`tests/benchmark.py --reference CHECKOUT` runs what is here. Within a pair every side runs once, in
a fresh process; the next pair has the reverse order, so that a machine that slows down or speeds up
meets all sides alike. A ratio is of the two medians of one pair.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmark_data import clip
from benchmark_lines import Measured, step
from benchmark_list import Line
from benchmark_tables import clock, machine_lines
from job_times import EndedError, plain_job, to_its_end

DRIVER = Path(__file__).with_name("reference_lines.py")
SMALL = {"img_dim": 64, "batch_size": 2}
EVERY_FRAME = ", every frame computed"
JOB = ("--dataset", "gabors", "--img_dim", "64", "--seed", "0", "--num_epochs", "1", "--cpu_only")
OWN = "pair: "  # before the names of this program's lines
NAMES = ("run_model.py", "dataset", "model", "utils")  # of a checkout


class Pair(NamedTuple):
    """Work that both programs do. `kind`: a key of reference_lines.KINDS, or job. `ours`: what
    follows the work's name in the table → the arguments of this program's side that differ."""

    name: str
    kind: str
    arguments: dict[str, Any]
    ours: dict[str, dict[str, Any]]


def steps(name: str, fields: dict[str, Any], **options: Any) -> Pair:
    """Blocks of one repeated image are what Gabors have by default: `frames` of each is 1."""
    sides: dict[str, dict[str, Any]] = {", static blocks": {"frames": 1}, EVERY_FRAME: {}}
    return Pair(name, "step", {"fields": fields, **options}, sides)


def job(name: str, *flags: str) -> Pair:
    return Pair(name, "job", {"flags": (*JOB, *flags)}, {"": {}})


# unless they say otherwise: resnet18, 5 blocks seen and 3 predicted, float32
PAIRS = (
    steps("dpc-rnn step, 64 px, batch 4", {"img_dim": 64, "batch_size": 4}),
    steps("dpc-rnn step, 128 px, batch 2", {"batch_size": 2}),
    steps("dpc-rnn step, 128 px, batch 4", {"batch_size": 4}),
    steps("dpc-rnn step, 128 px, batch 8", {"batch_size": 8}),
    steps("dpc-rnn evaluation, 128 px, batch 4", {"batch_size": 4}, learns=False),
    steps("lc-rnn step, 128 px, 5 blocks, batch 4", {"model": "lc-rnn", "batch_size": 4}),
    Pair("Gabor clip, 128 px, 8 images", "clip", {"image_len": 5}, {"": {}}),
    Pair(
        "Gabor clip, 128 px, 8 images, augmented",
        *("clip", {"image_len": 5, "augmented": True}, {"": {}}),
    ),
    job(
        "Gabor job, 64 px, batch 4, 32 clips, epochs 0 and 1",
        *("--batch_size", "4", "--train_len", "32"),
    ),
)
# a try of each kind, before anything is timed
TRIES = (
    Pair("a training step", "step", {"fields": SMALL, "once": True}, {}),
    Pair("a step of lc-rnn", "step", {"fields": {**SMALL, "model": "lc-rnn"}, "once": True}, {}),
    Pair("a Gabor clip", "clip", {"image_len": 5, "once": True}, {}),
    job("a Gabor job", "--batch_size", "2", "--train_len", "4"),
)


class PublishedError(Exception):
    """Why the published code can't be measured, in one line."""


# ------------------------------------------------------------------ the reference's side


def measure_reference(checkout: Path, pair: Pair) -> Measured:
    """In a fresh process, whose path of modules is the user's own. Raises PublishedError."""
    with tempfile.TemporaryDirectory() as folder:
        if pair.kind == "job":
            flags = (*pair.arguments["flags"], "--output_dir", folder)
            try:
                ended = to_its_end("run_model.py", *flags, folder=checkout)
            except EndedError as error:
                raise PublishedError(told(error.said, checkout)) from None
            return Measured([ended.seconds], ended.peak_gb)
        command = [sys.executable, DRIVER, checkout, pair.kind, json.dumps(pair.arguments)]
        done = subprocess.run(
            [str(word) for word in command], cwd=folder, capture_output=True, text=True
        )
    if done.returncode:
        raise PublishedError(told(done.stderr, checkout))
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def told(traceback: str, checkout: Path) -> str:
    """Return the error's own line, and the last line of the checkout that led to it."""
    lines = traceback.strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit)\b", line)]
    places = re.findall(rf'File "{re.escape(str(checkout))}/(.+?)", line (\d+)', traceback)
    place = f" ({places[-1][0]}, line {places[-1][1]})" if places else ""
    return (errors or lines)[-1].strip() + place


def try_reference(checkout: Path, pairs: list[Pair]) -> None:
    """Do the smallest work of each kind that `pairs` have. Raises PublishedError."""
    missing = [name for name in NAMES if not (checkout / name).exists()]
    if missing:
        raise PublishedError(
            f"--reference {checkout}: is no checkout of the published code: it has no "
            f"{', '.join(missing)}"
        )
    needed = {kind_of(pair) for pair in pairs}
    for smallest in TRIES:
        if kind_of(smallest) in needed:
            try:
                measure_reference(checkout, smallest)
            except PublishedError as error:
                raise PublishedError(
                    f"--reference {checkout}: {smallest.name} fails: {error}; tests/README.md "
                    "lists what the published code needs with current packages"
                ) from None


def kind_of(pair: Pair) -> tuple[str, str]:
    return pair.kind, pair.arguments.get("fields", {}).get("model", "dpc-rnn")


def version(checkout: Path) -> str:
    """Return the commit and how many files were patched, of a checkout with a `.git` of its own."""
    git = ["git", "-C", str(checkout)]
    if not (checkout / ".git").exists():
        return "of a commit that isn't known"
    try:
        head, status = (
            subprocess.run([*git, *command], capture_output=True, text=True, check=True).stdout
            for command in (
                ("rev-parse", "--short=12", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return "of a commit that isn't known"
    # files that were deleted, or left out of a checkout, change no code that ran
    patched = sum("M" in line[:2] for line in status.splitlines())
    return f"commit {head.strip()}, {patched} patched {'file' if patched == 1 else 'files'}"


# ------------------------------------------------------------------ both sides


def own_lines(pair: Pair) -> list[Line]:
    """Return what measures this program's sides."""
    function = {"step": partial(step, flops=False), "clip": clip, "job": plain_job}[pair.kind]
    return [
        Line(f"{OWN}{pair.name}{label}", function, {**pair.arguments, **options})
        for label, options in pair.ours.items()
    ]


def alternate(sides: list[Callable[[], Measured]], pairs: int) -> list[list[Measured]]:
    """Return what each side measured, pair by pair; every second pair in reverse order."""
    found: list[list[Measured]] = [[] for _ in sides]
    for number in range(pairs):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            found[side].append(sides[side]())
    return found


def rows(
    pair: Pair, pairs: int, ours: Callable[[str], Measured], checkout: Path
) -> list[dict[str, Any]]:
    """Measure a pair; return a row of the table for each of this program's sides. `ours` measures a
    line of this program by its name, in a fresh process. Raises PublishedError and RuntimeError."""
    sides = [
        lambda: measure_reference(checkout, pair),
        *(lambda name=line.name: ours(name) for line in own_lines(pair)),
    ]
    reference, *found = alternate(sides, pairs)
    names = [line.name.removeprefix(OWN) for line in own_lines(pair)]
    return [row(name, own, reference) for name, own in zip(names, found, strict=True)]


def row(name: str, ours: list[Measured], published: list[Measured]) -> dict[str, Any]:
    """Of the processes of both sides, in the order of the pairs."""
    own, other = ([statistics.median(m.seconds) for m in side] for side in (ours, published))
    ratios = [theirs / mine for mine, theirs in zip(own, other, strict=True)]
    return {
        "name": name,
        "ours": own,
        "published": other,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "ours_GB": max(measured.peak_gb for measured in ours),
        "published_GB": max(measured.peak_gb for measured in published),
    }


def pairs_table(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table in Markdown, and below it what it was taken on."""
    yield (
        "| work | ours | published | published / ours (min–max of pairs) "
        "| peak memory, ours and published |"
    )
    yield "|---|---:|---:|---:|---:|"
    for line in results["pairs"]:
        ratios = line["ratios"]
        yield (
            "| "
            + " | ".join(
                (
                    line["name"],
                    clock(statistics.median(line["ours"])),
                    clock(statistics.median(line["published"])),
                    f"{line['ratio']:.2f} ({min(ratios):.2f}–{max(ratios):.2f} of {len(ratios)})",
                    f"{line['ours_GB']:.2f} and {line['published_GB']:.2f} GB",
                )
            )
            + " |"
        )
    yield ""
    yield from machine_lines(results["machine"])
    yield f"published code: {results['reference']}"
