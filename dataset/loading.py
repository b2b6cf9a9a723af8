"""Batches of a dataset, in an order that follows from (seed, mode, epoch)."""

import multiprocessing
import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from utils.runtime.interrupts import STOPPING
from utils.runtime.processes import ALONE, Processes
from utils.samples import Batch
from utils.streams import stream


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Yields batches of (epoch, index), so that workers need not be told the epoch; each process
    gets its part of each batch, or, of batches too small to part, every so many-th batch.

    A last batch with fewer than `fewest` items is left out; with `even`, one that can't be parted
    evenly loses the items that are over. `epoch`, and the `done` batches of it to leave out, are
    set before each pass. A batch may be empty, so that all processes see equally many.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        seed: int,
        mode: str,
        shuffle: bool,
        fewest: int,
        even: bool = False,
        processes: Processes = ALONE,
    ):
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.mode = mode
        self.shuffle = shuffle
        self.fewest = fewest
        self.even = even
        self.processes = processes
        self.parted = batch_size >= processes.count
        self.epoch = 0
        self.done = 0

    def __len__(self) -> int:
        """Of a whole pass, for one process."""
        whole, rest = divmod(self.length, self.batch_size)
        batches = whole + (rest >= max(1, self.fewest))
        return batches if self.parted else -(-batches // self.processes.count)

    def numbers(self) -> list[int]:
        """Which batch of the epoch each of those to come is, or is a part of."""
        rank, count = self.processes.rank, self.processes.count
        steps = range(self.done, len(self))
        return [step if self.parted else step * count + rank for step in steps]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = range(self.length)
        if self.shuffle:
            rng = stream(self.seed, "order", self.mode, self.epoch)
            order = rng.permutation(self.length).tolist()
        for number in self.numbers():
            indices = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(self.epoch, index) for index in self._part(indices)]

    def _part(self, indices: list[int]) -> list[int]:
        if not self.parted:
            return indices
        rank, count = self.processes.rank, self.processes.count
        size = len(indices)
        if self.even:
            size -= size % count
        return indices[size * rank // count : size * (rank + 1) // count]


def make_loader(
    dataset: Dataset,
    batches: EpochBatches,
    *,
    num_workers: int,
    pin_memory: bool,
    timeout: float = 0,
) -> DataLoader:
    """Workers are kept over epochs; `loader.batch_sampler.epoch` says which comes next. `timeout`:
    seconds to wait for one of their batches; 0: for ever."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=collate,
        persistent_workers=num_workers > 0,
        timeout=timeout if num_workers > 0 else 0,
        worker_init_fn=_leave_signals_to_the_main_process,
        # of its own: the loader draws from it, and must not move the model's random state
        generator=torch.Generator(),
    )


def end_workers() -> None:
    """Of all loaders, at once: they may hang, and don't listen to a polite signal."""
    told = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch takes their end for an accident
    children = multiprocessing.active_children()
    workers = [child for child in children if isinstance(child, multiprocessing.Process)]
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    signal.signal(signal.SIGCHLD, told)


def collate(samples: list[Batch]) -> Batch:
    """One batch of the samples that have a clip, with the faults of all."""
    faults = tuple(fault for sample in samples for fault in sample.faults)
    read = [sample for sample in samples if sample.clip is not None]
    if not read:
        return Batch(None, None, torch.zeros(0, dtype=torch.int64), faults=faults)
    windows = None if read[0].windows is None else default_collate([s.windows for s in read])
    parts = (
        default_collate([getattr(s, name) for s in read]) for name in ("clip", "labels", "item")
    )
    return Batch(*parts, windows, faults)


def _leave_signals_to_the_main_process(worker: int) -> None:
    for number in STOPPING:  # a terminal and Slurm send them to every process
        signal.signal(number, signal.SIG_IGN)
