"""The time that a pass spends in the network, and its peak memory."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

MIB = 2**20


class Stopwatch:
    """Sum of the seconds spent in `running` contexts.

    The program runs ahead of a GPU, so there the GPU's own clock is used.
    """

    def __init__(self, device: torch.device, seconds: float = 0.0):
        self.on_gpu = device.type == "cuda"
        self.so_far = seconds
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time spent within."""
        if self.on_gpu:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            yield
            end.record()
            self.events.append((start, end))
        else:
            begun = time.perf_counter()
            yield
            self.so_far += time.perf_counter() - begun

    @property
    def seconds(self) -> float:
        """The sum so far; reading it waits for the GPU."""
        if self.events:
            torch.cuda.synchronize()
            self.so_far += sum(start.elapsed_time(end) for start, end in self.events) / 1e3
            self.events.clear()
        return self.so_far


class Memory:
    """Peak memory in MiB: the GPU's since this was made, the program's since it started."""

    def __init__(self, device: torch.device):
        self.gpu = device if device.type == "cuda" else None
        if self.gpu:
            torch.cuda.reset_peak_memory_stats(self.gpu)

    @property
    def device(self) -> int | None:
        """The peak of the memory allocated on the GPU; None on the CPU."""
        return torch.cuda.max_memory_allocated(self.gpu) // MIB if self.gpu else None

    @property
    def host(self) -> int:
        """The peak of the program's resident memory."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # given in KiB
