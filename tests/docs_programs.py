"""A server that runs the pages' Python programs at a small size: python docs_programs.py SOCKET

It has imported what most programs need, and forks for each, so that a command takes a second rather
than five. A request comes from docs_client.py: its arguments as typed after `python`, its folder
and its variables in JSON, with the descriptors of its input and output; the answer is the exit
status.

run_model.py gets the narrow network of the tests, draws noise for pictures, and gets flags of
small sizes appended, as the last one counts; its folder has the name of the flags as typed. Where
$PLAN is set, a program ends as soon as its parser has understood its flags.
"""

import argparse
import importlib
import json
import os
import runpy
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

SIZES = {"img_dim": 32, "batch_size": 4, "train_len": 16, "num_workers": 0}
VIDEO_SIZES = {**SIZES, "seq_len": 2, "num_seq_in": 2, "pred_step": 1, "ucf_hmdb_ms_ds": 1}
SMALL = {
    "process_data/extract_frames.py": ["--short_side", "32"],
    "process_data/verify.py": ["--seq_len", "2", "--num_seq_in", "2", "--pred_step", "1"],
    "tests/make_motion.py": ["--train", "2", "--test", "1", "--frames", "20"],
    "pytest": ["--collect-only", "-q"],
}
TAKEN = ("resume", "analysed")  # these starts take the sizes of a run that is there
PRELOADED = (
    "cv2", "pandas", "matplotlib.figure", "small_runs", "model.training.run",
    "model.training.build",
    "model.analysis.walk", "model.evaluation.walk", "dataset.build", "utils.runs.starts",
    "model.training.classifiers", "model.training.restoring", "utils.runs.tensorboard",
    "utils.plots.pictures", "sklearn.linear_model", "scipy.stats",
)  # fmt: skip


def serve(path: str) -> None:
    """Answer requests until the process is ended."""
    for name in PRELOADED:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        os.rename(f"{path}.new", path)
        while True:
            connection, _ = listening.accept()
            with connection:
                answer(connection)


def answer(connection: socket.socket) -> None:
    """Fork twice: a process that waits for the program and answers, and the program itself."""
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    if os.fork() == 0:
        pid = os.fork()
        if pid == 0:
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
            connection.close()
            os._exit(run(**json.loads(text)))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(OSError):
            connection.sendall(str(status).encode())
        os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    with suppress(ChildProcessError):  # those that have ended before
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(arguments: list[str], folder: str, variables: dict[str, str]) -> int:
    """Run what `python` was given, and return its exit status."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:] = [path for path in sys.path if not path.endswith("/tests")]
    status: object = 0
    try:
        start(arguments)
    except SystemExit as left:
        status = left.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    return status if isinstance(status, int) else int(status is not None)


def start(arguments: list[str]) -> None:
    """Run a file, a module (-m) or lines (-c), with small sizes."""
    first, *rest = arguments or ["-h"]
    if "PLAN" in os.environ:
        plan_only()
    if first in ("-m", "-c"):
        target, *rest = rest
        sys.path[:0] = [os.getcwd()]
        sys.argv = [first, *rest, *SMALL.get(target, ())]
        if target == "utils.compare" and "--like" in rest:  # flags of runs, which have small sizes
            sys.argv += small_flags(rest[rest.index("--like") + 1 :])
        if first == "-m":
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            exec(compile(target, "<lines>", "exec"), {"__name__": "__main__"})
        return
    if not os.path.isfile(first):
        raise SystemExit(f"python: can't open file {first!r}")
    sys.path[:0] = [str(Path(first).resolve().parent)]
    sys.argv = [first, *rest, *SMALL.get(os.path.normpath(first), ())]
    if os.path.basename(first) == "run_model.py" and "PLAN" not in os.environ:
        from small_runs import narrow, one_picture

        sys.argv += small_flags(rest)
        with narrow(), one_picture():
            runpy.run_path(first, run_name="__main__")
    else:
        runpy.run_path(first, run_name="__main__")


def small_flags(typed: Sequence[str]) -> list[str]:
    """Return flags of small sizes, and let the new folder have the name of the typed sizes."""
    from utils.config.command_line import parse
    from utils.config.flags import AUTO, Config
    from utils.errors import UsageError
    from utils.runs import starts
    from utils.runs.folder import run_name

    try:
        asked = parse(list(typed))
    except (UsageError, SystemExit):
        return []  # the program tells the same
    if any(asked.get(name, AUTO) != AUTO for name in TAKEN):
        return ["--num_workers", "0"]
    sizes = SIZES if str(asked.get("dataset", "")).lower() == "gabors" else VIDEO_SIZES
    as_typed = {name: asked.get(name, getattr(Config, name)) for name in sizes}
    starts.run_name = lambda config, seed_typed: run_name(replace(config, **as_typed), seed_typed)
    return [word for name, size in sizes.items() for word in (f"--{name}", str(size))]


def plan_only() -> None:
    """Let programs end with status 0 when their parser has understood their flags."""
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_end(self: argparse.ArgumentParser, *given: object, **named: object) -> None:
        parse_args(self, *given, **named)
        raise SystemExit(0)

    argparse.ArgumentParser.parse_args = parse_and_end  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    serve(sys.argv[1])
