"""Batches of a data set, in an order that follows from (seed, mode, epoch)."""

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from utils.runtime.interrupts import STOPPING
from utils.runtime.processes import ALONE, Processes
from utils.samples import Batch, Samples
from utils.streams import stream


@dataclass
class EpochBatches:
    """The (epoch, index) keys of one rank's batches, in the order of an epoch.

    Each rank gets its part of every batch. Batches with fewer items than ranks aren't divided: of
    `count` ranks, each gets every `count`-th batch. A rank's last batch may be empty, so that all
    ranks have the same number of batches.

    A last batch with fewer than `fewest` items is left out. With `even`, a batch that can't be
    divided evenly loses its last items. `epoch`, and the number `done` of its batches to skip, are
    set before each pass.
    """

    length: int
    batch_size: int
    seed: int
    mode: str
    shuffle: bool
    fewest: int
    even: bool = False
    processes: Processes = ALONE
    epoch: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        self.divided = self.batch_size >= self.processes.count

    def __len__(self) -> int:
        whole, rest = divmod(self.length, self.batch_size)
        batches = whole + (rest >= max(1, self.fewest))
        return batches if self.divided else -(-batches // self.processes.count)

    def numbers(self) -> list[int]:
        """Return the place in the epoch of each batch that is still to come."""
        rank, count = self.processes.rank, self.processes.count
        steps = range(self.done, len(self))
        return [step if self.divided else step * count + rank for step in steps]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = list(range(self.length))
        if self.shuffle:
            rng = stream(self.seed, "order", self.mode, self.epoch)
            order = rng.permutation(self.length).tolist()
        rank, count = self.processes.rank, self.processes.count
        for number in self.numbers():
            indices = order[number * self.batch_size : (number + 1) * self.batch_size]
            if self.divided:
                size = len(indices) - (len(indices) % count if self.even else 0)
                indices = indices[size * rank // count : size * (rank + 1) // count]
            yield [(self.epoch, index) for index in indices]


class ClipLoader:
    """Loader of one rank's batches. Its workers are kept from epoch to epoch.

    `timeout` is the number of seconds to wait for a worker's batch; 0 means for ever.
    """

    def __init__(
        self,
        samples: Samples,
        order: EpochBatches,
        *,
        num_workers: int,
        pin_memory: bool,
        timeout: float = 0,
    ):
        self.samples = samples
        self.order = order
        self._loader = DataLoader(
            cast("Dataset[Batch]", samples),
            batch_sampler=order,
            num_workers=num_workers,
            pin_memory=pin_memory,
            collate_fn=collate,
            persistent_workers=num_workers > 0,
            timeout=timeout if num_workers > 0 else 0,
            worker_init_fn=_ignore_stopping_signals,
            # its own: the loader draws from it, and must not move the model's random state
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.order)

    def batches(self, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the epoch's numbered batches, without the first `done` ones."""
        self.order.epoch, self.order.done = epoch, done
        for batch, number in zip(self._loader, self.order.numbers(), strict=True):
            yield batch._replace(number=number)


def end_workers() -> None:
    """Kill the data workers of all loaders. They may hang and then ignore a polite signal."""
    # torch's handler would report the end of a worker as an error
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    children = multiprocessing.active_children()
    workers = [child for child in children if isinstance(child, multiprocessing.Process)]
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    signal.signal(signal.SIGCHLD, handler)


def collate(samples: list[Batch]) -> Batch:
    """Return one batch of the samples that have a clip, with the faults of all samples."""
    faults = tuple(fault for sample in samples for fault in sample.faults)
    read = [sample[:4] for sample in samples if sample.clip is not None]
    if not read:
        return Batch(None, None, torch.zeros(0, dtype=torch.int64), faults=faults)
    *parts, windows = zip(*read, strict=True)
    clip, labels, item = map(default_collate, parts)
    return Batch(
        clip, labels, item, default_collate(windows) if windows[0] is not None else None, faults
    )


def _ignore_stopping_signals(worker: int) -> None:
    # a terminal and Slurm send them to every process; the main process handles them
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
