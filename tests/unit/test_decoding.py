"""What a linear classifier reads from responses to blocks."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analysis_records import EIGHT, Made, write_analysis
from utils.analysis import decoding
from utils.analysis.embedding import principal_components
from utils.analysis.loading import load_pass
from utils.analysis.recorded import POST, PRE, Pass, Recorded

PASSES = (Pass(9, PRE), Pass(9, POST))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Made(passes=PASSES, modules=("encoder",), clips=150)
    return write_analysis(tmp_path_factory.mktemp("run"), made)


@pytest.fixture
def recorded(folder) -> Recorded:
    return load_pass(folder, PASSES[1])


def test_balanced_accuracy_by_hand():
    # of four of class 0 one is right, of the one of class 1 all: (1/4 + 1) / 2
    true, predicted = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 1, 1, 1])
    assert decoding.balanced_accuracy(true, predicted) == 0.625


def test_balanced_accuracy_equals_that_of_scikit_learn():
    true, predicted = np.random.default_rng(0).integers(4, size=(2, 60))
    expected = balanced_accuracy_score(true, predicted)
    np.testing.assert_allclose(decoding.balanced_accuracy(true, predicted), expected)


def test_a_split_tests_a_quarter_of_each_class():
    classes = np.repeat([0, 1, 2], [40, 9, 4])
    train, test = decoding.split(classes, np.random.default_rng(0))
    assert np.bincount(classes[test]).tolist() == [10, 2, 1]
    assert sorted([*train, *test]) == list(range(53))
    assert test.tolist() != decoding.split(classes, np.random.default_rng(1))[1].tolist()


def test_separable_classes_are_decoded_and_noise_is_at_chance():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 30)
    noise = rng.normal(size=(120, 10))
    separable = noise + 6 * np.eye(4, 10)[classes]
    found = decoding.decode(separable, classes, np.random.default_rng(1)).mean(0)
    assert found[0] > 0.99
    assert abs(found[1] - 0.25) < 0.08  # with shuffled labels
    at_chance = decoding.decode(noise, classes, np.random.default_rng(1)).mean(0)
    assert abs(at_chance - 0.25).max() < 0.12


def test_the_classifier_is_fitted_as_in_a_pipeline_of_scikit_learn():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [40, 20, 20])
    vectors = (rng.normal(size=(80, 6)) + 0.4 * np.eye(3, 6)[classes]) * [9, 1, 1, 1, 1, 0.1]
    found = decoding.decode(vectors, classes, np.random.default_rng(1))[:, 0]
    rng, expected = np.random.default_rng(1), []
    for _ in range(decoding.SPLITS):
        shuffled = rng.permutation(classes)
        train, test = decoding.split(classes, rng)
        decoding.split(shuffled, rng)
        regression = LogisticRegression(C=0.01, class_weight="balanced")
        fitted = make_pipeline(StandardScaler(), regression).fit(vectors[train], classes[train])
        predicted = fitted.predict(vectors[test])
        expected.append(balanced_accuracy_score(classes[test], predicted))
    np.testing.assert_allclose(found, expected)


def test_a_rare_class_weighs_as_much_as_a_frequent_one():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], [110, 10])
    vectors = rng.normal(size=(120, 3)) + 3 * classes[:, None]
    assert decoding.decode(vectors, classes, np.random.default_rng(1))[:, 0].mean() > 0.9


def test_features_without_variance_and_of_any_scale_change_nothing():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 20)
    vectors = rng.normal(size=(40, 3)) + classes[:, None]
    changed = np.column_stack([vectors * [1e-9, 1e3, 1], np.full(40, 0.1)])
    same = (
        decoding.decode(values, classes, np.random.default_rng(1)) for values in (vectors, changed)
    )
    np.testing.assert_allclose(*same)


def single_steps(recorded: Recorded) -> Recorded:
    """The same blocks, each of a clip of its own."""
    blocks = recorded.blocks.assign(item=np.arange(len(recorded.blocks)))
    return recorded._replace(blocks=blocks)


def test_as_many_blocks_of_d_are_used_as_there_are_of_u(recorded):
    blocks = single_steps(recorded).blocks
    blocks.loc[blocks.index[blocks["image"] == "U"][8:], "image"] = "A"
    images = blocks["image"].to_numpy()
    chosen = decoding.choose_labels(recorded._replace(blocks=blocks), decoding.IMAGE)
    assert (images == "D").sum() > 8
    for image in "ABCDUG":
        number = (images[chosen.rows] == image).sum()
        assert number == (8 if image in "DU" else (images == image).sum())


def test_blocks_without_an_orientation_are_no_class_of_it(recorded):
    chosen = decoding.choose_labels(single_steps(recorded), decoding.ORIENTATION)
    angles = recorded.blocks["orientation"].to_numpy()
    assert len(chosen.rows) == (~np.isnan(angles)).sum() < len(angles)
    for one in np.unique(chosen.classes):
        assert len(set(angles[chosen.rows[chosen.classes == one]])) == 1


def test_one_block_of_each_clip_is_used_that_of_u_if_there_is_one(recorded):
    blocks = recorded.blocks
    chosen = blocks.iloc[decoding.choose_labels(recorded, decoding.ORIENTATION).rows]
    oriented = blocks[blocks["orientation"].notna()]
    assert sorted(chosen["item"]) == sorted(set(oriented["item"]))
    assert (chosen["image"] == "U").sum() == (blocks["image"] == "U").sum() > 0
    assert set(chosen["step"][chosen["image"] != "U"]) == {0, 1}
    images = blocks.iloc[decoding.choose_labels(recorded, decoding.IMAGE).rows]
    assert images["item"].is_unique


def test_what_the_blocks_of_a_clip_share_is_not_decoded(recorded):
    rng = np.random.default_rng(0)
    of_clip = rng.normal(size=(150, 40))[recorded.blocks["item"]]
    vectors = {"encoder_activation": of_clip + 0.3 * rng.normal(size=of_clip.shape)}
    row = decoding.measure(recorded._replace(vectors=vectors))[0]
    assert (row.target, row.classes) == ("orientation", 8)
    assert abs(row.accuracy - 1 / 8) < 0.1


def test_classes_of_fewer_than_four_blocks_are_left_out_and_told(recorded):
    few = single_steps(recorded).blocks
    few.loc[few.index[few["image"] == "C"][3:], "image"] = "A"
    chosen = decoding.choose_labels(recorded._replace(blocks=few), decoding.IMAGE)
    assert chosen.left_out == ["C"]
    assert set(few["image"].iloc[chosen.rows]) == set("ABDUG")


def test_at_most_a_thousand_blocks_are_used_and_each_class_keeps_its_share(recorded, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_BLOCKS", 80)
    chosen = decoding.choose_labels(single_steps(recorded), decoding.ORIENTATION)
    assert len(chosen.rows) == 80
    angles = recorded.blocks["orientation"].dropna().value_counts()
    number = dict(zip(*np.unique(chosen.classes, return_counts=True), strict=True))
    names = sorted(map(str, EIGHT))
    for one, count in number.items():
        assert abs(count - 80 * angles[float(names[one])] / angles.sum()) <= 1


def test_pre_and_post_are_decoded_from_the_same_blocks_and_splits(folder, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_BLOCKS", 80)
    pre, post = (load_pass(folder, of) for of in PASSES)
    for target in (decoding.IMAGE, decoding.ORIENTATION):
        chosen = [decoding.choose_labels(one, target) for one in (pre, post)]
        np.testing.assert_array_equal(chosen[0].rows, chosen[1].rows)
    same = decoding.measure(pre._replace(vectors=post.vectors))
    assert [row[2:] for row in same] == [row[2:] for row in decoding.measure(post)]


@pytest.mark.slow
def test_a_pass_is_decoded_for_both_targets_and_the_same_again(recorded):
    rows = decoding.measure(recorded)
    assert [row.target for row in rows] == ["orientation", "image"]
    assert [row.classes for row in rows] == [8, 6]
    assert all(row.accuracy > row.shuffled + 2 * row.shuffled_sd for row in rows)
    assert all(abs(row.shuffled - 1 / row.classes) < 0.08 for row in rows)
    assert decoding.measure(recorded) == rows


def test_principal_components_are_those_of_the_covariance_with_a_fixed_sign():
    values = np.random.default_rng(0).normal(size=(50, 4)) * [1, 5, 2, 0.1]
    found = principal_components(values)
    sizes, axes = np.linalg.eigh(np.cov(values.T))
    np.testing.assert_allclose(found.var(0, ddof=1), sizes[::-1][:2])
    for number, axis in enumerate(axes.T[::-1][:2]):
        expected = (values - values.mean(0)) @ axis
        np.testing.assert_allclose(found[:, number], expected * np.sign(axis[abs(axis).argmax()]))
    np.testing.assert_allclose(principal_components(values[:, :1])[:, 1], 0)
    np.testing.assert_allclose(principal_components(np.ones((5, 3))), 0)
