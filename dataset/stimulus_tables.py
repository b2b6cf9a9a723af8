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


def shown_images(
    data: GaborDataset,
    recipe: Recipe,
    item: int,
    *,
    first_number: int,
    first_frame: int,
    ms_per_frame: float,
    step_frames: Mapping[int, int],
) -> Iterator[ShownImage]:
    """Yield a row for each of the clip's images.

    `first_number` is that of the clip's first image, and `first_frame` the film's frame that shows
    it first. `step_frames` gives the frame of the clip that decides the class of each step.
    """
    plan = recipe.plan
    _, first, counts = np.unique(plan.frames, return_index=True, return_counts=True)  # [M]
    means = plan.mean_orientations(data.sequences.design) % 360
    labels = data.class_table.labels(plan.images, plan.orientation)  # [M, 2]
    for m, code in enumerate(plan.images):
        steps = [step for step, frame in step_frames.items() if plan.frames[frame] == m]
        onset, frames = first_frame + int(first[m]), int(counts[m])
        yield ShownImage(
            number=first_number + m,
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
            file=f"frames/image_{first_number + m:06d}.png",
        )


def shown_patches(data: GaborDataset, recipe: Recipe, *, first_number: int) -> Iterator[ShownPatch]:
    """Yield a row for each patch of the clip's images, in the order in which they are drawn.

    `first_number` is that of the clip's first image. A gray image has no patches.
    """
    patches = place_patches(
        recipe.centres, recipe.sizes, recipe.orientations, design=data.sequences.design
    )
    network = network_pixels(patches.centres, recipe.augmentation.box, data.preset.img_dim)
    sizes = np.rint(patches.sigmas * SIGMAS_PER_SIZE)  # whole pixels, without rounding errors
    degrees = (patches.centres - MIDDLE) * DEG_PER_PIX
    for m, g in np.ndindex(recipe.sizes.shape):
        if np.isnan(recipe.orientations[m, g]):
            continue
        (y, x), (y_deg, x_deg) = patches.centres[m, g].tolist(), degrees[m, g].tolist()
        y_network, x_network = network[m, g].tolist()
        frequency, sigma = float(patches.frequencies[m, g]), float(patches.sigmas[m, g])
        yield ShownPatch(
            number=first_number + m,
            patch=g,
            x_deg=x_deg,
            y_deg=y_deg,
            x_canvas=x,
            y_canvas=y,
            x_network=x_network,
            y_network=y_network,
            nominal_size_deg=float(recipe.sizes[m, g]),
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

    `box` is the part of the canvas that is shown, None for all of it. The pixels that a
    nearest-neighbour resize keeps lie up to half a pixel off these points, which isn't counted.
    """
    top, left, height, width = box or Box(0, 0, CANVAS, CANVAS)
    return (centres - (top, left) + 0.5) * img_dim / (height, width) - 0.5
