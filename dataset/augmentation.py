"""Augmentation as values: what happens to a clip follows from a `Preset` and a random stream.

`gray_pixels` applies it to drawn stimuli, `video_pixels` to frames of videos.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.config.described import info_of
from utils.config.flags import Config

CROP = 224  # pixels, the side of every crop of a fixed size
CROP_AREA = (0.5, 1.0)  # share of the image that a crop of random size covers
CROP_ASPECT = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
IN_COLOUR = -1  # in place of a colour channel


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class Crop(NamedTuple):
    """A cut to `side` × `side` pixels.

    With probability `sized_p`, a box of random size is cut out and resized; it covers a share of
    the image between the two of `area`. Otherwise a box of `side` pixels is cut out, at the centre
    or, without `centred`, anywhere.
    """

    side: int
    sized_p: float
    centred: bool = True
    area: tuple[float, float] = CROP_AREA

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Box:
        """Draw the box of a clip whose images have this size."""
        if self.sized_p and rng.random() < self.sized_p:
            return random_sized_box(rng, height, width, self.area)
        if self.centred:
            return self.fixed(height, width)[0]
        top, left = rng.integers((height - self.side + 1, width - self.side + 1)).tolist()
        return Box(top, left, self.side, self.side)

    def fixed(self, height: int, width: int) -> list[Box]:
        """Return the boxes of `side` pixels at the centre and in the four corners of an image."""
        bottom, right = height - self.side, width - self.side
        centre = round(bottom / 2), round(right / 2)
        places = (centre, (0, 0), (0, right), (bottom, 0), (bottom, right))
        return [Box(top, left, self.side, self.side) for top, left in places]


class Jitter(NamedTuple):
    """Colour jitter: each factor is drawn from 1 ± its range, or for hue from 0 ± its range.

    Hue is in turns of the colour circle. `p` is the probability of any jitter in a clip. With
    `per_image` each image has its own factors; otherwise all images of a clip share them.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    p: float
    per_image: bool


class Draw(NamedTuple):
    """The random decisions for a clip of M images, in the order in which they are applied.

    `box`: the part that is kept. `flip`: whether images are mirrored left to right. `channel`
    `[M]`: the colour channel (red, green, blue) that replaces all three, or IN_COLOUR; None if all
    images keep their colours. `factors` `[K, 4]`: those of the jitter, with K = M, or 1 for all
    images, and `order` `[K, 4]`: the order in which they are applied; None without jitter.
    `mirrored`, of crops in tests: whether images are mirrored before all of this.
    """

    box: Box | None = None
    flip: bool = False
    channel: np.ndarray | None = None
    factors: np.ndarray | None = None
    order: np.ndarray | None = None
    mirrored: bool = False


@dataclass(frozen=True)
class Preset:
    """An augmentation that ends with a resize to `img_dim` pixels.

    The resize takes nearest neighbours, as in the published code, unless it is `bilinear`.
    `flip_p` is the probability that a clip is mirrored, `gray_p` that an image loses its colours.
    """

    img_dim: int
    bilinear: bool = False
    crop: Crop | None = None
    flip_p: float = 0
    gray_p: float = 0
    jitter: Jitter | None = None

    def enlarged(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width to which images are enlarged before they are cropped.

        The shorter side becomes the crop's. Images that are larger keep their size, and so do those
        of which only boxes of random size are cut out.
        """
        shorter = min(height, width)
        if self.crop is None or self.crop.sized_p == 1 or shorter >= self.crop.side:
            return height, width
        scale = self.crop.side / shorter
        return round(height * scale), round(width * scale)

    def test_draws(self, crops: int, height: int, width: int) -> list[Draw]:
        """Return the decisions of a test of 1, 5 or 10 crops of (enlarged) images of this size.

        In order: the centre, four corners, and the same of the mirrored images.
        """
        if self.crop is None:
            return [Draw()]
        boxes = self.crop.fixed(height, width)
        both = [Draw(box, mirrored=mirrored) for mirrored in (False, True) for box in boxes]
        return both[:crops]

    def draw(self, rng: np.random.Generator, num_images: int, height: int, width: int) -> Draw:
        """Draw the decisions for a clip whose (enlarged) images have this size."""
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


def random_sized_box(
    rng: np.random.Generator, height: int, width: int, area: tuple[float, float] = CROP_AREA
) -> Box:
    """Draw a box of random aspect ratio, and of an area between two shares of the image's.

    The aspect ratio is inverted half of the time. If no drawn box fits, the largest square at the
    centre is returned.
    """
    for _ in range(CROP_ATTEMPTS):
        pixels = rng.uniform(*area) * height * width
        aspect = rng.uniform(*CROP_ASPECT)
        box_height, box_width = round(np.sqrt(pixels / aspect)), round(np.sqrt(pixels * aspect))
        if rng.random() < 0.5:
            box_height, box_width = box_width, box_height
        if box_height <= height and box_width <= width:
            top = rng.integers(height - box_height + 1)
            left = rng.integers(width - box_width + 1)
            return Box(int(top), int(left), box_height, box_width)
    side = min(height, width)
    return Box((height - side) // 2, (width - side) // 2, side, side)


# dpc-rnn's augmentations by name, in training and validation alike, from (img_dim, bilinear).
# Colours are drawn anew for every frame, so that they don't help to predict the next ones.
ANYWHERE = Crop(CROP, sized_p=0, centred=False)
DPC_JITTER = Jitter(0.5, 0.5, 0.5, 0.25, p=1, per_image=True)
DPC_PRESETS: dict[str, Callable[[int, bool], Preset]] = {
    "fixed crop": lambda size, bilinear: Preset(size, bilinear, ANYWHERE, 0.5, 0.5, DPC_JITTER),
    "sized crop": lambda size, bilinear: Preset(
        size, bilinear, Crop(size, sized_p=1), 0.5, 0.5, DPC_JITTER
    ),
    "crop only": lambda size, bilinear: Preset(size, bilinear, ANYWHERE),
    "jitter only": lambda size, bilinear: Preset(size, bilinear, jitter=DPC_JITTER),
}


LINEAR_AREA = (0.2, 1.0)
LINEAR_JITTER = Jitter(0.4, 0.4, 0.4, 0.1, p=0.3, per_image=False)


def lc_preset(mode: str, img_dim: int, bilinear: bool, flip: bool, linear: bool = False) -> Preset:
    """Return lc-rnn's augmentation for a mode (train, val or test).

    With `linear`, that of training is the one of published linear probes (CoCLR, Han et al. 2020):
    boxes of any area from a fifth of the image on, which are resized to `img_dim` at once.
    """
    strong = Jitter(0.5, 0.5, 0.5, 0.25, p=0.3, per_image=False)
    weak = Jitter(0.2, 0.2, 0.2, 0.1, p=0.3, per_image=False)
    flip_p = 0.5 if flip else 0
    if linear and mode == "train":
        crop = Crop(img_dim, 1, area=LINEAR_AREA)
        return Preset(img_dim, bilinear, crop, flip_p, jitter=LINEAR_JITTER)
    return {
        "train": Preset(img_dim, bilinear, Crop(CROP, 1), flip_p, jitter=strong),
        "val": Preset(img_dim, bilinear, Crop(CROP, 0.3), flip_p, jitter=weak),
        "test": Preset(img_dim, bilinear, Crop(CROP, 0)),
    }[mode]


def preset_of(config: Config, mode: str, flip: bool = True) -> Preset:
    """Return a run's augmentation for a mode; `flip` says whether lc-rnn may mirror the clips."""
    bilinear = config.resize == "bilinear"
    if config.no_augm:
        return Preset(config.img_dim, bilinear)
    if config.is_dpc and mode != "test":
        return DPC_PRESETS[info_of(config).dpc_preset](config.img_dim, bilinear)
    return lc_preset(mode, config.img_dim, bilinear, flip, linear=config.augm == "linear")
