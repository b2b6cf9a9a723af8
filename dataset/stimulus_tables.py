"""The tables of shown stimuli: which image is shown when, and of which patches it is drawn.

Each row is a named tuple whose fields are the columns. README.md in this folder has their units.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from dataset.augmentation import Box
from dataset.gabor_stimuli import (
    CANVAS,
    FIELD_DEG,
    PHASE,
    SIGMAS_PER_SIZE,
    place_patches,
)
from dataset.gabors import GaborDataset, Recipe
from utils.gabor_utils import IMAGES, U

DEG_PER_PIX = FIELD_DEG / CANVAS
MIDDLE = (CANVAS - 1) / 2  # of the canvas, whose pixel (i, j) lies at (i, j)


class ShownImage(NamedTuple):
    """An image that is shown, in images.csv."""

    number: int
    item: int
    step: str
    image: str
    orientation: float | None
    is_U: int
    class_name: str
    onset_frame: int
    frames: int
    onset_ms: float
    duration_ms: float
    clip_frame: int
    file: str


class ShownPatch(NamedTuple):
    """A patch of an image, in patches.csv."""

    number: int
    patch: int
    x_deg: float
    y_deg: float
    x_canvas: float
    y_canvas: float
    x_network: float
    y_network: float
    nominal_size_deg: float
    size_deg: float
    size_canvas: float
    orientation: float
    cycles_per_deg: float
    cycles_per_pixel: float
    phase: float
    sd_deg: float
    sd_canvas: float


class Start(NamedTuple):
    """Where a clip starts: the number of its first image, and its first frame in the film."""

    number: int
    frame: int


def image_file(number: int) -> str:
    """Return the path of an image's picture in the folder of the stimuli."""
    return f"frames/image_{number:06d}.png"


def shown_images(
    data: GaborDataset,
    recipe: Recipe,
    item: int,
    start: Start,
    *,
    ms_per_frame: float,
    step_frames: Mapping[int, int],
) -> Iterator[ShownImage]:
    """Yield a row for each of the clip's images.

    `step_frames` gives the frame of the clip that decides the class of each step.
    """
    plan = recipe.plan
    first = np.searchsorted(plan.frames, np.arange(len(plan.images)))  # frames: [M]
    counts = np.bincount(plan.frames)
    means = plan.mean_orientations(data.sequences.design) % 360
    labels = data.class_table.labels(plan.images, plan.orientation)  # [M, 2]
    for m, code in enumerate(plan.images):
        steps = [step for step, frame in step_frames.items() if plan.frames[frame] == m]
        onset, frames = start.frame + int(first[m]), int(counts[m])
        yield ShownImage(
            number=start.number + m,
            item=item,
            step=" ".join(map(str, steps)),
            image=IMAGES[code],
            orientation=None if np.isnan(means[m]) else float(means[m]),
            is_U=int(code == U),
            class_name=data.classes[labels[m, 0]].name,
            onset_frame=onset,
            frames=frames,
            onset_ms=round(onset * ms_per_frame, 6),
            duration_ms=round(frames * ms_per_frame, 6),
            clip_frame=int(first[m]),
            file=image_file(start.number + m),
        )


def shown_patches(data: GaborDataset, recipe: Recipe, start: Start) -> Iterator[ShownPatch]:
    """Yield a row for each patch of the clip's images, in the order in which they are drawn.

    A gray image has none.
    """
    centres, nominal = recipe.places
    patches = place_patches(centres, nominal, recipe.orientations, design=data.sequences.design)
    network = network_pixels(patches.centres, recipe.augmentation.box, data.preset.img_dim)
    sizes = np.rint(patches.sigmas * SIGMAS_PER_SIZE)  # whole pixels, without rounding errors
    degrees = (patches.centres - MIDDLE) * DEG_PER_PIX
    for m, g in np.ndindex(nominal.shape):
        if np.isnan(recipe.orientations[m, g]):
            continue
        (y, x), (y_deg, x_deg) = patches.centres[m, g].tolist(), degrees[m, g].tolist()
        y_network, x_network = network[m, g].tolist()
        frequency, sigma = float(patches.frequencies[m, g]), float(patches.sigmas[m, g])
        yield ShownPatch(
            number=start.number + m,
            patch=g,
            x_deg=x_deg,
            y_deg=y_deg,
            x_canvas=x,
            y_canvas=y,
            x_network=x_network,
            y_network=y_network,
            nominal_size_deg=float(nominal[m, g]),
            size_deg=float(sizes[m, g]) * DEG_PER_PIX,
            size_canvas=float(sizes[m, g]),
            orientation=float(recipe.orientations[m, g] % 360),
            cycles_per_deg=frequency / DEG_PER_PIX,
            cycles_per_pixel=frequency,
            phase=PHASE,
            sd_deg=sigma * DEG_PER_PIX,
            sd_canvas=sigma,
        )


def network_pixels(centres: np.ndarray, box: Box | None, img_dim: int) -> np.ndarray:
    """Return where points of the canvas `[…, 2]` (row, column) lie in the network's images.

    `box` is the part of the canvas that is shown, None for all of it. A nearest-neighbour resize
    displaces what it keeps by up to half a pixel of the canvas, which is left out of account.
    """
    top, left, height, width = box or Box(0, 0, CANVAS, CANVAS)
    return (centres - (top, left) + 0.5) * img_dim / (height, width) - 0.5
