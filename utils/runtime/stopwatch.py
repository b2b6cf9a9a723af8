"""Where the time of a pass goes."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

MIB = 2**20


class Stopwatch:
    """Sums up the seconds spent within `running`. On a GPU they are those of its own clock, since
    the program runs ahead of it; they are read when `seconds` is, which waits for the GPU."""

    def __init__(self, device: torch.device, seconds: float = 0.0):
        self.on_gpu = device.type == "cuda"
        self.so_far = seconds
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
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
        if self.events:
            torch.cuda.synchronize()
            self.so_far += sum(start.elapsed_time(end) for start, end in self.events) / 1e3
            self.events.clear()
        return self.so_far


class Memory:
    """Peaks in MiB: `device` since this was made, None on the CPU; `host` since the program
    started."""

    def __init__(self, device: torch.device):
        self.gpu = device if device.type == "cuda" else None
        if self.gpu:
            torch.cuda.reset_peak_memory_stats(self.gpu)

    @property
    def device(self) -> int | None:
        return torch.cuda.max_memory_allocated(self.gpu) // MIB if self.gpu else None

    @property
    def host(self) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # given in KiB
