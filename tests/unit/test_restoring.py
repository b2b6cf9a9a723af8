"""What a run goes on from: every value of a checkpoint is checked before anything uses it."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset.build import build_loader
from model.training.build import build_learner
from model.training.learner import Learner
from model.training.restoring import restore
from run_records import only
from small_runs import ON_CPU, TINY, narrow, one_picture, run, signal_in_call
from utils.config.checks import from_stored
from utils.errors import UsageError
from utils.runs.checkpoints import read_to_resume
from utils.runs.contents import checkpoint_of

COUNTS = ("position", 0, 1)  # of which every value is tried
FEW = 3  # of the tensors of a dictionary, the first ones and as many last ones
GONE = object()
Place = tuple[Any, ...]


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict[str, Any]:
    """What last.pth.tar holds after a signal in the second epoch."""
    place = tmp_path_factory.mktemp("stopped")
    with narrow(), one_picture(), signal_in_call(Learner, "update", 3):
        assert run(*TINY, "--num_epochs", 3, "--unexp_epoch", 1, "--output_dir", place) == 75
    return read_to_resume(only(place) / "model" / "last.pth.tar")


@pytest.fixture(scope="module")
def go_on(content) -> Callable[[dict], None]:
    """Go on from a checkpoint's content, up to its use."""
    config = from_stored(content["config"])
    with narrow():
        loader = build_loader(config, "train", ON_CPU)
        learner = build_learner(config, len(loader.samples.classes), False, ON_CPU)

    def go_on(changed: dict) -> None:
        made = checkpoint_of(changed, "--resume it")
        restore(made, Path("it"), learner, from_stored(made["config"]), loader)

    return go_on


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield where each value is, of many tensors only some."""
    if place:
        yield place
    if isinstance(value, dict):
        keys = list(value)
        if len(keys) > 2 * FEW and any(part in place for part in ("state_dict", "state")):
            keys = keys[:FEW] + keys[-FEW:]
        for key in keys:
            yield from places(value[key], (*place, key))
    elif isinstance(value, (list, tuple)):
        most = len(value) if place[:3] == COUNTS else FEW
        for index in range(min(most, len(value))):
            yield from places(value[index], (*place, index))


def at(value: Any, place: Place) -> Any:
    for part in place:
        value = value[part]
    return value


def changed(value: Any, place: Place, new: Any) -> Any:
    """Return a copy with a new value, or without it; what isn't on the way is shared."""
    part, *rest = place
    made = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        made[part] = changed(value[part], tuple(rest), new)
    elif new is GONE:
        del made[part]
    else:
        made[part] = new
    return tuple(made) if isinstance(value, tuple) else made


def none(old: Any) -> Any:
    return None


def gone(old: Any) -> Any:
    return GONE


def another_type(old: Any) -> Any:
    return [object] if isinstance(old, str) else "x"


def not_finite(old: Any) -> Any:
    return torch.full(old.shape, math.nan) if isinstance(old, torch.Tensor) else math.nan


def infinite(old: Any) -> Any:
    return torch.full(old.shape, math.inf) if isinstance(old, torch.Tensor) else math.inf


def another_shape(old: Any) -> Any:
    return old[None] if isinstance(old, torch.Tensor) else [[old]]


def too_short(old: Any) -> Any:
    if isinstance(old, torch.Tensor):
        return old.flatten()[:0]
    return old[:-1] if isinstance(old, (str, list, tuple)) else None


def complex_number(old: Any) -> Any:
    return old.to(torch.complex64) if isinstance(old, torch.Tensor) else 1j


def expanded(old: Any) -> Any:
    return torch.zeros(1).as_strided((10**6, 10**6), (0, 0))


def sparse(old: Any) -> Any:
    return torch.eye(2).to_sparse()


def on_no_device(old: Any) -> Any:
    return torch.zeros(getattr(old, "shape", ()), device="meta")


def huge(old: Any) -> Any:
    if isinstance(old, torch.Tensor):
        return torch.full_like(old, 100 if old.dtype == torch.uint8 else 2**40)
    return 10**30


def negative(old: Any) -> Any:
    if isinstance(old, torch.Tensor):
        return torch.full_like(old, 7 if old.dtype == torch.uint8 else -7)
    return -7


CHANGES = [
    *(none, gone, another_type, not_finite, infinite, another_shape, too_short, complex_number),
    *(expanded, sparse, on_no_device, huge, negative),
]


MAY_BE_GONE = [
    *(("net",), ("model",), ("best_acc",), ("best", "expected"), ("classes",), ("position",)),
]
LOSS, CHANCES, COLUMNS, SCORES = (*COUNTS, 0, 0), (*COUNTS, 3), (*COUNTS, 4), (*COUNTS, 5, 0)
EARLIER = ((COUNTS, too_short), ((*COUNTS, 5), gone))  # as earlier versions wrote them


def may_be(place: Place, change: Callable) -> bool:
    """Whether a run can go on with this change."""
    return (
        place[0] == "config"  # has a test of its own
        or (place in (("net",), ("model",)) and change is too_short)
        or (place in MAY_BE_GONE and change is gone)
        or (place == ("position", 0) and change is none)
        or ((place == LOSS or place[:-1] == SCORES) and change in (huge, negative))
        or (place in (CHANCES, COLUMNS) and change is huge)
        or (place == COLUMNS and change is infinite)
        or (place, change) in EARLIER
        or (place[0] in ("state_dict", "optimizer") and change in (huge, negative))
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_wrong_value_is_refused_by_its_name(change, content, go_on):
    taken, told = [], []
    for place in places(content):
        try:
            go_on(changed(content, place, change(at(content, place))))
        except UsageError as error:
            told.append(str(error))
        else:
            taken.append(place)
    assert all(re.fullmatch(r"--resume it: .{5,600}; (name|put) .*", line) for line in told)
    assert [place for place in taken if not may_be(place, change)] == []


def test_what_was_saved_is_gone_on_from(content, go_on):
    go_on(content)


def test_files_of_older_versions_are_gone_on_from(content, go_on):
    state = {key.removeprefix("module."): value for key, value in content["state_dict"].items()}
    older = {name: value for name, value in content.items() if name not in ("classes", "net")}
    (group,) = content["optimizer"]["param_groups"]
    older["optimizer"] = {
        **content["optimizer"],
        "param_groups": [{n: v for n, v in group.items() if n in ("params", "lr", "betas")}],
    }
    go_on({**older, "state_dict": state})


@pytest.mark.parametrize(
    ("place", "new", "told"),
    [
        (("epoch",), "x", "epoch is 'x'"),
        (("epoch",), 4, "epoch is 4"),
        (("iteration",), GONE, "lacks iteration"),
        (("best", "expected"), (3, 0.5), "best.expected.epoch is 3"),
        (("best", "expected"), (0, 1.5), "best.expected.top1 is 1.5"),
        (("optimizer", "state", 5), GONE, "lacks optimizer.state.5"),
        (("optimizer", "state", 0, "exp_avg"), torch.ones(3), r"exp_avg is a tensor \[3\]"),
        (("optimizer", "state", 0, "exp_avg_sq"), -torch.ones(8, 3, 1, 7, 7), "from -1 to -1"),
        (("position", 0, 0), 3, r"position\[0\].done is 3"),
        (("position", 0, 1, 2), 3, r"position\[0\].counts is"),
        (("position", 0, 5, 0, 0), 3, r"position\[0\].predictions don't fit"),
        (("position", 0, 5, 0, 1), torch.tensor([0, 1, 2, 8]), "don't fit the data set"),
        (("position", 0, 5, 0, 1), torch.arange(3), "don't fit the data set"),
        (("position", 0, 5, 0, 2, 0), torch.full((4, 1, 2), 99), "don't fit the data set"),
        (("position", 0, 5, 0, 2, 3), torch.ones(4, 2).long(), "don't fit the data set"),
        (
            ("position", 0, 5, 0, 2, 1),
            -torch.ones(4, 1).long(),
            r"predictions\[0\].predictions.pred",
        ),
        (("classes", 0), "another", "in another order: class 0 is 'another', and 'A 0°' here"),
        (("config", "net"), "resnet1", "stored configuration: .*resnet1"),
        (("random_states", 0, "torch"), torch.ones(5056).byte(), "random_states"),
    ],
)
def test_a_wrong_value_is_named(place, new, told, content, go_on):
    with pytest.raises(UsageError, match=told):
        go_on(changed(content, place, new))
