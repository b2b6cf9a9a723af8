"""Start one process per GPU on this machine, with torch's elastic launcher."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from utils.errors import PREEMPTED, RunError, Stopped
from utils.runs.folder import config_in, is_run_folder, run_folder_of
from utils.runtime.interrupts import hangup_is_ignored, heard
from utils.runtime.temporary import own_temporary_folder

SECONDS_TO_SAVE = 600  # that processes get after a signal, before they are killed


def processes_to_launch(typed: dict[str, Any]) -> int:
    """Return how many processes --gpu asks for, as typed or as stored in the run to resume.

    That is the number of GPUs named, and 1 without CUDA. Raises UsageError.
    """
    asked = {**_stored_flags(typed.get("resume", "")), **typed}
    gpu = asked.get("gpu", "")
    if "," not in gpu or asked.get("cpu_only"):
        return 1
    import torch

    from utils.runtime.device import gpu_numbers

    return len(gpu_numbers(gpu)) if torch.cuda.is_available() else 1


def _stored_flags(resumed: str) -> dict[str, Any]:
    """Return the stored configuration of the run to resume, if one is named."""
    path = Path(resumed)
    folder = path if is_run_folder(path) else run_folder_of(path)
    return vars(config_in(folder)) if resumed and folder else {}


def launch(program: Path, arguments: list[str], count: int) -> int:
    """Run the program as `count` processes of one run, and return their exit status.

    Raises RunError, with the rank, if a process was killed.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    def forward(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # another one would interrupt the processes' end
        raise SignalException("asked to stop", signal.Signals(number))

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SECONDS_TO_SAVE))
    if hangup_is_ignored():  # the launcher would handle it, also in the processes that it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # the launcher's own reports are replaced by one line
    for name in ("agent.server.api", "multiprocessing.api"):
        logging.getLogger(f"torch.distributed.elastic.{name}").setLevel(logging.CRITICAL)
    for number in heard():  # as the launcher does later, but not for SIGUSR1
        signal.signal(number, forward)
    try:
        with own_temporary_folder():  # the launcher makes folders for logs, and leaves them
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=count,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                max_restarts=0,
                run_id=str(os.getpid()),
            )
            elastic_launch(config, sys.executable)(str(program), *arguments)
    except SignalException as stop:
        return Stopped.status if stop.sigval == signal.SIGINT else PREEMPTED
    except ChildFailedError as error:
        rank, first = min(error.failures.items(), key=lambda item: item[1].timestamp)
        if first.exitcode >= 0:  # the process has printed its message
            return first.exitcode
        raise RunError(
            f"rank {rank} (process {first.pid}) was killed by "
            f"{signal.Signals(-first.exitcode).name}, and the others were ended"
        ) from None
    return 0
