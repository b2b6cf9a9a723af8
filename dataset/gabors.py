"""The Gabor data set: a sample follows from (seed, epoch, index) alone."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch

from dataset import gray_pixels
from dataset.augmentation import Draw, Preset
from dataset.gabor_sequences import ClipPlan, Sequences, Session, draw_session, plan_clip
from dataset.gabor_stimuli import CANVAS, Design, Layout, draw_images, draw_jitter, draw_layout
from utils.gabor_utils import IMAGES, D, GaborClasses, U, gabor_classes
from utils.samples import Batch, ClassInfo
from utils.streams import stream


@dataclass(frozen=True)
class Layouts:
    """How the patches of an image type are placed: anew for each epoch, or for each clip.

    With `own_U`, U has positions and sizes of its own; otherwise it uses D's.
    """

    num_gabors: int
    per_clip: bool
    own_U: bool


class Recipe(NamedTuple):
    """All that a clip is drawn from: its M images, and G patches of each.

    `centres` `[M, G, 2]`, `sizes` `[M, G]` and `orientations` `[M, G]` are those of the patches, as
    `draw_images` takes them; a gray image's orientations are NaN. All images are augmented as
    `augmentation` says.
    """

    plan: ClipPlan
    centres: np.ndarray
    sizes: np.ndarray
    orientations: np.ndarray
    augmentation: Draw


# Kept, as all clips of an epoch share them. Training and validation have the same layouts, of up to
# six image types, but a session each.
@lru_cache(maxsize=len(IMAGES))
def layout_of(design: Design, num_gabors: int, seed: int, *names: str | int) -> Layout:
    """Return the layout of an image type, whose stream has these names."""
    return draw_layout(stream(seed, "layout", *names), num_gabors, design)


@lru_cache(maxsize=2)
def session_of(design: Design, length: int, seed: int, mode: str, epoch: int) -> Session:
    """Return an epoch's session of `length` sequences."""
    return draw_session(stream(seed, "session", mode, epoch), design, length)


@dataclass(frozen=True, kw_only=True)
class GaborDataset:
    """`length` clips of N = `num_blocks` blocks of `seq_len` frames, other ones in each epoch.

    It is indexed by (epoch, index). If every block shows a single image, clips have L = 1.
    """

    mode: str
    seed: int
    length: int
    num_blocks: int
    seq_len: int
    sequences: Sequences
    layouts: Layouts
    preset: Preset

    records_predictions = True
    whole_videos = False
    class_totals = None  # not known before the clips are drawn

    @cached_property
    def class_table(self) -> GaborClasses:
        """The classes, and the class of each image."""
        return gabor_classes(
            self.sequences.design.orientations,
            gray=self.sequences.gray,
            unexpected=self.sequences.U_prob > 0,
            own_U_layout=self.layouts.own_U,
        )

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes, in the order of their indices."""
        return self.class_table.classes

    @property
    def static_blocks(self) -> bool:
        """Whether every block shows a single image."""
        return self.sequences.image_len % self.seq_len == 0 and not self.sequences.shift_frames

    @property
    def total(self) -> int:
        """The number of clips."""
        return self.length

    @property
    def landmark_epochs(self) -> set[int]:
        """Epoch 0, of the untrained model, and those around the first unexpected images."""
        first = self.sequences.unexp_epoch
        return {0, *range(first - 3, first + 3)} if self.sequences.U_prob > 0 else {0}

    def phase(self, epoch: int) -> str:
        """Return 'unexpected' if U images may appear in the epoch, else 'expected'."""
        return "unexpected" if self.sequences.has_unexpected(epoch) else "expected"

    def item_name(self, item: int) -> str:
        """Return an empty name: clips come from no file."""
        return ""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        recipe = self.recipe(epoch, index)
        frames = recipe.plan.frames.reshape(self.num_blocks, self.seq_len)
        labels = self._labels(recipe.plan)  # [N, L, 2]
        if self.static_blocks:
            frames = frames[:, :1]
        images = self.draw(recipe)  # [M, 1, H, W]
        clip = torch.from_numpy(images)[torch.from_numpy(frames)]  # [N, L, 1, H, W]
        clip = clip.transpose(1, 2).expand(-1, 3, -1, -1, -1)  # [N, C, L, H, W]
        return Batch(clip, torch.from_numpy(labels), torch.tensor(index))

    def labels(self, epoch: int, index: int) -> np.ndarray:
        """Return the labels of a clip's sample, (class, is_U) of each frame, `[N, L, 2]`.

        Nothing is drawn, so that the labels of all clips of an epoch take little time.
        """
        return self._labels(self.recipe(epoch, index).plan)

    def recipe(self, epoch: int, index: int) -> Recipe:
        """Return what the clip is drawn from; all of a clip's randomness is in it."""
        num_frames = self.num_blocks * self.seq_len
        rng = stream(self.seed, "gabors", self.mode, epoch, index)
        session = self._session(num_frames, epoch, index)
        plan = plan_clip(rng, self.sequences, num_frames, epoch, session)  # of M images
        jitter = draw_jitter(rng, len(plan.images), self.layouts.num_gabors)  # [M, G]
        augmentation = self.preset.draw(
            stream(self.seed, "augmentation", self.mode, epoch, index), len(jitter), CANVAS, CANVAS
        )
        return Recipe(
            plan,
            *self._patches(plan, epoch, index),
            plan.mean_orientations(self.sequences.design)[:, None] + jitter,
            augmentation,
        )

    def draw(self, recipe: Recipe) -> np.ndarray:
        """Draw and augment the recipe's images, uint8 `[M, 1, img_dim, img_dim]`."""
        pixels = None
        if gray_pixels.only_picks_pixels(self.preset):
            pixels = gray_pixels.nearest_pixels(CANVAS, self.preset.img_dim)
        images = draw_images(
            recipe.centres,
            recipe.sizes,
            recipe.orientations,
            design=self.sequences.design,
            rows=pixels,
            columns=pixels,
        )[:, None]
        if pixels is None:
            images = gray_pixels.geometry(images, self.preset, recipe.augmentation)
        return gray_pixels.colour(images, recipe.augmentation)

    def _labels(self, plan: ClipPlan) -> np.ndarray:
        """Return (class, is_U) of each frame, `[N, L, 2]`."""
        frames = plan.frames.reshape(self.num_blocks, self.seq_len)
        return self.class_table.labels(plan.images, plan.orientation)[frames]

    def _session(self, num_frames: int, epoch: int, index: int) -> Session | None:
        """Return the epoch's session from the clip's first sequence on."""
        design = self.sequences.design
        if design.runs is None:
            return None
        step = self.sequences.session_step(num_frames)
        length = (self.length + 1) * step + 1
        whole = session_of(design, length, self.seed, self.mode, epoch)
        return Session(*(values[index * step :] for values in whole))

    def _patches(self, plan: ClipPlan, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the centres `[M, G, 2]` and sizes `[M, G]` of the images' layouts."""
        clip = (self.mode, epoch, index) if self.layouts.per_clip else (epoch,)
        codes = plan.images if self.layouts.own_U else np.where(plan.images == U, D, plan.images)
        design, num_gabors = self.sequences.design, self.layouts.num_gabors
        layouts = [layout_of(design, num_gabors, self.seed, IMAGES[code], *clip) for code in codes]
        centres, sizes = map(np.stack, zip(*layouts, strict=True))
        return centres, sizes
