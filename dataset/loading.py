"""Batches of a data set, in an order that follows from (seed, mode, epoch)."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch.utils.data import DataLoader, Dataset

from dataset.workers import (
    AHEAD,
    Sending,
    collate,
    enough_files,
    leave_to_main_process,
    told_of_start,
    told_of_workers,
    warn_of_pipes,
)
from utils.runtime.processes import ALONE, Processes
from utils.samples import Batch, Samples
from utils.streams import stream


@dataclass
class EpochBatches:
    """The (epoch, index) keys of one rank's batches, in the order of an epoch.

    Each rank gets its part of every batch. Batches with fewer items than ranks, and all batches
    with `whole`, aren't divided: of `count` ranks, each gets every `count`-th batch. A rank's last
    batch may be empty, so that all ranks have the same number of batches.

    A last batch with fewer than `fewest` items is left out, and so are those after the first
    `most` batches. With `even`, a batch that can't be divided evenly loses its last items. `epoch`,
    and the number `done` of its batches to skip, are set before each pass.
    """

    length: int
    batch_size: int
    seed: int
    mode: str
    shuffle: bool
    fewest: int
    even: bool = False
    processes: Processes = ALONE
    whole: bool = False
    most: int | None = None
    epoch: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        self.divided = self.batch_size >= self.processes.count and not self.whole

    def __len__(self) -> int:
        return self.total if self.divided else -(-self.total // self.processes.count)

    @property
    def total(self) -> int:
        """The number of batches of all ranks, each batch counted once."""
        whole, rest = divmod(self.length, self.batch_size)
        batches = whole + (rest >= max(1, self.fewest))
        return batches if self.most is None else min(batches, self.most)

    def numbers(self) -> list[int]:
        """Return the place in the epoch of each batch that is still to come."""
        rank, count = self.processes.rank, self.processes.count
        steps = range(self.done, len(self))
        return [step if self.divided else step * count + rank for step in steps]

    def batches_of(self, epoch: int) -> list[list[int]]:
        """Return the indices of each batch of an epoch, before ranks share them."""
        order, size = list(range(self.length)), self.batch_size
        if self.shuffle:
            rng = stream(self.seed, "order", self.mode, epoch)
            order = rng.permutation(self.length).tolist()
        return [order[number * size : (number + 1) * size] for number in range(self.total)]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        batches = self.batches_of(self.epoch)
        rank, count = self.processes.rank, self.processes.count
        for number in self.numbers():
            indices = batches[number] if number < len(batches) else []
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
        self.num_workers = num_workers
        self.may_share = not num_workers or enough_files(num_workers)
        self._loader = DataLoader(
            cast("Dataset[Batch]", samples),
            batch_sampler=order,
            num_workers=num_workers,
            pin_memory=pin_memory,
            collate_fn=Sending(num_workers, self.may_share) if num_workers else collate,
            persistent_workers=num_workers > 0,
            prefetch_factor=AHEAD if num_workers else None,
            timeout=timeout if num_workers > 0 else 0,
            worker_init_fn=leave_to_main_process,
            # its own: the loader draws from it, and must not move the model's random state
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.order)

    def batches(self, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the epoch's numbered batches, without the first `done` ones.

        Raises RunError where workers can't be started, and LostWorkerError for one that is lost.
        """
        self.order.epoch, self.order.done = epoch, done
        for batch, number in zip(self._received(), self.order.numbers(), strict=True):
            yield batch._replace(number=number)

    def batches_of(self, epoch: int) -> list[list[int]]:
        """Return the indices of each batch of an epoch, of all ranks."""
        return self.order.batches_of(epoch)

    def _received(self) -> Iterator[Batch]:
        if not self.num_workers:
            yield from self._loader
            return
        with told_of_start(self.num_workers):
            batches = iter(self._loader)
        while True:
            with told_of_workers():
                sent = next(batches, None)
            if sent is None:
                return
            if isinstance(sent, bytes):
                warn_of_pipes(self.may_share)
                sent = pickle.loads(sent)
            yield sent
