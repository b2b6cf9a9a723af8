"""What the scripts share: flags, messages of one line, and work in parallel with progress."""

import argparse
import csv
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from joblib import Parallel, delayed
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from video_datasets import DATASETS, EYES, Variant, variant

log = logging.getLogger("process_data")


class UsageError(Exception):
    """Wrong input: what is wrong, and how to mend it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")


def parser(description: str, csv_root: bool = False) -> argparse.ArgumentParser:
    """With the flags that all scripts take."""
    made = _Parser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    spellings = {name.lower(): name for name in DATASETS} | {"k400": "Kinetics400"}
    made.add_argument("--d_root", type=Path, required=True, help="holds a folder of each dataset")
    made.add_argument(
        "--dataset",
        required=True,
        type=lambda typed: spellings.get(typed.lower(), typed),
        choices=tuple(DATASETS),
        help="any case",
    )
    made.add_argument(
        "--num_workers", type=number_of_processes, default=-1, help="processes; -1: one a core"
    )
    if csv_root:
        made.add_argument(
            "--csv_root", type=Path, default=Path("process_data/data"), help="of the split files"
        )
    return made


def number_of_processes(typed: str) -> int:
    number = int(typed)
    if number < 1 and number != -1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1, or -1 for one a core")
    return number


def add_variant_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--k400_big", action="store_true", help="Kinetics400: frames of 256 pixels, not 150"
    )
    made.add_argument("--eye", choices=EYES, default="right", help="MouseSim: which half")


def asked_variant(arguments: argparse.Namespace) -> Variant:
    """Raises UsageError for flags of another dataset, and where there is no such dataset."""
    if arguments.k400_big and arguments.dataset != "Kinetics400":
        raise UsageError(f"--k400_big: is for Kinetics400, not {arguments.dataset}")
    root = arguments.d_root / arguments.dataset
    if not root.is_dir():
        raise UsageError(f"--d_root {arguments.d_root}: has no folder {arguments.dataset}")
    return variant(arguments.dataset, arguments.k400_big, arguments.eye)


def run_script(main: Callable[[list[str]], int]) -> NoReturn:
    """Exits with the status of `main`; 2 after wrong input, told in one line, 130 after Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    script = Path(sys.argv[0]).name
    try:
        status = main(sys.argv[1:])
    except UsageError as error:
        print(f"{script}: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(f"{script}: stopped by Ctrl-C; the same command goes on", file=sys.stderr)
        status = 130
    sys.exit(status)


def in_parallel(
    function: Callable[..., Any], calls: Iterable[tuple], num_workers: int, label: str
) -> Iterator[Any]:
    """What `function(*call)` gives for each call, in any order, with a progress bar."""
    calls = list(calls)
    results = Parallel(n_jobs=num_workers, return_as="generator_unordered")(
        delayed(function)(*call) for call in calls
    )
    with logging_redirect_tqdm():  # log lines above the bar
        yield from tqdm(results, total=len(calls), desc=label, unit="", disable=None)


def write_failures(path: Path, failed: list[tuple[str, str]]) -> None:
    """Rows (video, reason); without any, there is no such file."""
    path.unlink(missing_ok=True)
    if failed:
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("video", "reason"), *failed])
        log.error("%d videos failed, listed in %s", len(failed), path)
