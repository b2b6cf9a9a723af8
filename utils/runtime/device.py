"""Where the program runs: the device, its threads, and what the records say of them."""

import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from utils.config.checks import check_share
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.runtime.allocator import keep_freed_memory, return_freed_memory
from utils.runtime.processes import ALONE, Processes

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


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


def gpu_numbers(gpu: str) -> list[int]:
    """Those that --gpu names; raises UsageError."""
    try:
        return [int(number) for number in gpu.split(",") if number]
    except ValueError:
        raise UsageError(f"--gpu {gpu}: takes the numbers of GPUs, such as 0 or 0,1") from None


def pick_device(gpu: str, cpu_only: bool, processes: Processes = ALONE) -> torch.device:
    """Of this process: the GPU that is named for it, or its own among those visible, in order; the
    CPU without CUDA.

    Raises UsageError for a GPU that is not there.
    """
    wanted = gpu_numbers(gpu)
    if cpu_only or not torch.cuda.is_available():
        if wanted and not cpu_only:
            log.warning("--gpu %s: there is no CUDA here; running on the CPU", gpu)
        return torch.device("cpu")
    count = torch.cuda.device_count()
    # srun may show each process a GPU of its own, which is number 0 then
    place = 0 if count == 1 and not wanted else processes.local_rank
    numbers = wanted or list(range(count))
    if any(number >= count for number in wanted):
        raise UsageError(f"--gpu {gpu}: there are {count}, numbered from 0")
    if place >= len(numbers):
        raise UsageError(
            f"more processes than GPUs ({len(numbers)}) on this machine: start one for each GPU"
        )
    if processes.count == 1 and count > 1:
        everyone = ",".join(map(str, range(count)))
        log.info("on GPU %d; %d others stand idle (--gpu %s)", numbers[place], count - 1, everyone)
    return torch.device("cuda", numbers[place])


@dataclass(frozen=True)
class Runtime:
    """Where and how precisely a run computes. `amp`: off, bf16 or fp16."""

    device: torch.device
    processes: Processes = ALONE
    amp: str = "off"

    def autocast(self) -> torch.autocast:
        """Within, convolutions and products compute in that precision."""
        dtype = PRECISIONS.get(self.amp)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)


def start_runtime(config: Config, processes: Processes) -> Runtime:
    """The device of this process; raises UsageError."""
    if config.deterministic:
        use_deterministic_algorithms()
    device = pick_device(config.gpu, config.cpu_only, processes)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    batch_size = processes.round_up(config.batch_size)
    if batch_size != config.batch_size:
        log.warning("--batch_size: %d, for %d equal shares", batch_size, processes.count)
    if not config.test:
        check_share(config, processes.count)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = not config.deterministic
    elif config.low_memory:
        return_freed_memory()
    else:
        keep_freed_memory()
    return Runtime(device, processes, config.amp)


@contextmanager
def full_precision(*tensors: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """The tensors in float32 at least; within, nothing is cast down."""
    with torch.autocast(tensors[0].device.type, enabled=False):
        yield [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def use_deterministic_algorithms() -> None:
    """Where torch has them; an operation without one is logged when it is met."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    shown = warnings.showwarning
    named = set()

    def show(message: Warning | str, *where: Any) -> None:
        text = str(message)
        if "deterministic" not in text:
            shown(message, *where)
        elif text.split()[0] not in named:
            named.add(text.split()[0])
            log.warning("--deterministic: there is no such algorithm for %s", text.split()[0])

    warnings.showwarning = show
    warnings.filterwarnings("always", message=".*deterministic")


def environment(runtime: Runtime) -> dict[str, Any]:
    """What a record of a run says about where it ran."""
    device = runtime.device
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "device": f"{device} ({name}, {torch.get_num_threads()} threads)",
        "processes": runtime.processes.count,
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
