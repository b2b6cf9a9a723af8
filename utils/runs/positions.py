"""How far a run has come within an epoch, in the types that a checkpoint keeps."""

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple, TypeVar

from torch import Tensor

from utils.runs.structure import FLOATS, INTEGERS, Form, MisfitError, Range, added, shown
from utils.samples import Fault

N = TypeVar("N", int, float)
Count = Annotated[int, Range(0, 2**62)]
Amount = Annotated[float, Range(0)]
Indices = Annotated[Tensor, Form(INTEGERS, [None], least=0)]
PerClip = Form(INTEGERS, [None, None], least=0)


class Best(NamedTuple):
    """The best validation top-1 of a phase, and its epoch."""

    epoch: Count
    top1: Annotated[float, Range(0, 1)]


class Sums(NamedTuple):
    """Sums over rows: of their losses, and of the top-1, 3 and 5 hits."""

    loss: Annotated[float, Range()] = 0.0
    top1: Amount = 0.0
    top3: Amount = 0.0
    top5: Amount = 0.0


class Scores(NamedTuple):
    """Sums of the scores of each kind of pairs."""

    positive: Annotated[float, Range()] = 0.0
    easy: Annotated[float, Range()] = 0.0
    spatial: Annotated[float, Range()] = 0.0
    temporal: Annotated[float, Range()] = 0.0


class Numbers(NamedTuple):
    """Numbers of each kind of pairs, or of predictions whose best candidate is of this kind."""

    positive: Count = 0
    easy: Count = 0
    spatial: Count = 0
    temporal: Count = 0


class Kinds(NamedTuple):
    """What is counted of the pairs of a contrast, by their kind (see model.losses.KindSums)."""

    scores: Scores = Scores()
    winners: Numbers = Numbers()
    pairs: Numbers = Numbers()

    def plus(self, other: "Kinds") -> "Kinds":
        """Return the sums of both."""
        return Kinds(
            Scores(*_sums(self.scores, other.scores)),
            Numbers(*_sums(self.winners, other.winners)),
            Numbers(*_sums(self.pairs, other.pairs)),
        )


class Counts(NamedTuple):
    """Sums over batches: of losses and hits; of rows, batches and chances; by kind of pairs.

    `fewest_columns` is the smallest number of candidates that a row had.
    """

    sums: Sums = Sums()
    rows: Count = 0
    batches: Count = 0
    chances: Amount = 0.0
    fewest_columns: Annotated[float, Range(1, math.inf)] = math.inf
    kinds: Annotated[Kinds, added] = Kinds()

    def plus(self, other: "Counts") -> "Counts":
        """Return the counts of both."""
        return Counts(
            Sums(*_sums(self.sums, other.sums)),
            self.rows + other.rows,
            self.batches + other.batches,
            self.chances + other.chances,
            min(self.fewest_columns, other.fewest_columns),
            self.kinds.plus(other.kinds),
        )


def _sums(one: Iterable[N], other: Iterable[N]) -> Iterator[N]:
    return (a + b for a, b in zip(one, other, strict=True))


class Times(NamedTuple):
    """Seconds of a pass: in all, waiting for data, and in the network (forward and backward)."""

    seconds: Amount = 0.0
    data: Amount = 0.0
    network: Amount = 0.0


class Predictions(NamedTuple):
    """Q predictions for each of B items.

    `labels` `[B, Q, 2]` (class, is_U), `predicted` class `[B, Q]`, `loss` `[B, Q]`, and `rank`
    `[B, Q]` of the true class among all, from 1, or 0 where classes are not ranked.
    """

    labels: Annotated[Tensor, Form(INTEGERS, [None, None, 2], least=0)]
    predicted: Annotated[Tensor, PerClip]
    loss: Annotated[Tensor, Form(FLOATS, [None, None])]
    rank: Annotated[Tensor, PerClip]


class BatchPredictions(NamedTuple):
    """The predictions of the epoch's `number`-th batch, whose clips have the indices `item` `[B]`.

    In those of a whole video, which is a batch, Q counts its windows.
    """

    number: Count
    item: Indices
    predictions: Predictions

    def cpu(self) -> "BatchPredictions":
        """Copy the tensors to the CPU."""
        predictions = Predictions(*(part.cpu() for part in self.predictions))
        return BatchPredictions(self.number, self.item.cpu(), predictions)


class Position(NamedTuple):
    """How far a rank has come in a training pass, from where it can go on: `done` batches."""

    done: Count = 0
    counts: Counts = Counts()
    evaluated: Count = 0
    times: Times = Times()
    faults: list[Fault] = []
    predictions: list[BatchPredictions] = []

    def check(self, name: str, batches: int, clips: int, classes: int) -> None:
        """Raise MisfitError unless it can be one in an epoch of a data set of this size."""
        counts = self.counts
        counted = bool(counts.rows) == bool(counts.batches) == bool(self.evaluated)
        if self.done > batches:
            raise MisfitError(f"{name}.done is {self.done}, and an epoch has {batches} batches")
        _, winners, pairs = counts.kinds
        most = max(*counts.sums[1:], pairs.positive)
        counted &= sum(winners) == pairs.positive  # one of each prediction
        if not counted or counts.batches > self.done or most > counts.rows:
            raise MisfitError(f"{name}.counts is {shown(tuple(counts))}")
        for number, item, predictions in self.predictions:
            labels, predicted, _, rank = predictions
            whole = {part.shape[:2] for part in predictions} == {(len(item), labels.shape[1])}
            below = ((item, clips), (labels, classes), (predicted, classes), (rank, classes + 1))
            if not whole or any((part >= most).any() for part, most in below) or number > batches:
                what = shown((number, item, *predictions))
                raise MisfitError(f"{name}.predictions don't fit the data set: {what}")
