"""Gabor stimuli: layouts, orientations and drawing, for both designs (after Gillon et al. 2021).

`dpc` is the variant that the DPC-with-Gabors experiments train on, `gillon2021` the stimuli as
shown in the neuroscience experiment. A design is a value of `DESIGNS`; nothing else asks which one
it is.

An envelope with equal widths splits into a row and a column factor, and the carrier is the real
part of e^(i·kx·dx)·e^(i·ky·dy). So a patch is a sum of two outer products, and all G patches of an
image that add up are one matrix product, [H, 2G] @ [2G, W].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from utils.runtime.device import single_thread

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
    """The patches of one image type: `centres` [G, 2] in canvas pixels (row, column), `sizes` [G]
    in degrees.
    """

    centres: np.ndarray
    sizes: np.ndarray


class Patches(NamedTuple):
    """M images of G patches: `centres` [M, G, 2] in pixels; `sigmas`, `frequencies` (cycles per
    pixel) and `angles` (radians) [M, G]. NaN angles mark patches that are not there."""

    centres: np.ndarray
    sigmas: np.ndarray
    frequencies: np.ndarray
    angles: np.ndarray


@dataclass(frozen=True)
class Design:
    orientations: tuple[int, ...]  # mean orientations in degrees
    nominal_sizes: tuple[float, float]  # degrees, the ends of a uniform distribution
    centre_range: tuple[float, float]  # share of the side within which centres lie
    place: Callable[[np.ndarray], np.ndarray]  # centres onto the pixel grid
    to_pixels: Callable[[np.ndarray], np.ndarray]  # sizes onto whole pixels
    cycles_per_deg: float | None  # None: one cycle per size
    compose: Callable[[Patches, np.ndarray, np.ndarray], np.ndarray]  # → intensities [M, R, C]
    quantise: Callable[[np.ndarray], np.ndarray]  # intensities → 0..255, float
    background: int
    own_U_layout: bool  # U never shares D's layout
    runs: tuple[tuple[int, int], tuple[int, int]] | None  # sequences in a run, expected, unexpected


def draw_layout(rng: np.random.Generator, num_gabors: int, design: Design) -> Layout:
    """Positions and sizes of one image type, on the canvas."""
    low, high = design.centre_range
    centres = rng.uniform(low * CANVAS, high * CANVAS, (num_gabors, 2))
    sizes = rng.uniform(*design.nominal_sizes, num_gabors)
    return Layout(centres, sizes)


def draw_jitter(rng: np.random.Generator, num_images: int, num_gabors: int) -> np.ndarray:
    """How far each patch is turned from its image's mean orientation, [M, G] degrees."""
    return np.degrees(rng.vonmises(0, JITTER_KAPPA, (num_images, num_gabors)))


def draw_images(
    centres: np.ndarray,
    sizes: np.ndarray,
    orientations: np.ndarray,
    *,
    height: int,
    width: int,
    deg_per_pix: float,
    design: Design,
    rows: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> np.ndarray:
    """M images of G patches as uint8 [M, height, width], or [M, len(rows), len(columns)].

    `centres` [M, G, 2] in pixels (row, column), `sizes` [M, G] nominal degrees, `orientations` [M,
    G] degrees: 0 has vertical bars, bright on the right; growing angles turn clockwise on screen. A
    row of NaN orientations is a gray image. `rows` and `columns`, ascending, evaluate those pixels
    only.
    """
    rows = np.arange(height) if rows is None else np.asarray(rows)
    columns = np.arange(width) if columns is None else np.asarray(columns)
    orientations = np.asarray(orientations, dtype=np.float64)
    images = np.full((len(orientations), len(rows), len(columns)), design.background, np.uint8)
    drawn = ~np.isnan(orientations).all(axis=1)
    if drawn.any():
        pixels = design.to_pixels(
            SIZE_PER_NOMINAL * np.asarray(sizes, np.float64)[drawn] / deg_per_pix
        )
        if design.cycles_per_deg is None:
            frequencies = 1 / pixels
        else:
            frequencies = np.full_like(pixels, design.cycles_per_deg * deg_per_pix)
        patches = Patches(
            centres=design.place(np.asarray(centres, np.float64)[drawn]),
            sigmas=pixels / SIGMAS_PER_SIZE,
            frequencies=frequencies,
            angles=np.radians(orientations[drawn]),
        )
        images[drawn] = design.quantise(design.compose(patches, rows, columns))
    return images


# ------------------------------------------------------------------ composing


class _Factors(NamedTuple):
    """Envelope and carrier of each patch along one axis, float32 [..., n]."""

    envelope: np.ndarray
    cos: np.ndarray
    sin: np.ndarray


def _factors(offsets: np.ndarray, sigmas: np.ndarray, wave: np.ndarray, phase: float) -> _Factors:
    """`offsets` [..., n] from the centre in pixels; `sigmas`, `wave` (radians per pixel) [...]."""
    offsets = offsets.astype(np.float32)
    scale = (np.sqrt(0.5) / sigmas).astype(np.float32)[..., None]
    angle = offsets * wave.astype(np.float32)[..., None] - np.float32(phase)
    return _Factors(np.exp(-((offsets * scale) ** 2)), np.cos(angle), np.sin(angle))


def _axes(patches: Patches, rows: np.ndarray, columns: np.ndarray) -> tuple[_Factors, _Factors]:
    """Row and column factors; rows and columns broadcast against the patches, [n] or [M, G, n]."""
    wave = 2 * np.pi * patches.frequencies
    down = _factors(
        rows - patches.centres[..., 0, None], patches.sigmas, wave * np.sin(patches.angles), 0.0
    )
    right = _factors(
        columns - patches.centres[..., 1, None],
        patches.sigmas,
        wave * np.cos(patches.angles),
        2 * np.pi * PHASE,
    )
    return down, right


def _add_and_clip(patches: Patches, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Patches add up; the sum is clipped to the range of a single one. → [M, R, C]."""
    there = ~np.isnan(patches.angles)
    down, right = _axes(patches._replace(angles=np.where(there, patches.angles, 0)), rows, columns)
    left_factor = down.envelope * there[..., None].astype(np.float32)
    # cos(right + down) = cos·cos - sin·sin
    left = np.concatenate([left_factor * down.cos, -left_factor * down.sin], axis=1)
    top = np.concatenate([right.envelope * right.cos, right.envelope * right.sin], axis=1)
    with single_thread():  # the order of a sum depends on the number of threads
        total = torch.bmm(torch.from_numpy(left).transpose(1, 2), torch.from_numpy(top))
    return total.clamp_(-PATCH_PEAK, PATCH_PEAK).numpy()


def _paint_over(patches: Patches, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Patches are painted in order, each cut to its rotated square. → [M, R, C]."""
    reach = SIGMAS_PER_SIZE / 2 * patches.sigmas  # half a side of the rotated square
    cosine, sine = np.cos(patches.angles), np.sin(patches.angles)
    half = reach * (np.abs(cosine) + np.abs(sine))  # half a side of the box around it
    top, window_rows = _windows(rows, patches.centres[..., 0], half)
    left, window_columns = _windows(columns, patches.centres[..., 1], half)
    down, right = _axes(patches, window_rows, window_columns)
    dy = (window_rows - patches.centres[..., 0, None])[..., :, None]
    dx = (window_columns - patches.centres[..., 1, None])[..., None, :]
    u = dx * cosine[..., None, None] + dy * sine[..., None, None]
    v = dy * cosine[..., None, None] - dx * sine[..., None, None]
    inside = np.maximum(np.abs(u), np.abs(v)) <= reach[..., None, None]  # NaN: never inside
    envelope = np.where(inside, down.envelope[..., :, None] * right.envelope[..., None, :], 0)
    carrier = right.cos[..., None, :] * down.cos[..., :, None]
    carrier -= right.sin[..., None, :] * down.sin[..., :, None]
    painted = np.where(inside, envelope * carrier, 0)
    shown = 1 - envelope

    images = np.zeros((len(patches.sigmas), len(rows), len(columns)), np.float32)
    height, width = painted.shape[2:]
    for m, image in enumerate(images):
        for g in range(painted.shape[1]):
            window = image[top[m, g] : top[m, g] + height, left[m, g] : left[m, g] + width]
            window *= shown[m, g]
            window += painted[m, g]
    return images


def _windows(pixels: np.ndarray, centres: np.ndarray, half: np.ndarray):
    """For each patch the index of its first pixel [M, G] and its pixels [M, G, n], n the same for
    all.
    """
    first = np.searchsorted(pixels, centres - half)
    last = np.searchsorted(pixels, centres + half, side="right")
    count = int((last - first).max())
    first = np.clip(first, 0, len(pixels) - count)
    return first, pixels[first[..., None] + np.arange(count)]


# ------------------------------------------------------------------ to 8 bit


def _stretch(intensities: np.ndarray) -> np.ndarray:
    """Each image to ±1.1 times its own largest absolute value; truncated."""
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
