"""The training augmentation of published linear probes, `--augm linear`."""

import numpy as np
import pytest
from PIL import Image

from dataset.augmentation import Box, Draw, Preset, preset_of
from dataset.build import build_dataset
from dataset.video_pixels import augment_clip
from utils.config.flags import Config
from utils.errors import UsageError


def preset(mode: str = "train", **options) -> Preset:
    return preset_of(Config(**{"dataset": "UCF101", "model": "lc-rnn", **options}), mode)


def draws(count: int = 4000) -> list[Draw]:
    rng, linear = np.random.default_rng(1), preset(augm="linear")
    return [linear.draw(rng, 4, 240, 320) for _ in range(count)]


def test_linear_probes_crop_from_a_fifth_of_the_image_on():
    boxes = np.array([draw.box for draw in draws()])
    top, left, height, width = boxes.T
    assert min(top.min(), left.min()) == 0
    assert (top + height).max() == 240
    assert (left + width).max() == 320
    fits = (height != 240) | (width != 240)  # where none of 10 fits, the centre
    area = (height * width / (240 * 320))[fits]
    assert 0.195 < area.min() < 0.21
    assert area.max() > 0.9
    # areas are uniform from 0.2 on; above a half, some of them don't fit and are drawn anew
    small = area[area < 0.5]
    assert np.median(small) == pytest.approx(0.35, abs=0.012)
    aspect = (width / height)[fits]
    assert 0.74 < aspect.min() < 0.77
    assert 1.30 < aspect.max() < 1.35


def test_linear_probes_mirror_half_and_jitter_three_tenths_of_the_clips():
    made = draws()
    assert np.mean([draw.flip for draw in made]) == pytest.approx(0.5, abs=0.04)
    assert all(draw.channel is None for draw in made)
    factors = [draw.factors for draw in made if draw.factors is not None]
    assert len(factors) / len(made) == pytest.approx(0.3, abs=0.036)
    assert {one.shape for one in factors} == {(1, 4)}  # of all images of a clip
    offsets = np.abs(np.concatenate(factors) - [1, 1, 1, 0])
    assert (offsets <= (0.4, 0.4, 0.4, 0.1)).all()
    np.testing.assert_allclose(offsets.max(axis=0), (0.4, 0.4, 0.4, 0.1), rtol=0.02)


def test_linear_probes_resize_the_box_to_the_networks_size_at_once():
    clip = np.random.default_rng(2).integers(0, 256, (6, 240, 320, 3), np.uint8)
    box = Box(11, 30, 150, 120)
    a_preset = preset(augm="linear", img_dim=96)
    ours = augment_clip(iter(clip), a_preset, Draw(box, flip=True), 2)
    picture = Image.fromarray(clip[4, 11:161, 30:150, ::-1].copy())
    resized = picture.resize((96, 96), Image.Resampling.BILINEAR)
    theirs = np.asarray(resized)[:, ::-1].transpose(2, 0, 1).astype(int)
    assert np.abs(ours[1, :, 1].numpy() - theirs).max() <= 1


@pytest.mark.parametrize("mode", ["val", "test"])
def test_linear_probes_validate_and_test_as_published(mode):
    assert preset(mode, augm="linear") == preset(mode)


def test_the_linear_probes_augmentation_is_for_videos():
    config = Config(dataset="Gabors", model="lc-rnn", augm="linear", seed=1)
    with pytest.raises(UsageError, match="--augm linear, typed or of a preset: is for videos"):
        build_dataset(config, "train")
