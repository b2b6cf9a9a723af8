"""Augmentation applied to frames of videos, uint8 `[H, W, 3]` in OpenCV's order: blue green red.

An image that keeps a single colour channel goes on as `[H, W]`.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice, repeat

import cv2
import numpy as np
import torch
from torch.nn import functional

from dataset.augmentation import BRIGHTNESS, CONTRAST, IN_COLOUR, Box, Draw, Preset
from dataset.gray_pixels import nearest_pixels

LUMA = np.array([0.114, 0.587, 0.299, 0])  # of blue green red (ITU-R 601), and no constant
# OpenCV rounds where PIL truncates: x − CUT, rounded, is x truncated
CUT = 0.499
LEVELS = np.arange(256)
# by 255ths, as PIL has them: degrees of hue, twice around the circle, and saturation
HUES = np.tile(LEVELS * (360 / 255), 2).astype(np.float32)
SATURATIONS = (LEVELS / 255).astype(np.float32)
GROUP = 5  # frames that are resized at once; more would fill the processor's cache


def augment_clip(frames: Iterable[np.ndarray], preset: Preset, draw: Draw, N: int) -> torch.Tensor:
    """Return M = N·L frames of equal size, in order, as a clip `[N, C, L, H, W]` in RGB."""
    frames, (height, width) = with_size(frames)
    geometry = Geometry(preset, draw, height, width)
    channels = repeat(IN_COLOUR) if draw.channel is None else draw.channel.tolist()
    images = []
    for m, image in enumerate(geometry.apply(frames, channels)):
        if draw.factors is not None and draw.order is not None:
            k = m if len(draw.factors) > 1 else 0
            image = jitter(image, draw.factors[k], draw.order[k])
        images.append(image)
    clip = np.empty((N, 3, len(images) // N, preset.img_dim, preset.img_dim), np.uint8)
    for m, image in enumerate(images):
        put(clip, m, image)
    return torch.from_numpy(clip)


def cut_crops(
    frames: Iterable[np.ndarray], preset: Preset, draws: Sequence[Draw], shape: tuple[int, int]
) -> torch.Tensor:
    """Return frames of equal size, in order, as a clip for each of `draws`, which change no colour.

    `shape` is (N, L). All blocks of the first clip come before those of the second, and so on:
    `[len(draws)·N, C, L, H, W]` in RGB.
    """
    N, L = shape
    clips = np.empty((len(draws), N, 3, L, preset.img_dim, preset.img_dim), np.uint8)
    frames, (height, width) = with_size(frames)
    geometries = [Geometry(preset, draw, height, width) for draw in draws]
    together = GROUP if geometries[0].sides else 1
    m = 0
    while images := list(islice(frames, together)):
        for clip, geometry in zip(clips, geometries, strict=True):
            for k, image in enumerate(geometry.apply(images)):
                put(clip, m + k, image)
        m += len(images)
    return torch.from_numpy(clips.reshape(-1, *clips.shape[2:]))


def with_size(frames: Iterable[np.ndarray]) -> tuple[Iterator[np.ndarray], tuple[int, int]]:
    """Return the frames, and height and width of the first one."""
    frames = iter(frames)
    first = next(frames)
    return chain([first], frames), first.shape[:2]


def put(clip: np.ndarray, m: int, image: np.ndarray) -> None:
    """Make an image the m-th of a clip `[N, C, L, H, W]`, in RGB."""
    L = clip.shape[2]
    red, green, blue = clip[m // L, :, m % L]
    if image.ndim == 2:
        red[:], green[:], blue[:] = image, image, image
    else:
        cv2.split(image, [blue, green, red])


class Geometry:
    """The enlarging, crop, resize and mirroring that all frames of a clip share."""

    def __init__(self, preset: Preset, draw: Draw, height: int, width: int):
        self.enlarged = preset.enlarged(height, width)
        self.box = draw.box or Box(0, 0, *self.enlarged)
        self.sides: list[int] = []  # of the bilinear resizes, in order
        if preset.crop and draw.box and draw.box[2:] != (preset.crop.side, preset.crop.side):
            self.sides.append(preset.crop.side)
        if preset.bilinear:
            self.sides.append(preset.img_dim)
        # the nearest-neighbour resize keeps these pixels of the last bilinear one, or of the box
        before = (self.sides[-1],) * 2 if self.sides else self.box[2:]
        self.rows, self.columns = (nearest_pixels(size, preset.img_dim) for size in before)
        if draw.flip:
            self.columns = self.columns[::-1]
        self.mirrored = draw.mirrored

    @cached_property
    def pick(self) -> "Picker":
        """What picks the pixels of frames that aren't resized bilinearly."""
        return Picker(self.box, self.rows, self.columns, self.enlarged[1])

    def apply(
        self, frames: Iterable[np.ndarray], channels: Iterable[int] = repeat(IN_COLOUR)
    ) -> Iterator[np.ndarray]:
        """Yield each frame as `[img_dim, img_dim, 3]`, or `[img_dim, img_dim]` of one channel.

        `channels` has it for each frame, as in a `Draw`. Up to GROUP frames are read before the
        first is yielded.
        """
        frames, channels = map(self.placed, frames), iter(channels)
        if not self.sides:
            yield from map(self.pick, frames, channels)
            return
        *first, last = self.sides
        for joined in boxes_side_by_side(frames, self.box):
            K = joined.shape[1] // self.box.height
            for side in first:
                joined = side_by_side(resize_bilinear(joined, K, side, ALL, ALL))
            images = resize_bilinear(joined, K, last, self.rows, self.columns)
            for image, channel in zip(images, channels, strict=False):
                coloured = channel == IN_COLOUR
                yield image if coloured else cv2.extractChannel(image, in_file(channel))

    def placed(self, frame: np.ndarray) -> np.ndarray:
        """Return the frame enlarged and mirrored before all else, if it is to be."""
        if frame.shape[:2] != self.enlarged:
            frame = cv2.resize(frame, self.enlarged[::-1], interpolation=cv2.INTER_LINEAR)
        return cv2.flip(frame, 1) if self.mirrored else frame


def in_file(channel: int) -> int:
    """Return where a channel of red, green, blue is in a frame."""
    return 2 - channel


class Picker:
    """Some rows and columns of a part of equally large frames, of all channels or of one."""

    def __init__(self, box: Box, rows: np.ndarray, columns: np.ndarray, width: int):
        self.rows, columns = box.top + rows, box.left + columns
        # of the pixels, if only these rows are left; and of their first bytes in a frame
        self.pixels = np.arange(len(rows))[:, None] * width + columns
        self.bytes = 3 * (self.rows[:, None] * width + columns)

    def __call__(self, frame: np.ndarray, channel: int) -> np.ndarray:
        """Return the frame's `[rows][:, columns]`; without colours, `[H, W]`."""
        # all places are inside: 'wrap' saves the check
        if channel != IN_COLOUR:
            return frame.reshape(-1)[in_file(channel) :].take(self.bytes, mode="wrap")
        # with a fourth byte a pixel is a single number, which is twice as fast to take
        whole = cv2.cvtColor(frame.take(self.rows, axis=0), cv2.COLOR_BGR2BGRA)
        picked = whole.reshape(-1).view(np.uint32).take(self.pixels, mode="wrap")
        return cv2.cvtColor(picked.view(np.uint8).reshape(*picked.shape, 4), cv2.COLOR_BGRA2BGR)


def boxes_side_by_side(frames: Iterable[np.ndarray], box: Box) -> Iterator[np.ndarray]:
    """Yield the boxes of each K frames, up to GROUP, as `side_by_side` returns them: `[W, K·H, 3]`.

    Each array is overwritten by the next. A frame's box is copied before the next frame is decoded,
    while it lies in the processor's cache.
    """
    top, left, height, width = box
    joined = np.empty((width, GROUP * height, 3), np.uint8)
    K = 0
    for frame in frames:
        start = K * height
        part = frame[top : top + height, left : left + width]
        cv2.transpose(part, dst=joined[:, start : start + height])
        K += 1
        if K == GROUP:
            yield joined
            K = 0
    if K:
        yield np.ascontiguousarray(joined[:, : K * height])


def side_by_side(images: list[np.ndarray]) -> np.ndarray:
    """Return K images `[H, W, 3]`, each transposed, as one: `[W, K·H, 3]`."""
    height, width, _ = images[0].shape
    joined = np.empty((width, len(images) * height, 3), np.uint8)
    for image, place in zip(images, parts(joined, len(images)), strict=True):
        cv2.transpose(image, dst=place)
    return joined


def parts(joined: np.ndarray, K: int) -> list[np.ndarray]:
    """Return the K images of equal width that lie side by side."""
    width = joined.shape[1] // K
    return [joined[:, k * width : (k + 1) * width] for k in range(K)]


Kept = np.ndarray | slice
ALL = slice(None)


def resize_bilinear(
    joined: np.ndarray, K: int, side: int, rows: Kept, columns: Kept
) -> list[np.ndarray]:
    """Return some rows and columns of K images, each resized to `side` × `side`.

    They are given transposed and side by side, `[W, K·H, 3]`, since a call of torch takes 10 µs
    besides the 10 µs that an image takes. As in PIL, images are smoothed where they shrink, and
    their width is resized first. Columns that aren't kept are left out before that of the height.
    """
    wide = resize_rows(joined, side)[columns]  # [W', K·H, 3]
    tall = resize_rows(side_by_side(parts(wide, K)), side)  # [side, K·W', 3]
    return [image[rows] for image in parts(tall, K)]


def resize_rows(image: np.ndarray, number: int) -> np.ndarray:
    """Resize an image `[H, W, 3]` to `[number, W, 3]`."""
    if len(image) == number:
        return image
    channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)  # [1, 3, H, W]
    resized = functional.interpolate(
        channels_last, (number, image.shape[1]), mode="bilinear", antialias=True
    )  # [1, 3, number, W]
    return resized[0].permute(1, 2, 0).numpy()


def jitter(image: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Apply brightness, contrast, saturation and hue by their `factors`, in `order`.

    Gray levels are whole numbers after each. A gray image, `[H, W]`, has no saturation or hue.
    """
    for operation in order:
        if image.ndim == 3 or operation in (BRIGHTNESS, CONTRAST):
            image = OPERATIONS[operation](image, float(factors[operation]))
    return image


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all values."""
    return cv2.convertScaleAbs(image, alpha=factor, beta=-CUT)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the differences from the image's mean gray level."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    mean = int(cv2.mean(gray)[0] + 0.5)
    return cv2.addWeighted(image, factor, image, 0, (1 - factor) * mean - CUT)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply each pixel's differences from its gray level."""
    weights = factor * np.eye(3, 4) + (1 - factor) * LUMA
    weights[:, 3] = -CUT
    return cv2.transform(image, weights)


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn hues by a part of the colour circle.

    As in PIL, hue and saturation are truncated to whole 255ths, and hues wrap around at 256.
    """
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2HSV)  # 0..360, 0..1, 0..255
    hue = cv2.convertScaleAbs(cv2.extractChannel(hsv, 0), alpha=255 / 360, beta=-CUT)
    saturation = cv2.convertScaleAbs(cv2.extractChannel(hsv, 1), alpha=255, beta=-CUT)
    start = int(turn * 255) % 256
    cv2.insertChannel(cv2.LUT(hue, HUES[start : start + 256]), hsv, 0)
    cv2.insertChannel(cv2.LUT(saturation, SATURATIONS), hsv, 1)
    return cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


OPERATIONS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)  # as numbered
