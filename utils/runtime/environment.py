"""What a run's record says of where it ran: command, device, versions."""

import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from utils.runtime.device import Runtime


def environment(runtime: Runtime) -> dict[str, Any]:
    """Return the entry of config.json that describes this start of the program."""
    device = runtime.device
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = platform.processor() or platform.machine()
    packages = {package: version(package) for package in ("torch", "torchvision", "numpy")}
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "device": f"{device} ({name}, {torch.get_num_threads()} threads)",
        "processes": runtime.processes.count,
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version(), **packages},
    }


def git_commit() -> str | None:
    """Return this program's commit, with `+` if tracked files were changed; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    folder = Path(__file__).parent
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
