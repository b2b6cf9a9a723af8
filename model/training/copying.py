"""Batches on their way to the device."""

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

import torch
from torch import Tensor

from utils.samples import Batch

Numbered = tuple[Batch, int]


def copied_ahead(batches: Iterable[Numbered], device: torch.device) -> Iterator[Numbered]:
    """The batches; a GPU gets the next one, from pinned memory and on a stream of its own, while it
    computes with the one in hand."""
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)

    def copy(batch: Batch, number: int) -> tuple[Batch, int, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            return batch.to(device), number, stream.record_event()

    copies = (copy(*numbered) for numbered in batches)
    # pairwise asks for the next before it hands out the one in hand
    for (batch, number, copied), _ in pairwise(chain(copies, [None])):
        computing = torch.cuda.current_stream(device)
        computing.wait_event(copied)
        for part in batch:
            if isinstance(part, Tensor):
                part.record_stream(computing)  # no one else's memory before that is done
        yield batch, number
