"""Clips of all ranks in one tensor, with gradients that go back to the rank they came from."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from utils.runtime.processes import Processes


class Gather(torch.autograd.Function):
    """Concatenate each rank's `[B, ...]` to `[sum of B, ...]`, in the order of ranks.

    `sizes` holds each rank's B.
    """

    @staticmethod
    def forward(ctx: Any, clips: Tensor, sizes: list[int], rank: int) -> Tensor:
        """Gather the clips of all ranks."""
        ctx.place = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        padded = clips.new_zeros(max(sizes), *clips.shape[1:])
        padded[: len(clips)] = clips
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Sum the gradients of all ranks, whose losses all depend on these clips."""
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[ctx.place], None, None


def gather_clips(processes: Processes, *tensors: Tensor) -> tuple[list[Tensor], int]:
    """Return each tensor with the clips of all ranks, and the index of this rank's first clip."""
    if processes.count == 1:
        return list(tensors), 0
    sizes = processes.gather_numbers(len(tensors[0]))
    gathered = [Gather.apply(tensor, sizes, processes.rank) for tensor in tensors]
    return gathered, sum(sizes[: processes.rank])
