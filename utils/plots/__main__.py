"""Draw the pictures of a run, or of a test, again: python -m utils.plots RUN_FOLDER."""

import argparse
import sys
from pathlib import Path

from utils.errors import RunError, UsageError
from utils.plots.draw import draw_all
from utils.plots.pictures import FILE_BACKENDS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m utils.plots", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of a run, or of a test in it")
    parser.add_argument("--backend", choices=FILE_BACKENDS, help="of matplotlib")
    flags = parser.parse_args()
    try:
        print(*draw_all(flags.folder, flags.backend), sep="\n")
    except (RunError, UsageError) as error:
        print(error, file=sys.stderr)
        sys.exit(error.status)
