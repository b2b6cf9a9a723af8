"""Analyses that only record: computing and drawing, which have tests of their own, take longer."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import pytest

MODULES = {"compute": "utils.analysis.compute", "draw": "utils.analysis.drawing.draw"}


@contextmanager
def recording_alone() -> Iterator[list[tuple]]:
    """Let analyses in this process compute and draw nothing; give the calls that asked for it."""
    calls: list[tuple] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, path in MODULES.items():
            module = ModuleType(path)
            setattr(module, name, lambda *asked, name=name: calls.append((name, *asked)))
            patch.setitem(sys.modules, module.__name__, module)
        yield calls


def run(flags: list[str], fault: Sequence) -> int:
    """Run run_model.py with a fault of faulty_run.py; a process of the fork server calls this."""
    import faulty_run

    with recording_alone():
        return faulty_run.run(flags, fault, draws=False)
