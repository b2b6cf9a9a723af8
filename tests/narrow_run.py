"""run_model.py with a resnet18 of few planes: python tests/narrow_run.py FLAGS

The same program with checkpoints of 1 MB, for tests that start it as a process of its own.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent)]

import run_model  # noqa: E402
from conftest import narrow  # noqa: E402

if __name__ == "__main__":
    with narrow():
        sys.exit(run_model.main(sys.argv[1:]))
