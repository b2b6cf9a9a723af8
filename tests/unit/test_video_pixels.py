"""Augmentation of video: what is drawn, by the method's ranges and shares, and how it is applied,
against PIL and torchvision with the same draws.
"""

from collections import Counter
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from dataset.augmentation import Box, Draw, Preset, preset_of
from dataset.video_pixels import OPERATIONS, augment_clip, jitter
from utils.config.flags import Config

FIXED = ("UCF101", "HMDB51")
ALL = (*FIXED, "Kinetics400", "MouseSim")
STRONG, WEAK = (0.5, 0.5, 0.5, 0.25), (0.2, 0.2, 0.2, 0.1)
THEIRS = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)
N, L = 2, 3


@pytest.fixture(autouse=True)
def one_thread():
    """As in the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(threads)


def preset(dataset: str, model: str = "dpc-rnn", mode: str = "train", **options) -> Preset:
    config = Config(dataset=dataset, model=model, **{"img_dim": 128, **options})
    return preset_of(config, mode)


@cache
def draws(a_preset: Preset, count: int, num_images: int = 4, size=(240, 320)) -> list[Draw]:
    rng = np.random.default_rng(1)
    return [a_preset.draw(rng, num_images, *size) for _ in range(count)]


# ------------------------------------------------------------------ what is drawn


@pytest.mark.parametrize("mode", ["train", "val"])
@pytest.mark.parametrize("dataset", [*FIXED, "MouseSim"])
def test_dpc_crops_224_pixels_anywhere(dataset, mode):
    boxes = [draw.box for draw in draws(preset(dataset, mode=mode), 3000)]
    assert {box[2:] for box in boxes} == {(224, 224)}
    tops, lefts = Counter(box.top for box in boxes), Counter(box.left for box in boxes)
    assert tops.keys() == set(range(17))
    assert lefts.keys() == set(range(97))
    assert min(tops.values()) > 3000 / 17 - 65  # 5 standard deviations
    assert max(tops.values()) < 3000 / 17 + 65
    halves = sum(count for left, count in lefts.items() if left < 48)
    assert halves / 3000 == pytest.approx(48 / 97, abs=0.03)


@pytest.mark.parametrize(
    ("dataset", "model", "mode", "share"),
    [
        *((dataset, "lc-rnn", "train", 1) for dataset in ALL),
        *((dataset, "lc-rnn", "val", 0.3) for dataset in ALL),
        *((dataset, "lc-rnn", "test", 0) for dataset in ALL),
        ("Kinetics400", "dpc-rnn", "train", 1),
        ("Kinetics400", "dpc-rnn", "val", 1),
    ],
)
def test_sized_crops_come_with_the_modes_probability(dataset, model, mode, share):
    boxes = [draw.box for draw in draws(preset(dataset, model, mode), 3000)]
    sized = [box for box in boxes if box != (8, 48, 224, 224)]  # else the centre
    assert len(sized) / 3000 == pytest.approx(share, abs=0.05 if 0 < share < 1 else 0.01)
    if not share:
        return
    top, left, height, width = np.array(sized).T
    assert min(top.min(), left.min()) == 0
    assert (top + height).max() == 240
    assert (left + width).max() == 320
    whole = (height == 240) & (width == 240)  # where none of 10 fits, the centre
    area = (height * width / (240 * 320))[~whole]
    assert 0.49 < area.min() < 0.52
    assert area.max() > 0.9
    aspect = (width / height)[~whole]
    assert 0.74 < aspect.min() < 0.78
    assert 1.29 < aspect.max() < 1.35


@pytest.mark.parametrize(
    ("dataset", "model", "mode", "share"),
    [
        *((d, "dpc-rnn", mode, 0.5) for d in (*FIXED, "Kinetics400") for mode in ("train", "val")),
        *(("MouseSim", "dpc-rnn", mode, 0) for mode in ("train", "val")),
        *((dataset, "lc-rnn", mode, 0.5) for dataset in ALL for mode in ("train", "val")),
        *((dataset, "lc-rnn", "test", 0) for dataset in ALL),
    ],
)
def test_clips_are_mirrored_half_of_the_time(dataset, model, mode, share):
    flips = [draw.flip for draw in draws(preset(dataset, model, mode), 3000)]
    assert np.mean(flips) == pytest.approx(share, abs=0.045 if share else 0)


@pytest.mark.parametrize("mode", ["train", "val"])
@pytest.mark.parametrize("dataset", [*FIXED, "Kinetics400"])
def test_dpc_takes_the_colour_of_half_of_the_frames_one_by_one(dataset, mode):
    channels = np.stack([draw.channel for draw in draws(preset(dataset, mode=mode), 3000)])
    assert channels.shape == (3000, 4)
    gray = channels >= 0
    assert gray.mean() == pytest.approx(0.5, abs=0.025)
    shares = np.bincount(channels[gray], minlength=3) / gray.sum()
    np.testing.assert_allclose(shares, [1 / 3] * 3, atol=0.035)
    counts = np.bincount(gray.sum(axis=1), minlength=5) / 3000  # binomial: frame by frame
    np.testing.assert_allclose(counts, np.array([1, 4, 6, 4, 1]) / 16, atol=0.05)
    both = channels[gray[:, 0] & gray[:, 1], :2]
    assert np.mean(both[:, 0] == both[:, 1]) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize(
    ("dataset", "model", "mode", "share", "reach", "each_frame"),
    [
        *((d, "dpc-rnn", m, 1, STRONG, True) for d in ALL[:3] for m in ("train", "val")),
        *((dataset, "lc-rnn", "train", 0.3, STRONG, False) for dataset in ALL),
        *((dataset, "lc-rnn", "val", 0.3, WEAK, False) for dataset in ALL),
    ],
)
def test_colour_jitter_keeps_to_its_ranges_and_share(
    dataset, model, mode, share, reach, each_frame
):
    all_draws = draws(preset(dataset, model, mode), 3000)
    jittered = [draw for draw in all_draws if draw.factors is not None]
    assert len(jittered) / 3000 == pytest.approx(share, abs=0.045 if share < 1 else 0)
    factors = np.stack([draw.factors for draw in jittered])
    assert factors.shape[1:] == (4 if each_frame else 1, 4)
    assert len(np.unique(factors)) == factors.size
    factors = factors.reshape(-1, 4) - [1, 1, 1, 0]
    reach = np.array(reach)
    assert (np.abs(factors) <= reach).all()
    np.testing.assert_allclose(factors.min(axis=0), -reach, rtol=0.03)
    np.testing.assert_allclose(factors.max(axis=0), reach, rtol=0.03)
    np.testing.assert_allclose(factors.mean(axis=0) / reach, 0, atol=0.12)  # uniform
    np.testing.assert_allclose((factors**2).mean(axis=0) / reach**2, 1 / 3, atol=0.06)
    orders = Counter(tuple(order) for draw in jittered for order in draw.order)
    counts, mean = np.array(list(orders.values())), orders.total() / 24
    assert len(counts) == 24
    assert ((counts - mean) ** 2 / mean).sum() < 57  # chi-square: 23 and five standard deviations
    if each_frame:
        assert any((draw.order[0] != draw.order[1]).any() for draw in jittered)


@pytest.mark.parametrize(
    ("dataset", "model", "mode"),
    [("MouseSim", "dpc-rnn", "train"), *((dataset, "lc-rnn", "test") for dataset in ALL)],
)
def test_some_presets_leave_colours_alone(dataset, model, mode):
    for draw in draws(preset(dataset, model, mode), 200):
        assert draw.channel is None
        assert draw.factors is None


@pytest.mark.parametrize("dataset", ALL)
@pytest.mark.parametrize("mode", ["train", "val"])
def test_the_classifier_sees_colour(dataset, mode):
    all_draws = draws(preset(dataset, "lc-rnn", mode), 200)
    assert all(draw.channel is None for draw in all_draws)


@pytest.mark.parametrize("dataset", ALL)
@pytest.mark.parametrize(
    ("model", "mode"),
    [("dpc-rnn", "train"), ("dpc-rnn", "val")] + [("lc-rnn", m) for m in ("train", "val", "test")],
)
def test_no_augm_draws_nothing(dataset, model, mode):
    plain = preset(dataset, model, mode, no_augm=True)
    assert all(draw == Draw() for draw in draws(plain, 20))
    assert plain.enlarged(90, 100) == (90, 100)


@pytest.mark.parametrize(
    ("size", "enlarged"),
    [
        ((240, 320), (240, 320)),
        ((224, 224), (224, 224)),
        ((223, 300), (224, 301)),
        ((150, 200), (224, 299)),
        ((200, 150), (299, 224)),
        ((112, 112), (224, 224)),
    ],
)
def test_frames_smaller_than_a_crop_are_enlarged_until_it_fits(size, enlarged):
    fixed = [preset("UCF101"), preset("MouseSim")]
    fixed += [preset("HMDB51", "lc-rnn", mode) for mode in ("val", "test")]
    for a_preset in fixed:
        assert a_preset.enlarged(*size) == enlarged
        for draw in draws(a_preset, 50, size=enlarged):
            top, left, height, width = draw.box
            assert min(top, left) >= 0
            assert top + height <= enlarged[0]
            assert left + width <= enlarged[1]


# ------------------------------------------------------------------ how it is applied


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    """Colours that change slowly, an edge, and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (20 + 9 * k) + seed) * np.cos(y / (31 - 7 * k) - k) for k in range(3)]
    image = 125 + 70 * np.stack(waves, axis=2) + rng.normal(0, 6, (height, width, 3))
    image[y > x] *= 0.7
    return image.clip(0, 255).astype(np.uint8)


def saturated(seed: int, height: int, width: int) -> np.ndarray:
    """Patches of the strongest colours, black and white among them."""
    patches = np.random.default_rng(seed).integers(0, 2, (9, 12, 3)) * 255
    return cv2.resize(patches.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)


def noise(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


PICTURES = {"smooth": smooth, "saturated": saturated, "noise": noise}


@cache
def frames(picture: str = "smooth", size=(240, 320), count: int = N * L) -> list[np.ndarray]:
    return [PICTURES[picture](number, *size) for number in range(count)]


def all_pictures(size) -> list[np.ndarray]:
    return [frame for picture in PICTURES for frame in frames(picture, size, N * L // 3)]


def rgb(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame[..., ::-1])).permute(2, 0, 1)


def pil(frame: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))


def tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def resized(image: Image.Image, height: int, width: int, smoothly: bool) -> Image.Image:
    how = Image.Resampling.BILINEAR if smoothly else Image.Resampling.NEAREST
    return image.resize((width, height), how)


def reference(clip: list[np.ndarray], a_preset: Preset, draw: Draw) -> torch.Tensor:
    """The same draw, frame by frame with PIL: uint8 [M, 3, D, D]."""
    side, images = a_preset.img_dim, []
    for m, frame in enumerate(clip):
        image = resized(pil(frame), *a_preset.enlarged(*frame.shape[:2]), smoothly=True)
        if draw.box is not None:
            image = functional.crop(image, *draw.box)
            image = resized(image, a_preset.crop.side, a_preset.crop.side, smoothly=True)
        image = resized(image, side, side, smoothly=a_preset.bilinear)
        if draw.flip:
            image = functional.horizontal_flip(image)
        if draw.channel is not None and draw.channel[m] >= 0:
            image = Image.merge("RGB", [image.getchannel(int(draw.channel[m]))] * 3)
        if draw.factors is not None:
            k = m % len(draw.factors)
            image = jittered(image, draw.factors[k], draw.order[k])
        images.append(tensor(image))
    return torch.stack(images)


def jittered(image, factors: np.ndarray, order: np.ndarray):
    for operation in order:
        image = THEIRS[operation](image, float(factors[operation]))
    return image


def applied(clip: list[np.ndarray], a_preset: Preset, draw: Draw) -> torch.Tensor:
    """As the dataset does, in the reference's layout."""
    augmented = augment_clip(iter(clip), a_preset, draw, N)
    side = a_preset.img_dim
    assert augmented.dtype == torch.uint8
    assert augmented.shape == (N, 3, len(clip) // N, side, side)
    assert augmented.is_contiguous()
    return augmented.transpose(1, 2).reshape(-1, 3, side, side)


def mean_differences(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Of each frame, in gray levels."""
    return (ours.double() - theirs.double()).abs().mean(dim=(1, 2, 3))


def without_jitter(draw: Draw) -> Draw:
    return draw._replace(factors=None, order=None)


@pytest.mark.parametrize(
    ("dataset", "img_dim"),
    [("UCF101", 96), ("UCF101", 128), ("HMDB51", 112), ("HMDB51", 224), ("MouseSim", 128)],
)
def test_crop_resize_flip_and_gray_are_exact(dataset, img_dim):
    a_preset, clip = preset(dataset, img_dim=img_dim), frames("noise")
    all_draws = [without_jitter(draw) for draw in draws(a_preset, 8, N * L)]
    assert len({draw.flip for draw in all_draws}) == (1 if dataset == "MouseSim" else 2)
    for draw in all_draws:
        assert torch.equal(applied(clip, a_preset, draw), reference(clip, a_preset, draw))


@pytest.mark.parametrize("size", [(240, 320), (256, 256), (150, 267), (97, 61), (128, 128)])
@pytest.mark.parametrize("img_dim", [64, 128])
def test_without_augmentation_frames_are_only_resized(img_dim, size):
    clip = [*frames("noise", size, 3), *frames("smooth", size, 3)]
    a_preset = preset("Kinetics400", no_augm=True, img_dim=img_dim)
    theirs = [tensor(resized(pil(frame), img_dim, img_dim, smoothly=False)) for frame in clip]
    assert torch.equal(applied(clip, a_preset, Draw()), torch.stack(theirs))
    a_preset = preset("Kinetics400", no_augm=True, img_dim=img_dim, resize="bilinear")
    ours, side = applied(clip, a_preset, Draw()), [img_dim, img_dim]
    theirs = [tensor(resized(pil(frame), *side, smoothly=True)) for frame in clip]
    torchvisions = [functional.resize(rgb(frame), side, antialias=True) for frame in clip]
    for smooth_ones in (theirs, torchvisions):
        smooth_ones = torch.stack(smooth_ones)
        assert mean_differences(ours, smooth_ones).max() < 0.3
        assert (ours.int() - smooth_ones.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("dataset", "model", "sides"),  # of the box made square, then of the image
    [
        ("Kinetics400", "dpc-rnn", (64,)),
        ("Kinetics400", "lc-rnn", (224, 64)),
        ("UCF101", "lc-rnn", (224, 64)),
    ],
)
def test_random_boxes_become_square_bilinearly_at_the_presets_size(dataset, model, sides):
    clip, box = all_pictures((240, 320)), Box(11, 40, 190, 230)
    ours = applied(clip, preset(dataset, model, img_dim=64), Draw(box))
    theirs = [functional.crop(pil(frame), *box) for frame in clip]
    for side, smoothly in zip(sides, (True, False), strict=False):
        theirs = [resized(image, side, side, smoothly) for image in theirs]
    assert mean_differences(ours, torch.stack([tensor(image) for image in theirs])).max() < 0.3


def test_frames_of_the_size_wanted_stay_as_they_are():
    clip = frames("noise", (128, 128))
    for resize in ("nearest", "bilinear"):
        a_preset = preset("UCF101", no_augm=True, resize=resize)
        assert torch.equal(applied(clip, a_preset, Draw()), torch.stack(list(map(rgb, clip))))


@pytest.mark.parametrize("resize", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("dataset", "model", "mode", "size"),
    [
        ("UCF101", "dpc-rnn", "train", (240, 320)),
        ("UCF101", "dpc-rnn", "train", (150, 200)),  # enlarged
        ("Kinetics400", "dpc-rnn", "train", (150, 200)),
        ("Kinetics400", "dpc-rnn", "train", (100, 90)),  # scaled up
        ("MouseSim", "dpc-rnn", "train", (200, 240)),
        ("HMDB51", "lc-rnn", "train", (240, 320)),
        ("HMDB51", "lc-rnn", "val", (240, 320)),
        ("Kinetics400", "lc-rnn", "val", (150, 200)),
        ("UCF101", "lc-rnn", "test", (240, 320)),
        ("Kinetics400", "lc-rnn", "test", (150, 200)),
    ],
)
def test_the_whole_chain_is_within_a_gray_level(dataset, model, mode, size, resize):
    clip, a_preset = all_pictures(size), preset(dataset, model, mode, resize=resize)
    for draw in draws(a_preset, 5, N * L, a_preset.enlarged(*size)):
        bare = without_jitter(draw)
        difference = mean_differences(
            applied(clip, a_preset, bare), reference(clip, a_preset, bare)
        )
        assert difference.max() < 1
        ours, theirs = applied(clip, a_preset, draw), reference(clip, a_preset, draw)
        assert mean_differences(ours, theirs).max() <= 1


@pytest.mark.parametrize("dataset", ["UCF101", "Kinetics400"])
def test_jitter_of_many_draws_is_within_a_gray_level(dataset):
    clip = all_pictures((64, 64))
    a_preset = preset(dataset, no_augm=True, img_dim=64)
    for draw in draws(preset(dataset), 60, N * L):
        draw = draw._replace(box=None)
        ours, theirs = applied(clip, a_preset, draw), reference(clip, a_preset, draw)
        assert mean_differences(ours, theirs).max() < 0.7


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("operation", range(4), ids=["brightness", "contrast", "saturation", "hue"])
def test_each_colour_operation_is_within_a_gray_level(operation, picture):
    reach = STRONG[operation]
    for number, offset in enumerate(np.linspace(-reach, reach, 21)):
        factor = float(offset if operation == 3 else 1 + offset)
        frame = PICTURES[picture](number, 60, 80)
        ours = rgb(OPERATIONS[operation](frame, factor))[None]
        theirs = tensor(THEIRS[operation](pil(frame), factor))[None]
        assert mean_differences(ours, theirs) < 0.4


@pytest.mark.parametrize("picture", PICTURES)
def test_jitter_is_as_near_to_torchvisions_tensors_as_pil_is(picture):
    # on these torchvision keeps hues that PIL cuts off, and cuts off mean grays that PIL rounds
    ours, pils = [], []
    for draw in draws(preset("UCF101"), 25, N * L):
        for frame, factors, order in zip(
            frames(picture, (48, 48)), draw.factors, draw.order, strict=True
        ):
            theirs = jittered(rgb(frame), factors, order)
            ours.append(mean_differences(rgb(jitter(frame, factors, order))[None], theirs[None]))
            pil_image = tensor(jittered(pil(frame), factors, order))
            pils.append(mean_differences(pil_image[None], theirs[None]))
    ours, pils = torch.cat(ours), torch.cat(pils)
    assert ours.mean() < 1
    assert (ours - pils).max() < 0.7


@pytest.mark.parametrize("operation", range(3))
@pytest.mark.parametrize("picture", PICTURES)
def test_a_factor_of_1_changes_nothing(operation, picture):
    frame = PICTURES[picture](3, 60, 80)
    np.testing.assert_array_equal(OPERATIONS[operation](frame, 1.0), frame)


def test_the_operations_follow_the_order_drawn():
    # the comparisons above would notice another one
    clip = frames("smooth", (64, 64))
    a_preset = preset("UCF101", no_augm=True, img_dim=64)
    noticed = 0
    for draw in draws(preset("UCF101", img_dim=64), 20, N * L):
        draw = draw._replace(box=None, channel=None)
        backwards = draw._replace(order=draw.order[:, ::-1])
        theirs = reference(clip, a_preset, backwards)
        noticed += int((mean_differences(applied(clip, a_preset, draw), theirs) > 1).sum())
    assert noticed > 60  # of 120 frames


def test_frames_fill_the_blocks_in_order_and_are_red_green_blue():
    clip = [np.full((32, 32, 3), (m, 100 + m, 200 + m), np.uint8) for m in range(N * L)]
    augmented = augment_clip(iter(clip), Preset(32), Draw(), N)  # [N, C, L, H, W]
    for n in range(N):
        for block_frame in range(L):
            m = n * L + block_frame
            for channel, level in enumerate((200 + m, 100 + m, m)):
                assert (augmented[n, channel, block_frame] == level).all()


def test_a_gray_frame_is_one_of_its_channels_copied():
    clip = frames("noise", (48, 48), count=4)
    draw = Draw(channel=np.array([0, 1, 2, -1]))
    ours = applied(clip, Preset(48), draw)
    for m in range(3):
        assert torch.equal(ours[m], rgb(clip[m])[m].expand(3, -1, -1))
    assert torch.equal(ours[3], rgb(clip[3]))


@pytest.mark.parametrize(
    ("dataset", "model", "mode", "alike"),
    [
        ("UCF101", "dpc-rnn", "train", False),
        ("Kinetics400", "dpc-rnn", "val", False),
        ("MouseSim", "dpc-rnn", "train", True),
        ("UCF101", "lc-rnn", "train", True),
        ("UCF101", "lc-rnn", "val", True),
        ("UCF101", "lc-rnn", "test", True),
    ],
)
def test_only_dpc_treats_the_frames_of_a_clip_each_in_its_own_way(dataset, model, mode, alike):
    clip = [smooth(0, 240, 320)] * (N * L)
    a_preset = preset(dataset, model, mode)
    for draw in draws(a_preset, 12, N * L):
        images = applied(clip, a_preset, draw)
        same = [torch.equal(images[0], image) for image in images[1:]]
        assert all(same) if alike else not any(same)
        bare = applied(clip, a_preset, without_jitter(draw)._replace(channel=None))
        assert (bare == bare[:1]).all()  # crop and flip are one for all


def test_a_mirrored_clip_is_the_mirror_of_the_clip():
    clip, a_preset = frames("noise"), preset("HMDB51", "lc-rnn", "train")
    box = Box(20, 33, 200, 190)
    plain, mirrored = (applied(clip, a_preset, Draw(box, flip)) for flip in (False, True))
    assert torch.equal(mirrored, plain.flip(-1))


def test_frames_are_not_changed_by_what_is_made_of_them():
    clip = frames("noise")
    kept = [frame.copy() for frame in clip]
    a_preset = preset("UCF101", img_dim=224)
    for draw in draws(a_preset, 5, N * L):
        applied(clip, a_preset, draw)
    assert all((one == other).all() for one, other in zip(clip, kept, strict=True))
