"""Where the program runs: the device, its threads, and what the records say of them."""

import platform
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from utils.errors import UsageError
from utils.logs import log


@contextmanager
def single_thread():
    """One thread within: sums then do not depend on how many the process has."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def pick_device(gpu: str, cpu_only: bool) -> torch.device:
    """The first of the GPUs named, or the first visible one; the CPU without CUDA.

    Raises UsageError for a GPU that is not there.
    """
    try:
        wanted = [int(number) for number in gpu.split(",") if number]
    except ValueError:
        raise UsageError(f"--gpu {gpu}: takes the numbers of GPUs, such as 0") from None
    if cpu_only or not torch.cuda.is_available():
        if wanted and not cpu_only:
            log.warning("--gpu %s: there is no CUDA here; running on the CPU", gpu)
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if any(number >= count for number in wanted):
        raise UsageError(f"--gpu {gpu}: there are {count}, numbered from 0")
    if count > 1 or len(wanted) > 1:
        log.warning("running on one of %d GPUs: several at a time are not there yet", count)
    return torch.device("cuda", wanted[0] if wanted else 0)


def environment(device: torch.device) -> dict[str, Any]:
    """What a record of a run says about where it ran."""
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "device": f"{device} ({name}, {torch.get_num_threads()} threads)",
        "git_commit": git_commit(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision", "numpy")},
        },
    }


def git_commit() -> str | None:
    """Of this program, `+` where tracked files have changed since; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
