"""Compare runs: group them by configuration, seed aside, and show mean ± sd of each group.

Writes comparison.csv (all numbers), summary.csv (the last and best epochs, analyses, tests,
retrievals) and figures, and prints the summary. The flags that differ between groups are the
legend.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import end_at_signals

if __name__ == "__main__":
    end_at_signals("python -m utils.compare")  # at once, since the modules below take a while
    tell_failed_imports("python -m utils.compare")

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.config.command_line import Parser, typed_path, typed_text
from utils.config.flags import FIELDS
from utils.errors import UsageError, leave
from utils.files import reason
from utils.logs import start_logging
from utils.runs.folder import is_run_folder
from utils.runtime.commands import run_command

NAME = "python -m utils.compare"
OUT = "comparison"


def main(arguments: list[str]) -> int:
    """Compare, print the summary and the files' paths, and return the exit status."""
    start_logging("info")
    parser = Parser(prog=NAME, description=__doc__)
    parser.add_argument(
        "folders", type=typed_path, nargs="+", metavar="FOLDER",
        help="folder of a run, of a test or retrieval in it, or one that holds such folders",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=typed_path, metavar="DIR",
        help=f"folder of the tables and figures [{OUT} in the folder that holds all FOLDERs]",
    )  # fmt: skip
    parser.add_argument(
        "--by", type=typed_text, nargs="+", metavar="FLAG", default=[],
        help="flags of run_model.py, without --, that alone tell the groups apart",
    )  # fmt: skip
    parser.add_argument(
        "--like", nargs=argparse.REMAINDER, metavar="FLAGS", default=[],
        help="the last: flags of run_model.py; only runs started with them, any seed, count",
    )  # fmt: skip

    def compare(flags: argparse.Namespace) -> list[str]:
        check_flags(flags.by)
        out = flags.out or default_out(flags.folders)
        return compare_folders(flags.folders, out, flags.by, flags.like)

    return run_command(NAME, lambda: parser.parse_args(arguments), compare, "the number of runs")


def check_flags(names: Sequence[str]) -> None:
    """Raise UsageError for a name that is no flag's."""
    for name in names:
        if name not in FIELDS:
            raise UsageError(f"--by {name}: is no flag of run_model.py; put folders before --by")


def default_out(folders: Sequence[Path]) -> Path:
    """Return a folder beside the runs: in the deepest folder that holds all that were named."""
    parent = Path(os.path.commonpath([os.path.realpath(folder) for folder in folders]))
    while is_run_folder(parent):
        parent = parent.parent
    return parent / OUT


def compare_folders(
    folders: Sequence[Path], out: Path, by: Sequence[str], like: Sequence[str]
) -> list[str]:
    """Compare the runs in folders; return what is to be printed. Raises UsageError, RunError."""
    from utils.compare import found, groups, measures, pictures, statistics, tables, texts

    runs = found.find_runs(folders)
    measured = measures.measure_all(found.started_with(runs, like) if like else runs)
    comparison = statistics.compare(groups.group_runs(measured, by))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: can't be made ({reason(error)}); name another") from error
    paths = [*tables.write_tables(comparison, out), *pictures.draw_all(comparison, out)]
    return [texts.summary_text(comparison), "", *map(str, paths)]


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
