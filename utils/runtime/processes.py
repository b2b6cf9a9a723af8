"""The processes of a run, one per device, and how they exchange values.

Values on the host are exchanged by gloo; gradients and features on GPUs by NCCL.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from utils.errors import RunError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


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
