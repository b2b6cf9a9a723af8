"""Batches of a dataset, in an order that follows from (seed, mode, epoch)."""

import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from utils.batch import Batch
from utils.streams import stream


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Yields batches of (epoch, index), so that workers need not be told the epoch.

    A last batch with fewer than `fewest` items is left out.
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
    ):
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.mode = mode
        self.shuffle = shuffle
        self.fewest = fewest
        self.epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.length, self.batch_size)
        return whole + (rest >= max(1, self.fewest))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = range(self.length)
        if self.shuffle:
            rng = stream(self.seed, "order", self.mode, self.epoch)
            order = rng.permutation(self.length).tolist()
        for batch in range(len(self)):
            indices = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(self.epoch, index) for index in indices]


def make_loader(
    dataset: Dataset, batches: EpochBatches, *, num_workers: int, pin_memory: bool
) -> DataLoader:
    """Workers are kept over epochs; `loader.batch_sampler.epoch` says which comes next."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=collate,
        persistent_workers=num_workers > 0,
        worker_init_fn=_leave_interrupts_to_the_main_process,
        # of its own: the loader draws from it, and must not move the model's random state
        generator=torch.Generator(),
    )


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


def _leave_interrupts_to_the_main_process(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
