"""run_model.py with a small network, as a program: python tests/narrow_run.py FLAGS

It meets the fault that $FAULT names, in JSON, if there is one; see faulty_run.py.
"""

import json
import os
import sys
from pathlib import Path

from utils.errors import RunError, leave
from utils.runtime import launch as launcher


def launch(program: str, flags: list[str]) -> int:
    """Run a program in two processes, as run_model.py does with --gpu 0,1."""
    try:
        return launcher.launch(Path(program), flags, 2)
    except RunError as error:
        print(f"run_model.py: {error}", file=sys.stderr)
        return error.status


if __name__ == "__main__":
    import faulty_run

    fault = json.loads(os.environ.get("FAULT", '["meet_nothing"]'))
    leave(faulty_run.run(sys.argv[1:], fault, draws=True))
