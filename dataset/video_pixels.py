"""Augmentation applied to frames of videos, uint8 `[H, W, 3]` in OpenCV's order: blue green red.

An image that keeps a single colour channel goes on as `[H, W]`.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch
from torch.nn import functional

from dataset.augmentation import BRIGHTNESS, CONTRAST, IN_COLOUR, Box, Draw, Preset
from dataset.gray_pixels import nearest_pixels

LUMA = np.array([0.114, 0.587, 0.299])  # of blue green red (ITU-R 601)
# OpenCV rounds where PIL truncates: x − CUT, rounded, is x truncated
CUT = 0.499
LEVELS = np.arange(256)


def augment_clip(frames: Iterable[np.ndarray], preset: Preset, draw: Draw, N: int) -> torch.Tensor:
    """Return M = N·L frames of equal size, in order, as a clip `[N, C, L, H, W]` in RGB."""
    geometry = None
    images = []
    for m, frame in enumerate(frames):
        geometry = geometry or Geometry(preset, draw, *frame.shape[:2])
        image = geometry.apply(frame)
        if draw.channel is not None and draw.channel[m] != IN_COLOUR:
            image = image[..., 2 - draw.channel[m]]
        if draw.factors is not None and draw.order is not None:
            k = m if len(draw.factors) > 1 else 0
            image = jitter(image, draw.factors[k], draw.order[k])
        images.append(image)
    clip = np.empty((N, 3, len(images) // N, preset.img_dim, preset.img_dim), np.uint8)
    for m, image in enumerate(images):
        put(clip, m, image)
    return torch.from_numpy(clip)


def cut_crops(
    frames: Iterable[np.ndarray], preset: Preset, draws: Sequence[Draw], shape: tuple[int, int]
) -> torch.Tensor:
    """Return frames of equal size, in order, as a clip for each of `draws`, which change no colour.

    `shape` is (N, L). All blocks of the first clip come before those of the second, and so on:
    `[len(draws)·N, C, L, H, W]` in RGB.
    """
    N, L = shape
    clips = np.empty((len(draws), N, 3, L, preset.img_dim, preset.img_dim), np.uint8)
    geometries: list[Geometry] = []
    for m, frame in enumerate(frames):
        geometries = geometries or [Geometry(preset, draw, *frame.shape[:2]) for draw in draws]
        for clip, geometry in zip(clips, geometries, strict=True):
            put(clip, m, geometry.apply(frame))
    return torch.from_numpy(clips.reshape(-1, *clips.shape[2:]))


def put(clip: np.ndarray, m: int, image: np.ndarray) -> None:
    """Make an image the m-th of a clip `[N, C, L, H, W]`, in RGB."""
    L = clip.shape[2]
    red, green, blue = clip[m // L, :, m % L]
    if image.ndim == 2:
        red[:], green[:], blue[:] = image, image, image
    else:
        cv2.split(image, [blue, green, red])


class Geometry:
    """The enlarging, crop, resize and mirroring that all frames of a clip share."""

    def __init__(self, preset: Preset, draw: Draw, height: int, width: int):
        self.enlarged = preset.enlarged(height, width)
        self.box = draw.box or Box(0, 0, *self.enlarged)
        self.sides: list[int] = []  # of the bilinear resizes, in order
        if preset.crop and draw.box and draw.box[2:] != (preset.crop.side, preset.crop.side):
            self.sides.append(preset.crop.side)
        if preset.bilinear:
            self.sides.append(preset.img_dim)
        # the nearest-neighbour resize keeps these pixels of the last bilinear one, or of the box
        before = (self.sides[-1],) * 2 if self.sides else self.box[2:]
        self.rows, self.columns = (nearest_pixels(size, preset.img_dim) for size in before)
        if draw.flip:
            self.columns = self.columns[::-1]
        self.mirrored = draw.mirrored

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the image as `[img_dim, img_dim, 3]`."""
        if image.shape[:2] != self.enlarged:
            image = cv2.resize(image, self.enlarged[::-1], interpolation=cv2.INTER_LINEAR)
        if self.mirrored:
            image = cv2.flip(image, 1)
        top, left, height, width = self.box
        if not self.sides:
            return pick(image, top + self.rows, left + self.columns)
        image = image[top : top + height, left : left + width]
        *first, last = self.sides
        for side in first:
            image = resize_bilinear(image, side, slice(None), slice(None))
        return resize_bilinear(image, last, self.rows, self.columns)


def pick(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return `image[rows][:, columns]`.

    With a fourth byte a pixel is a single number, which is twice as fast to take.
    """
    places = rows[:, None] * image.shape[1] + columns
    whole = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).reshape(-1).view(np.uint32)
    picked = whole.take(places).view(np.uint8).reshape(*places.shape, 4)
    return cv2.cvtColor(picked, cv2.COLOR_BGRA2BGR)


Kept = np.ndarray | slice


def resize_bilinear(image: np.ndarray, side: int, rows: Kept, columns: Kept) -> np.ndarray:
    """Return some rows and columns of the image resized to `side` × `side`.

    As in PIL, it is smoothed where it shrinks, and its width is resized first. Columns that aren't
    kept are left out before its height is resized.
    """
    image = cv2.transpose(resize_rows(cv2.transpose(image), side)[columns])
    return resize_rows(image, side)[rows]


def resize_rows(image: np.ndarray, number: int) -> np.ndarray:
    """Resize an image `[H, W, 3]` to `[number, W, 3]`."""
    if len(image) == number:
        return image
    channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)  # [1, 3, H, W]
    resized = functional.interpolate(
        channels_last, (number, image.shape[1]), mode="bilinear", antialias=True
    )  # [1, 3, number, W]
    return resized[0].permute(1, 2, 0).numpy()


def jitter(image: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Apply brightness, contrast, saturation and hue by their `factors`, in `order`.

    Gray levels are whole numbers after each. A gray image, `[H, W]`, has no saturation or hue.
    """
    for operation in order:
        if image.ndim == 3 or operation in (BRIGHTNESS, CONTRAST):
            image = OPERATIONS[operation](image, float(factors[operation]))
    return image


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all values."""
    return cv2.convertScaleAbs(image, alpha=factor, beta=-CUT)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the differences from the image's mean gray level."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    mean = int(cv2.mean(gray)[0] + 0.5)
    return cv2.addWeighted(image, factor, image, 0, (1 - factor) * mean - CUT)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply each pixel's differences from its gray level."""
    weights = factor * np.eye(3) + (1 - factor) * LUMA
    return cv2.transform(image, np.column_stack([weights, [-CUT] * 3]))


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn hues by a part of the colour circle.

    As in PIL, hue and saturation are truncated to whole 255ths, and hues wrap around at 256.
    """
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2HSV)  # 0..360, 0..1, 0..255
    hue = cv2.convertScaleAbs(cv2.extractChannel(hsv, 0), alpha=255 / 360, beta=-CUT)
    saturation = cv2.convertScaleAbs(cv2.extractChannel(hsv, 1), alpha=255, beta=-CUT)
    turned = (LEVELS + int(turn * 255)) % 256
    cv2.insertChannel(cv2.LUT(hue, (turned * (360 / 255)).astype(np.float32)), hsv, 0)
    cv2.insertChannel(cv2.LUT(saturation, (LEVELS / 255).astype(np.float32)), hsv, 1)
    return cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


OPERATIONS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)  # as numbered
