"""Which image is shown when: order, roll, shift, orientations, unexpected images, sessions."""

from itertools import groupby, pairwise

import numpy as np
import pytest

from dataset.augmentation import Preset
from dataset.gabor_sequences import Sequences, draw_session, plan_clip, plan_text
from dataset.gabor_stimuli import DESIGNS, draw_jitter
from dataset.gabors import GaborDataset, Layouts
from utils.gabor_utils import IMAGES

DEFAULTS = {
    "design": DESIGNS["dpc"],
    "image_len": 5,
    "gray": True,
    "roll": False,
    "shift_frames": False,
    "unexp_epoch": 5,
    "U_prob": 0.0,
}
GILLON = DESIGNS["gillon2021"]


def plan(seed: int, num_images: int = 8, epoch: int = 5, **options):
    sequences = Sequences(**{**DEFAULTS, **options})
    frames = num_images * sequences.image_len
    return plan_clip(np.random.default_rng(seed), sequences, frames, epoch)


def letters(a_plan) -> str:
    return "".join(IMAGES[code] for code in a_plan.images)


# ------------------------------------------------------------------ order, roll, shift


@pytest.mark.parametrize(("gray", "text"), [(True, "ABCDGABCDGAB"), (False, "ABCDABCDABCD")])
def test_images_come_in_order_and_repeat(gray, text):
    assert letters(plan(0, 12, gray=gray)) == text
    assert plan_text(plan(0, 12, gray=gray)) == " ".join(text)


@pytest.mark.parametrize("image_len", [1, 3, 5])
def test_each_image_lasts_image_len_frames(image_len):
    frames = plan(0, 7, image_len=image_len).frames
    assert frames.tolist() == [image for image in range(7) for _ in range(image_len)]


def test_a_last_image_may_be_cut_short():
    sequences = Sequences(**{**DEFAULTS, "image_len": 4})
    cut = plan_clip(np.random.default_rng(0), sequences, 10, 0)
    assert cut.frames.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert letters(cut) == "ABC"


@pytest.mark.parametrize(("gray", "cycle"), [(True, "ABCDG"), (False, "ABCD")])
def test_roll_starts_at_any_image_and_keeps_the_order(gray, cycle):
    starts = set()
    for seed in range(200):
        text = letters(plan(seed, 8, gray=gray, roll=True))
        start = cycle.index(text[0])
        starts.add(text[0])
        assert text == ((cycle * 3)[start:])[:8]
    assert starts == set(cycle)


def test_roll_draws_one_image_more_than_the_frames_fill():
    for num_frames, count in ((15, 3), (16, 4), (20, 4)):
        for roll in (False, True):
            sequences = Sequences(**{**DEFAULTS, "roll": roll})
            assert sequences.images_per_clip(num_frames) == count + roll


def test_shift_starts_any_number_of_frames_into_the_first_image():
    shifts = set()
    for seed in range(200):
        shifted = plan(seed, 4, roll=True, shift_frames=True)
        shift = 5 - np.count_nonzero(shifted.frames == 0)
        shifts.add(shift)
        assert shifted.frames.tolist() == [(frame + shift) // 5 for frame in range(20)]
        assert len(shifted.images) == 4 + (shift > 0)  # the one image more fills the end
        assert len(shifted.orientation) == len(shifted.images)
    assert shifts == {0, 1, 2, 3, 4}


def test_without_shift_a_rolled_clip_starts_with_a_whole_image():
    for seed in range(50):
        assert (plan(seed, 4, roll=True).frames == np.repeat(range(4), 5)).all()


# ------------------------------------------------------------------ orientations


@pytest.mark.parametrize("roll", [False, True])
@pytest.mark.parametrize("gray", [False, True])
def test_a_mean_orientation_is_drawn_at_each_a_and_holds_until_the_next(gray, roll):
    pairs, alone = [], []
    for seed in range(1500):
        a_plan = plan(seed, 9, gray=gray, roll=roll)
        drawn = []
        for letter, orientation in zip(letters(a_plan), a_plan.orientation, strict=True):
            if letter == "A" or not drawn:
                drawn.append(orientation)
            assert orientation == drawn[-1]
        pairs.extend(pairwise(drawn))
        alone.append(drawn[0])
    assert np.bincount(alone, minlength=8).min() > 1500 / 8 * 0.7
    # consecutive draws know nothing of each other
    counts = np.zeros((8, 8))
    np.add.at(counts, tuple(np.transpose(pairs)), 1)
    assert counts.min() > len(pairs) / 64 * 0.3
    assert np.trace(counts) == pytest.approx(len(pairs) / 8, rel=0.3)


def test_the_images_before_the_first_a_share_a_draw():
    seen = set()
    for seed in range(300):
        a_plan = plan(seed, 8, roll=True)
        before = letters(a_plan).index("A")
        assert len(set(a_plan.orientation[:before])) <= 1
        if before and a_plan.orientation[0] != a_plan.orientation[before]:
            seen.add(letters(a_plan)[0])
    assert seen == set("BCDG")  # and it is not the draw of that A


def test_a_clip_without_an_a_has_one_orientation():
    for seed in range(100):
        a_plan = plan(seed, 3, roll=True)
        if "A" not in letters(a_plan):
            assert len(set(a_plan.orientation)) == 1


# ------------------------------------------------------------------ unexpected images


def test_u_replaces_only_d_and_only_from_its_epoch_on():
    for seed in range(100):
        expected = letters(plan(seed, 13, epoch=4, U_prob=0.5))
        assert "U" not in expected
        for epoch in (5, 6):
            text = letters(plan(seed, 13, epoch=epoch, U_prob=0.5))
            assert text.replace("U", "D") == expected
    assert letters(plan(0, 13, U_prob=1.0)) == "ABCUGABCUGABC"
    assert "U" not in letters(plan(0, 13, epoch=99, U_prob=0.0))


@pytest.mark.parametrize("roll", [False, True])
def test_each_d_becomes_u_independently_with_u_prob(roll):
    texts = [letters(plan(seed, 10, U_prob=0.3, roll=roll)) for seed in range(2000)]
    replaced = np.array([[c == "U" for c in text if c in "DU"] for text in texts])
    assert replaced.shape == (2000, 2)
    np.testing.assert_allclose(replaced.mean(axis=0), 0.3, atol=0.04)
    assert replaced.all(axis=1).mean() == pytest.approx(0.09, abs=0.025)


def test_u_prob_and_its_epoch_change_nothing_but_d_and_u():
    for seed in range(20):
        seen = []
        for options in ({"U_prob": 0.0}, {"U_prob": 0.08}, {"U_prob": 1.0}, {"unexp_epoch": 9}):
            rng = np.random.default_rng(seed)
            sequences = Sequences(
                **{**DEFAULTS, "roll": True, "shift_frames": True, "U_prob": 0.5, **options}
            )
            a_plan = plan_clip(rng, sequences, 60, 5)
            text = letters(a_plan).replace("U", "D")
            jitter = draw_jitter(rng, len(text), 3)
            values = (a_plan.orientation, a_plan.frames, jitter)
            seen.append((text, *(value.tolist() for value in values)))
        assert all(one == seen[0] for one in seen)


# ------------------------------------------------------------------ sessions of gillon2021


def runs(is_unexpected) -> list[tuple[bool, int]]:
    return [(bool(key), len(list(group))) for key, group in groupby(is_unexpected)]


def test_sessions_alternate_20_to_60_expected_and_2_to_4_unexpected_sequences():
    lengths = {False: [], True: []}
    for seed in range(40):
        session = draw_session(np.random.default_rng(seed), GILLON, 1000)
        assert len(session.orientation) == len(session.is_unexpected) == 1000
        seen = runs(session.is_unexpected)
        assert not seen[0][0]  # starts expected
        for unexpected, length in seen[:-1]:  # the last run is cut
            lengths[unexpected].append(length)
    assert set(lengths[True]) == {2, 3, 4}
    assert set(lengths[False]) == set(range(20, 61))
    share = sum(lengths[True]) / (sum(lengths[True]) + sum(lengths[False]))
    assert share == pytest.approx(0.07, abs=0.006)


def test_each_run_of_a_session_starts_new_shuffled_blocks_of_four_orientations():
    blocks, rests = set(), set()
    for seed in range(20):
        session = draw_session(np.random.default_rng(seed), GILLON, 500)
        start = 0
        for _, length in runs(session.is_unexpected):
            run = session.orientation[start : start + length]
            start += length
            for first in range(0, length, 4):
                block = tuple(run[first : first + 4])
                assert len(set(block)) == len(block)
                (blocks if len(block) == 4 else rests).add(block)
    assert len(blocks) == 24  # all orders of 0, 1, 2, 3
    assert {len(rest) for rest in rests} == {1, 2, 3}


def test_a_longer_session_starts_like_a_shorter_one():
    short = draw_session(np.random.default_rng(3), GILLON, 77)
    long = draw_session(np.random.default_rng(3), GILLON, 400)
    for one, other in zip(short, long, strict=True):
        assert (one == other[:77]).all()


def clips_of_a_session(num_images: int, count: int, epoch: int = 5, **options):
    """Per clip and image: letter and index of the mean orientation, read from the labels."""
    data = GaborDataset(
        mode="train",
        seed=3,
        length=count,
        num_blocks=num_images,
        seq_len=1,
        sequences=Sequences(
            **{**DEFAULTS, "design": GILLON, "image_len": 1, "U_prob": 0.08, **options}
        ),
        layouts=Layouts(num_gabors=1, per_clip=False, own_U=True),
        preset=Preset(8),
    )
    clips = []
    for index in range(count):
        labels = [data.classes[number] for number in data[epoch, index].labels[:, 0, 0]]
        clips.append(
            [
                (
                    c.image,
                    None if c.orientation is None else (c.orientation - 90 * (c.image == "U")),
                )
                for c in labels
            ]
        )
    return clips


def test_a_session_goes_on_from_clip_to_clip():
    clips = clips_of_a_session(10, 100)  # two sequences in a clip, exactly
    assert {"".join(image for image, _ in clip).replace("U", "D") for clip in clips} == {
        "ABCDGABCDG"
    }
    sequences = [clip[first : first + 5] for clip in clips for first in (0, 5)]
    for sequence in sequences:  # U counts from its sequence's orientation
        assert len({orientation % 360 for _, orientation in sequence[:4]}) == 1
    start = 0
    seen = runs([sequence[3][0] == "U" for sequence in sequences])
    assert len(seen) > 3
    for unexpected, length in seen[:-1]:
        low, high = (2, 4) if unexpected else (20, 60)
        assert low <= length <= high
        run = [sequence[0][1] for sequence in sequences[start : start + length]]
        start += length
        for first in range(0, length, 4):
            assert len(set(run[first : first + 4])) == len(run[first : first + 4])


@pytest.mark.parametrize(("num_images", "step"), [(3, 1), (5, 1), (6, 2), (11, 3)])
def test_clip_i_starts_at_sequence_i_times_the_sequences_it_takes(num_images, step):
    whole = [clip[i : i + 5] for clip in clips_of_a_session(10, 60) for i in (0, 5)]
    clips = clips_of_a_session(num_images, 120 // step)
    for i, clip in enumerate(clips):
        shown = [image for sequence in whole[i * step : (i + 1) * step] for image in sequence]
        assert clip == shown[:num_images]


def test_a_rolled_clip_takes_the_sequences_of_one_image_more():
    whole = [clip[i : i + 5] for clip in clips_of_a_session(10, 60) for i in (0, 5)]
    for i, clip in enumerate(clips_of_a_session(5, 50, roll=True)):  # 6 images drawn: 2 sequences
        shown = whole[2 * i] + whole[2 * i + 1]
        assert any(clip == shown[start : start + 5] for start in range(5))


def test_a_session_shows_no_u_before_its_epoch_but_has_the_same_orientations():
    before = clips_of_a_session(5, 90, epoch=4)
    never = clips_of_a_session(5, 90, epoch=4, U_prob=0.0)
    after = clips_of_a_session(5, 90, epoch=4, unexp_epoch=4)
    often = clips_of_a_session(5, 90, epoch=4, unexp_epoch=4, U_prob=0.9)
    assert before == never
    assert after == often  # the timing is the design's, not the probability's
    assert {image for clip in before for image, _ in clip} == set("ABCDG")
    assert {clip[3][0] for clip in after} == {"D", "U"}
    assert [clip[0][1] for clip in before] == [clip[0][1] for clip in after]
