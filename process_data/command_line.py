"""What the scripts share: flags, messages of one line, and work in parallel with progress."""

import argparse
import csv
import logging
import site
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from joblib import Parallel, delayed
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

# The scripts run as `python process_data/x.py` from any folder, so dataset/ and utils/ would not be
# found without this. Each script imports this module before them; joblib's processes inherit it.
site.addsitedir(str(Path(__file__).resolve().parents[1]))

from utils.config.command_line import Parser
from utils.config.datasets import CATALOGUE, NAMES, VIDEOS, DatasetInfo, Variant
from utils.errors import UsageError

log = logging.getLogger("process_data")
T = TypeVar("T")


class Asked(NamedTuple):
    """The data set that the flags ask for; `root` is its folder."""

    info: DatasetInfo
    variant: Variant
    root: Path

    @property
    def frames(self) -> Path:
        """The folder of frames."""
        return self.root / self.variant.frames


def parser(
    description: str | None, *, frames: bool = True, csv_root: bool = False
) -> argparse.ArgumentParser:
    """Return a parser with the flags that several scripts take.

    With `frames` it has those that choose a data set's frames. The help is the first line of the
    description.
    """
    made = Parser(
        description=(description or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--d_root", type=Path, required=True, help="holds a folder of each dataset")
    made.add_argument(
        "--dataset",
        required=True,
        type=lambda typed: NAMES.get(typed.lower(), typed),
        choices=[name for name, info in CATALOGUE.items() if info.kind == VIDEOS],
        help="any case",
    )
    made.add_argument(
        "--num_workers", type=number_of_processes, default=-1, help="processes; -1: one a core"
    )
    if frames:
        made.add_argument(
            "--k400_big", action="store_true", help="Kinetics400: frames of 256 pixels, not 150"
        )
        eyes = ("left", "right", "both")
        made.add_argument("--eye", choices=eyes, default="right", help="MouseSim: which half")
    if csv_root:
        made.add_argument(
            "--csv_root", type=Path, default=Path("process_data/data"), help="of the split files"
        )
    return made


def number_of_processes(typed: str) -> int:
    """Return the typed number; raises argparse's error for one that can't be."""
    number = int(typed)
    if number < 1 and number != -1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1, or -1 for one a core")
    return number


def find_asked(options: argparse.Namespace) -> Asked:
    """Return what the flags ask for.

    Raises UsageError for flags of another data set, and if the data set has no folder.
    """
    large = [name for name, info in CATALOGUE.items() if any(v.large for v in info.variants)]
    if options.k400_big and options.dataset not in large:
        raise UsageError(f"--k400_big: is for {' and '.join(large)}, not {options.dataset}")
    root = options.d_root / options.dataset
    if not root.is_dir():
        raise UsageError(f"--d_root {options.d_root}: has no folder {options.dataset}")
    info = CATALOGUE[options.dataset]
    return Asked(info, info.variant(options.eye, options.k400_big), root)


def run_script(main: Callable[[list[str]], int]) -> NoReturn:
    """Exit with the status of `main`: 2 after wrong input, with one line, 130 after Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    script = Path(sys.argv[0]).name
    try:
        status = main(sys.argv[1:])
    except UsageError as error:
        print(f"{script}: {error}", file=sys.stderr)
        status = UsageError.status
    except KeyboardInterrupt:
        print(f"{script}: stopped by Ctrl-C; run the same command to continue", file=sys.stderr)
        status = 130
    sys.exit(status)


def in_parallel(
    function: Callable[..., T], calls: Iterable[tuple], num_workers: int, label: str
) -> Iterator[T]:
    """Yield what `function(*call)` returns for each call, in any order, with a progress bar."""
    calls = list(calls)
    results = Parallel(n_jobs=num_workers, return_as="generator_unordered")(
        delayed(function)(*call) for call in calls
    )
    with logging_redirect_tqdm():  # log lines above the bar
        yield from tqdm(results, total=len(calls), desc=label, unit="", disable=None)


def write_failures(path: Path, failed: list[tuple[str, str]]) -> None:
    """Write rows (video, reason); without any, remove the file."""
    path.unlink(missing_ok=True)
    if failed:
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("video", "reason"), *failed])
        log.error("%d videos failed, listed in %s", len(failed), path)


def first_few(names: list[str]) -> str:
    """Return the first three names, as messages show them."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
