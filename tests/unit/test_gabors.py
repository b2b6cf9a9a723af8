"""The Gabor dataset: what a sample holds, and that it follows from (seed, epoch, index) alone."""

import itertools
import pickle
from dataclasses import fields
from typing import NamedTuple

import numpy as np
import pytest
import torch

from dataset import gabors
from dataset.augmentation import preset_of
from dataset.gabor_sequences import ClipPlan, Sequences
from dataset.gabor_stimuli import DESIGNS
from dataset.gabors import GaborDataset, Layouts
from utils.config.flags import Config
from utils.gabor_utils import IMAGES
from utils.samples import Batch

UNEXP_EPOCH = 3
SEQUENCES = {
    "design": DESIGNS["dpc"],
    "image_len": 5,
    "gray": True,
    "roll": False,
    "shift_frames": False,
    "unexp_epoch": UNEXP_EPOCH,
    "U_prob": 0.5,
}
LAYOUTS = {"num_gabors": 4, "per_clip": False, "own_U": False}
CLIP = {"mode": "train", "seed": 11, "length": 10, "num_blocks": 4, "seq_len": 5}
PRESET = {"img_dim": 32, "no_augm": False, "resize": "nearest"}


def make(model: str = "dpc-rnn", **options) -> GaborDataset:
    """A small dataset; `options` are fields of any of its parts."""

    def part(defaults: dict) -> dict:
        return {name: options.pop(name, value) for name, value in defaults.items()}

    sequences, layouts = Sequences(**part(SEQUENCES)), Layouts(**part(LAYOUTS))
    clip, preset = part(CLIP), part(PRESET)
    assert not options
    config = Config(dataset="Gabors", model=model, **preset)
    preset = preset_of(config, clip["mode"], flip=False)
    return GaborDataset(**clip, sequences=sequences, layouts=layouts, preset=preset)


class Drawn(NamedTuple):
    """What a clip was drawn from."""

    plan: ClipPlan
    centres: np.ndarray
    sizes: np.ndarray
    orientations: np.ndarray
    batch: Batch

    @property
    def letters(self) -> str:
        return "".join(IMAGES[code] for code in self.plan.images)

    def layout(self, letter: str) -> tuple[list, list]:
        """The patches of an image type, equal in all of its images."""
        places = [m for m, other in enumerate(self.letters) if other == letter]
        assert all((self.centres[m] == self.centres[places[0]]).all() for m in places)
        return self.centres[places[0]].tolist(), self.sizes[places[0]].tolist()


@pytest.fixture
def look(monkeypatch):
    """look(data, epoch, index) → Drawn."""
    seen = {}
    plan_clip, draw_images = gabors.plan_clip, gabors.draw_images

    def planning(*arguments):
        seen["plan"] = plan_clip(*arguments)
        return seen["plan"]

    def drawing(centres, sizes, orientations, **options):
        seen.update(centres=centres, sizes=sizes, orientations=orientations)
        return draw_images(centres, sizes, orientations, **options)

    monkeypatch.setattr(gabors, "plan_clip", planning)
    monkeypatch.setattr(gabors, "draw_images", drawing)
    return lambda data, epoch, index: Drawn(batch=data[epoch, index], **seen)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


# ------------------------------------------------------------------ (seed, epoch, index)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("mode", ["train", "val"])
def test_a_sample_follows_from_seed_epoch_and_index_alone(mode, design):
    options = {"mode": mode, "design": DESIGNS[design], "roll": True}
    data = make(**options)
    keys = [(epoch, index) for epoch in (2, 3) for index in range(4)]
    samples = {key: data[key] for key in keys}
    for key in [*reversed(keys), (2, 1), (3, 1), (2, 1)]:
        assert same(data[key], samples[key])
    for key in keys:
        assert same(make(**options)[key], samples[key])
    clips = [sample.clip.numpy().tobytes() for sample in samples.values()]
    assert len(set(clips)) == len(keys)
    assert not torch.equal(make(**options, seed=12)[2, 1].clip, samples[2, 1].clip)
    assert [int(samples[key].item) for key in keys] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_the_length_of_the_set_changes_no_sample():
    for design in DESIGNS.values():
        one, other = make(design=design, length=4), make(design=design, length=50)
        assert same(one[3, 2], other[3, 2])


def test_data_sets_in_turn_give_what_each_gives_alone():
    options = [{}, {"seed": 12}, {"num_gabors": 5}, {"mode": "val"}, {"per_clip": True}]
    options += [{"design": DESIGNS["gillon2021"], "length": length} for length in (10, 20)]
    alone = []
    for each in options:
        gabors.layout_of.cache_clear()
        gabors.session_of.cache_clear()
        alone.append([make(**each)[key] for key in ((3, 0), (4, 1), (3, 1))])
    for k, key in enumerate(((3, 0), (4, 1), (3, 1))):
        assert all(same(make(**o)[key], a[k]) for o, a in zip(options, alone, strict=True))


def test_a_data_set_can_be_sent_to_a_worker():
    data = make(design=DESIGNS["gillon2021"])
    assert same(pickle.loads(pickle.dumps(data))[3, 0], data[3, 0])


def test_global_generators_are_neither_read_nor_moved():
    np.random.seed(0)
    torch.manual_seed(0)
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = make()[3, 0]
    assert (np.random.get_state()[1] == state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.random.seed(1)
    torch.manual_seed(1)
    assert same(make()[3, 0], first)


def test_training_and_validation_see_different_clips_on_the_same_layouts(look):
    train, val = look(make(), 3, 0), look(make(mode="val"), 3, 0)
    for letter in "ABC":
        assert train.layout(letter) == val.layout(letter)
    assert (train.orientations != val.orientations)[:3].all()
    assert not torch.equal(train.batch.clip, val.batch.clip)


# ------------------------------------------------------------------ layouts


def test_layouts_hold_for_an_epoch_and_differ_between_images_and_epochs(look):
    data = make(num_blocks=9, U_prob=0)
    clips = {key: look(data, *key) for key in itertools.product((0, 1), (0, 7))}
    for letter in "ABCDG":
        assert clips[0, 0].layout(letter) == clips[0, 7].layout(letter)
        (centres, sizes), (others, other_sizes) = (clips[e, 0].layout(letter) for e in (0, 1))
        assert centres != others
        assert sizes != other_sizes
    assert len({str(clips[0, 0].layout(letter)) for letter in "ABCD"}) == 4
    turns = np.stack([clip.orientations[:4] for clip in clips.values()])
    assert len(np.unique(turns)) == turns.size  # orientations are the clip's own
    other_seed = look(make(num_blocks=9, U_prob=0, seed=12), 0, 0)
    assert other_seed.layout("A") != clips[0, 0].layout("A")


def test_layouts_per_clip_hold_for_that_clip_alone(look):
    data = make(num_blocks=9, U_prob=0, per_clip=True)
    keys = [(0, 0), (0, 7), (1, 0)]
    clips = [look(data, *key) for key in keys]  # layout() checks the two As of each clip
    clips.append(look(make(num_blocks=9, U_prob=0, per_clip=True, mode="val"), 0, 0))
    for letter in "ABCD":
        assert len({str(clip.layout(letter)) for clip in clips}) == 4


@pytest.mark.parametrize("per_clip", [False, True])
def test_u_has_the_patches_of_d_unless_it_has_its_own(look, per_clip):
    always = {"U_prob": 1.0, "per_clip": per_clip}
    with_D = look(make(U_prob=0, per_clip=per_clip), UNEXP_EPOCH, 2)
    shared = look(make(**always, own_U=False), UNEXP_EPOCH, 2)
    own = look(make(**always, own_U=True), UNEXP_EPOCH, 2)
    assert shared.letters == own.letters == "ABCU"
    assert shared.layout("U") == with_D.layout("D")
    assert set(map(str, own.layout("U"))).isdisjoint(map(str, with_D.layout("D")))
    for letter in "ABC":
        assert shared.layout(letter) == own.layout(letter) == with_D.layout(letter)


def test_u_is_turned_by_90_degrees_and_keeps_the_jitter(look):
    D = look(make(U_prob=0), UNEXP_EPOCH, 2).orientations
    U = look(make(U_prob=1.0), UNEXP_EPOCH, 2).orientations
    np.testing.assert_allclose(U[3] - D[3], 90)
    np.testing.assert_array_equal(U[:3], D[:3])


def test_a_patch_has_its_images_mean_orientation_and_jitter_of_its_own(look):
    offsets, data = [], make(num_gabors=30, num_blocks=9, U_prob=0)
    for index in range(10):
        drawn = look(data, 0, index)
        means = np.array(DESIGNS["dpc"].orientations)[drawn.plan.orientation]
        gray = np.array([letter == "G" for letter in drawn.letters])
        assert np.isnan(drawn.orientations[gray]).all()
        offsets.append((drawn.orientations - means[:, None])[~gray])
    offsets = np.concatenate(offsets)
    assert len(np.unique(offsets)) == offsets.size
    assert offsets.std() == pytest.approx(14.6, abs=0.6)


@pytest.mark.parametrize("design", DESIGNS)
def test_adding_u_leaves_the_layout_and_pixels_of_the_other_images_untouched(look, design):
    options = {"design": DESIGNS[design], "own_U": True, "num_blocks": 9, "length": 60}
    plain, with_U = make(**options, U_prob=0), make(**options, U_prob=0.5)
    replaced = 0
    for index in range(10, 32):  # of gillon2021, sequences 20 to 63
        one, other = look(plain, UNEXP_EPOCH, index), look(with_U, UNEXP_EPOCH, index)
        for block, letter in enumerate(other.letters):
            equal = torch.equal(one.batch.clip[block], other.batch.clip[block])
            assert equal == (letter != "U")
            replaced += letter == "U"
        for letter in "ABC":
            assert one.layout(letter) == other.layout(letter)
    assert replaced >= 2


def test_dropping_g_leaves_the_layout_and_pixels_of_the_other_images_untouched(look):
    for index in range(10):
        one, other = (look(make(gray=gray), UNEXP_EPOCH, index) for gray in (True, False))
        assert torch.equal(one.batch.clip, other.batch.clip)  # A B C and D or U
    one, other = (look(make(gray=gray, num_blocks=9, U_prob=0), 0, 0) for gray in (True, False))
    assert (one.letters, other.letters) == ("ABCDGABCD", "ABCDABCDA")
    for letter in "ABCD":
        assert one.layout(letter) == other.layout(letter)


# ------------------------------------------------------------------ static blocks, frames


@pytest.mark.parametrize(
    ("image_len", "seq_len", "roll", "shift_frames", "static"),
    [
        (5, 5, False, False, True),
        (5, 5, True, False, True),
        (10, 5, False, False, True),
        (3, 1, False, False, True),
        (5, 5, True, True, False),
        (3, 5, False, False, False),
        (7, 5, False, False, False),
        (1, 5, False, False, False),
    ],
)
def test_static_blocks_hold_one_frame_that_stands_for_all(
    image_len, seq_len, roll, shift_frames, static
):
    class EveryFrame(GaborDataset):
        static_blocks = False

    options = {"image_len": image_len, "seq_len": seq_len, "roll": roll}
    data = make(**options, shift_frames=shift_frames, num_blocks=6)
    by_frame = EveryFrame(**{field.name: getattr(data, field.name) for field in fields(data)})
    moving = 0
    for index in range(6):
        clip, every_frame = data[3, index], by_frame[3, index]
        assert every_frame.clip.shape == (6, 3, seq_len, 32, 32)
        assert clip.clip.shape == (6, 3, 1 if static else seq_len, 32, 32)
        assert torch.equal(clip.clip.expand_as(every_frame.clip), every_frame.clip)
        assert torch.equal(clip.labels, every_frame.labels)
        assert clip.labels.shape == (6, seq_len, 2)
        moving += (every_frame.clip != every_frame.clip[:, :, :1]).any().item()
    assert (moving > 0) == (not static)


def test_frames_of_one_image_are_equal_under_jitter_and_images_differ(look):
    drawn = look(make(image_len=3, num_blocks=6, U_prob=0), 0, 0)
    frames = drawn.batch.clip.transpose(1, 2).flatten(0, 1)  # [N*L, C, H, W]
    shown = drawn.plan.frames
    for one, other in itertools.combinations(range(30), 2):
        assert torch.equal(frames[one], frames[other]) == (shown[one] == shown[other])
    assert drawn.letters == "ABCDGABCDG"
    grays = [frames[m].unique() for m in (12, 27)]  # jitter moves their one level
    assert len(grays[0]) == len(grays[1]) == 1
    assert grays[0] != grays[1]


def test_pixels_are_gray_and_not_empty():
    clip = make()[0, 0].clip
    assert clip.dtype == torch.uint8
    assert torch.equal(clip, clip[:, :1].expand_as(clip))
    assert clip.float().std(dim=(1, 2, 3, 4)).min() > 2


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize("own_U", [False, True])
@pytest.mark.parametrize("roll", [False, True])
@pytest.mark.parametrize(("design", "image_len"), [("dpc", 5), ("dpc", 3), ("gillon2021", 4)])
def test_labels_equal_a_slow_loop_over_the_frames(look, design, image_len, roll, own_U):
    options = {"design": DESIGNS[design], "image_len": image_len, "own_U": own_U}
    data = make(**options, roll=roll, shift_frames=roll, num_gabors=1, num_blocks=7)
    seen = set()
    for index in range(10):
        drawn = look(data, UNEXP_EPOCH, index)
        for n, frame in itertools.product(range(7), range(5)):
            m = drawn.plan.frames[5 * n + frame]
            letter = drawn.letters[m]
            orientation = data.sequences.design.orientations[drawn.plan.orientation[m]]
            if letter == "U":
                orientation = (orientation + 90) % 360
            name = {"D": "D/U", "U": "D/U"}.get(letter, letter) if not own_U else letter
            name = "G" if letter == "G" else f"{name} {orientation}°"
            number, is_U = drawn.batch.labels[n, frame].tolist()
            assert (data.classes[number].name, is_U) == (name, letter == "U")
            seen.add(letter)
    assert seen >= set("ABCDG")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("image_len", [5, 3])
def test_labels_can_be_had_without_the_sample(design, image_len, monkeypatch):
    data = make(design=DESIGNS[design], roll=True, shift_frames=True, image_len=image_len)
    samples = {key: data[key] for key in itertools.product((2, UNEXP_EPOCH), range(10))}
    monkeypatch.setattr(gabors, "draw_images", None)  # nothing is drawn
    for (epoch, index), sample in samples.items():
        labels = data.labels(epoch, index)
        assert labels.dtype == sample.labels.numpy().dtype
        np.testing.assert_array_equal(labels, sample.labels)
