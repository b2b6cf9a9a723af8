"""Augmentation applied to frames of videos, uint8 `[H, W, 3]` in OpenCV's order: blue green red.

An image that keeps one colour channel goes on as `[D, D]`.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch.nn import functional

from dataset.augmentation import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    IN_COLOUR,
    SATURATION,
    Box,
    Draw,
    Preset,
)
from dataset.gray_pixels import nearest_pixels

LUMA = np.array([0.114, 0.587, 0.299])  # of blue green red (ITU-R 601)
# OpenCV rounds, PIL cuts off; x − CUT rounded is x cut off
CUT = 0.499
LEVELS = np.arange(256)


def augment_clip(frames: Iterable[np.ndarray], preset: Preset, draw: Draw, N: int) -> torch.Tensor:
    """Frames of equal size, in order, as a clip `[N, C, L, H, W]`, red green blue."""
    geometry = None
    images = []
    for m, frame in enumerate(frames):
        if geometry is None:
            geometry = Geometry(preset, draw, *frame.shape[:2])
        image = geometry(frame)
        if draw.channel is not None and draw.channel[m] != IN_COLOUR:
            image = image[..., 2 - draw.channel[m]]
        if draw.factors is not None:
            k = m if len(draw.factors) > 1 else 0
            image = jitter(image, draw.factors[k], draw.order[k])
        images.append(image)
    return stacked(images, N)


def stacked(images: list[np.ndarray], N: int) -> torch.Tensor:
    """M = N·L images `[D, D, 3]` or `[D, D]` → `[N, 3, L, D, D]`."""
    L, (height, width) = len(images) // N, images[0].shape[:2]
    clip = np.empty((N, 3, L, height, width), np.uint8)
    for m, image in enumerate(images):
        red, green, blue = clip[m // L, :, m % L]
        if image.ndim == 2:
            red[:], green[:], blue[:] = image, image, image
        else:
            cv2.split(image, [blue, green, red])
    return torch.from_numpy(clip)


class Geometry:
    """Enlarging, crop, resize and flip, one and the same for all frames of a clip."""

    def __init__(self, preset: Preset, draw: Draw, height: int, width: int):
        self.enlarged = preset.enlarged(height, width)
        self.box = draw.box or Box(0, 0, *self.enlarged)
        self.sides = []  # of the bilinear resizes, one after the other
        if draw.box and draw.box[2:] != (preset.crop.side, preset.crop.side):
            self.sides.append(preset.crop.side)
        if preset.bilinear:
            self.sides.append(preset.img_dim)
        # what a nearest-neighbour resize keeps of the last one, or of the box
        before = (self.sides[-1],) * 2 if self.sides else self.box[2:]
        self.rows, self.columns = (nearest_pixels(size, preset.img_dim) for size in before)
        if draw.flip:
            self.columns = self.columns[::-1]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """→ `[img_dim, img_dim, 3]`."""
        if image.shape[:2] != self.enlarged:
            image = cv2.resize(image, self.enlarged[::-1], interpolation=cv2.INTER_LINEAR)
        top, left, height, width = self.box
        if not self.sides:
            return pick(image, top + self.rows, left + self.columns)
        image = image[top : top + height, left : left + width]
        *first, last = self.sides
        for side in first:
            image = resize_bilinear(image, side, slice(None), slice(None))
        return resize_bilinear(image, last, self.rows, self.columns)


def pick(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    places = rows[:, None] * image.shape[1] + columns
    # with a fourth byte a pixel is one number, twice as quick to take
    whole = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).reshape(-1).view(np.uint32)
    picked = whole.take(places).view(np.uint8).reshape(*places.shape, 4)
    return cv2.cvtColor(picked, cv2.COLOR_BGRA2BGR)


Kept = np.ndarray | slice


def resize_bilinear(image: np.ndarray, side: int, rows: Kept, columns: Kept) -> np.ndarray:
    """To `side` × `side`, smoothed where it shrinks, as PIL does; of that, some rows and columns.

    First one way, then the other, in PIL's order: what is not kept of the first is not computed in
    the second.
    """
    image = cv2.transpose(resize_rows(cv2.transpose(image), side)[columns])
    return resize_rows(image, side)[rows]


def resize_rows(image: np.ndarray, number: int) -> np.ndarray:
    if len(image) == number:
        return image
    channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    resized = functional.interpolate(
        channels_last, (number, image.shape[1]), mode="bilinear", antialias=True
    )  # [1, 3, number, W]
    return resized[0].permute(1, 2, 0).numpy()


def jitter(image: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Brightness, contrast, saturation and hue by their `factors`, in `order`; each step gives
    whole gray levels. Saturation and hue leave `[H, W]`, which is gray, as it is."""
    for operation in order:
        if image.ndim == 3 or operation in (BRIGHTNESS, CONTRAST):
            image = OPERATIONS[operation](image, float(factors[operation]))
    return image


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=factor, beta=-CUT)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from, or towards, the image's mean gray."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    mean = int(cv2.mean(gray)[0] + 0.5)
    return cv2.addWeighted(image, factor, image, 0, (1 - factor) * mean - CUT)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Away from, or towards, each pixel's gray."""
    weights = factor * np.eye(3) + (1 - factor) * LUMA
    return cv2.transform(image, np.column_stack([weights, [-CUT] * 3]))


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """By a part of the colour circle, as PIL does it: hue and saturation are cut off to
    whole 255ths, and hues wrap around at 256 of them."""
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2HSV)  # 0..360, 0..1, 0..255
    hue = cv2.convertScaleAbs(cv2.extractChannel(hsv, 0), alpha=255 / 360, beta=-CUT)
    saturation = cv2.convertScaleAbs(cv2.extractChannel(hsv, 1), alpha=255, beta=-CUT)
    turned = (LEVELS + int(turn * 255)) % 256
    cv2.insertChannel(cv2.LUT(hue, (turned * (360 / 255)).astype(np.float32)), hsv, 0)
    cv2.insertChannel(cv2.LUT(saturation, (LEVELS / 255).astype(np.float32)), hsv, 1)
    return cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


OPERATIONS = {
    BRIGHTNESS: adjust_brightness,
    CONTRAST: adjust_contrast,
    SATURATION: adjust_saturation,
    HUE: adjust_hue,
}
