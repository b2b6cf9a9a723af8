"""Augmentation applied to drawn stimuli, gray images uint8 `[M, 1, H, W]`; each function gives and
takes uint8 arrays.
"""

import numpy as np
import torch
from torch.nn import functional

from dataset.augmentation import BRIGHTNESS, CONTRAST, Draw, Preset


def nearest_pixels(size: int, new_size: int) -> np.ndarray:
    """The rows (or columns) that survive a nearest-neighbour resize: PIL's, but for exact ties."""
    return np.floor((np.arange(new_size) + 0.5) * size / new_size).astype(np.int64)


def only_picks_pixels(preset: Preset) -> bool:
    """Whether the geometry keeps a fixed set of pixels, `nearest_pixels` each way."""
    return preset.crop is None and not preset.bilinear


def geometry(images: np.ndarray, preset: Preset, draw: Draw) -> np.ndarray:
    if draw.box is not None:
        top, left, height, width = draw.box
        images = images[:, :, top : top + height, left : left + width]
        images = resize_bilinear(images, preset.crop.side)
    if preset.bilinear:
        return resize_bilinear(images, preset.img_dim)
    rows = nearest_pixels(images.shape[2], preset.img_dim)
    columns = nearest_pixels(images.shape[3], preset.img_dim)
    return images[:, :, rows[:, None], columns]


def colour(images: np.ndarray, draw: Draw) -> np.ndarray:
    return images if draw.factors is None else jitter_gray(images, draw.factors, draw.order)


def resize_bilinear(images: np.ndarray, side: int) -> np.ndarray:
    """To `side` × `side`, smoothed where it shrinks, as PIL does."""
    if images.shape[2:] == (side, side):
        return images
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    return functional.interpolate(tensor, (side, side), mode="bilinear", antialias=True).numpy()


def jitter_gray(images: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Colour jitter of images whose colour channels are equal.

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
