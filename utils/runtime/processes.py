"""The processes of a run, one per device: which one this is, and how they exchange values.

Their launcher tells each of them its rank in the environment: torchrun in RANK, WORLD_SIZE and
LOCAL_RANK, srun in SLURM_PROCID and others. Values on the host are exchanged by gloo; gradients
and features on GPUs by NCCL.
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
PATIENCE = timedelta(minutes=10)  # how long a rank waits for another one's answer
CALL_SECONDS = 5  # within which every rank that is alive answers a roll call


@dataclass(frozen=True)
class Processes:
    """This process's `rank` among `count`, and its `local_rank` among those of its node.

    With one process every method returns at once. Otherwise all ranks have to call it, in the
    same order.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which alone writes files and messages."""
        return self.rank == 0

    def round_up(self, number: int) -> int:
        """Return the next multiple of `count`."""
        return -(-number // self.count) * self.count

    # ---- objects: at the start of a run, and once per pass

    def gather(self, value: T) -> list[T]:
        """Return every rank's value, in the order of ranks."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def gather_to_first(self, value: T) -> list[T]:
        """Return every rank's value to rank 0; other ranks get an empty list."""
        if self.count == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.gather_object(value, values if self.leads else None)
        return values if self.leads else []

    def from_first(self, function: Callable[[], T]) -> T:
        """Call `function` in rank 0 alone, and return or raise in all ranks what it does there."""
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

    def require_equal(self, what: str, value: object) -> None:
        """Raise RunError unless all ranks have the same value."""
        values = self.gather(value)
        if any(other != values[0] for other in values):
            raise RunError(
                f"the processes have different {what}: {', '.join(map(str, values))}; "
                "do all nodes see the same files?"
            )

    # ---- numbers and tensors: in every step

    def gather_numbers(self, number: int) -> list[int]:
        """Return every rank's number, in the order of ranks."""
        if self.count == 1:
            return [number]
        import torch
        import torch.distributed as dist

        numbers = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(numbers, torch.tensor([number]))
        return [int(tensor) for tensor in numbers]

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Return the maximum of each number over the ranks."""
        if self.count == 1:
            return numbers
        import torch
        import torch.distributed as dist

        tensor = torch.tensor(numbers)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tuple(tensor.tolist())

    def barrier(self) -> None:
        """Wait until all ranks have come here."""
        self.largest(0)

    def take_from_first(self, tensors: Iterable["Tensor"]) -> None:
        """Overwrite the tensors with rank 0's values."""
        if self.count > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def average(self, tensors: Iterable["Tensor"]) -> None:
        """Overwrite each tensor with its mean over the ranks."""
        if self.count > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor.div_(self.count)


ALONE = Processes()


def found() -> Processes:
    """Return the processes that the launcher's environment variables describe."""
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
    """Connect the ranks while the context lasts.

    Raises RunError, naming the ranks that are gone, when one can't be reached any more.
    """
    if processes.count == 1:
        yield
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    _set_meeting_point()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    rank, count = processes.rank, processes.count
    try:
        store = next(rendezvous("env://", rank=rank, world_size=count, timeout=PATIENCE))[0]
        dist.init_process_group(backend, store=store, timeout=PATIENCE, rank=rank, world_size=count)
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
    """Set rank 0's address if only srun knows it: the step's first node, a port from the job."""
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
    """Return the ranks that don't answer a roll call."""
    names = {rank: f"roll call/{rank}" for rank in range(processes.count)}
    try:
        store.set(names[processes.rank], "here")
        end = time.monotonic() + CALL_SECONDS
        while time.monotonic() < end and not store.check(list(names.values())):
            time.sleep(0.2)
        return [rank for rank, name in names.items() if not store.check([name])]
    except RuntimeError:  # the first process keeps the store
        return [0]
