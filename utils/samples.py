"""What a data set hands to the training loop: samples, batches, classes, and the loader of them."""

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor


class Fault(NamedTuple):
    """An unreadable file among those of an item's clip."""

    item: int
    path: str
    reason: str


class Batch(NamedTuple):
    """B clips as the workers make them; a data set's sample is the same without the dimension B.

    `clip`: uint8 `[B, N, C, L, H, W]`, with L = 1 where all frames of a block are the same image;
    None where no clip could be read. `labels`: `[B, N, L, 2]`, (class, is_U) of each frame, with
    L = seq_len always. `item`: `[B]`, indices into the data set. `windows`: `[B, W, num_seq_in]`,
    for whole videos of N blocks the blocks of each window. `faults`: files that could not be read.
    `number`: the batch's place in the epoch, the same on all ranks that share it.
    """

    clip: Tensor | None
    labels: Tensor | None
    item: Tensor
    windows: Tensor | None = None
    faults: tuple[Fault, ...] = ()
    number: int = 0

    def to(self, device: torch.device) -> "Batch":
        """Copy the tensors to the device, without waiting for pinned ones."""

        def copy(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.to(device, non_blocking=True)

        return self._replace(
            clip=copy(self.clip),
            labels=copy(self.labels),
            item=self.item.to(device, non_blocking=True),
            windows=copy(self.windows),
        )


class ClassInfo(NamedTuple):
    """A class of a data set; `orientation` in degrees, None for classes without one.

    `image` groups the classes in pictures: the image type of Gabors, else the name itself.
    """

    name: str
    image: str
    orientation: float | None

    def shown(self, is_U: bool) -> str:
        """Return the image type that was shown: D or U for the shared class D/U."""
        images = self.image.split("/")
        return images[-1] if is_U else images[0]


class Samples(Protocol):
    """A data set as the loop and the records see it; indexed by (epoch, index)."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes, in the order of their indices."""

    @property
    def class_totals(self) -> list[int] | None:
        """The number of items of each class, too-short videos included; None if unknown."""

    @property
    def total(self) -> int:
        """The number of items, too-short videos included."""

    @property
    def whole_videos(self) -> bool:
        """Whether an item is a whole video with windows, rather than a clip."""

    @property
    def records_predictions(self) -> bool:
        """Whether each prediction gets a row in predictions.csv."""

    @property
    def landmark_epochs(self) -> Collection[int]:
        """The epochs whose checkpoints are kept for good."""

    def phase(self, epoch: int) -> str:
        """Return 'unexpected' if U images may appear in the epoch, else 'expected'."""

    def item_name(self, item: int) -> str:
        """Return the item's name for the records; empty for generated clips."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: tuple[int, int]) -> Batch: ...


@runtime_checkable
class Labelled(Protocol):
    """A data set that tells the labels of a clip's sample without making it."""

    def labels(self, epoch: int, index: int) -> np.ndarray:
        """Return (class, is_U) of each frame, `[N, L, 2]`."""


@runtime_checkable
class Pictured(Protocol):
    """A data set whose items can be shown in a picture."""

    def middle_frame(self, item: int, side: int) -> np.ndarray | None:
        """Return the central square of an item's middle frame, uint8 `[side, side, 3]`, RGB.

        None if it can't be read.
        """


class Loader(Protocol):
    """Batches of a data set for one rank; `len()` is the number of batches in a whole pass."""

    @property
    def samples(self) -> Samples:
        """The data set that the batches are made of."""

    def batches(self, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the epoch's numbered batches, without the first `done` ones."""

    def __len__(self) -> int: ...
