"""The Gabor dataset: a sample follows from (seed, epoch, index) alone."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from dataset import gray_pixels
from dataset.augmentation import Preset
from dataset.gabor_sequences import (
    ClipPlan,
    Sequences,
    Session,
    draw_session,
    plan_clip,
    sequences_per_clip,
)
from dataset.gabor_stimuli import (
    CANVAS,
    FIELD_DEG,
    Layout,
    draw_images,
    draw_jitter,
    draw_layout,
)
from utils.gabor_utils import IMAGES, UNEXPECTED_TURN, D, G, U, gabor_classes
from utils.samples import Batch
from utils.streams import stream


@dataclass(frozen=True)
class Layouts:
    """Where the patches lie. `per_clip`: anew for each clip rather than for each epoch; `own_U`: U
    images have a layout of their own rather than D's."""

    num_gabors: int
    per_clip: bool
    own_U: bool


class GaborDataset(Dataset):
    """`length` clips of N = `num_blocks` blocks of `seq_len` frames, for each epoch anew.

    Indexed by (epoch, index). Where every block shows one image, clips have L = 1.
    """

    records_predictions = True
    whole_videos = False
    class_totals = None  # not known before they are drawn

    def __init__(
        self,
        *,
        mode: str,
        seed: int,
        length: int,
        num_blocks: int,
        seq_len: int,
        sequences: Sequences,
        layouts: Layouts,
        preset: Preset,
    ):
        self.mode = mode
        self.seed = seed
        self.length = length
        self.num_blocks = num_blocks
        self.seq_len = seq_len
        self.sequences = sequences
        self.layouts = layouts
        self.preset = preset
        labels = gabor_classes(
            sequences.design.orientations,
            gray=sequences.gray,
            unexpected=sequences.U_prob > 0,
            own_U_layout=layouts.own_U,
        )
        self.classes = labels.classes
        self.class_index = labels.index
        self.static_blocks = sequences.image_len % seq_len == 0 and not sequences.shift_frames
        self._epoch_layouts: tuple[int | None, dict[int, Layout]] = (None, {})
        self._session: tuple[int | None, Session | None] = (None, None)

    def __len__(self) -> int:
        return self.length

    @property
    def total(self) -> int:
        return self.length

    def item_name(self, item: int) -> str:
        return ""

    def phase(self, epoch: int) -> str:
        return "unexpected" if self.sequences.has_unexpected(epoch) else "expected"

    @property
    def landmark_epochs(self) -> set[int]:
        """The epochs whose checkpoints are kept: the untrained model, and those around the first
        unexpected images."""
        first = self.sequences.unexp_epoch
        return {0, *range(first - 3, first + 3)} if self.sequences.U_prob > 0 else {0}

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        rng = stream(self.seed, "gabors", self.mode, epoch, index)
        plan = self._plan(rng, epoch, index)
        images = self._images(rng, plan, epoch, index)  # [M, 1, H, W]

        frames = plan.frames.reshape(self.num_blocks, self.seq_len)
        labels = self.class_index[plan.images, plan.orientation]
        labels = np.stack([labels, plan.images == U], axis=-1)[frames]  # [N, L, 2]
        if self.static_blocks:
            frames = frames[:, :1]
        clip = torch.from_numpy(images)[torch.from_numpy(frames)]  # [N, L, 1, H, W]
        clip = clip.transpose(1, 2).expand(-1, 3, -1, -1, -1)  # [N, C, L, H, W]
        return Batch(clip, torch.from_numpy(labels), torch.tensor(index))

    def _plan(self, rng: np.random.Generator, epoch: int, index: int) -> ClipPlan:
        num_frames = self.num_blocks * self.seq_len
        session = None
        if self.sequences.design.runs is not None:
            step = sequences_per_clip(self.sequences, num_frames)
            whole = self._epoch_session(epoch, (len(self) + 1) * step + 1)
            session = Session(*(values[index * step :] for values in whole))
        return plan_clip(rng, self.sequences, num_frames, epoch, session)

    def _epoch_session(self, epoch: int, length: int) -> Session:
        if self._session[0] != epoch:
            rng = stream(self.seed, "session", self.mode, epoch)
            self._session = (epoch, draw_session(rng, self.sequences.design, length))
        return self._session[1]

    def _images(
        self, rng: np.random.Generator, plan: ClipPlan, epoch: int, index: int
    ) -> np.ndarray:
        """The clip's images, augmented, uint8 [M, 1, img_dim, img_dim]."""
        layouts = [self._layout(code, epoch, index) for code in plan.images]
        means = np.array(self.sequences.design.orientations, np.float64)[plan.orientation]
        means[plan.images == U] += UNEXPECTED_TURN
        means[plan.images == G] = np.nan
        jitter = draw_jitter(rng, len(plan.images), self.layouts.num_gabors)
        draw = self.preset.draw(
            stream(self.seed, "augmentation", self.mode, epoch, index), len(layouts), CANVAS, CANVAS
        )
        pixels = None
        if gray_pixels.only_picks_pixels(self.preset):
            pixels = gray_pixels.nearest_pixels(CANVAS, self.preset.img_dim)
        images = draw_images(
            np.stack([layout.centres for layout in layouts]),
            np.stack([layout.sizes for layout in layouts]),
            means[:, None] + jitter,
            height=CANVAS,
            width=CANVAS,
            deg_per_pix=FIELD_DEG / CANVAS,
            design=self.sequences.design,
            rows=pixels,
            columns=pixels,
        )[:, None]
        if pixels is None:
            images = gray_pixels.geometry(images, self.preset, draw)
        return gray_pixels.colour(images, draw)

    def _layout(self, code: int, epoch: int, index: int) -> Layout:
        """An image type's layout: the epoch's, for training and validation alike, or the clip's."""
        if code == U and not self.layouts.own_U:
            code = D
        if self.layouts.per_clip:
            names = ("layout", IMAGES[code], self.mode, epoch, index)
            return self._draw_layout(*names)
        if self._epoch_layouts[0] != epoch:
            self._epoch_layouts = (epoch, {})
        layouts = self._epoch_layouts[1]
        if code not in layouts:
            layouts[code] = self._draw_layout("layout", IMAGES[code], epoch)
        return layouts[code]

    def _draw_layout(self, *names: int | str) -> Layout:
        rng = stream(self.seed, *names)
        return draw_layout(rng, self.layouts.num_gabors, self.sequences.design)
