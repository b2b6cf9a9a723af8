"""That the trials of tests/odd tell a bad end from a good one."""

import pytest

from forked import Ended
from odd_trials import LONGEST, fault_in

GOOD = "a warning\nrun_model.py: --lr -1.0: must be above 0\n"
LONG = f"run_model.py: {'x' * LONGEST}\n"


@pytest.mark.parametrize(
    ("status", "text", "left", "fault"),
    [
        (2, GOOD, set(), ""),
        (0, "run folder: runs/a\n", {"runs/a"}, ""),
        (1, "run_model.py, rank 1: the disk is full\n", {"runs/a"}, ""),
        (1, "Traceback (most recent call last):\n  …\nValueError: x\n", set(), "noise"),
        (0, "Exception ignored in: <function>\n", set(), "noise"),
        (2, GOOD, {"runs/a"}, "left behind: ['runs/a']"),
        (2, LONG, set(), "a line of 714 characters"),
        (2, "", set(), "status 2 without a line of the program"),
        (2, "run_model.py: --lr a\nb\n", set(), "status 2 without a line of the program"),
        (1, GOOD + GOOD, set(), "status 1 with several lines of the program"),
        (3, GOOD, set(), "status 3"),
        (-11, "", set(), "status -11"),
    ],
)
def test_what_is_wrong_with_an_end(status, text, left, fault):
    found = fault_in(Ended(status, text), left)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)
