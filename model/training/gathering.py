"""Clips of all processes in one tensor, with gradients that go back to the process they are of."""

import torch
import torch.distributed as dist
from torch import Tensor

from utils.runtime.processes import Processes


class Gather(torch.autograd.Function):
    """`[B, ...]` of each process → `[sum of B, ...]`, by rank; `sizes` has each B."""

    @staticmethod
    def forward(ctx, clips: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.place = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        padded = clips.new_zeros(max(sizes), *clips.shape[1:])
        padded[: len(clips)] = clips
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)  # every process's loss depends on these clips
        return gradient[ctx.place], None, None


def gather_clips(processes: Processes, *tensors: Tensor) -> tuple[list[Tensor], int]:
    """→ (each of the tensors with the clips of all processes, the place of this one's first)."""
    if processes.count == 1:
        return list(tensors), 0
    sizes = processes.gather(len(tensors[0]))
    gathered = [Gather.apply(tensor, sizes, processes.rank) for tensor in tensors]
    return gathered, sum(sizes[: processes.rank])
