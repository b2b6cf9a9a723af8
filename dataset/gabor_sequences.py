"""Which Gabor image is shown when: sequences A B C D (G), unexpected U, orientations, roll and
shift.
"""

from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

import numpy as np

from dataset.gabor_stimuli import Design
from utils.gabor_utils import IMAGES, A, D, G, U


@dataclass(frozen=True)
class Sequences:
    """How sequences run. `image_len`: frames that an image lasts; `unexp_epoch`: the first epoch
    with U images; `U_prob`: the chance of each D to become U."""

    design: Design
    image_len: int
    gray: bool
    roll: bool
    shift_frames: bool
    unexp_epoch: int
    U_prob: float

    @property
    def images(self) -> np.ndarray:
        """The image codes of one expected sequence."""
        return np.array([*range(A, D + 1), G] if self.gray else range(A, D + 1))

    def has_unexpected(self, epoch: int) -> bool:
        return self.U_prob > 0 and epoch >= self.unexp_epoch


class Session(NamedTuple):
    """Consecutive sequences: the index of each one's mean orientation, and whether U replaces its
    D.
    """

    orientation: np.ndarray
    is_unexpected: np.ndarray


class ClipPlan(NamedTuple):
    """The M images of a clip: their codes, the index of their sequence's mean orientation, and for
    each frame the image that it shows."""

    images: np.ndarray
    orientation: np.ndarray
    frames: np.ndarray


def draw_session(rng: np.random.Generator, design: Design, length: int) -> Session:
    """Runs of expected and of unexpected sequences in turn; each run goes through the design's
    orientations in shuffled blocks."""
    count = len(design.orientations)
    orientation, is_unexpected = [], []
    for unexpected, (shortest, longest) in cycle(enumerate(design.runs)):
        run = rng.integers(shortest, longest + 1)
        blocks = [rng.permutation(count) for _ in range(-(-run // count))]
        orientation.extend(np.concatenate(blocks)[:run])
        is_unexpected.extend([bool(unexpected)] * run)
        if len(orientation) >= length:
            return Session(np.array(orientation[:length]), np.array(is_unexpected[:length]))


def images_per_clip(sequences: Sequences, num_frames: int) -> int:
    """How many images are drawn for a clip: with roll one more than its frames fill."""
    return -(-num_frames // sequences.image_len) + sequences.roll


def sequences_per_clip(sequences: Sequences, num_frames: int) -> int:
    """By how many sequences of the session consecutive clips are apart."""
    return -(-images_per_clip(sequences, num_frames) // len(sequences.images))


def plan_clip(
    rng: np.random.Generator,
    sequences: Sequences,
    num_frames: int,
    epoch: int,
    session: Session | None = None,
) -> ClipPlan:
    """The images of one clip, from its own draws or, for designs that run in sessions, from the
    part of the session that starts with this clip's first sequence."""
    count = images_per_clip(sequences, num_frames)
    cycle_len = len(sequences.images)
    offset = rng.integers(cycle_len) if sequences.roll else 0
    shift = rng.integers(sequences.image_len) if sequences.shift_frames else 0
    images = sequences.images[(offset + np.arange(count)) % cycle_len]
    # A mean orientation for every A; the images before the first A share one. Where a clip has no
    # A it lies within one sequence, and its lowest image comes once.
    number = (offset + np.arange(count)) // cycle_len
    if session is None:
        orientation = rng.integers(len(sequences.design.orientations), size=number[-1] + 1)[number]
        is_unexpected = rng.random(count) < sequences.U_prob
    else:
        orientation, is_unexpected = session.orientation[number], session.is_unexpected[number]
    if sequences.has_unexpected(epoch):
        images = np.where(is_unexpected & (images == D), U, images)
    frames = (np.arange(num_frames) + shift) // sequences.image_len
    shown = frames[-1] + 1
    return ClipPlan(images[:shown], orientation[:shown], frames)


def plan_text(plan: ClipPlan) -> str:
    """The clip's images in a line, such as `A B C U G`."""
    return " ".join(IMAGES[code] for code in plan.images)
