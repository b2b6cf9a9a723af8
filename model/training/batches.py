"""Batches on their way to the device."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from utils.samples import Batch


def copied_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield the batches on the device.

    A GPU gets the next batch, from pinned memory and on a stream of its own, while it computes
    with the one in hand.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)

    def copy(batch: Batch) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            return batch.to(device), stream.record_event()

    copies = map(copy, batches)
    ahead = next(copies, None)
    while ahead is not None:
        (batch, copied), ahead = ahead, next(copies, None)
        computing = torch.cuda.current_stream(device)
        computing.wait_event(copied)
        for part in batch:
            if isinstance(part, Tensor):
                part.record_stream(computing)  # its memory is free only when that is done
        yield batch
