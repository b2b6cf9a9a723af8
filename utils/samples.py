"""What a dataset hands to the loop, and the loop to the model."""

from typing import NamedTuple

from torch import Tensor


class Fault(NamedTuple):
    """A file of an item's clip that can't be read."""

    item: int
    path: str
    reason: str


class Batch(NamedTuple):
    """B clips as they come from the workers; one sample of a dataset is the same without B.

    `clip`: uint8 `[B, N, C, L, H, W]`, with L = 1 where every frame of a block is the same image;
    None where no clip could be read. `labels`: `[B, N, L, 2]` (class, is_U) of each frame, L =
    seq_len throughout. `item`: `[B]` index into the dataset. `windows`: `[B, W, num_seq_in]`, where
    N are the blocks of a whole video, which of them make each window. `faults`: what could not be
    read on the way.
    """

    clip: Tensor | None
    labels: Tensor | None
    item: Tensor
    windows: Tensor | None = None
    faults: tuple[Fault, ...] = ()

    def to(self, device) -> "Batch":
        parts = (
            part.to(device, non_blocking=True) if isinstance(part, Tensor) else part
            for part in self
        )
        return Batch(*parts)


class ClassInfo(NamedTuple):
    """A class of a dataset; `orientation` in degrees, None for classes that have none.

    `image` groups classes in the pictures: the image type of Gabors, else the name itself.
    """

    name: str
    image: str
    orientation: float | None

    def shown(self, is_U: bool) -> str:
        """The image type behind the class: D or U for the shared class D/U."""
        images = self.image.split("/")
        return images[-1] if is_U else images[0]
