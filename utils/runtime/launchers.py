"""What the launcher of several processes tells each of them in the environment.

torchrun tells the rank in RANK, WORLD_SIZE and LOCAL_RANK, srun in SLURM_PROCID and others. Where
the processes meet is in MASTER_ADDR and MASTER_PORT.
"""

import os
import socket
import subprocess

from utils.errors import UsageError
from utils.logs import log
from utils.runtime.processes import ALONE, Processes

SLURM_COUNT = "SLURM_STEP_NUM_TASKS"  # set in srun's tasks, not in a batch script
# the number of processes, as launchers tell it that are not supported
OTHER_COUNTS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_SIZE")
MOST_PROCESSES = 2**20
MOST_DIGITS = 20


def found(local_rank: int | None = None) -> Processes:
    """Return the processes that the launcher's environment variables describe.

    `local_rank`, as older launchers pass it by a flag, counts unless LOCAL_RANK is set. Raises
    UsageError for variables that are wrong or missing.
    """
    env = os.environ
    slurm = _number(SLURM_COUNT, 1, MOST_PROCESSES) if SLURM_COUNT in env else 1
    if "RANK" in env or (slurm == 1 and env.get("WORLD_SIZE", "1") != "1"):
        count = _number("WORLD_SIZE", 1, MOST_PROCESSES, "RANK")
        rank = _number("RANK", 0, count - 1, "WORLD_SIZE")
        local = rank if local_rank is None else local_rank
        if "LOCAL_RANK" in env:
            local = _number("LOCAL_RANK", 0, count - 1)
        elif not 0 <= local < count:
            raise UsageError(f"--local_rank {local}: must be a number from 0 to {count - 1}")
        made = Processes(rank, count, local)
    elif slurm > 1:
        rank = _number("SLURM_PROCID", 0, slurm - 1, SLURM_COUNT)
        made = Processes(rank, slurm, _number("SLURM_LOCALID", 0, slurm - 1, SLURM_COUNT))
    else:
        return ALONE
    if made.count > 1:
        _set_meeting_point()
    return made


def told_by() -> str:
    """Return the name of the variable that tells the number of processes."""
    return "WORLD_SIZE" if "RANK" in os.environ else SLURM_COUNT


def warn_of_other_launchers(processes: Processes) -> None:
    """Warn that the variables of another launcher, such as mpirun, are not used."""
    for name in OTHER_COUNTS if processes.count == 1 else ():
        if os.environ.get(name, "1") != "1":
            log.warning(
                "%s is %s, but variables of mpirun are not used: each of its processes is a run of "
                "its own; start one run on several GPUs with torchrun or srun",
                name,
                os.environ[name],
            )


def _number(name: str, least: int, most: int, beside: str = "") -> int:
    """Return the number in an environment variable; raises UsageError.

    `beside` is a variable that is set, and which this one belongs to.
    """
    text = os.environ.get(name)
    if text is None:
        raise UsageError(f"{name} is not set, but {beside} is: set both or none")
    is_number = text.isdecimal() and len(text) <= MOST_DIGITS
    if not is_number or not least <= int(text) <= most:
        raise UsageError(
            f"{name} is {text[:MOST_DIGITS]!r}: must be a number from {least} to {most}"
        )
    return int(text)


def _set_meeting_point() -> None:
    """Set rank 0's address if only srun knows it: the step's first node, a port from the job.

    Raises UsageError.
    """
    env = os.environ
    if not env.get("MASTER_ADDR"):
        env["MASTER_ADDR"] = _first_node()
    if "MASTER_PORT" not in env:
        if "SLURM_JOB_ID" not in env:
            raise UsageError("MASTER_PORT is not set: set it to the same free port on all nodes")
        job, step = (_number(f"SLURM_{of}_ID", 0, 2**32, SLURM_COUNT) for of in ("JOB", "STEP"))
        env["MASTER_PORT"] = str(20_000 + (job * 7 + step) % 10_000)
    _number("MASTER_PORT", 1, 2**16 - 1)
    try:
        socket.getaddrinfo(env["MASTER_ADDR"], env["MASTER_PORT"])
    except (OSError, UnicodeError) as error:
        raise UsageError(f"MASTER_ADDR is {env['MASTER_ADDR']!r}: no such host ({error})") from None


def _first_node() -> str:
    remedy = "set it to the name of rank 0's node"
    nodes = os.environ.get("SLURM_STEP_NODELIST")
    if not nodes:
        raise UsageError(f"MASTER_ADDR is not set, nor is SLURM_STEP_NODELIST: {remedy}")
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout.split()[0]
    except (OSError, subprocess.TimeoutExpired, IndexError) as error:
        cause = done.stderr.strip().split("\n")[0] if isinstance(error, IndexError) else error
        raise UsageError(
            f"MASTER_ADDR is not set, and scontrol can't tell the nodes ({cause}): {remedy}"
        ) from None
