"""Videos as folders of frames: clips for training and validation, whole videos for tests.

A sample follows from (seed, epoch, index) and the files alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
import torch
from torch import Tensor

from dataset import clips
from dataset.augmentation import Preset
from dataset.pictures import MOST_PIXELS, FrameError
from dataset.video_list import VideoList
from dataset.video_pixels import augment_clip, cut_crops
from utils.samples import Batch, ClassInfo, Fault
from utils.streams import stream

STARTS_TRIED = 3  # in a video with frames that can't be read, before another video is tried
VIDEOS_TRIED = 10


@dataclass(frozen=True)
class VideoOptions:
    """How samples are made of videos: of N blocks of L frames, `ds` frames apart, and so on."""

    seed: int
    mode: str
    N: int
    L: int
    ds: int
    preset: Preset
    pad_short: bool  # videos that are too short repeat their last frame, or else are left out
    redraw: bool  # another clip takes the place of one that can't be read, or else none does
    records_predictions: bool
    crops: int = 1  # of each frame of a whole video

    @property
    def too_few(self) -> int:
        """The number of frames that a video must exceed."""
        return 0 if self.pad_short else self.N * self.L * self.ds


class Videos:
    """Base class of clips and whole videos. An item is a row of the split file."""

    landmark_epochs = frozenset({0})
    whole_videos = False

    def __init__(self, videos: VideoList, class_names: tuple[str, ...], options: VideoOptions):
        self.videos = videos
        self.classes = tuple(ClassInfo(name, name, None) for name in class_names)
        self.options = options
        self.records_predictions = options.records_predictions
        self.items = np.flatnonzero(videos.frames > options.too_few)

    @property
    def total(self) -> int:
        """The number of videos of the split, too-short ones included."""
        return len(self.videos)

    @property
    def class_totals(self) -> list[int]:
        """The number of videos of each class, too-short ones included."""
        return np.bincount(self.videos.labels, minlength=len(self.classes)).tolist()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        raise NotImplementedError

    def phase(self, epoch: int) -> str:
        """Return 'expected': only Gabors have unexpected images."""
        return "expected"

    def item_name(self, item: int) -> str:
        """Return the path that the split file has."""
        return self.videos.name(item)

    def middle_frame(self, item: int, side: int) -> np.ndarray | None:
        """Return the central square of a video's middle frame, `[side, side, 3]`, RGB."""
        try:
            frame = next(self.read(item, [int(self.videos.frames[item]) // 2]))
        except FrameError:
            return None
        height, width, _ = frame.shape
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        frame = frame[top : top + square, left : left + square]
        return cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)[..., ::-1]

    def augmented(
        self, item: int, numbers: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the clip `[N, C, L, H, W]` of the frames `[N, L]`, and its labels `[N, L, 2]`.

        Raises FrameError.
        """
        images, size = self.opened(item, numbers)
        draw = self.options.preset.draw(rng, numbers.size, *size)
        clip = augment_clip(images, self.options.preset, draw, len(numbers))
        return clip, self.labels_of(item, *numbers.shape)

    def opened(
        self, item: int, numbers: np.ndarray
    ) -> tuple[Iterator[np.ndarray], tuple[int, int]]:
        """Return the frames `[N, L]` of a video, and to which height and width they are enlarged.

        The first frame is read at once. Raises FrameError.
        """
        numbers = clips.padded(numbers, self.videos.frames[item])
        images = self.read(item, numbers.ravel())
        first = next(images)
        size = self.options.preset.enlarged(*first.shape[:2])
        if size[0] * size[1] > MOST_PIXELS:
            height, width, _ = first.shape
            raise FrameError(
                str(self.videos.place(item)), f"is too narrow ({width}×{height} pixels)"
            )
        return chain([first], images), size

    def labels_of(self, item: int, N: int, L: int) -> Tensor:
        """Return the labels `[N, L, 2]` of a video's blocks."""
        labels = torch.zeros(N, L, 2, dtype=torch.int64)
        labels[..., 0] = int(self.videos.labels[item])
        return labels

    def read(self, item: int, numbers: Iterable[int]) -> Iterator[np.ndarray]:
        """Yield a video's frames; raises FrameError, also for frames of different sizes."""
        cv2.setNumThreads(1)  # the workers are the threads
        read = self.videos.reader(item)
        size = None
        for number in numbers:
            image = read(int(number))
            if size is not None and image.shape != size:
                name = f"{self.videos.name(item)}, frame {number + 1}"
                raise FrameError(name, "is not of the size of the frames before")
            size = image.shape
            yield image


class VideoClips(Videos):
    """A clip of each video, drawn anew in each epoch.

    Where frames can't be read, another clip of the video is drawn, then clips of other videos; or,
    without `redraw`, the sample has no clip.
    """

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        asked = item = int(self.items[index])
        seed, mode = self.options.seed, self.options.mode
        shape = self.options.N, self.options.L, self.options.ds
        rng = stream(seed, "clip", mode, epoch, index)
        augmentation = stream(seed, "augmentation", mode, epoch, index)
        faults: dict[Fault, None] = {}  # each once, in order
        for attempt in range(STARTS_TRIED * VIDEOS_TRIED if self.options.redraw else 1):
            if attempt and attempt % STARTS_TRIED == 0:
                others = self.items[self.items != item]
                item = int(rng.choice(others)) if len(others) else item
            starts = clips.num_starts(self.videos.frames[item], *shape)
            numbers = clips.clip_frames(int(rng.integers(max(1, starts))), *shape)
            try:
                clip, labels = self.augmented(item, numbers, augmentation)
            except FrameError as error:
                faults[Fault(asked, error.path, error.reason)] = None
            else:
                return Batch(clip, labels, torch.tensor(item), faults=tuple(faults))
        return Batch(None, None, torch.tensor(asked), faults=tuple(faults))


class WholeVideos(Videos):
    """Every block of each video, with the windows of N blocks that are to be classified.

    With 5 or 10 crops, the K blocks of the centre are followed by those of each other crop, and
    there are windows of each: `clip` `[crops·K, C, L, H, W]`, `windows` `[crops, W, N]`. With one,
    `windows` is `[W, N]`.
    """

    whole_videos = True

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        item = int(self.items[key[1]])
        N, L, ds = self.options.N, self.options.L, self.options.ds
        K = max(N, int(clips.num_blocks(self.videos.frames[item], L, ds)))
        windows = clips.window_starts(K, N)[:, None] + np.arange(N)  # [W, N]
        crops = self.options.crops
        try:
            images, size = self.opened(item, clips.clip_frames(0, K, L, ds))
            draws = self.options.preset.test_draws(crops, *size)
            clip = cut_crops(images, self.options.preset, draws, (K, L))
        except FrameError as error:
            fault = Fault(item, error.path, error.reason)
            return Batch(None, None, torch.tensor(item), faults=(fault,))
        if crops > 1:
            windows = windows + K * np.arange(crops)[:, None, None]  # [crops, W, N]
        labels = self.labels_of(item, len(clip), L)
        return Batch(clip, labels, torch.tensor(item), torch.from_numpy(windows))
