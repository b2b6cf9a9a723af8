"""Drawing Gabors, against slow formulas written here and against OpenCV's kernel."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dataset.gabor_stimuli import CANVAS, DESIGNS, Patches, draw_images, draw_jitter, draw_layout

DPC, GILLON = DESIGNS["dpc"], DESIGNS["gillon2021"]
DEG_PER_PIX = 120 / 256
PER_NOMINAL = 3 / (2 * math.sqrt(2 * math.log(2)))  # 1.27398: from nominal size to size
PUBLISHED = {  # (dx, dy): value, for σ = 6, wavelength 36, θ = 30°
    (0, 0): 0,
    (5, 0): 0.484644,
    (0, 5): 0.298642,
    (-5, 0): -0.484644,
    (4, -3): 0.237523,
}
# the highest value of a patch whose wavelength is 6σ
PEAK = max(math.exp(-((x / 1e4) ** 2) / 2) * math.sin(math.pi * x / 3e4) for x in range(30_000))


def formula(dx, dy, *, sigma: float, frequency: float, degrees: float):
    """One patch at (dx right, dy down): its envelope and its carrier."""
    theta = math.radians(degrees)
    u = dx * math.cos(theta) + dy * math.sin(theta)
    carrier = np.cos(2 * math.pi * (frequency * u - 0.25))
    return np.exp(-(dx**2 + dy**2) / (2 * sigma**2)), carrier


def single(design, degrees: float, size: float = 20, side: int = 101, dpp: float = 0.5):
    """One patch in the middle of a square image."""
    middle = side // 2
    arrays = np.full((1, 1, 2), middle), np.array([[size]]), np.array([[degrees]])
    (image,) = draw_images(*arrays, height=side, width=side, deg_per_pix=dpp, design=design)
    return image.astype(int)


def some_images(seed: int, num_images: int, num_gabors: int, design):
    rng = np.random.default_rng(seed)
    layouts = [draw_layout(rng, num_gabors, design) for _ in range(num_images)]
    centres, sizes = (np.stack(values) for values in zip(*layouts, strict=True))
    return centres, sizes, rng.uniform(0, 360, (num_images, num_gabors))


def draw(arrays, design, **options) -> np.ndarray:
    field = {"height": CANVAS, "width": CANVAS, "deg_per_pix": DEG_PER_PIX}
    return draw_images(*arrays, design=design, **{**field, **options})


def assert_same_levels(drawn: np.ndarray, slow: np.ndarray):
    difference = np.abs(drawn.astype(int) - slow.astype(int))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.999


@pytest.mark.parametrize("design", [DPC, GILLON], ids=["dpc", "gillon2021"])
def test_one_patch_has_the_published_values(design):
    patches = Patches(
        centres=np.array([[[20, 24]]], float),
        sigmas=np.array([[6.0]]),
        frequencies=np.array([[1 / 36]]),
        angles=np.radians([[30.0]]),
    )
    (values,) = design.compose(patches, np.arange(40), np.arange(50))
    for (dx, dy), value in PUBLISHED.items():
        envelope, carrier = formula(dx, dy, sigma=6, frequency=1 / 36, degrees=30)
        assert envelope * carrier == pytest.approx(value, abs=1e-6)
        assert values[20 + dy, 24 + dx] == pytest.approx(value, abs=1e-6)


def test_one_dpc_patch_is_the_formula_stretched_by_1_1_and_truncated():
    image = single(DPC, 30, size=28.5, dpp=1)  # 1.27398 · 28.5 = 36.3: σ = 6, wavelength 36
    dy, dx = np.mgrid[-50:51, -50:51]
    envelope, carrier = formula(dx, dy, sigma=6, frequency=1 / 36, degrees=30)
    m = 1.1 * np.abs(envelope * carrier).max()
    assert_same_levels(image, np.floor((envelope * carrier + m) / (2 * m) * 255))


def test_dpc_equals_opencv_kernels_added_patch_by_patch():
    arrays = some_images(0, 2, 30, DPC)
    slow = []
    for centres, sizes, orientations in zip(*arrays, strict=True):
        total = np.zeros((CANVAS, CANVAS))
        for (row, column), size, degrees in zip(
            centres.astype(int), sizes, orientations, strict=True
        ):
            k = int(PER_NOMINAL * size / DEG_PER_PIX)
            kernel = cv2.getGaborKernel(
                (511, 511), k / 6, math.radians(degrees), k, 1, 2 * math.pi * 0.25, cv2.CV_64F
            )
            # its middle, 255, onto the patch's centre
            total += kernel[255 - row : 511 - row, 255 - column : 511 - column]
        total = np.clip(total, -PEAK, PEAK)
        m = 1.1 * np.abs(total).max()
        slow.append(np.floor((total + m) / (2 * m) * 255))
    assert_same_levels(draw(arrays, DPC), np.stack(slow))


def test_gillon_equals_a_painter_that_goes_pixel_by_pixel():
    side, dpp = 64, 120 / 64
    centres, sizes, orientations = some_images(1, 2, 12, GILLON)
    centres /= 4  # from the canvas of 256 pixels: fractional, some hang over the edge
    slow = np.zeros((2, side, side))
    for m in range(2):
        for (row, column), nominal, degrees in zip(
            centres[m], sizes[m], orientations[m], strict=True
        ):
            size = round(PER_NOMINAL * nominal / dpp)
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            for i in range(side):
                for j in range(side):
                    dx, dy = j - column, i - row
                    if max(abs(dx * cos + dy * sin), abs(dy * cos - dx * sin)) <= size / 2:
                        a, c = formula(
                            dx, dy, sigma=size / 6, frequency=0.04 * dpp, degrees=degrees
                        )
                        slow[m, i, j] = a * c + (1 - a) * slow[m, i, j]
    drawn = draw((centres, sizes, orientations), GILLON, height=side, width=side, deg_per_pix=dpp)
    assert_same_levels(drawn, np.rint(127.5 * (1 + slow)))


def test_gillon_patches_end_at_a_rotated_square():
    k = round(PER_NOMINAL * 20 / 0.5)
    image = single(GILLON, 45)
    rows, columns = np.nonzero(image != GILLON.background)
    u = (columns - 50 + rows - 50) / math.sqrt(2)
    assert np.abs(u).max() <= k / 2
    assert np.abs(columns - 50).max() > k / 2  # the corners of a square that stands on one


def test_gillon_on_chosen_pixels_is_the_full_image_there():
    arrays = some_images(2, 3, 30, GILLON)
    rows, columns = np.arange(1, CANVAS, 3), np.array([0, 5, 6, 7, 100, 254, 255])
    chosen = draw(arrays, GILLON, rows=rows, columns=columns)
    np.testing.assert_array_equal(chosen, draw(arrays, GILLON)[:, rows[:, None], columns])


def test_dpc_stretches_over_the_chosen_pixels():
    rows, columns = np.arange(60, CANVAS, 4), np.arange(3, 200, 2)
    arrays = np.array([[[40, 100]]]), np.array([[20.0]]), np.array([[20.0]])
    chosen = draw(arrays, DPC, rows=rows, columns=columns)
    k = int(1.27398 * 20 / DEG_PER_PIX)
    envelope, carrier = formula(
        columns - 100, rows[:, None] - 40, sigma=k / 6, frequency=1 / k, degrees=20
    )
    m = 1.1 * np.abs(envelope * carrier).max()
    assert m < 0.5  # the patch's own peak is not among them
    assert_same_levels(chosen[0], np.floor((envelope * carrier + m) / (2 * m) * 255))


@pytest.mark.parametrize(("design", "gray"), [(DPC, 127), (GILLON, 128)])
def test_rows_of_nan_are_gray_images_and_leave_the_others_alone(design, gray):
    centres, sizes, orientations = some_images(3, 3, 5, design)
    alone = draw((centres[[0, 2]], sizes[[0, 2]], orientations[[0, 2]]), design)
    orientations[1] = np.nan
    images = draw((centres, sizes, orientations), design)
    assert (images[1] == gray).all()
    np.testing.assert_array_equal(images[[0, 2]], alone)
    only_gray = draw((centres, sizes, np.full_like(orientations, np.nan)), design)
    assert (only_gray == gray).all()


@pytest.mark.parametrize(("design", "gray"), [(DPC, 127), (GILLON, 128)])
def test_empty_background_has_the_gray_images_level(design, gray):
    assert single(design, 0, size=10, side=301)[0, 0] == gray


@pytest.mark.parametrize("design", [DPC, GILLON], ids=["dpc", "gillon2021"])
def test_a_nan_patch_draws_nothing(design):
    centres, sizes, orientations = some_images(4, 2, 6, design)
    orientations[0, 2] = orientations[1, 0] = np.nan
    images = draw((centres, sizes, orientations), design)
    for m, missing in enumerate((2, 0)):
        rest = [np.delete(values[m], missing, axis=0)[None] for values in (centres, sizes)]
        rest.append(np.delete(orientations[m], missing)[None])
        assert_same_levels(images[m], draw(rest, design)[0])


@pytest.mark.parametrize("design", [DPC, GILLON], ids=["dpc", "gillon2021"])
def test_the_bright_side_is_right_at_0_and_turns_clockwise(design):
    bright_towards = {
        0: (0, 1),
        45: (1, 1),
        90: (1, 0),
        180: (0, -1),
        270: (-1, 0),
    }  # (down, right)
    for degrees, (down, right) in bright_towards.items():
        image = single(design, degrees)
        gray = design.background
        assert image[50 + 6 * down, 50 + 6 * right] > gray + 50
        assert image[50 - 6 * down, 50 - 6 * right] < gray - 50
        assert abs(image[50 - 6 * right, 50 + 6 * down] - gray) <= 1  # along the bar


@pytest.mark.parametrize("design", [DPC, GILLON], ids=["dpc", "gillon2021"])
def test_half_a_turn_inverts_the_contrast(design):
    for degrees in (0, 30, 45, 100):
        total = single(design, degrees) + single(design, degrees + 180)
        assert (np.abs(total - 255) <= 1).all()


@pytest.mark.parametrize("dpp", [120 / 256, 120 / 128, 0.3])
@pytest.mark.parametrize(("design", "whole"), [(DPC, int), (GILLON, round)])
def test_sizes_become_whole_pixels_by_the_designs_rule(design, whole, dpp):
    seen = []

    def compose(patches, rows, columns):
        seen.append(patches)
        return np.zeros((1, len(rows), len(columns)))

    sizes = np.linspace(10, 20, 101)
    arrays = np.zeros((1, 101, 2)), sizes[None], np.zeros((1, 101))
    spying = replace(design, compose=compose)
    draw_images(*arrays, height=8, width=8, deg_per_pix=dpp, design=spying)
    pixels = [PER_NOMINAL * size / dpp for size in sizes]
    k = np.array([whole(size) for size in pixels])
    assert (k != [(round if whole is int else int)(size) for size in pixels]).any()
    np.testing.assert_allclose(seen[0].sigmas[0], k / 6)
    expected = 1 / k if design is DPC else np.full(101, 0.04 * dpp)
    np.testing.assert_allclose(seen[0].frequencies[0], expected)


def test_dpc_sums_are_clipped_to_the_range_of_one_patch():
    assert pytest.approx(0.5415, abs=5e-5) == PEAK
    one = Patches(*(np.array(v, float) for v in ([[[40, 40]]], [[6]], [[1 / 36]], [[0.4]])))
    four = Patches(*(np.repeat(value, 4, axis=1) for value in one))
    pixels = np.arange(81)
    alone, together = (DPC.compose(patches, pixels, pixels) for patches in (one, four))
    assert np.abs(alone).max() == pytest.approx(PEAK, abs=0.01)
    np.testing.assert_allclose(together, np.clip(4 * alone, -PEAK, PEAK), atol=1e-5)


def test_dpc_layouts_have_centres_in_the_central_90_percent():
    layout = draw_layout(np.random.default_rng(5), 20_000, DPC)
    assert layout.centres.shape == (20_000, 2)
    for axis in layout.centres.T:
        assert 12.8 <= axis.min() < 13
        assert 243 < axis.max() <= 243.2
        assert axis.mean() == pytest.approx(128, abs=2)


def test_dpc_draws_at_floored_centres_and_gillon_where_they_are():
    floored, fractional = np.array([[[20.0, 24.0]]]), np.array([[[20.7, 24.3]]])
    for design, same in ((DPC, True), (GILLON, False)):
        images = [
            draw((centres, np.full((1, 1), 15.0), np.full((1, 1), 30.0)), design)
            for centres in (floored, fractional)
        ]
        assert np.array_equal(*images) == same


def test_gillon_layouts_have_fractional_centres_over_the_whole_field():
    layout = draw_layout(np.random.default_rng(6), 20_000, GILLON)
    assert (layout.centres % 1 != 0).mean() > 0.99
    for axis in layout.centres.T:
        assert 0 <= axis.min() < 0.2
        assert 255.8 < axis.max() <= 256
        assert axis.mean() == pytest.approx(128, abs=2)


@pytest.mark.parametrize("design", [DPC, GILLON], ids=["dpc", "gillon2021"])
def test_nominal_sizes_are_uniform_between_10_and_20_degrees(design):
    sizes = draw_layout(np.random.default_rng(7), 20_000, design).sizes
    assert sizes.shape == (20_000,)
    assert 10 <= sizes.min() < 10.01
    assert 19.99 < sizes.max() <= 20
    assert sizes.std() == pytest.approx(10 / math.sqrt(12), abs=0.05)


def test_jitter_has_a_circular_sd_of_14_6_degrees():
    jitter = np.radians(draw_jitter(np.random.default_rng(8), 500, 100))
    resultant = np.exp(1j * jitter).mean()
    assert math.degrees(math.sqrt(-2 * math.log(abs(resultant)))) == pytest.approx(14.6, abs=0.2)
    assert math.degrees(np.angle(resultant)) == pytest.approx(0, abs=0.3)


def test_jitter_is_drawn_for_each_image_and_patch():
    jitter = draw_jitter(np.random.default_rng(9), 4, 7)
    assert jitter.shape == (4, 7)
    assert len(np.unique(jitter)) == 28


def test_draws_come_from_the_generator_given_alone():
    def draws():
        rng = np.random.default_rng(10)
        layout = draw_layout(rng, 5, GILLON)
        return [*layout, draw_jitter(rng, 2, 5)]

    np.random.seed(1)
    torch.manual_seed(1)
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = draws()
    draw(some_images(0, 1, 3, DPC), DPC)
    assert (np.random.get_state()[1] == state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.random.seed(2)
    torch.manual_seed(2)
    for one, other in zip(first, draws(), strict=True):
        np.testing.assert_array_equal(one, other)
