"""Frames that are resized together, or of which single pixels are picked, have the bits that a slow
formula gives of each frame alone; and so have the colours that are made with tables.
"""

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from dataset.augmentation import IN_COLOUR, Box, Crop, Draw, Jitter, Preset
from dataset.gray_pixels import nearest_pixels
from dataset.video_pixels import (
    CUT,
    GROUP,
    LUMA,
    Geometry,
    adjust_hue,
    adjust_saturation,
    augment_clip,
    cut_crops,
    jitter,
)

JITTER = Jitter(0.5, 0.5, 0.5, 0.25, p=1, per_image=True)
COUNTS = [1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP + 3]
PRESETS = {
    "picked of a crop": Preset(40, False, Crop(64, 0, centred=False), 0.5, 0.5, JITTER),
    "all of a crop": Preset(64, False, Crop(64, 0, centred=False), 0.5, 0.5, JITTER),
    "picked of all": Preset(53, gray_p=0.5, jitter=JITTER),
    "bilinear": Preset(53, True, gray_p=0.5),
    "crop, bilinear": Preset(40, True, Crop(64, 0, centred=False), 0.5, 0.5, JITTER),
    "box": Preset(40, False, Crop(40, 1), 0.5, 0.5, JITTER),
    "box, picked": Preset(40, False, Crop(64, 1), 0.5, 0.5, JITTER),
    "box, bilinear": Preset(40, True, Crop(64, 1), 0.5, 0.5, JITTER),
    "some boxes": Preset(40, False, Crop(64, 0.5), 0.5, jitter=JITTER._replace(per_image=False)),
}


@pytest.fixture(autouse=True)
def one_thread():
    """As in the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(threads)


def noise(count: int, height: int, width: int) -> list[np.ndarray]:
    rng = np.random.default_rng(count + height)
    return list(rng.integers(0, 256, (count, height, width, 3), np.uint8))


def stretched(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """First the width, then the height, each as rows."""
    for size in (width, height):
        image = np.ascontiguousarray(image.transpose(1, 0, 2))
        if len(image) != size:
            channels_last = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
            resized = functional.interpolate(
                channels_last, (size, image.shape[1]), mode="bilinear", antialias=True
            )
            image = np.ascontiguousarray(resized[0].permute(1, 2, 0))
    return image


def alone(frame: np.ndarray, preset: Preset, draw: Draw, m: int) -> np.ndarray:
    """The m-th frame of a clip, as RGB `[3, D, D]`."""
    if draw.mirrored:
        frame = np.ascontiguousarray(frame[:, ::-1])
    height, width = preset.enlarged(*frame.shape[:2])
    if frame.shape[:2] != (height, width):
        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    if draw.box is not None:
        top, left, height, width = draw.box
        frame = frame[top : top + height, left : left + width]
        if (height, width) != (preset.crop.side, preset.crop.side):
            frame = stretched(frame, preset.crop.side, preset.crop.side)
    if preset.bilinear:
        frame = stretched(frame, preset.img_dim, preset.img_dim)
    rows, columns = (nearest_pixels(size, preset.img_dim) for size in frame.shape[:2])
    image = frame[rows][:, columns]
    image = np.ascontiguousarray(image[:, ::-1] if draw.flip else image)
    if draw.channel is not None and draw.channel[m] != IN_COLOUR:
        image = np.ascontiguousarray(image[..., ::-1][..., draw.channel[m]])
    if draw.factors is not None:
        k = m % len(draw.factors)
        image = jitter(image, draw.factors[k], draw.order[k])
    return np.stack([image] * 3) if image.ndim == 2 else image[..., ::-1].transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(80, 100), (71, 97), (50, 66)])
@pytest.mark.parametrize("name", PRESETS)
def test_a_clips_frames_are_those_made_one_by_one(name, size):
    preset = PRESETS[name]
    rng = np.random.default_rng(len(name) + size[0])
    for count in COUNTS:
        for _ in range(2):
            frames = noise(count, *size)
            draw = preset.draw(rng, count, *preset.enlarged(*size))
            clip = augment_clip(iter(frames), preset, draw, count)  # [M, C, 1, D, D]
            slow = [alone(frame, preset, draw, m) for m, frame in enumerate(frames)]
            np.testing.assert_array_equal(clip[:, :, 0].numpy(), np.stack(slow))


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("crops", [1, 5, 10])
def test_crops_frames_are_those_made_one_by_one(crops, bilinear):
    preset, size = Preset(40, bilinear, Crop(64, 0)), (71, 97)
    draws = preset.test_draws(crops, *size)
    for count in COUNTS:
        frames = noise(count, *size)
        clips = cut_crops(iter(frames), preset, draws, (1, count))  # [crops, C, M, D, D]
        for clip, draw in zip(clips, draws, strict=True):
            slow = [alone(frame, preset, draw, m) for m, frame in enumerate(frames)]
            np.testing.assert_array_equal(clip.transpose(0, 1).numpy(), np.stack(slow))


@pytest.mark.parametrize("name", ["picked of a crop", "all of a crop", "box, picked"])
def test_halves_of_wider_frames_are_taken_as_copies_of_them_are(name):
    preset = PRESETS[name]
    rng = np.random.default_rng(3)
    for eye in (slice(None, 97), slice(-97, None)):
        halves = [frame[:, eye] for frame in noise(GROUP + 1, 71, 194)]
        draw = preset.draw(rng, len(halves), 71, 97)
        ours, theirs = (
            augment_clip(frames, preset, draw, len(halves))
            for frames in (halves, map(np.ascontiguousarray, halves))
        )
        assert torch.equal(ours, theirs)


def test_only_a_group_of_frames_is_read_ahead():
    read = []

    def frames():
        for m, frame in enumerate(noise(3 * GROUP, 71, 97)):
            read.append(m)
            yield frame

    boxes = Geometry(PRESETS["box"], Draw(Box(2, 3, 60, 50)), 71, 97).apply(frames())
    next(boxes)
    assert len(read) == GROUP
    read.clear()
    next(Geometry(PRESETS["picked of all"], Draw(), 71, 97).apply(frames()))
    assert len(read) == 1


def test_hues_turn_as_by_a_table_of_each_turn():
    [image] = noise(1, 128, 128)
    levels = np.arange(256)
    for turn in np.linspace(-0.25, 0.25, 41):
        hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2HSV)
        hue = cv2.convertScaleAbs(hsv[..., 0], alpha=255 / 360, beta=-CUT)
        saturation = cv2.convertScaleAbs(hsv[..., 1], alpha=255, beta=-CUT)
        turned = (levels + int(turn * 255)) % 256
        hsv[..., 0] = (turned * (360 / 255)).astype(np.float32)[hue]
        hsv[..., 1] = (levels / 255).astype(np.float32)[saturation]
        slow = cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))
        np.testing.assert_array_equal(adjust_hue(image, float(turn)), slow)


def test_saturation_has_the_weights_of_each_channel():
    [image] = noise(1, 128, 128)
    for factor in np.linspace(0.5, 1.5, 41):
        rows = [
            [factor * (row == column) + (1 - factor) * LUMA[column] for column in range(3)] + [-CUT]
            for row in range(3)
        ]
        slow = cv2.transform(image, np.array(rows))
        np.testing.assert_array_equal(adjust_saturation(image, float(factor)), slow)
