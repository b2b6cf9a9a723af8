"""Orientation and direction selectivity of channels."""

from itertools import pairwise

import numpy as np
import pytest

from analysis_records import EIGHT, FOUR, Made, write_analysis
from utils.analysis import tuning
from utils.analysis.loading import load_pass
from utils.analysis.recorded import POST, Pass
from utils.analysis.tuning import FULL_TURN, HALF_TURN, Curve, selectivity

OF = Pass(9, POST)


def curve(angles: tuple[float, ...], responses: np.ndarray) -> Curve:
    return Curve(np.array(angles), np.ones(len(angles), int), responses.reshape(len(angles), -1))


def test_a_channel_that_responds_to_one_direction_alone_has_both_indices_1():
    one = curve(EIGHT, np.array([0, 0, 0, 7, 0, 0, 0, 0.0]))
    np.testing.assert_allclose(selectivity(one, FULL_TURN), 1)
    np.testing.assert_allclose(selectivity(one, HALF_TURN), 1)


def test_a_channel_that_responds_to_both_directions_of_an_orientation_has_no_direction():
    one = curve(EIGHT, np.array([0, 5, 0, 0, 0, 5, 0, 0.0]))
    np.testing.assert_allclose(selectivity(one, HALF_TURN), 1)
    np.testing.assert_allclose(selectivity(one, FULL_TURN), 0, atol=1e-12)


def test_the_indices_of_three_responses_by_hand():
    # 0, 60 and 120°: r 4, 1 and 2, shifted 3, 0 and 1: |3 + e^(i·240°)| / 4 = √7 / 4
    one = curve((0.0, 60.0, 120.0), np.array([4.0, 1.0, 2.0]))
    np.testing.assert_allclose(selectivity(one, HALF_TURN), np.sqrt(7) / 4)


def test_a_cosine_has_an_index_of_one_half_whatever_it_prefers_and_however_strongly():
    theta, preferred = np.deg2rad(EIGHT)[:, None], np.array([0, np.pi / 4, np.pi / 2])
    direction = 5 + 3 * np.cos(theta - preferred)
    np.testing.assert_allclose(selectivity(curve(EIGHT, direction), FULL_TURN), 0.5)
    orientation = -5 + 0.1 * np.cos(2 * (theta - preferred))
    np.testing.assert_allclose(selectivity(curve(EIGHT, orientation), HALF_TURN), 0.5)


def test_indices_equal_the_sums_in_a_loop():
    responses = np.random.default_rng(0).normal(size=(8, 5))
    found = selectivity(curve(EIGHT, responses), FULL_TURN)
    for channel in range(5):
        r = [value - min(responses[:, channel]) for value in responses[:, channel]]
        total = sum(x * np.exp(1j * np.deg2rad(a)) for x, a in zip(r, EIGHT, strict=True))
        np.testing.assert_allclose(found[channel], abs(total) / sum(r))


def test_a_channel_with_equal_responses_has_no_index():
    theta = np.deg2rad(EIGHT)
    flat = np.stack([np.full(8, 0.1), np.zeros(8), 1 + np.cos(theta)], axis=1)
    assert np.isnan(selectivity(curve(EIGHT, flat), HALF_TURN)).all()  # opposite ones are averaged
    np.testing.assert_allclose(selectivity(curve(EIGHT, flat), FULL_TURN), [np.nan, np.nan, 0.5])


@pytest.mark.parametrize(
    ("angles", "has_osi", "has_dsi"),
    [
        (EIGHT, True, True),
        (FOUR, True, False),
        ((0.0, 60.0, 120.0), True, False),
        ((0.0, 90.0), False, False),  # the index of two angles is 1 for every channel
        ((0.0, 90.0, 180.0, 270.0), False, True),
        ((0.0, 45.0, 90.0), False, False),
        ((30.0,), False, False),
    ],
)
def test_angles_must_divide_the_period_evenly(angles, has_osi, has_dsi):
    one = curve(angles, np.arange(len(angles)) ** 2.0)
    assert np.isfinite(selectivity(one, HALF_TURN)).all() == has_osi
    assert np.isfinite(selectivity(one, FULL_TURN)).all() == has_dsi


def test_opposite_directions_are_averaged_over_their_blocks():
    one = Curve(np.array([0.0, 90.0, 180.0]), np.array([1, 5, 3]), np.array([[4.0], [1.0], [8.0]]))
    folded = tuning.folded(one, HALF_TURN)
    assert folded.angles.tolist() == [0, 90]
    assert folded.blocks.tolist() == [4, 5]
    assert folded.responses.tolist() == [[7.0], [1.0]]


def test_the_curve_is_the_mean_over_all_blocks_of_an_orientation(tmp_path):
    made = Made(passes=(OF,), modules=("encoder",), clips=60)
    recorded = load_pass(write_analysis(tmp_path, made), OF)
    curve = tuning.tuning_curve(recorded, "stage2")
    assert curve is not None
    assert curve.angles.tolist() == list(EIGHT)
    angles = recorded.blocks["orientation"].to_numpy()
    for angle, blocks, responses in zip(*curve, strict=True):
        rows = recorded.vectors["stage2"][angles == angle].astype(np.float64)
        assert blocks == len(rows)
        np.testing.assert_allclose(responses, rows.mean(0), rtol=1e-12)


def test_stages_that_are_tuned_more_sharply_have_higher_indices(tmp_path):
    made = Made(passes=(OF,), modules=("encoder",), clips=60)
    rows, arrays = tuning.measure(load_pass(write_analysis(tmp_path, made), OF))
    assert [row.stage for row in rows] == ["stem", "stage1", "stage2", "stage3", "stage4"]
    assert all(a.osi_mean < b.osi_mean for a, b in pairwise(rows))
    osi = arrays[f"{OF.name}_stage4_osi"]
    assert rows[-1].channels == len(osi) == 6
    np.testing.assert_allclose(rows[-1].osi_median, np.median(osi))
    np.testing.assert_allclose(rows[-1].osi_sd, osi.std())


def test_four_orientations_have_one_index_alone_and_videos_neither(tmp_path):
    four = Made(passes=(OF,), modules=("encoder",), clips=40, orientations=FOUR, unexpected=False)
    rows, _ = tuning.measure(load_pass(write_analysis(tmp_path / "four", four), OF))
    assert np.isfinite(rows[0].osi_mean)
    assert np.isnan(rows[0].dsi_mean)
    assert rows[0].channels == 6
    quarters = (0.0, 90.0, 180.0, 270.0)
    two = Made(passes=(OF,), modules=("encoder",), clips=40, orientations=quarters)
    rows, _ = tuning.measure(load_pass(write_analysis(tmp_path / "two", two), OF))
    assert np.isnan(rows[0].osi_mean)
    assert np.isfinite(rows[0].dsi_mean)
    assert rows[0].channels == 6
    videos = Made(passes=(OF,), modules=("encoder",), clips=10, videos=True, unexpected=False)
    assert tuning.measure(load_pass(write_analysis(tmp_path / "v", videos), OF)) == ([], {})
