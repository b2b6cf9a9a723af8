"""What a machine denies to a program ends in one line; errors of the program keep their trace."""

import errno
import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import run_model
from forked import ROOT
from small_runs import TINY
from utils.errors import RunError, UsageError, tell_failed_imports
from utils.machine import denied, machine_told

DENIED = {
    "no memory": (MemoryError(), "memory ran out (MemoryError): lower --size"),
    "no memory for torch": (
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate "
                     "memory: you tried to allocate 8 bytes. Error code 12"),
        "you tried to allocate 8 bytes",
    ),
    "no memory on a GPU": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB.\nmore"),
        "memory ran out (CUDA out of memory. Tried to allocate 2 MiB.): lower --size",
    ),
    "no memory in a worker": (
        RuntimeError("Caught MemoryError in DataLoader worker process 0.\nOriginal Traceback (most "
                     "recent call last):\n  File\nMemoryError: Unable to allocate 9 GiB"),
        "memory ran out (MemoryError: Unable to allocate 9 GiB): lower --size",
    ),
    "no shared memory": (
        RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left"),
        "memory ran out (unable to allocate shared memory",
    ),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left"),
    "a lost disk": (OSError(errno.EIO, "Input/output error", "a/b"), "a/b: Input/output error"),
    "no permission": (PermissionError(errno.EACCES, "Permission denied", "c"), "c: Permission"),
    "no name": (OSError(errno.EMFILE, "Too many open files"), "too many files are open (ulimit"),
    "an error in a worker": (
        OSError("Caught OSError in DataLoader worker process 0.\nOriginal Traceback (most recent "
                "call last):\n  File\nOSError: [Errno 5] Input/output error: 'x'\n"),
        "OSError: [Errno 5] Input/output error: 'x'",
    ),
    "no package": (
        ModuleNotFoundError("No module named 'torch'", name="torch"),
        "torch can't be imported (No module named 'torch'): pip install -r requirements.txt",
    ),
    "no library": (
        ImportError("libGL.so.1: cannot open shared object file", name="cv2"),
        "cv2 can't be imported (libGL.so.1: cannot open shared object file): pip install -r "
        "requirements.txt, or the system's library that is named",
    ),
    "no memory for a library": (
        ImportError("libaom.so.3: failed to map segment from shared object", name="cv2"),
        "memory ran out",
    ),
    "no package in a worker": (
        ImportError("Caught ImportError in DataLoader worker process 0.\nOriginal Traceback (most "
                    "recent call last):\n  File\nImportError: libGL.so.1: cannot open it\n"),
        "a package can't be imported (ImportError: libGL.so.1: cannot open it): pip install",
    ),
    "no threads": (RuntimeError("can't start new thread"), "no more threads: raise the limit"),
    "a lost GPU": (RuntimeError("CUDA error: uncorrectable ECC\nmore"), "the GPU failed (CUDA"),
}  # fmt: skip
BUGS = (
    ZeroDivisionError(), KeyError("x"), RuntimeError("shapes differ"), AssertionError(),
    RuntimeError("CUDA error: device-side assert triggered"),
    ImportError("cannot import name 'x'", name="model.dpc"),
)  # fmt: skip


@pytest.mark.parametrize("what", DENIED)
def test_what_the_machine_denies_is_one_line(what):
    error, told = DENIED[what]
    with pytest.raises(RunError) as line, machine_told("--size"):
        raise error
    assert told in str(line.value)
    assert "\n" not in str(line.value)


@pytest.mark.parametrize("error", BUGS, ids=repr)
def test_an_error_of_the_program_stays(error):
    assert denied(error, "") is None
    with pytest.raises(type(error)), machine_told(""):
        raise error


BROKEN = {
    "missing library": ('raise ImportError("libGL.so.1: cannot open shared object file")',
                        "(libGL.so.1: cannot open shared object file): pip install -r "
                        "requirements.txt, or the system's library that is named"),
    "missing part": ("import apart_from_it",
                     "(No module named 'apart_from_it'): pip install -r requirements.txt"),
    "another version's": ('raise RuntimeError("operator torchvision::nms does not exist")',
                          "(operator torchvision::nms does not exist): pip install"),
    "wrong variable": ("float('x')",
                       "(could not convert string to float: 'x'): pip install -r requirements.txt, "
                       "or correct the environment variable or the settings that it reads"),
    "many lines": ('raise ImportError("\\n\\nREAD THIS\\n\\nOriginal error was: no luck\\n")',
                   "(Original error was: no luck): pip install"),
    "no words": ("assert False", "(AssertionError): pip install"),
}  # fmt: skip


def write_package(folder, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


@pytest.mark.parametrize("what", BROKEN)
def test_a_package_that_fails_as_it_is_imported_is_named(what, tmp_path, monkeypatch):
    code, told = BROKEN[what]
    name = f"broken_{list(BROKEN).index(what)}"
    write_package(tmp_path, name, code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RunError) as line, machine_told("--size"):
        importlib.import_module(name)
    assert str(line.value).startswith(f"{name} can't be imported {told}")


@pytest.mark.parametrize("start", [
    "run_model.py", "process_data/write_csvs.py", "process_data/extract_frames.py",
    "process_data/download_data.py", "-m utils.plots",
])  # fmt: skip
def test_programs_that_lack_a_package_at_their_start_say_so(start, tmp_path):
    write_package(tmp_path, "tqdm", "import gone_with_it")
    command = [sys.executable, *start.split(), "--help"]
    path = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **path}, capture_output=True, text=True
    )
    name = "python -m utils.plots" if start.startswith("-m") else start.rpartition("/")[2]
    assert ended.stderr == (
        f"{name}: tqdm can't be imported (No module named 'gone_with_it'): pip install -r "
        "requirements.txt\n"
    )
    assert ended.returncode == 1


def test_uncaught_errors_of_the_program_keep_their_trace(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    tell_failed_imports("a.py")
    for error in BUGS:
        sys.excepthook(type(error), error, None)
        assert type(error).__name__ in capsys.readouterr().err
    missing = ModuleNotFoundError("No module named 'torch'", name="torch")
    sys.excepthook(type(missing), missing, None)
    assert capsys.readouterr().err.startswith("a.py: torch can't be imported (No module")
    unmapped = ImportError("libaom.so: failed to map segment from shared object", name="cv2")
    sys.excepthook(type(unmapped), unmapped, None)
    assert "object): there is too little memory (ulimit -v)" in capsys.readouterr().err


def test_messages_of_one_line_stay_as_they_are():
    with pytest.raises(UsageError, match="typed"), machine_told(""):
        raise UsageError("typed")


def test_arrays_and_tensors_that_are_too_large():
    told = r"^memory ran out \(.*\): lower --size$"
    for make in (lambda: np.zeros(2**59), lambda: torch.zeros(2**58)):
        with pytest.raises(RunError, match=told), machine_told("--size"):
            make()


def test_too_many_nested_calls_are_told_with_their_place():
    told = r"maximum recursion depth exceeded.*\.py:\d+: something"
    with pytest.raises(RunError, match=told), machine_told(""):
        endless()


def endless():
    return endless()


@pytest.mark.parametrize(
    "place", ["run_model.build", "model.training.restoring.load_start", "run_model.train"]
)
def test_the_program_tells_it_wherever_it_happens(place, monkeypatch, tmp_path, capsys):
    def fails(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "some/file")

    monkeypatch.setattr(place, fails)
    assert run_model.main([*TINY, "--output_dir", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "run_model.py: some/file: Input/output error"
    assert "Traceback" not in "".join(lines)
