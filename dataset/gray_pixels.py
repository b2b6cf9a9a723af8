"""Augmentation applied to drawn stimuli: M gray images, uint8 `[M, 1, H, W]`, in and out."""

import numpy as np
import torch
from torch.nn import functional

from dataset.augmentation import BRIGHTNESS, CONTRAST, Draw, Preset


def nearest_pixels(size: int, new_size: int) -> np.ndarray:
    """Return the rows (or columns) that a nearest-neighbour resize keeps; PIL's, but for ties."""
    return np.floor((np.arange(new_size) + 0.5) * size / new_size).astype(np.int64)


def only_picks_pixels(preset: Preset) -> bool:
    """Return whether all of the geometry is to keep the `nearest_pixels` of rows and columns."""
    return preset.crop is None and not preset.bilinear


def geometry(images: np.ndarray, preset: Preset, draw: Draw) -> np.ndarray:
    """Crop and resize the images to `[M, 1, img_dim, img_dim]`."""
    if preset.crop is not None and draw.box is not None:
        top, left, height, width = draw.box
        images = images[:, :, top : top + height, left : left + width]
        images = resize_bilinear(images, preset.crop.side)
    if preset.bilinear:
        return resize_bilinear(images, preset.img_dim)
    rows = nearest_pixels(images.shape[2], preset.img_dim)
    columns = nearest_pixels(images.shape[3], preset.img_dim)
    return images[:, :, rows[:, None], columns]


def colour(images: np.ndarray, draw: Draw) -> np.ndarray:
    """Apply the colour jitter, if any was drawn."""
    if draw.factors is None or draw.order is None:
        return images
    return jitter_gray(images, draw.factors, draw.order)


def resize_bilinear(images: np.ndarray, side: int) -> np.ndarray:
    """Resize to `side` × `side`, smoothed where images shrink, as PIL does."""
    if images.shape[2:] == (side, side):
        return images
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    return functional.interpolate(tensor, (side, side), mode="bilinear", antialias=True).numpy()


def jitter_gray(images: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Apply the colour jitter to images whose colour channels are equal.

    Saturation and hue leave a gray pixel as it is, so only brightness and contrast are applied, in
    their order. Gray levels are truncated after each.
    """
    images = images.astype(np.float32)
    steps = np.argsort(order, axis=1)  # each operation's place in the order
    first = np.where(steps[:, BRIGHTNESS] < steps[:, CONTRAST], BRIGHTNESS, CONTRAST)
    second = np.where(first == BRIGHTNESS, CONTRAST, BRIGHTNESS)
    for operation in (first, second):
        factor = factors[np.arange(len(factors)), operation][:, None, None, None]
        # brightness scales from black, contrast from the image's mean gray level
        mean = np.floor(images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64) + 0.5)
        origin = np.where((operation == CONTRAST)[:, None, None, None], mean, 0)
        images = np.floor(np.clip(origin + factor * (images - origin), 0, 255))
    return images.astype(np.uint8)
