"""Augmentation, against PIL and torchvision, and by the ranges and shares that the method names."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.v2 import functional

from dataset.augmentation import (
    CROP,
    DPC_PRESETS,
    Box,
    Draw,
    Jitter,
    Preset,
    preset_of,
    random_sized_box,
)
from dataset.gray_pixels import (
    colour,
    geometry,
    jitter_gray,
    nearest_pixels,
    only_picks_pixels,
    resize_bilinear,
)
from utils.config.datasets import CATALOGUE
from utils.config.flags import Config

NOTHING = Draw()
OPERATIONS = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)


def pictures(height: int, width: int) -> np.ndarray:
    """Noise, a wave and a uniform gray: uint8 [3, 1, height, width]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    wave = 127 + 120 * np.sin(x / 9 + y / 17)
    noise = rng.integers(0, 256, (height, width))
    return np.stack([noise, wave, np.full_like(wave, 127)]).astype(np.uint8)[:, None]


def preset(model: str, mode: str, *, img_dim: int = 32, augment: bool = True, bilinear=False):
    resize = "bilinear" if bilinear else "nearest"
    config = Config(
        dataset="Gabors", model=model, img_dim=img_dim, no_augm=not augment, resize=resize
    )
    return preset_of(config, mode, flip=False)


def draws(a_preset: Preset, count: int, num_images: int = 3, side: int = 256) -> list[Draw]:
    rng = np.random.default_rng(1)
    return [a_preset.draw(rng, num_images, side, side) for _ in range(count)]


# ------------------------------------------------------------------ resizing


@pytest.mark.parametrize("size", [32, 100, 180, 224, 240, 256, 320])
def test_nearest_pixels_are_those_that_pil_picks(size):
    # PIL adds up its step, and so may fall one short where the place is a whole number exactly
    row = Image.fromarray(np.arange(size, dtype=np.float32)[None])
    for new_size in range(1, 300):
        picked = np.asarray(row.resize((new_size, 1), Image.Resampling.NEAREST))[0].astype(int)
        exact = [(2 * i + 1) * size // (2 * new_size) for i in range(new_size)]
        ties = np.array([(2 * i + 1) * size % (2 * new_size) == 0 for i in range(new_size)])
        ours = nearest_pixels(size, new_size)
        assert ours.tolist() == exact
        assert (ours == picked)[~ties].all()
        assert np.isin(ours - picked, (0, 1)).all()


@pytest.mark.parametrize("img_dim", [32, 64, 128, 256, 512])
def test_the_plain_resize_of_a_canvas_equals_pil(img_dim):
    images = pictures(256, 256)
    resized = geometry(images, Preset(img_dim), NOTHING)
    for image, ours in zip(images[:, 0], resized[:, 0], strict=True):
        pil = Image.fromarray(image).resize((img_dim, img_dim), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(ours, np.asarray(pil))


@pytest.mark.parametrize(
    ("height", "width", "side"), [(256, 256, 128), (224, 224, 100), (180, 210, 224)]
)
def test_bilinear_resize_is_within_a_gray_level_of_pil(height, width, side):
    images = pictures(height, width)
    resized = resize_bilinear(images, side)
    assert resized.shape == (3, 1, side, side)
    assert resized.dtype == np.uint8
    for image, ours in zip(images[:, 0], resized[:, 0], strict=True):
        pil = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        difference = np.abs(np.asarray(pil).astype(int) - ours)
        assert difference.max() <= 1
        assert difference.mean() < 0.05


def test_a_preset_resizes_bilinearly_only_on_demand():
    images = pictures(256, 256)
    smooth = preset("dpc-rnn", "train", augment=False, bilinear=True)
    np.testing.assert_array_equal(geometry(images, smooth, NOTHING), resize_bilinear(images, 32))
    assert not only_picks_pixels(smooth)
    plain = preset("dpc-rnn", "train", augment=False)
    picked = nearest_pixels(256, 32)
    np.testing.assert_array_equal(
        geometry(images, plain, NOTHING), images[:, :, picked[:, None], picked]
    )
    assert only_picks_pixels(plain)


# ------------------------------------------------------------------ crops


@pytest.mark.parametrize(
    ("height", "width", "largest"),  # of 3 : 2, an aspect of 4 : 3 covers 8/9 at most
    [(256, 256, 1), (200, 300, 8 / 9), (300, 200, 8 / 9)],
)
def test_random_boxes_lie_inside_and_keep_area_and_aspect(height, width, largest):
    rng = np.random.default_rng(2)
    boxes = [random_sized_box(rng, height, width) for _ in range(3000)]
    side = min(height, width)
    fallback = ((height - side) // 2, (width - side) // 2, side, side)
    top, left, box_height, box_width = np.array([box for box in boxes if box != fallback]).T
    assert len(top) > 2700
    assert min(top.min(), left.min()) == 0
    assert (top + box_height).max() == height
    assert (left + box_width).max() == width
    area = box_height * box_width / (height * width)
    assert 0.495 < area.min() < 0.52
    assert largest - 0.05 < area.max() <= largest + 0.005
    aspect = box_width / box_height
    assert 0.74 < aspect.min() < 0.77
    assert 1.31 < aspect.max() < 1.35


def test_aspects_are_uniform_and_half_of_the_boxes_are_swapped():
    rng = np.random.default_rng(3)
    boxes = np.array([random_sized_box(rng, 2560, 2560) for _ in range(20_000)])
    height, width = boxes[boxes[:, 2] * boxes[:, 3] < 0.75 * 2560**2, 2:].T  # all of these fit
    # of the aspects drawn from 3/4 to 4/3, 4 of 7 lie above 1
    assert np.mean(width > height) == pytest.approx(0.5, abs=0.015)
    drawn = np.linspace(3 / 4, 4 / 3, 1001)
    longer = np.maximum(width / height, height / width)
    assert longer.mean() == pytest.approx(np.maximum(drawn, 1 / drawn).mean(), abs=0.003)
    assert (height * width).mean() / 2560**2 == pytest.approx(0.625, abs=0.003)


@pytest.mark.parametrize(
    ("height", "width", "box"), [(10, 301, (0, 145, 10, 10)), (300, 10, (145, 0, 10, 10))]
)
def test_where_no_box_fits_the_centre_is_taken(height, width, box):
    for seed in range(20):
        assert random_sized_box(np.random.default_rng(seed), height, width) == box


def test_a_crop_is_made_224_wide_and_then_resized_by_nearest_neighbour():
    images = pictures(256, 256)
    box = Box(20, 3, 200, 240)
    a_preset = preset("lc-rnn", "train")
    cropped = resize_bilinear(images[:, :, 20:220, 3:243], CROP)
    picked = nearest_pixels(224, 32)
    np.testing.assert_array_equal(
        geometry(images, a_preset, Draw(box)), cropped[:, :, picked[:, None], picked]
    )


def test_the_test_preset_takes_the_centre_224_and_nothing_else():
    images, a_preset = pictures(256, 256), preset("lc-rnn", "test", img_dim=112)
    for draw in draws(a_preset, 50):
        assert draw == Draw(Box(16, 16, 224, 224))
        middle = geometry(images, a_preset, draw)
        # of 224 pixels every other, from the second on
        np.testing.assert_array_equal(middle, images[:, :, 17:240:2, 17:240:2])
        assert colour(middle, draw) is middle


@pytest.mark.parametrize(("mode", "share"), [("train", 1), ("val", 0.3)])
def test_the_classifier_crops_at_random_with_the_modes_probability(mode, share):
    centre = (16, 16, 224, 224)
    boxes = [draw.box for draw in draws(preset("lc-rnn", mode), 1500)]
    assert np.mean([box != centre for box in boxes]) == pytest.approx(share, abs=0.04)


# ------------------------------------------------------------------ colour


def test_jitter_equals_torchvisions_on_gray_colour_images():
    # of PIL images; saturation and hue come between, and change nothing
    images = pictures(64, 80)
    for draw in draws(preset("dpc-rnn", "train"), 40):
        jittered = jitter_gray(images, draw.factors, draw.order)
        assert jittered.dtype == np.uint8
        for image, factors, order, ours in zip(
            images[:, 0], draw.factors, draw.order, jittered[:, 0], strict=True
        ):
            picture = Image.fromarray(image).convert("RGB")
            for operation in order:
                picture = OPERATIONS[operation](picture, float(factors[operation]))
            theirs = np.asarray(picture).astype(int)
            assert (np.ptp(theirs, axis=2) == 0).all()
            assert np.abs(theirs[..., 0] - ours).mean() < 0.01


def test_jitter_applies_brightness_and_contrast_in_the_order_drawn():
    image = pictures(64, 64)[1:2]
    factors = np.array([[1.5, 0.5, 1, 0]])
    brighter_first = jitter_gray(image, factors, np.array([[0, 3, 1, 2]]))
    contrast_first = jitter_gray(image, factors, np.array([[2, 1, 3, 0]]))
    # a mean of 127: brightened, then drawn to 1.5 · 127, or drawn to 127, then brightened
    assert np.ptp(brighter_first.astype(int)) < np.ptp(contrast_first.astype(int)) - 5
    assert brighter_first.mean() < contrast_first.mean() - 2


def test_dpc_jitters_every_image_anew_within_the_published_ranges():
    for mode in ("train", "val"):  # validation uses the training preset
        all_draws = draws(preset("dpc-rnn", mode), 500, num_images=4)
        assert all(draw.box is None for draw in all_draws)
        factors = np.stack([draw.factors for draw in all_draws])
        assert factors.shape == (500, 4, 4)
        assert len(np.unique(factors)) == factors.size
        low, high = factors.min(axis=(0, 1)), factors.max(axis=(0, 1))
        np.testing.assert_allclose(low, [0.5, 0.5, 0.5, -0.25], atol=0.01)
        np.testing.assert_allclose(high, [1.5, 1.5, 1.5, 0.25], atol=0.01)
        assert (low >= [0.5, 0.5, 0.5, -0.25]).all()
        assert (high <= [1.5, 1.5, 1.5, 0.25]).all()
        orders = {tuple(order) for draw in all_draws for order in draw.order}
        assert len(orders) == 24
        assert any((draw.order[0] != draw.order[1]).any() for draw in all_draws)


@pytest.mark.parametrize(
    ("mode", "reach"), [("train", (0.5, 0.5, 0.5, 0.25)), ("val", (0.2, 0.2, 0.2, 0.1))]
)
def test_the_classifier_jitters_whole_clips_with_probability_0_3(mode, reach):
    a_preset = preset("lc-rnn", mode)
    jittered = [draw for draw in draws(a_preset, 2500) if draw.factors is not None]
    assert len(jittered) / 2500 == pytest.approx(0.3, abs=0.03)
    factors = np.stack([draw.factors for draw in jittered])
    assert factors.shape[1:] == (1, 4)
    offsets = np.abs(factors - [1, 1, 1, 0]).max(axis=(0, 1))
    np.testing.assert_allclose(offsets, reach, rtol=0.03)
    assert (offsets <= np.array(reach) + 1e-9).all()
    clip = np.repeat(pictures(256, 256)[1:2], 3, axis=0)
    images = colour(clip, jittered[0])
    assert (images == images[:1]).all()
    assert (images != clip).any()


def test_a_jitter_of_probability_nothing_is_never_drawn():
    a_preset = Preset(32, jitter=Jitter(0.5, 0.5, 0.5, 0.25, p=0, per_image=True))
    assert all(draw.factors is None for draw in draws(a_preset, 200))


# ------------------------------------------------------------------ presets


def test_every_data_set_has_a_preset_that_exists():
    assert {info.dpc_preset for info in CATALOGUE.values()} == DPC_PRESETS.keys()


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_without_augmentation_images_are_only_resized(model, mode):
    images, plain = pictures(256, 256), preset(model, mode, augment=False, img_dim=128)
    for draw in draws(plain, 20):
        assert draw == NOTHING
        resized = geometry(images, plain, draw)
        np.testing.assert_array_equal(resized, images[:, :, 1::2, 1::2])
        assert colour(resized, draw) is resized


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        ("dpc-rnn", "train"),
        ("dpc-rnn", "val"),
        ("lc-rnn", "train"),
        ("lc-rnn", "val"),
        ("lc-rnn", "test"),
    ],
)
def test_gabors_are_never_mirrored(model, mode):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    images = np.stack([ramp, ramp.T])[:, None]  # brighter to the right, brighter downwards
    a_preset = preset(model, mode)
    for draw in draws(a_preset, 40, num_images=2):
        right, down = colour(geometry(images, a_preset, draw), draw)[:, 0].astype(int)
        assert right.shape == (32, 32)
        assert (np.diff(right, axis=1) >= 0).all()
        assert right[0, -1] > right[0, 0] + 30
        assert (np.diff(down, axis=0) >= 0).all()
        assert down[-1, 0] > down[0, 0] + 30


def test_draws_follow_from_the_generator_alone():
    a_preset = preset("lc-rnn", "val")
    for one, other in zip(draws(a_preset, 30), draws(a_preset, 30), strict=True):
        assert one.box == other.box
        np.testing.assert_array_equal(one.factors, other.factors)
        np.testing.assert_array_equal(one.order, other.order)
