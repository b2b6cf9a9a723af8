"""Augmentation, as drawn: what a clip goes through follows from a `Preset` and a random stream.

Applied by `gray_pixels` to drawn stimuli and by `video_pixels` to frames of videos.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.config.flags import Config

CROP = 224  # pixels, the side of every crop of a fixed size
CROP_AREA = (0.5, 1.0)  # share of the image that a random sized crop covers
CROP_ASPECT = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
IN_COLOUR = -1  # in place of a colour channel


class Box(NamedTuple):
    top: int
    left: int
    height: int
    width: int


class Crop(NamedTuple):
    """With probability `sized_p` a box of random size, scaled to `side` pixels, else a box of
    `side` pixels, centred or anywhere."""

    side: int
    sized_p: float
    centred: bool = True

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Box:
        if self.sized_p and rng.random() < self.sized_p:
            return random_sized_box(rng, height, width)
        if self.centred:
            return centre_box(height, width, self.side)
        top, left = rng.integers((height - self.side + 1, width - self.side + 1)).tolist()
        return Box(top, left, self.side, self.side)


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
    """The random decisions for one clip of M images, applied in this order.

    `box`: the part that is kept. `flip`: whether it is mirrored left to right. `channel` `[M]`: the
    colour channel (red green blue) that stands for all three, or IN_COLOUR; None for all in colour.
    `factors` `[K, 4]` and the `order` `[K, 4]` in which they are applied, K = M or 1 for all; None
    without jitter.
    """

    box: Box | None = None
    flip: bool = False
    channel: np.ndarray | None = None
    factors: np.ndarray | None = None
    order: np.ndarray | None = None


@dataclass(frozen=True)
class Preset:
    """`gray_p`: the chance of each image to lose its colour."""

    img_dim: int
    bilinear: bool = False  # the last resize; nearest neighbour otherwise, as in the published code
    crop: Crop | None = None
    flip_p: float = 0
    gray_p: float = 0
    jitter: Jitter | None = None

    def enlarged(self, height: int, width: int) -> tuple[int, int]:
        """The size of images that are smaller than a crop, which has to fit: the shorter side is
        the crop's. Larger ones, and those that are only cut into boxes of random size, stay."""
        shorter = min(height, width)
        if self.crop is None or self.crop.sized_p == 1 or shorter >= self.crop.side:
            return height, width
        scale = self.crop.side / shorter
        return round(height * scale), round(width * scale)

    def draw(self, rng: np.random.Generator, num_images: int, height: int, width: int) -> Draw:
        """For images of this size, once enlarged."""
        box = self.crop.draw(rng, height, width) if self.crop else None
        flip = bool(self.flip_p and rng.random() < self.flip_p)
        channel = None
        if self.gray_p:
            channel = rng.integers(3, size=num_images)
            channel[rng.random(num_images) >= self.gray_p] = IN_COLOUR
        if self.jitter is None or rng.random() >= self.jitter.p:
            return Draw(box, flip, channel)
        count = num_images if self.jitter.per_image else 1
        reach = np.array(self.jitter[:4])
        middle = np.array([1, 1, 1, 0])
        factors = rng.uniform(middle - reach, middle + reach, (count, 4))
        order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
        return Draw(box, flip, channel, factors, order)


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


def centre_box(height: int, width: int, side: int) -> Box:
    return Box(round((height - side) / 2), round((width - side) / 2), side, side)


# ------------------------------------------------------------------ what each mode goes through

DPC_JITTER = Jitter(0.5, 0.5, 0.5, 0.25, p=1, per_image=True)


def dpc_fixed_crop(img_dim: int, bilinear: bool) -> Preset:
    """UCF101 and HMDB51 in dpc-rnn: a part of 224 pixels, and colours anew for every frame, so that
    they tell nothing of what comes next."""
    crop = Crop(CROP, sized_p=0, centred=False)
    return Preset(img_dim, bilinear, crop, flip_p=0.5, gray_p=0.5, jitter=DPC_JITTER)


def dpc_sized_crop(img_dim: int, bilinear: bool) -> Preset:
    """Kinetics400 in dpc-rnn: a part of random size, and colours as above."""
    crop = Crop(img_dim, sized_p=1)
    return Preset(img_dim, bilinear, crop, flip_p=0.5, gray_p=0.5, jitter=DPC_JITTER)


def dpc_crop_only(img_dim: int, bilinear: bool) -> Preset:
    """MouseSim in dpc-rnn."""
    return Preset(img_dim, bilinear, Crop(CROP, sized_p=0, centred=False))


def dpc_jitter_only(img_dim: int, bilinear: bool) -> Preset:
    """Gabors in dpc-rnn."""
    return Preset(img_dim, bilinear, jitter=DPC_JITTER)


def classifier(mode: str, img_dim: int, bilinear: bool, flip: bool) -> Preset:
    """Any dataset in lc-rnn; Gabors are never flipped."""
    strong = Jitter(0.5, 0.5, 0.5, 0.25, p=0.3, per_image=False)
    weak = Jitter(0.2, 0.2, 0.2, 0.1, p=0.3, per_image=False)
    flip_p = 0.5 if flip else 0
    return {
        "train": Preset(img_dim, bilinear, Crop(CROP, 1), flip_p, jitter=strong),
        "val": Preset(img_dim, bilinear, Crop(CROP, 0.3), flip_p, jitter=weak),
        "test": Preset(img_dim, bilinear, Crop(CROP, 0)),
    }[mode]


def preset_of(
    config: Config, mode: str, dpc_preset: Callable[[int, bool], Preset], flip: bool = True
) -> Preset:
    """Of a dataset with this preset in dpc-rnn, for training and validation alike."""
    bilinear = config.resize == "bilinear"
    if config.no_augm:
        return Preset(config.img_dim, bilinear)
    if config.is_dpc:
        return dpc_preset(config.img_dim, bilinear)
    return classifier(mode, config.img_dim, bilinear, flip)
