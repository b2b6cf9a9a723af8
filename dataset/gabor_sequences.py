"""Which Gabor image is shown when: sequences A B C D (G), U images, orientations, roll, shift."""

from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

import numpy as np

from dataset.gabor_stimuli import Design
from utils.gabor_utils import IMAGES, UNEXPECTED_TURN, A, D, G, U


@dataclass(frozen=True)
class Sequences:
    """The rules by which sequences of images are shown.

    An image lasts `image_len` frames. From epoch `unexp_epoch` on, each D becomes U with
    probability `U_prob`, except in designs that run in sessions, which have a timing of their own.
    """

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
        """Return whether U images may be shown in the epoch."""
        return self.U_prob > 0 and epoch >= self.unexp_epoch

    def images_per_clip(self, num_frames: int) -> int:
        """Return how many images are drawn: with roll, one more than the frames need."""
        return -(-num_frames // self.image_len) + self.roll

    def session_step(self, num_frames: int) -> int:
        """Return how many sequences of the session a clip takes, and so where the next starts."""
        return -(-self.images_per_clip(num_frames) // len(self.images))


class Session(NamedTuple):
    """Consecutive sequences: each one's index of mean orientation, and whether U replaces its D."""

    orientation: np.ndarray
    is_unexpected: np.ndarray


class ClipPlan(NamedTuple):
    """The M images of a clip, and the image that each frame shows.

    `images` `[M]` are image codes, `orientation` `[M]` the indices of their sequences' mean
    orientations, and `frames` `[N*L]` indices into both.
    """

    images: np.ndarray
    orientation: np.ndarray
    frames: np.ndarray

    def mean_orientations(self, design: Design) -> np.ndarray:
        """Return each image's mean orientation in degrees, `[M]`: U's is turned, G's is NaN."""
        means = np.array(design.orientations, np.float64)[self.orientation]
        means[self.images == U] += UNEXPECTED_TURN
        means[self.images == G] = np.nan
        return means


def draw_session(rng: np.random.Generator, design: Design, length: int) -> Session:
    """Draw `length` sequences, in alternating runs of expected and of unexpected ones.

    Each run takes the design's mean orientations in shuffled blocks.
    """
    count = len(design.orientations)
    orientation: list[int] = []
    is_unexpected: list[bool] = []
    for unexpected, (shortest, longest) in cycle(enumerate(design.runs or ())):
        run = rng.integers(shortest, longest + 1)
        blocks = [rng.permutation(count) for _ in range(-(-run // count))]
        orientation.extend(np.concatenate(blocks)[:run])
        is_unexpected.extend([bool(unexpected)] * run)
        if len(orientation) >= length:
            break
    return Session(np.array(orientation[:length]), np.array(is_unexpected[:length]))


def plan_clip(
    rng: np.random.Generator,
    sequences: Sequences,
    num_frames: int,
    epoch: int,
    session: Session | None = None,
) -> ClipPlan:
    """Draw which images a clip of `num_frames` shows.

    For designs that run in sessions, orientations and U images are those of `session`, which starts
    with the clip's first sequence.
    """
    count = sequences.images_per_clip(num_frames)
    cycle_len = len(sequences.images)
    offset = rng.integers(cycle_len) if sequences.roll else 0
    shift = rng.integers(sequences.image_len) if sequences.shift_frames else 0
    images = sequences.images[(offset + np.arange(count)) % cycle_len]
    # Each A starts a sequence with a mean orientation of its own; the images before the first A
    # share one. A clip without an A lies within one sequence, in which its lowest image comes once.
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
    """Return a clip's images in one line, such as `A B C U G`."""
    return " ".join(IMAGES[code] for code in plan.images)
