"""The classes of Gabor images: their number, order and meaning."""

import itertools

import numpy as np
import pytest
import torch

from dataset.gabor_stimuli import DESIGNS
from model.training.tasks import ClassificationTask
from utils.gabor_utils import IMAGES, gabor_classes
from utils.samples import Batch

EIGHT = (0, 45, 90, 135, 180, 225, 270, 315)
FOUR = (0, 90, 180, 270)
TWO = (0, 180)
GILLON = (0, 45, 90, 135)
SETS = (EIGHT, FOUR, TWO, GILLON)
OPTIONS = list(itertools.product(SETS, (True, False), (True, False), (True, False)))


def classes(orientations, gray=True, unexpected=True, own=False):
    return gabor_classes(orientations, gray=gray, unexpected=unexpected, own_U_layout=own)


@pytest.mark.parametrize(
    ("orientations", "shared", "own", "no_U"),
    [
        (EIGHT, (33, 32), (41, 40), (33, 32)),
        (FOUR, (17, 16), (21, 20), (17, 16)),
        (TWO, (11, 10), (11, 10), (9, 8)),
        (GILLON, (19, 18), (21, 20), (17, 16)),
    ],
)
def test_the_number_of_classes_is_that_of_the_table(orientations, shared, own, no_U):
    for column, gray in enumerate((True, False)):
        count = {
            (unexpected, layout): len(classes(orientations, gray, unexpected, layout).classes)
            for unexpected in (True, False)
            for layout in (True, False)
        }
        assert count[True, False] == shared[column]
        assert count[True, True] == own[column]
        assert count[False, False] == count[False, True] == no_U[column]


def test_the_designs_have_these_orientations():
    assert DESIGNS["dpc"].orientations == EIGHT
    assert DESIGNS["gillon2021"].orientations == GILLON


def test_classes_go_by_image_then_by_ascending_orientation_then_gray():
    names = [c.name for c in classes(TWO, own=True).classes]
    assert names == [
        *("A 0°", "A 180°", "B 0°", "B 180°", "C 0°", "C 180°", "D 0°", "D 180°"),
        *("U 90°", "U 270°", "G"),
    ]
    assert classes(TWO, own=True).classes[-1] == ("G", "G", None)


@pytest.mark.parametrize(("orientations", "gray", "unexpected", "own"), OPTIONS)
def test_classes_ascend_within_each_image(orientations, gray, unexpected, own):
    labels = classes(orientations[::-1], gray, unexpected, own)
    order = ["A", "B", "C", "D", "D/U", "U", "G"]
    keys = [(order.index(c.image), c.orientation or 0) for c in labels.classes]
    assert keys == sorted(keys)
    assert all(c.orientation is None or 0 <= c.orientation < 360 for c in labels.classes)


def test_without_gray_the_last_class_is_an_image():
    assert [c.image for c in classes(FOUR, gray=False, own=True).classes][-4:] == ["U"] * 4
    assert (classes(FOUR, gray=False).index[IMAGES.index("G")] == -1).all()


def test_d_and_u_share_classes_over_the_union_of_their_orientations():
    shared = [c for c in classes(GILLON).classes if c.image not in "ABCG"]
    assert {c.image for c in shared} == {"D/U"}
    assert [c.orientation for c in shared] == [0, 45, 90, 135, 180, 225]


def test_u_of_a_sequence_has_the_shared_class_of_d_90_degrees_on():
    labels = classes(EIGHT)
    D, U = labels.index[IMAGES.index("D")], labels.index[IMAGES.index("U")]
    assert (np.roll(D, -2) == U).all()


def test_u_on_its_own_layout_has_classes_that_d_has_not():
    for orientations in SETS:
        labels = classes(orientations, own=True)
        D, U = labels.index[IMAGES.index("D")], labels.index[IMAGES.index("U")]
        assert not set(D) & set(U)
        turned = [labels.classes[i].orientation for i in U]
        assert turned == [(orientation + 90) % 360 for orientation in orientations]


def test_without_unexpected_images_u_has_no_class_and_d_is_plain():
    labels = classes(EIGHT, unexpected=False)
    assert (labels.index[IMAGES.index("U")] == -1).all()
    assert [c.image for c in labels.classes].count("D") == 8


@pytest.mark.parametrize(("orientations", "gray", "unexpected", "own"), OPTIONS)
def test_different_things_seen_have_different_classes(orientations, gray, unexpected, own):
    labels = classes(orientations, gray, unexpected, own)
    assert len(set(labels.classes)) == len(labels.classes)
    assert len({c.name for c in labels.classes}) == len(labels.classes)
    for image in "ABCD":
        row = labels.index[IMAGES.index(image)]
        assert len(set(row)) == len(orientations)
    of_image = [set(labels.index[IMAGES.index(image)]) for image in "ABCD"]
    assert sum(map(len, of_image)) == len(set().union(*of_image))


@pytest.mark.parametrize(("orientations", "gray", "unexpected", "own"), OPTIONS)
def test_every_image_and_orientation_has_the_class_that_a_slow_search_finds(
    orientations, gray, unexpected, own
):
    # neither sorted nor within 0–360, as the index is by position
    orientations = tuple(o - 360 * (o > 100) for o in orientations[::-1])
    labels = classes(orientations, gray, unexpected, own)
    reached = set()
    for code, image in enumerate("ABCDUG"):
        for column, orientation in enumerate(orientations):
            angle, found = (orientation + (90 if image == "U" else 0)) % 360, -1
            for number, (_, name, class_angle) in enumerate(labels.classes):
                same_angle = image == "G" or class_angle == angle
                if image in name.split("/") and same_angle:
                    found = number
            assert labels.index[code, column] == found
            reached.add(found)
            allowed = (image != "G" or gray) and (image != "U" or unexpected)
            assert (found >= 0) == allowed
    assert reached - {-1} == set(range(len(labels.classes)))


def test_the_classifiers_target_is_the_class_of_the_last_frame_of_the_last_block():
    B, N, L = 2, 3, 5
    labels = torch.arange(B * N * L * 2).view(B, N, L, 2)  # no two are equal
    clip = torch.zeros(B, N, 3, 1, 4, 4, dtype=torch.uint8)
    logits = torch.arange(100.0)  # so that a loss tells its target
    task = ClassificationTask(lambda clips: (logits.expand(B, 1, 100), None))
    output = task(Batch(clip, labels, torch.arange(B)))
    assert (logits.logsumexp(0) - output.row_loss).round().tolist() == [28, 58]
    assert output.predictions.labels[:, 0, 0].tolist() == [28, 58]
