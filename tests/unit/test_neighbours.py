"""Retrieval, nearest neighbours and the probe on arrays, against loops and known answers."""

from itertools import permutations

import numpy as np
import pytest
import torch

from model.evaluation.neighbours import (
    Neighbours,
    comparable,
    nearest,
    recall,
    recall_by_chance,
    top,
    voted,
)
from model.evaluation.probe import probe_scores


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def clusters(rng, count, classes=4, size=16, spread=0.1, centres=None):
    """Draw features around a centre for each class, and their labels."""
    labels = np.arange(count) % classes
    centres = 3 * np.eye(classes, size) if centres is None else centres
    return (centres[labels] + spread * rng.standard_normal((count, size))).astype("f4"), labels


def test_neighbours_are_those_of_a_loop_over_all_pairs(rng, monkeypatch):
    monkeypatch.setattr("model.evaluation.neighbours.AT_ONCE", 3)
    queries, gallery = rng.standard_normal((7, 5)) + 2, rng.standard_normal((11, 5)) - 1
    found = nearest(queries, gallery, k=4)
    for row, query in enumerate(queries):
        query = query - queries.mean(axis=0)
        scored = []
        for number, video in enumerate(gallery):
            video = video - gallery.mean(axis=0)
            cosine = sum(a * b for a, b in zip(query, video, strict=True))
            cosine /= sum(a * a for a in query) ** 0.5 * sum(b * b for b in video) ** 0.5
            scored.append((-cosine, number))
        for place, (cosine, number) in enumerate(sorted(scored)[:4]):
            assert found.numbers[row, place] == number
            assert found.similarity[row, place] == pytest.approx(-cosine, abs=1e-12)


def test_equally_near_videos_come_in_the_gallery_s_order(rng):
    queries = rng.standard_normal((3, 4))
    gallery = np.repeat(rng.standard_normal((2, 4)), 3, axis=0)  # each three times
    found = nearest(queries, gallery, k=6)
    assert {tuple(row) for row in found.numbers} <= {(0, 1, 2, 3, 4, 5), (3, 4, 5, 0, 1, 2)}


def test_features_without_any_spread_are_similar_to_none(rng):
    assert not comparable(np.ones((4, 3))).any()
    found = nearest(np.ones((2, 3)), rng.standard_normal((5, 3)), k=5)
    assert not found.similarity.any()
    np.testing.assert_array_equal(found.numbers, [range(5)] * 2)


def test_recall_counts_queries_with_a_right_video_among_the_k_nearest():
    right = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]], bool)
    assert [recall(right, k) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert np.isnan(recall(right, 4))


def test_chance_of_recall_is_the_mean_over_all_orders_of_the_gallery():
    gallery, queries = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 3])
    for k in range(1, 7):
        hits = [
            np.mean([query in order[:k] for query in queries]) for order in permutations(gallery)
        ]
        assert recall_by_chance(queries, gallery, k) == pytest.approx(np.mean(hits), abs=1e-12)
    assert np.isnan(recall_by_chance(queries, gallery, 7))


def test_votes_are_those_of_a_loop_over_the_neighbours(rng):
    index, similarity = rng.integers(9, size=(5, 6)), rng.uniform(-1, 1, (5, 6))
    labels = rng.integers(3, size=9)
    votes = voted(Neighbours(index, similarity), labels, classes=4, voters=5)
    for row in range(5):
        for class_ in range(4):
            expected = sum(
                np.exp(similarity[row, place] / 0.1)
                for place in range(5)
                if labels[index[row, place]] == class_
            )
            assert votes[row, class_] == pytest.approx(expected or -np.inf)


def test_top_k_counts_labels_among_the_highest_scores():
    scores = np.array([[0.1, 0.5, 0.4], [0.3, 0.3, 0.3], [0.0, 0.2, 0.9]])
    labels = np.array([2, 0, 0])
    assert top(scores, labels, 1) == pytest.approx(1 / 3)  # of equal scores, the first class
    assert top(scores, labels, 2) == pytest.approx(2 / 3)
    assert np.isnan(top(scores, labels, 3))


def test_separable_classes_are_found_by_all_measures(rng):
    (train, labels), (test, truth) = clusters(rng, 80), clusters(rng, 40)
    found = nearest(test, train, k=50)
    assert recall(labels[found.numbers] == truth[:, None], 1) == 1
    assert top(voted(found, labels, 4), truth, 1) == 1
    assert top(probe_scores(train, labels, test, classes=4, seed=1), truth, 1) == 1


def test_random_features_are_at_chance_by_all_measures(rng):
    train, test = rng.standard_normal((400, 16)), rng.standard_normal((400, 16))
    labels, truth = np.arange(400) % 4, np.arange(400) % 4
    found = nearest(test, train, k=200)
    within = 4 * (0.25 * 0.75 / 400) ** 0.5  # standard deviations of a share of 400
    for measured in (
        recall(labels[found.numbers] == truth[:, None], 1),
        top(voted(found, labels, 4), truth, 1),
        top(probe_scores(train, labels, test, classes=4, seed=1), truth, 1),
    ):
        assert abs(measured - 0.25) < within


def test_the_probe_follows_from_its_seed_and_not_from_torch_s(rng):
    (train, labels), (test, _) = clusters(rng, 65, spread=3), clusters(rng, 10, spread=3)
    scores = []
    for seed, others in ((1, 0), (1, 9), (2, 0)):
        torch.manual_seed(others)
        scores.append(probe_scores(train, labels, test, classes=4, seed=seed))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_the_probe_is_one_of_a_loop_without_torch_s_layers(rng):
    """One epoch, one batch: batch norm and a linear layer written out in NumPy."""
    train, labels = clusters(rng, 6, classes=3, size=5, spread=1)
    test, _ = clusters(rng, 4, classes=3, size=5, spread=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model.evaluation.probe.EPOCHS", 1)
        scores = probe_scores(train, labels, test, classes=3, seed=3)
        patch.setattr("model.evaluation.probe.EPOCHS", 0)
        before = probe_scores(train, labels, np.eye(5, dtype="f4"), classes=3, seed=3)
    W = before.T * np.sqrt(1 + 1e-5)  # mean 0 and variance 1 before the first batch
    x = train / np.linalg.norm(train, axis=1, keepdims=True)
    mean, variance = x.mean(axis=0), x.var(axis=0)
    z = (x - mean) / np.sqrt(variance + 1e-5)
    logits = z @ W.T
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (share - np.eye(3)[labels]) / len(x)
    new_W, new_b = W - 0.1 * (error.T @ z + 1e-3 * W), -0.1 * error.sum(axis=0)
    error_z = error @ W
    gain = 1 - 0.1 * ((error_z * z).sum(axis=0) + 1e-3)
    shift = -0.1 * error_z.sum(axis=0)
    running_mean, running_var = 0.1 * mean, 0.9 + 0.1 * x.var(axis=0, ddof=1)
    y = test / np.linalg.norm(test, axis=1, keepdims=True)
    y = gain * (y - running_mean) / np.sqrt(running_var + 1e-5) + shift
    np.testing.assert_allclose(scores, y @ new_W.T + new_b, atol=1e-5)


def test_a_class_without_any_vote_is_no_hit():
    votes = voted(Neighbours(np.array([[0]]), np.array([[1.0]])), np.array([3]), classes=10)
    assert [top(votes, np.array([label]), 5) for label in (0, 3, 7)] == [0, 1, 0]


def test_twins_come_in_the_gallery_s_order_wherever_they_lie(rng):
    """A product of matrices rounds equal rows differently, by their places."""
    for _ in range(50):
        once = rng.standard_normal((37, 19)).astype("f4")
        gallery = np.concatenate([once, once])[rng.permutation(74)]
        twins = {row.tobytes(): [] for row in gallery}
        for number, row in enumerate(gallery):
            twins[row.tobytes()].append(number)
        found = nearest(rng.standard_normal((5, 19)).astype("f4"), gallery, k=74).numbers
        for first, second in twins.values():
            places = np.argsort(found, axis=1)
            assert (places[:, first] < places[:, second]).all()
