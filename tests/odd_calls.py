"""Programs as functions of their command line, for processes that fork_server.py forks."""

import atexit
import importlib
import resource
import runpy
import sys
from collections.abc import Callable

import faulty_run

MOST_MEMORY = 12 << 30  # bytes of addresses, so that a trial takes no memory from the others


def run_model(flags: list[str]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    return faulty_run.run(flags, ("meet_nothing",), draws=False)


def draw(flags: list[str]) -> int:
    return _module("utils.plots", flags)


def compute(flags: list[str]) -> int:
    return _module("utils.analysis", flags)


def compare(flags: list[str]) -> int:
    return _module("utils.compare", flags)


def show_stimuli(flags: list[str]) -> int:
    return _module("dataset.show_stimuli", flags)


def _module(name: str, flags: list[str]) -> int:
    """Run a module as `python -m NAME` does."""
    sys.argv = [f"python -m {name}", *flags]
    return _exit_status(lambda: runpy.run_module(name, run_name="__main__"))


def _script(name: str, flags: list[str]) -> int:
    """Run a script of process_data as `python process_data/NAME.py` does."""
    sys.argv = [f"{name}.py", *flags]
    script = importlib.import_module(name)
    run_script = importlib.import_module("command_line").run_script
    return _exit_status(lambda: run_script(script.main))


def _exit_status(program: Callable[[], object]) -> int:
    try:
        program()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        atexit._run_exitfuncs()  # which a process that ends by itself calls, and a forked one not
    return 0


def write_csvs(flags: list[str]) -> int:
    return _script("write_csvs", flags)


def extract_frames(flags: list[str]) -> int:
    return _script("extract_frames", flags)


def pack_frames(flags: list[str]) -> int:
    return _script("pack_frames", flags)


def verify(flags: list[str]) -> int:
    return _script("verify", flags)


def download_data(flags: list[str]) -> int:
    return _script("download_data", flags)
