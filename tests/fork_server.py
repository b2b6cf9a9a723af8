"""A server that forks a process for each request: python tests/fork_server.py

It has imported what runs need, which takes longer than a small run, so a forked process starts at
once. The process calls one function, in a session of its own, and ends with the exit status that
the function returns, as run_model.py does.

A request is one line on the standard input. A JSON object holds the `function` ("module.name") and
its `arguments`, the `folder` to be in, the `environment` variables to add, and the `log` file for
what is printed; the answer is the process's number. A line with a number is answered by that
process's exit status, once it has ended.
"""

import gc
import importlib
import json
import os
import sys

import faulty_run  # noqa: F401  (what runs need)
import utils.runs.tensorboard  # noqa: F401
from utils.errors import leave


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def next_request() -> dict | None:
    """Fork for each request: return it in the forked process, and None at the end of the input."""
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(exit_status(asked), flush=True)
            continue
        if isinstance(asked, str):
            importlib.import_module(asked)
            print(0, flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            return asked
        print(pid, flush=True)
    return None


def call(asked: dict) -> int:
    os.setsid()
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    module, _, name = asked["function"].rpartition(".")
    return getattr(importlib.import_module(module), name)(*asked["arguments"])


if __name__ == "__main__":
    gc.freeze()
    request = next_request()
    leave(0 if request is None else call(request) or 0)
