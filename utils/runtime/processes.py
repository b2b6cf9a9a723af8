"""The processes of a run, one per device: which one this is, and what they tell each other.

Whoever starts them says so in the environment: torchrun (RANK, WORLD_SIZE, LOCAL_RANK) or srun
(SLURM_PROCID and so on). What goes between them on the host goes by gloo; gradients and targets go
by NCCL on GPUs.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from utils.errors import RunError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
PATIENCE = timedelta(minutes=10)  # with another process that doesn't answer
CALL_SECONDS = 5  # within which all processes that are alive answer to a roll call


@dataclass(frozen=True)
class Processes:
    """This one's `rank` among `count`, and its `local_rank` among those of its node.

    Alone, every method returns at once. Otherwise all processes have to call it, in the same order.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """The first process alone writes files and speaks."""
        return self.rank == 0

    def round_up(self, number: int) -> int:
        """To a multiple of `count`."""
        return -(-number // self.count) * self.count

    def gather(self, value: T) -> list[T]:
        """Everyone's value, by rank."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def gather_to_first(self, value: T) -> list[T]:
        """Everyone's value, by rank, for the first process; others get none."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.gather_object(value, values if self.leads else None)
        return values if self.leads else []

    def from_first(self, function: Callable[[], T]) -> T:
        """What `function` returns, or raises, in the first process; others don't run it."""
        if self.count == 1:
            return function()
        import torch.distributed as dist

        outcome: list[Any] = [None, None]
        failure = None
        if self.leads:
            try:
                outcome[0] = function()
            except (UsageError, RunError) as error:
                failure, outcome[1] = error, type(error)
        dist.broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise failure or outcome[1]("the first process failed; see its message")
        return outcome[0]

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Each number's maximum over the processes."""
        if self.count == 1:
            return numbers
        import torch
        import torch.distributed as dist

        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tuple(tensor.tolist())

    def barrier(self) -> None:
        self.largest(0)

    def take_from_first(self, tensors: Iterable["Tensor"]) -> None:
        """The first process's values, in place."""
        if self.count == 1:
            return
        import torch.distributed as dist

        for tensor in tensors:
            dist.broadcast(tensor, src=0)


ALONE = Processes()


def found() -> Processes:
    """What the environment says."""
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:
        local = int(env.get("LOCAL_RANK", env["RANK"]))
        return Processes(int(env["RANK"]), int(env["WORLD_SIZE"]), local)
    count = int(env.get("SLURM_STEP_NUM_TASKS", 1))  # set in srun's tasks, not in a batch script
    if count > 1:
        return Processes(int(env["SLURM_PROCID"]), count, int(env["SLURM_LOCALID"]))
    return ALONE


@contextmanager
def joined(processes: Processes) -> Iterator[None]:
    """Within, the processes can talk. Raises RunError, naming the ranks that are gone, when one
    can't be reached any more."""
    if processes.count == 1:
        yield
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    _set_meeting_point()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    size = {"rank": processes.rank, "world_size": processes.count}
    try:
        store = next(rendezvous("env://", timeout=PATIENCE, **size))[0]
        dist.init_process_group(backend, store=store, timeout=PATIENCE, **size)
    except (dist.DistError, RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise RunError(f"the {processes.count} processes did not find each other: {reason}") from (
            error
        )
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        gone = ", ".join(map(str, _gone(store, processes))) or "unknown"
        raise RunError(
            f"another process can't be reached: rank {gone} has ended or hangs; its own messages "
            "say why; the last checkpoint is kept"
        ) from error
    finally:
        dist.destroy_process_group()


def _set_meeting_point() -> None:
    """Where the first process listens, if only srun knows it: the step's first node, and a port
    that follows from the job."""
    env = os.environ
    if "MASTER_ADDR" not in env:
        nodes = subprocess.run(
            ["scontrol", "show", "hostnames", env["SLURM_STEP_NODELIST"]],
            capture_output=True,
            text=True,
            check=True,
        )
        env["MASTER_ADDR"] = nodes.stdout.split()[0]
    if "MASTER_PORT" not in env:
        job, step = int(env["SLURM_JOB_ID"]), int(env["SLURM_STEP_ID"])
        env["MASTER_PORT"] = str(20_000 + (job * 7 + step) % 10_000)


def _is_lost_connection(error: RuntimeError) -> bool:
    import torch.distributed as dist

    words = ("gloo", "NCCL", "onnection closed", "onnection reset", "Broken pipe")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)


def _gone(store: Any, processes: Processes) -> list[int]:
    """The ranks that don't answer to a roll call."""
    names = {rank: f"roll call/{rank}" for rank in range(processes.count)}
    try:
        store.set(names[processes.rank], "here")
        end = time.monotonic() + CALL_SECONDS
        while time.monotonic() < end and not store.check(list(names.values())):
            time.sleep(0.2)
        return [rank for rank, name in names.items() if not store.check([name])]
    except RuntimeError:  # the first process keeps the store
        return [0]
