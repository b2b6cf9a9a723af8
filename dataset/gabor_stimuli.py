"""Gabor stimuli: their designs, layouts, orientations and drawing (after Gillon et al. 2021).

`dpc` is the design that the DPC-with-Gabors experiments train on, `gillon2021` that of the stimuli
shown in the neuroscience experiment. A design is a value in `DESIGNS`; no code depends on its name.

An envelope with equal widths is the product of a row and a column factor, and the carrier is the
real part of e^(i·kx·dx)·e^(i·ky·dy). So a patch is a sum of two outer products, and the sum of all
G patches of an image is one matrix product, `[H, 2G] @ [2G, W]`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from utils.runtime.precision import single_thread

CANVAS = 256  # pixels of a side
FIELD_DEG = 120  # degrees of visual field that a side covers
SIZE_PER_NOMINAL = 3 / (2 * np.sqrt(2 * np.log(2)))  # size in pixels per nominal pixel
SIGMAS_PER_SIZE = 6
PHASE = 0.25  # cycles: the carrier is a sine, bright on the side that the orientation points to
JITTER_KAPPA = 16  # 1/0.25², a circular standard deviation of 14.6°
# the highest value of one `dpc` patch, whose wavelength is 6σ: max over x of exp(-x²/2)·sin(2πx/6)
PATCH_PEAK = (lambda x: np.max(np.exp(-(x**2) / 2) * np.sin(2 * np.pi * x / SIGMAS_PER_SIZE)))(
    np.linspace(0, 3, 300_001)
)


class Layout(NamedTuple):
    """The G patches of an image type.

    `centres` `[G, 2]` are in pixels of the canvas (row, column), `sizes` `[G]` in degrees.
    """

    centres: np.ndarray
    sizes: np.ndarray


class Patches(NamedTuple):
    """The G patches of each of M images.

    `centres` `[M, G, 2]` and `sigmas` `[M, G]` are in pixels, `frequencies` `[M, G]` in cycles per
    pixel, `angles` `[M, G]` in radians. A patch with a NaN angle is not drawn.
    """

    centres: np.ndarray
    sigmas: np.ndarray
    frequencies: np.ndarray
    angles: np.ndarray


ElementWise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Design:
    """All that sets one kind of Gabor stimuli apart from another."""

    orientations: tuple[int, ...]  # mean orientations in degrees
    nominal_sizes: tuple[float, float]  # degrees, the ends of a uniform distribution
    centre_range: tuple[float, float]  # where centres may lie, as shares of the side
    place: ElementWise  # puts centres onto the pixel grid
    to_pixels: ElementWise  # turns sizes into whole pixels
    cycles_per_deg: float | None  # None: one cycle per size
    compose: Callable[[Patches, np.ndarray, np.ndarray], np.ndarray]
    """Combines the patches of each image at some rows and columns; returns `[M, rows, columns]`."""
    quantise: ElementWise  # turns these intensities into 0..255, float
    background: int  # gray level
    own_U_layout: bool  # U always has positions and sizes of its own
    runs: tuple[tuple[int, int], tuple[int, int]] | None
    """(fewest, most) sequences in a run of expected and in one of unexpected ones, which alternate
    in a session that goes on from clip to clip. None: each D becomes U independently."""


def draw_layout(rng: np.random.Generator, num_gabors: int, design: Design) -> Layout:
    """Draw the positions and sizes of an image type's patches."""
    low, high = design.centre_range
    centres = rng.uniform(low * CANVAS, high * CANVAS, (num_gabors, 2))
    return Layout(centres, rng.uniform(*design.nominal_sizes, num_gabors))


def draw_jitter(rng: np.random.Generator, num_images: int, num_gabors: int) -> np.ndarray:
    """Draw each patch's rotation from its image's mean orientation, in degrees `[M, G]`."""
    return np.degrees(rng.vonmises(0, JITTER_KAPPA, (num_images, num_gabors)))


def place_patches(
    centres: np.ndarray,
    sizes: np.ndarray,
    orientations: np.ndarray,
    *,
    design: Design,
    deg_per_pix: float = FIELD_DEG / CANVAS,
) -> Patches:
    """Return the patches as they are drawn: in whole sizes and where the design places centres.

    The arguments are those of `draw_images`.
    """
    nominal_pixels = np.asarray(sizes, np.float64) / deg_per_pix
    pixels = design.to_pixels(SIZE_PER_NOMINAL * nominal_pixels)
    frequencies = 1 / pixels
    if design.cycles_per_deg is not None:
        frequencies[:] = design.cycles_per_deg * deg_per_pix
    places = design.place(np.asarray(centres, np.float64))
    return Patches(places, pixels / SIGMAS_PER_SIZE, frequencies, np.radians(orientations))


def draw_images(
    centres: np.ndarray,
    sizes: np.ndarray,
    orientations: np.ndarray,
    *,
    design: Design,
    height: int = CANVAS,
    width: int = CANVAS,
    deg_per_pix: float = FIELD_DEG / CANVAS,
    rows: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> np.ndarray:
    """Return M images of G patches, uint8 `[M, height, width]`, or `[M, len(rows), len(columns)]`.

    `centres` `[M, G, 2]` are in pixels (row, column), `sizes` `[M, G]` are nominal ones in degrees,
    `orientations` `[M, G]` are in degrees: 0 has vertical bars and is bright on the right; growing
    angles turn clockwise on the screen. An image whose orientations are all NaN is gray. Only the
    pixels in `rows` and `columns`, which ascend, are computed.
    """
    rows = np.arange(height) if rows is None else np.asarray(rows)
    columns = np.arange(width) if columns is None else np.asarray(columns)
    orientations = np.asarray(orientations, dtype=np.float64)
    images = np.full((len(orientations), len(rows), len(columns)), design.background, np.uint8)
    drawn = ~np.isnan(orientations).all(axis=1)
    if drawn.any():
        patches = place_patches(
            np.asarray(centres)[drawn],
            np.asarray(sizes)[drawn],
            orientations[drawn],
            design=design,
            deg_per_pix=deg_per_pix,
        )
        images[drawn] = design.quantise(design.compose(patches, rows, columns))
    return images


# ------------------------------------------------------------------ composing


class _Factors(NamedTuple):
    """Envelope and carrier of each patch along one axis, float32 `[M, G, n]`."""

    envelope: np.ndarray
    cos: np.ndarray
    sin: np.ndarray


def _axes(patches: Patches, rows: np.ndarray, columns: np.ndarray) -> tuple[_Factors, _Factors]:
    """Return the row and column factors; `rows` and `columns` are `[n]`, or `[M, G, n]` of each."""
    centres, sigmas, frequencies, angles = patches
    scale = (np.sqrt(0.5) / sigmas).astype(np.float32)[..., None]
    waves = 2 * np.pi * frequencies  # radians per pixel

    def factors(pixels: np.ndarray, axis: int, wave: np.ndarray, phase: float) -> _Factors:
        offsets = (pixels - centres[..., axis, None]).astype(np.float32)
        angle = offsets * wave.astype(np.float32)[..., None] - np.float32(phase)
        return _Factors(np.exp(-((offsets * scale) ** 2)), np.cos(angle), np.sin(angle))

    down = factors(rows, 0, waves * np.sin(angles), 0.0)
    return down, factors(columns, 1, waves * np.cos(angles), 2 * np.pi * PHASE)


def _add_and_clip(patches: Patches, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Add up the patches, and clip the sum to the range of a single one; `[M, rows, columns]`."""
    there = ~np.isnan(patches.angles)
    down, right = _axes(patches._replace(angles=np.where(there, patches.angles, 0)), rows, columns)
    envelope = down.envelope * there[..., None].astype(np.float32)
    # cos(right + down) = cos·cos - sin·sin
    left = np.concatenate([envelope * down.cos, -envelope * down.sin], axis=1)  # [M, 2G, rows]
    top = np.concatenate([right.envelope * right.cos, right.envelope * right.sin], axis=1)
    with single_thread():  # the order of a sum depends on the number of threads
        total = torch.bmm(torch.from_numpy(left).transpose(1, 2), torch.from_numpy(top))
    return total.clamp_(-PATCH_PEAK, PATCH_PEAK).numpy()


def _paint_over(patches: Patches, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Paint the patches in order, each cut to its rotated square; `[M, rows, columns]`."""
    reach = SIGMAS_PER_SIZE / 2 * patches.sigmas  # half a side of the rotated square
    cosine, sine = np.cos(patches.angles), np.sin(patches.angles)
    half = reach * (np.abs(cosine) + np.abs(sine))  # half a side of the box around it
    top, window_rows = _windows(rows, patches.centres[..., 0], half)
    left, window_columns = _windows(columns, patches.centres[..., 1], half)
    down, right = _axes(patches, window_rows, window_columns)
    dy = (window_rows - patches.centres[..., 0, None])[..., :, None]  # [M, G, h, 1]
    dx = (window_columns - patches.centres[..., 1, None])[..., None, :]  # [M, G, 1, w]
    u = dx * cosine[..., None, None] + dy * sine[..., None, None]  # [M, G, h, w]
    v = dy * cosine[..., None, None] - dx * sine[..., None, None]
    inside = np.maximum(np.abs(u), np.abs(v)) <= reach[..., None, None]  # never with NaN
    envelope = np.where(inside, down.envelope[..., :, None] * right.envelope[..., None, :], 0)
    carrier = right.cos[..., None, :] * down.cos[..., :, None]
    carrier -= right.sin[..., None, :] * down.sin[..., :, None]
    painted = np.where(inside, envelope * carrier, 0)
    shown = 1 - envelope

    images = np.zeros((len(patches.sigmas), len(rows), len(columns)), np.float32)
    h, w = painted.shape[2:]
    for m, g in np.ndindex(top.shape):
        window = images[m, top[m, g] : top[m, g] + h, left[m, g] : left[m, g] + w]
        window *= shown[m, g]
        window += painted[m, g]
    return images


def _windows(
    pixels: np.ndarray, centres: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels within `half` of each patch's centre, along one axis.

    The result is the index of each patch's first pixel, `[M, G]`, and its pixels, `[M, G, n]`. All
    patches get the same number n.
    """
    first = np.searchsorted(pixels, centres - half)
    last = np.searchsorted(pixels, centres + half, side="right")
    count = int((last - first).max())
    first = np.clip(first, 0, len(pixels) - count)
    return first, pixels[first[..., None] + np.arange(count)]


# ------------------------------------------------------------------ to 8 bit


def _stretch(intensities: np.ndarray) -> np.ndarray:
    """Scale each image so that 1.1 times its largest absolute value fills the range."""
    peak = 1.1 * np.maximum(intensities.max(axis=(1, 2)), -intensities.min(axis=(1, 2)))
    gain = np.divide(127.5, peak, out=np.zeros_like(peak), where=peak > 0)
    levels = intensities * gain[:, None, None].astype(np.float32)
    levels += np.float32(127.5)
    return levels


def _fixed_range(intensities: np.ndarray) -> np.ndarray:
    return np.rint(127.5 * (1 + intensities))


def _unchanged(values: np.ndarray) -> np.ndarray:
    return values


DESIGNS = {
    "dpc": Design(
        orientations=(0, 45, 90, 135, 180, 225, 270, 315),
        nominal_sizes=(10, 20),
        centre_range=(0.05, 0.95),
        place=np.floor,
        to_pixels=np.floor,
        cycles_per_deg=None,
        compose=_add_and_clip,
        quantise=_stretch,
        background=127,
        own_U_layout=False,
        runs=None,
    ),
    "gillon2021": Design(
        orientations=(0, 45, 90, 135),
        nominal_sizes=(10, 20),
        centre_range=(0, 1),
        place=_unchanged,
        to_pixels=np.rint,
        cycles_per_deg=0.04,
        compose=_paint_over,
        quantise=_fixed_range,
        background=128,
        own_U_layout=True,
        runs=((20, 60), (2, 4)),
    ),
}
