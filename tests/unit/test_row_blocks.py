"""A contrastive score that would be large, computed for a few clips at a time."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from model.dpc import score
from model.fast import score_blocks
from model.fast.score_blocks import contrast_in_blocks
from model.losses import KindSums, contrast, contrastive_loss
from model.training.tasks import ContrastiveTask

B, P, F, S = 5, 2, 6, 4


class Case(NamedTuple):
    """`columns` clips in all, of which the predictions are those from `first` on."""

    columns: int = B
    first: int = 0

    def vectors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = (B, P, F, S), (self.columns, P, F, S)
        return tuple(
            torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
            for shape in shapes
        )


CASES = [Case(), Case(B + 4, 3)]


@pytest.fixture
def at_once(monkeypatch):
    """Sets how many clips' scores may be computed at once."""

    def set_limit(clips: int, columns: int = B, bytes_each: int = 8) -> int:
        clip_bytes = P * S * columns * P * S * bytes_each
        monkeypatch.setattr(score_blocks, "SCORE_LIMIT", clips * clip_bytes + clip_bytes // 2)
        return clips * clip_bytes

    return set_limit


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("clips", range(1, B + 1))
def test_parts_of_a_score_give_what_the_whole_gives(clips, case, at_once):
    """The last part is smaller for most."""
    at_once(clips, case.columns)
    results = []
    for compute in (contrast, contrast_in_blocks):
        predicted, targets = case.vectors(torch.float64)
        made = compute(predicted, targets, case.first)
        weights = torch.linspace(-1, 2, B * P * S, dtype=torch.float64).view(B, P, S)
        gradients = torch.autograd.grad((made.loss * weights).sum(), (predicted, targets))
        results.append((made, gradients))
    (whole, expected), (parts, gradients) = results
    assert parts.loss.shape == (B, P, S)
    assert torch.allclose(parts.loss, whole.loss, rtol=1e-12, atol=1e-13)
    assert torch.equal(parts.hits, whole.hits)
    assert torch.equal(parts.best, whole.best)
    assert torch.equal(parts.winner, whole.winner)
    for got, wanted in zip(gradients, expected, strict=True):
        assert (got - wanted).norm() <= 1e-12 * wanted.norm()


@pytest.mark.parametrize("case", CASES)
def test_a_contrast_is_read_off_its_score(case, at_once):
    at_once(2, case.columns)
    predicted, targets = case.vectors(torch.float64)
    made = contrast_in_blocks(predicted, targets, case.first)
    scores = score(predicted, targets)
    assert torch.allclose(made.loss, contrastive_loss(scores, case.first), rtol=1e-12)
    rows = scores.detach().view(B * P * S, case.columns * P * S)
    for r, row in enumerate(rows):
        rank = int((row > row[r + case.first * P * S]).sum())  # from 0
        assert made.hits[r].tolist() == [place == rank for place in range(5)]
        assert row[made.winner[r]] == row.max()
    assert made.hits.any()
    blocks = scores.detach().sum(dim=(2, 5)).view(B, P, -1)
    for b in range(B):
        for p in range(P):
            assert blocks[b, p, made.best[b, p]] == blocks[b, p].max()


@pytest.mark.parametrize("clips", [2, 3])
def test_gradients_are_those_of_differences(clips, monkeypatch):
    """3 clips' predictions, 4 clips in all, of one step with vectors of 2 at 2 positions."""
    monkeypatch.setattr(score_blocks, "SCORE_LIMIT", clips * 2 * 8 * 8)
    generator = torch.Generator().manual_seed(0)
    predicted, targets = (
        torch.randn(b, 1, 2, 2, generator=generator, dtype=torch.float64).requires_grad_()
        for b in (3, 4)
    )
    vectors = predicted, targets
    assert torch.autograd.gradcheck(lambda *both: contrast_in_blocks(*both, 1).loss, vectors)


@pytest.mark.parametrize("clips", [2, B])
def test_evaluation_gives_the_same(clips, at_once):
    at_once(clips)
    vectors = Case().vectors(torch.float64)
    expected = contrast_in_blocks(*vectors)
    with torch.inference_mode():
        made = contrast_in_blocks(*vectors)
    assert torch.allclose(made.loss, expected.loss, rtol=1e-12)
    assert torch.equal(made.hits, expected.hits)
    assert torch.equal(made.best, expected.best)


@pytest.mark.parametrize("clips", [2, B])
def test_parts_stay_float32_under_autocast(clips, at_once):
    at_once(clips, bytes_each=4)
    vectors = Case().vectors(torch.float32)
    expected = contrast_in_blocks(*vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = contrast_in_blocks(*vectors)
    pairs = zip(
        *(torch.autograd.grad(c.loss.sum(), vectors) for c in (made, expected)), strict=True
    )
    # in bfloat16 they would differ by 1e-2
    assert torch.allclose(made.loss, expected.loss, rtol=1e-5, atol=1e-5)
    assert all(torch.allclose(*pair, rtol=1e-5, atol=1e-5) for pair in pairs)


class Vectors(nn.Module):
    """A model whose predicted and true vectors are given."""

    def __init__(self, *vectors: Tensor):
        super().__init__()
        self.vectors = vectors

    def predict(self, clips: Tensor) -> tuple[Tensor, ...]:
        return self.vectors


def test_records_are_the_same(at_once):
    labels = torch.arange(B * (P + 1) * 2).view(B, P + 1, 1, 2)
    task = ContrastiveTask(Vectors(*Case().vectors(torch.float64)))
    whole, parts = (
        at_once(clips) and task.output(torch.zeros(0), labels, None) for clips in (B, 2)
    )
    assert parts.loss.item() == pytest.approx(whole.loss.item(), rel=1e-12)
    assert parts.columns == whole.columns == B * P * S
    assert torch.equal(parts.hits, whole.hits)
    assert torch.equal(parts.predictions.predicted, whole.predictions.predicted)
    assert torch.allclose(parts.predictions.loss, whole.predictions.loss, rtol=1e-12)
    for name in KindSums._fields:
        assert torch.equal(*(torch.as_tensor(getattr(one.kinds, name)) for one in (parts, whole)))


class Memory(TorchDispatchMode):
    """What the operations within make: the largest tensor, and the most there are at any time of
    all that have at least `least` bytes; `calls`: the operations by name."""

    def __init__(self, least: int):
        super().__init__()
        self.least = least
        self.largest = self.peak = 0
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}
        self.calls: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.calls.append(function.overloadpacket.__name__)
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.largest = max(self.largest, storage.nbytes())
                if storage.nbytes() >= self.least:
                    self.made[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, self.held())
        return result

    def held(self) -> int:
        """Bytes now."""
        self.made = {key: pair for key, pair in self.made.items() if not pair[0].expired()}
        return sum(size for _, size in self.made.values())


def memory(clips: int) -> tuple[int, Memory]:
    """→ (bytes held after forward, what forward and backward make) of predictions for so many
    clips among 40."""
    generator = torch.Generator().manual_seed(0)
    shapes = (clips, P, F, S), (40, P, F, S)
    vectors = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    contrast_in_blocks(*vectors)  # imports what it needs
    with Memory(least=score_blocks.SCORE_LIMIT // 2) as made:
        loss = contrast_in_blocks(*vectors).loss.mean()
        held = made.held()
        loss.backward()
    return held, made


def test_memory_does_not_grow_with_the_number_of_parts(at_once):
    part = at_once(2, columns=40, bytes_each=4)
    held, one = memory(2)
    assert 0 < held <= one.peak
    assert one.largest == part
    for clips in (4, 16):
        held, parts = memory(clips)
        assert held == 0  # nothing of a score is kept for backward
        assert parts.largest == part
        assert parts.peak <= one.peak
        assert parts.calls.count("bmm") == one.calls.count("bmm") * clips // 2 + clips // 2
        # what only the records need is not computed again
        assert parts.calls.count("topk") == clips // 2
    assert one.calls.count("topk") == 1


def test_nothing_larger_than_a_part_is_saved_for_backward(at_once):
    part = at_once(1)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.nbytes) or tensor, lambda tensor: tensor
    ):
        contrast_in_blocks(*Case().vectors(torch.float64)).loss.sum().backward()
    assert max(saved) <= part


def test_published_sizes_are_computed_at_once():
    rows = 128 * 3 * 16  # clips, steps, positions
    assert rows * rows * 4 <= score_blocks.SCORE_LIMIT
