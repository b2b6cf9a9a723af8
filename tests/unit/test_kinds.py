"""What is told of a contrast by the kind of its pairs: mean scores, and what wins instead."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from model.dpc import score
from model.losses import EASY, POSITIVE, SPATIAL, TEMPORAL, contrast, negative_kinds, sum_by_kind
from model.training.meter import Means, Meter, means_of
from model.training.tasks import Output
from small_runs import ON_CPU
from utils.logs import Progress
from utils.runs.positions import Counts, Kinds, Numbers, Position, Scores, Sums
from utils.runs.structure import MisfitError, plain, typed
from utils.samples import Batch

ORDER = (POSITIVE, EASY, SPATIAL, TEMPORAL)
WRONG = ("wrong_easy", "wrong_spatial", "wrong_temporal")
SCORES = ("score_positive", "score_easy", "score_spatial", "score_temporal")


class Case(NamedTuple):
    """Of `columns` clips in all, those from `first` on are predicted."""

    clips: int = 4
    steps: int = 3
    positions: int = 4
    columns: int = 4
    first: int = 0

    def vectors(self, offset: float = 0.0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = [(clips, self.steps, 6, self.positions) for clips in (self.clips, self.columns)]
        return [
            (offset + torch.randn(shape, generator=generator)).to(dtype).requires_grad_()
            for shape in shapes
        ]

    def kinds(self) -> Tensor:
        """The kind of each pair, `[B*P*S, B'*P*S]`."""
        kinds = negative_kinds(self.columns, self.steps, self.positions)
        return kinds[self.first : self.first + self.clips].flatten(3).flatten(0, 2)


CASES = [
    Case(),
    Case(steps=1),
    Case(positions=1),
    Case(clips=1, columns=1),
    Case(columns=9, first=3),
    Case(columns=9, first=5, steps=1),
]


def added(cases: list[tuple[Tensor, Tensor, int]]) -> Means:
    """The means of a pass with these contrasts, one a batch."""
    meter = Meter(ON_CPU, Progress("a pass", len(cases), 1), keep=False)
    for predicted, targets, first in cases:
        add(meter, predicted, targets, first)
    return meter.means()


def add(meter: Meter, predicted: Tensor, targets: Tensor, first: int = 0) -> None:
    made = contrast(predicted, targets, first)
    kinds = sum_by_kind(predicted, targets, made.winner, first)
    loss, columns = made.loss.flatten(), targets[:, :, 0].numel()
    batch = Batch(None, None, torch.arange(len(predicted)))
    meter.add(batch, Output(loss.mean(), loss, made.hits, columns, None, kinds=kinds))


@pytest.mark.parametrize("case", CASES)
def test_sums_by_kind_equal_those_over_all_pairs(case):
    predicted, targets = case.vectors()
    made = sum_by_kind(
        predicted, targets, contrast(predicted, targets, case.first).winner, case.first
    )
    kinds = case.kinds()
    scores = score(predicted, targets).detach().view(kinds.shape)
    of_winners = kinds.gather(1, scores.argmax(dim=1, keepdim=True))
    for place, kind in enumerate(ORDER):
        assert made.pairs[place] == (kinds == kind).sum()
        assert made.scores[place] == pytest.approx(scores[kinds == kind].sum().item(), abs=1e-10)
        assert made.winners[place] == (of_winners == kind).sum()
    assert made.winners.sum() == len(scores)


def test_every_kind_wins_in_a_case():
    """Or the comparison of winners above would show little."""
    predicted, targets = Case().vectors()
    assert sum_by_kind(predicted, targets, contrast(predicted, targets).winner).winners.all()


def test_sums_of_float32_scores_are_precise_where_all_are_large():
    predicted, targets = Case().vectors(offset=1000.0, dtype=torch.float32)
    winner = contrast(predicted, targets).winner
    made = sum_by_kind(predicted, targets, winner).scores
    exact = sum_by_kind(predicted.double(), targets.double(), winner).scores
    assert torch.allclose(made, exact, rtol=1e-12)
    kinds = Case().kinds()
    scores = score(predicted.double(), targets.double()).detach().view(kinds.shape)
    for place, kind in enumerate(ORDER):
        assert made[place] == pytest.approx(scores[kinds == kind].sum().item(), rel=1e-12)


def test_sums_keep_no_graph_and_save_nothing_for_backward():
    predicted, targets = Case().vectors()
    winner = contrast(predicted, targets).winner
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(saved.append, lambda tensor: tensor)
    with hooks:
        made = sum_by_kind(predicted, targets, winner)
    assert not saved
    assert not made.scores.requires_grad
    assert not made.winners.requires_grad


def test_autocast_changes_no_sum():
    predicted, targets = Case().vectors(dtype=torch.float32)
    winner = contrast(predicted, targets).winner
    expected = sum_by_kind(predicted, targets, winner)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = sum_by_kind(predicted, targets, winner)
    assert torch.equal(made.scores, expected.scores)


def test_means_are_over_the_pairs_and_the_errors_of_all_batches():
    cases = [Case(), Case(columns=9, first=3)]
    means = added([(*case.vectors(), case.first) for case in cases])
    scores, winners = {kind: [] for kind in ORDER}, []
    for case in cases:
        kinds = case.kinds()
        own = score(*case.vectors()).detach().view(kinds.shape)
        for kind in ORDER:
            scores[kind] += own[kinds == kind].tolist()
        winners += kinds.gather(1, own.argmax(dim=1, keepdim=True)).flatten().tolist()
    wrong = len(winners) - winners.count(POSITIVE)
    for name, kind in zip(SCORES, ORDER, strict=True):
        assert getattr(means, name) == pytest.approx(sum(scores[kind]) / len(scores[kind]))
    for name, kind in zip(WRONG, ORDER[1:], strict=True):
        assert getattr(means, name) == pytest.approx(winners.count(kind) / wrong)
    assert means.top1 == pytest.approx(1 - wrong / len(winners))


@pytest.mark.parametrize("case", CASES)
def test_shares_sum_to_one_and_a_kind_without_pairs_has_neither_score_nor_share(case):
    means = added([(*case.vectors(), case.first)])
    shares = [getattr(means, name) for name in WRONG]
    assert sum(share for share in shares if share is not None) == pytest.approx(1)
    missing = [case.columns == 1, case.positions == 1, case.steps == 1]
    assert [share is None for share in shares] == missing
    assert [getattr(means, name) is None for name in SCORES] == [False, *missing]


def test_where_nothing_is_wrong_no_share_is_told():
    vectors = 100 * torch.eye(8).view(2, 2, 2, 8).transpose(2, 3)
    means = added([(vectors, vectors, 0)])
    assert means.top1 == 1
    assert means.score_positive == 1e4
    assert [getattr(means, name) for name in (*SCORES[1:], *WRONG)] == [0.0] * 3 + [None] * 3


def test_a_classifier_has_neither_scores_nor_shares():
    meter = Meter(ON_CPU, Progress("a pass", 1, 1), keep=False)
    found = torch.zeros(2, 5, dtype=torch.bool)
    batch = Batch(None, None, torch.arange(2))
    meter.add(batch, Output(torch.zeros(()), torch.zeros(2), found, 8, None))
    assert {getattr(meter.means(), name) for name in (*SCORES, *WRONG)} == {None}


@pytest.mark.parametrize("first", [0, 2])
def test_two_processes_together_count_what_one_counts(first):
    """With the true vectors of both, each predicts its own clips."""
    predicted, targets = Case(clips=4, columns=4 + first, first=first).vectors()
    counts = []
    for clips in (slice(0, 4), slice(0, 1), slice(1, 4)):
        meter = Meter(ON_CPU, Progress("a pass", 1, 1), keep=False)
        add(meter, predicted[clips], targets, first + clips.start)
        counts.append(meter.position([]).counts)
    whole, one, other = counts
    merged = one.plus(other)
    assert merged.kinds.pairs == whole.kinds.pairs
    assert merged.kinds.winners == whole.kinds.winners
    assert merged.kinds.scores == pytest.approx(whole.kinds.scores)


# ---- a position within an epoch ----


def test_a_pass_goes_on_from_its_position():
    vectors = Case().vectors()
    meter = Meter(ON_CPU, Progress("a pass", 2, 1), keep=False)
    add(meter, *vectors)
    position = typed(plain(meter.position([])), Position, "position")
    add(meter, *vectors[::-1])
    resumed = Meter(ON_CPU, Progress("a pass", 2, 1), keep=False, position=position)
    add(resumed, *vectors[::-1])
    assert resumed.position([]).counts == meter.position([]).counts
    assert resumed.means() == meter.means()


def test_from_a_position_of_an_earlier_version_the_rest_of_the_epoch_is_told():
    """It has no counts by kind."""
    meter = Meter(ON_CPU, Progress("a pass", 2, 1), keep=False)
    add(meter, *Case().vectors())
    counts, *rest = plain(meter.position([]))[1:]
    position = typed((1, counts[:5], *rest), Position, "position")
    position.check("position", batches=2, clips=8, classes=3)
    resumed = Meter(ON_CPU, Progress("a pass", 2, 1), keep=False, position=position)
    vectors = Case(steps=1).vectors()
    add(resumed, *vectors)
    rest_alone, means = added([(*vectors, 0)]), resumed.means()
    assert means.top1 != rest_alone.top1
    for name in (*SCORES, *WRONG):
        assert getattr(means, name) == getattr(rest_alone, name)


@pytest.mark.parametrize("length", [0, 1, 4])
def test_counts_shorter_than_any_version_wrote_are_refused(length):
    with pytest.raises(MisfitError, match="counts is"):
        typed(plain(Counts())[:length], Counts, "counts")


@pytest.mark.parametrize(
    "kinds",
    [
        Kinds(winners=Numbers(4)),
        Kinds(winners=Numbers(3, 1, 1), pairs=Numbers(4, 9, 9)),
        Kinds(winners=Numbers(9), pairs=Numbers(9)),
    ],
    ids=["without pairs", "more than predictions", "more than rows"],
)
def test_winners_that_no_pass_counts_are_refused(kinds):
    counts = Counts(Sums(1.0), rows=8, batches=1, chances=0.1, fewest_columns=8, kinds=kinds)
    with pytest.raises(MisfitError, match="counts is"):
        Position(1, counts, evaluated=1).check("position", batches=2, clips=8, classes=3)


def test_shares_follow_from_counts_of_hand():
    kinds = Kinds(Scores(6.0, 8.0, -3.0, 0.0), Numbers(6, 1, 3, 0), Numbers(10, 4, 6, 0))
    means = means_of(Counts(Sums(), rows=10, batches=1, chances=0.1, kinds=kinds))
    assert [getattr(means, name) for name in SCORES] == [0.6, 2.0, -0.5, None]
    assert [getattr(means, name) for name in WRONG] == [0.25, 0.75, None]
