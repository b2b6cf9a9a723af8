"""What the scripts share: flags, messages of one line, and work in parallel with progress."""

import argparse
import logging
import os
import signal
import site
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn, TypeVar

# The scripts run as `python process_data/x.py` from any folder, so dataset/ and utils/ would not be
# found without this. Each script imports this module before them; joblib's processes inherit it.
site.addsitedir(str(Path(__file__).resolve().parents[1]))

from utils.errors import RunError, UsageError, tell_failed_imports
from utils.runtime.interrupts import end_at_signals, heard, stopped

if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:  # it is a script's start
    end_at_signals(Path(sys.argv[0]).name)  # at once, since the modules below take a while
    tell_failed_imports(Path(sys.argv[0]).name)
# joblib would try whether there can be processes, and warn; workers.py does both
os.environ["JOBLIB_MULTIPROCESSING"] = "0"

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from folders import shown
from utils.config.command_line import Parser, typed_path
from utils.config.datasets import CATALOGUE, VIDEOS, DatasetInfo, Variant, entry, spelled
from utils.config.described import as_described
from utils.config.flags import Config, split_folder
from utils.files import csv_text, with_file, write_whole
from utils.logs import open_streams
from workers import Killed, bounded, results

log = logging.getLogger("process_data")
T = TypeVar("T")
VIDEO_NAMES = [name for name, info in CATALOGUE.items() if info.kind == VIDEOS]


class Asked(NamedTuple):
    """The data set that the flags ask for; `root` is its folder, an absolute path."""

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
    made.add_argument(
        "--d_root", type=typed_path, required=True, help="holds a folder of each dataset"
    )
    made.add_argument(
        "--dataset",
        required=True,
        type=name_of_videos,
        metavar="NAME",
        help=f"{', '.join(VIDEO_NAMES)}, in any case; or any other folder in --d_root",
    )
    made.add_argument(
        "--num_workers",
        type=number_of_processes,
        default="-1",
        help="processes; -1: one a core, 0: none but this one",
    )
    if frames:
        made.add_argument(
            "--k400_big", action="store_true", help="Kinetics400: frames of 256 pixels, not 150"
        )
        eyes = ("left", "right", "both")
        made.add_argument("--eye", choices=eyes, default="right", help="MouseSim: which half")
    if csv_root:
        made.add_argument(
            *("--csv_root",),
            type=lambda typed: split_folder(str(typed_path(typed))),
            default=Config.data_path_dir,
            help="of the split files",
        )
    return made


def name_of_videos(typed: str) -> str:
    """Return a data set's name; raises argparse's error for one that can have no videos."""
    try:
        name = spelled(typed)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(typed)}: {error}") from None
    if entry(name).kind != VIDEOS:
        raise argparse.ArgumentTypeError(f"{name} are drawn, and have no videos to prepare")
    return name


def number_of_processes(typed: str) -> int:
    """Return the typed number; raises argparse's error for one that can't be."""
    try:
        number = int(typed)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{typed} is no whole number") from None
    if number < -1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 0, or -1 for one a core")
    return bounded(number)


def find_asked(options: argparse.Namespace) -> Asked:
    """Return what the flags ask for.

    Raises UsageError for flags of another data set, if the data set has no folder, and for a
    dataset.json that can't be right; only scripts with --csv_root read that.
    """
    large = [name for name, info in CATALOGUE.items() if any(v.large for v in info.variants)]
    if options.k400_big and options.dataset not in large:
        raise UsageError(f"--k400_big: is for {' and '.join(large)}, not {options.dataset}")
    root = Path(os.path.abspath(options.d_root / options.dataset))
    try:
        str(root).encode()
    except UnicodeEncodeError:
        told = f"--d_root {shown(str(root))}: is no UTF-8 text, as split files are; rename it"
        raise UsageError(told) from None
    if not root.is_dir():
        remedy = f"put videos in {root / 'videos'}/{{class}}/, or name another folder"
        there = os.listdir(options.d_root) if options.d_root.is_dir() else []
        if near := [name for name in there if name.lower() == root.name.lower()]:
            remedy = f"did you mean {shown(near[0])}?"
        raise UsageError(f"--d_root {options.d_root}: has no folder {options.dataset}; {remedy}")
    info = entry(options.dataset)
    if "csv_root" in options:
        suffix = info.variant(options.eye, options.k400_big).suffix
        info = as_described(info.name, options.csv_root, suffix)
    return Asked(info, info.variant(options.eye, options.k400_big), root)


def run_script(main: Callable[[list[str]], int]) -> NoReturn:
    """Exit with the status of `main`, or with one line and the status of what stopped it.

    The status is 2 after wrong input, 1 after a failure of the disk, 130 after Ctrl-C, and 75 after
    other signals.
    """
    open_streams()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for number in heard():
        signal.signal(number, _interrupt)
    try:
        status, message = main(sys.argv[1:]), ""
        sys.stdout.flush()
    except (UsageError, RunError) as error:
        status, message = error.status, str(error)
    except KeyboardInterrupt as interrupt:
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        stop = stopped(number, "run the same command to continue")
        status, message = stop.status, str(stop)
    except BrokenPipeError:  # whoever read the output has gone
        status, message = RunError.status, ""
    except MemoryError:
        status, message = RunError.status, "there is too little memory"
    except OSError as error:
        if error.errno is None:  # it doesn't come from the system
            raise
        status, message = RunError.status, with_file(error)
    if message:
        with suppress(OSError):
            print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # Python would try it again at its end, and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            status = status or RunError.status
    sys.exit(status)


def _interrupt(number: int, _: FrameType | None) -> None:
    """Raise KeyboardInterrupt; while the script ends, only Ctrl-C can stop it again."""
    for other in heard():
        is_ctrl_c = other == signal.SIGINT
        signal.signal(other, signal.default_int_handler if is_ctrl_c else signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def in_parallel(
    function: Callable[..., T],
    calls: Iterable[tuple],
    num_workers: int,
    label: str,
    killed: Killed[T],
) -> Generator[T, None, None]:
    """Yield what `function(*call)` returns for each call, in any order, with a progress bar.

    A call whose process dies has the result `killed(reason, *call)`. With 0 workers this process
    does the work.
    """
    calls = list(calls)
    with logging_redirect_tqdm():  # log lines above the bar
        answers = results(function, calls, num_workers, killed)
        yield from tqdm(answers, total=len(calls), desc=label, unit="", disable=None)


def write_list(path: Path, rows: list[tuple[str, str]]) -> None:
    """Write rows (video, reason) if they aren't there already; without any, remove the file."""
    if not rows:
        if os.path.lexists(path):  # else a disk that can only be read would complain
            path.unlink()
        return
    text = csv_text([("video", "reason"), *rows])
    if not path.is_file() or path.read_bytes() != text.encode(errors="replace"):
        write_whole(path, text)


def write_failures(path: Path, failed: list[tuple[str, str]]) -> None:
    """Write rows (video, reason) and log their number; without any, remove the file."""
    write_list(path, failed)
    if failed:
        log.error("%d videos failed, listed in %s", len(failed), path)


def first_few(names: list[str]) -> str:
    """Return the first three names, as messages show them."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
