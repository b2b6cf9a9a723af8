"""Augmentation of whole clips as uint8 images `[M, C, H, W]`: parameters are drawn, then applied.

A `Preset` says what a mode does; its `draw` takes every random decision for one clip, its
`geometry` and `colour` apply them. Each gives and takes uint8 arrays.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

CROP = 224  # pixels, the side of every crop of a fixed size
CROP_AREA = (0.5, 1.0)  # share of the image that a random sized crop covers
CROP_ASPECT = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


class Box(NamedTuple):
    top: int
    left: int
    height: int
    width: int


class Jitter(NamedTuple):
    """How far each factor may go, ± around 1 (hue: around 0, in turns of the colour circle), with
    probability `p`; drawn for each image, or once for all of a clip."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    p: float
    per_image: bool


class Draw(NamedTuple):
    """The random decisions for one clip. `factors` [K, 4] and the `order` [K, 4] in which they are
    applied, K = M images or 1 for all; None without jitter."""

    box: Box | None
    factors: np.ndarray | None
    order: np.ndarray | None


@dataclass(frozen=True)
class Preset:
    """`crop_p`: the chance of a random sized crop rather than a centre one; None: no crop."""

    img_dim: int
    bilinear: bool = False  # the last resize; nearest neighbour otherwise, as in the published code
    crop_p: float | None = None
    jitter: Jitter | None = None

    @property
    def only_picks_pixels(self) -> bool:
        """Whether the geometry keeps a fixed set of pixels, `nearest_pixels` each way."""
        return self.crop_p is None and not self.bilinear

    def draw(self, rng: np.random.Generator, num_images: int, height: int, width: int) -> Draw:
        box = None
        if self.crop_p is not None:
            random_sized = rng.random() < self.crop_p
            box = (
                random_sized_box(rng, height, width) if random_sized else centre_box(height, width)
            )
        if self.jitter is None or rng.random() >= self.jitter.p:
            return Draw(box, None, None)
        count = num_images if self.jitter.per_image else 1
        reach = np.array(self.jitter[:4])
        middle = np.array([1, 1, 1, 0])
        factors = rng.uniform(middle - reach, middle + reach, (count, 4))
        return Draw(box, factors, rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1))

    def geometry(self, images: np.ndarray, draw: Draw) -> np.ndarray:
        if draw.box is not None:
            top, left, height, width = draw.box
            images = images[:, :, top : top + height, left : left + width]
            images = resize_bilinear(images, CROP)
        if self.bilinear:
            return resize_bilinear(images, self.img_dim)
        rows = nearest_pixels(images.shape[2], self.img_dim)
        columns = nearest_pixels(images.shape[3], self.img_dim)
        return images[:, :, rows[:, None], columns]

    def colour(self, images: np.ndarray, draw: Draw) -> np.ndarray:
        return images if draw.factors is None else jitter_gray(images, draw.factors, draw.order)


def nearest_pixels(size: int, new_size: int) -> np.ndarray:
    """The rows (or columns) that survive a nearest-neighbour resize: PIL's, but for exact ties."""
    return np.floor((np.arange(new_size) + 0.5) * size / new_size).astype(np.int64)


def resize_bilinear(images: np.ndarray, side: int) -> np.ndarray:
    """To `side` × `side`, smoothed where it shrinks, as PIL does."""
    if images.shape[2:] == (side, side):
        return images
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    return functional.interpolate(tensor, (side, side), mode="bilinear", antialias=True).numpy()


def random_sized_box(rng: np.random.Generator, height: int, width: int) -> Box:
    """A box of random area and aspect (swapped half of the time); the centre if none fits."""
    for _ in range(CROP_ATTEMPTS):
        area = rng.uniform(*CROP_AREA) * height * width
        aspect = rng.uniform(*CROP_ASPECT)
        box_height, box_width = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if rng.random() < 0.5:
            box_height, box_width = box_width, box_height
        if box_height <= height and box_width <= width:
            top = rng.integers(height - box_height + 1)
            left = rng.integers(width - box_width + 1)
            return Box(int(top), int(left), box_height, box_width)
    side = min(height, width)
    return Box((height - side) // 2, (width - side) // 2, side, side)


def centre_box(height: int, width: int) -> Box:
    return Box(round((height - CROP) / 2), round((width - CROP) / 2), CROP, CROP)


def jitter_gray(images: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Colour jitter of images `[M, 1, H, W]` whose colour channels are equal.

    Saturation and hue leave a gray pixel as it is, so brightness and contrast, in their order, are
    all of it. Values are truncated after each step.
    """
    images = images.astype(np.float32)
    steps = np.argsort(order, axis=1)  # when each operation comes
    first = np.where(steps[:, BRIGHTNESS] < steps[:, CONTRAST], BRIGHTNESS, CONTRAST)
    second = np.where(first == BRIGHTNESS, CONTRAST, BRIGHTNESS)
    for operation in (first, second):
        factor = factors[np.arange(len(factors)), operation][:, None, None, None]
        # brightness fades from black, contrast from the image's mean gray
        mean = np.floor(images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64) + 0.5)
        origin = np.where((operation == CONTRAST)[:, None, None, None], mean, 0)
        images = np.floor(np.clip(origin + factor * (images - origin), 0, 255))
    return images.astype(np.uint8)


def gabor_preset(model: str, mode: str, *, img_dim: int, augment: bool, bilinear: bool) -> Preset:
    """What the Gabors of a mode (train, val, test) go through; they are never flipped."""
    plain = Preset(img_dim, bilinear)
    if not augment:
        return plain
    if model == "dpc-rnn":
        return Preset(img_dim, bilinear, jitter=Jitter(0.5, 0.5, 0.5, 0.25, p=1, per_image=True))
    strong = Jitter(0.5, 0.5, 0.5, 0.25, p=0.3, per_image=False)
    weak = Jitter(0.2, 0.2, 0.2, 0.1, p=0.3, per_image=False)
    return {
        "train": Preset(img_dim, bilinear, crop_p=1, jitter=strong),
        "val": Preset(img_dim, bilinear, crop_p=0.3, jitter=weak),
        "test": Preset(img_dim, bilinear, crop_p=0),
    }[mode]
