"""Weights from elsewhere: under which names they are found, and what is refused of them."""

import json
import logging
import math
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dataset.class_lists import read_class_names
from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.training.classifiers import load_classifier
from model.training.tensor_names import published, tensors_of
from model.training.weights import load_pretrained
from published import PARITY, load_file
from utils.config import changes
from utils.config.checks import check
from utils.config.flags import Config
from utils.errors import UsageError
from utils.samples import ClassInfo

NAMES = ["HammerThrow", "Hammering", "Archery"]
CLASSES = tuple(ClassInfo(name, name, None) for name in NAMES)
pytestmark = pytest.mark.usefixtures("narrow_backbone")

State = dict[str, Tensor]


def dpc(seed: int = 1) -> DPC_RNN:
    torch.manual_seed(seed)
    return DPC_RNN("resnet18", 32, 2, 5, 1)


def classifier(seed: int = 1) -> LC_RNN:
    torch.manual_seed(seed)
    return LC_RNN("resnet18", 32, 2, 5, len(NAMES))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(tensors_of(one).values(), tensors_of(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def loaded(caplog, monkeypatch) -> pytest.LogCaptureFixture:
    """What is logged while weights are loaded."""
    from utils.logs import log

    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO)
    return caplog


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("net", [DPC_RNN, LC_RNN])
def test_written_names_are_the_published_ones_and_load_there(net):
    model = dpc() if net is DPC_RNN else classifier()
    kind = "dpc-rnn" if net is DPC_RNN else "lc-rnn"
    golden = json.loads((PARITY / f"{kind}_resnet18_state_dict.json").read_text())
    assert list(published(model)) == [f"module.{key}" for key in golden]
    wrapped = nn.DataParallel(dpc(2) if net is DPC_RNN else classifier(2))
    wrapped.load_state_dict(published(model), strict=True)
    assert same(wrapped.module, model)


def renamed(rename: Callable[[str], str]) -> Callable[[State], State]:
    return lambda state: {rename(key): value for key, value in state.items()}


def prefixed(prefix: str) -> Callable[[State], State]:
    return renamed(lambda key: prefix + key)


@pytest.mark.parametrize(
    "wrap",
    [
        *map(
            prefixed,
            [
                *("", "module.", "module.module.", "_orig_mod.", "module._orig_mod.", "model."),
                *("net.", "encoder.", "model.module.", "_orig_mod.model.module.net.", "a.b.c.d."),
                *("_fsdp_wrapped_module.", "backbone.", "state_dict.", "task.model."),
            ],
        ),
        renamed(lambda key: key.replace("backbone.", "backbone._orig_mod.")),
        renamed(lambda key: key.replace("backbone.", "backbone.module.")),
        renamed(lambda key: "module." * (len(key) % 3) + key),
        renamed(lambda key: ("body." if key.startswith("backbone") else "head.") + key),
    ],
)
def test_what_wrappers_put_before_names_is_left_out(wrap):
    model, twin = dpc(), dpc(2)
    load_file(twin, {"state_dict": wrap(model.state_dict())}, "--resume f")
    assert same(model, twin)
    report = load_pretrained(classifier(), {"state_dict": wrap(model.state_dict())}, "f")
    assert len([key for key in report.loaded if key.startswith("backbone.")]) == 60


@pytest.mark.parametrize(
    "place",
    [
        lambda state: state,
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer": {"state": {0: state}}},
        lambda state: {"net": state, "args": {"lr": torch.tensor(1.0)}},
        lambda state: {"weights": OrderedDict(state), 3: state},
        lambda state: {"checkpoint": {"model": {"weights": state}}},
        lambda state: {"state_dict": {**state, "extra": None, 5: 6}, "ema": state},
    ],
)
def test_weights_are_found_wherever_they_are(place):
    model, twin = dpc(), dpc(2)
    load_file(twin, place(model.state_dict()), "--resume f")
    assert same(model, twin)


def test_a_backbone_alone_is_enough_to_start_from(loaded):
    model, twin = dpc(), classifier()
    load_pretrained(twin, prefixed("resnet.")(model.backbone.state_dict()), "f")
    assert torch.equal(twin.backbone.conv1.weight, model.backbone.conv1.weight)
    assert "loaded: backbone 60" in loaded.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"net": "resnet18", "epoch": 3}, "has no state_dict"),
        ({}, "has no state_dict"),
        ({"state_dict": {}}, "has no state_dict"),
        ({"state_dict": {1: torch.ones(2)}}, "has no state_dict"),
        ({"state_dict": [1]}, "has no state_dict"),
        ({"state_dict": {"fc.weight": torch.ones(2), "b": torch.ones(1)}}, "covers 0% of the back"),
    ],
)
def test_a_file_without_the_models_weights_is_refused(content, told):
    with pytest.raises(UsageError, match=told):
        load_pretrained(dpc(), content, "f")


def test_when_nothing_fits_both_names_are_told():
    state = {"stem.0.weight": torch.ones(2), "stem.1.weight": torch.ones(3)}
    told = r"stem.0.weight, stem.1.weight, …, and the model's backbone.conv1.weight, backbone.bn1"
    with pytest.raises(UsageError, match=told):
        load_pretrained(dpc(), state, "f")
    with pytest.raises(UsageError, match=told):
        load_file(dpc(), state, "--test f")


def test_two_models_in_one_file_are_not_guessed_between():
    one, other = dpc().state_dict(), dpc(2).state_dict()
    with pytest.raises(UsageError, match=r"holds several models \(model, ema\)"):
        load_pretrained(dpc(), {"model": one, "ema": other}, "f")
    both = {**prefixed("student.")(one), **prefixed("teacher.")(other)}
    with pytest.raises(UsageError, match=r"student.*and teacher.*are both backbone.conv1.weight"):
        load_pretrained(dpc(), both, "f")


def test_of_two_values_of_the_cell_the_last_counts_as_in_the_published_code():
    state = dpc().state_dict()
    state["agg.ConvGRUCell_00.out_gate.bias"] = torch.full((32,), 7.0)
    twin = dpc(2)
    load_file(twin, {"state_dict": state}, "--resume f")
    assert torch.equal(twin.agg.ConvGRUCell_00.out_gate.bias, torch.zeros(32))


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    "cast",
    [
        lambda value: value.half(),
        lambda value: value.bfloat16(),
        lambda value: value.double(),
        lambda value: nn.Parameter(value) if value.is_floating_point() else value,
        lambda value: value.int(),
        lambda value: value.bool(),
        lambda value: value.expand_as(value).clone().requires_grad_(value.is_floating_point()),
    ],
)
def test_other_types_of_numbers_are_converted(cast):
    model, twin = dpc(), dpc(2)
    state = {key: cast(value) for key, value in model.state_dict().items()}
    load_file(twin, {"state_dict": state}, "--resume f")
    expected = cast(model.backbone.conv1.weight.detach()).float()
    assert torch.equal(twin.backbone.conv1.weight, expected)
    assert twin.backbone.conv1.weight.is_leaf


ODD = {
    "NaN": lambda value: torch.full_like(value, math.nan),
    "one infinite value": lambda value: value.index_fill(0, torch.tensor(0), math.inf),
    "too large for float32": lambda value: value.double().fill_(1e300),
    "complex": lambda value: value.to(torch.complex64),
    "sparse": lambda value: value.flatten(1).to_sparse(),
    "without values": lambda value: value.to("meta"),
    "of bits": lambda value: torch.zeros(value.shape, dtype=torch.bits8),
    "nested": lambda value: torch.nested.nested_tensor([value[0], value[1]]),
    "one value for all": lambda value: torch.zeros(1).expand(value.shape),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("flag", ["pretrained", "resume", "test"])
@pytest.mark.parametrize("kind", ODD)
def test_a_tensor_that_cant_be_used_is_named(kind, flag):
    state = classifier().state_dict()
    state["backbone.conv1.weight"] = ODD[kind](state["backbone.conv1.weight"])
    load = {
        "pretrained": lambda: load_pretrained(dpc(), {"state_dict": state}, "f"),
        "resume": lambda: load_file(classifier(), {"state_dict": state}, "--resume f"),
        "test": lambda: load_classifier(classifier(), {"state_dict": state}, CLASSES, "f"),
    }[flag]
    with pytest.raises(UsageError, match=f"^--{flag} f: backbone.conv1.weight (is a|has values)"):
        load()


def test_a_negative_variance_is_refused():
    state = classifier().state_dict()
    state["final_bn.running_var"][0] = -1
    with pytest.raises(UsageError, match="running_var has negative values"):
        load_file(classifier(), {"state_dict": state}, "--test f")


def test_what_is_left_out_may_be_anything():
    state = {**dpc().state_dict(), "network_pred.0.bias": torch.full((32,), math.nan)}
    load_pretrained(classifier(), {"state_dict": state}, "f")


# ------------------------------------------------------------------ classes


def rows(model: nn.Module) -> Tensor:
    return model.state_dict()["final_fc.1.weight"]


def test_a_classifier_with_names_in_another_order_is_put_in_the_data_sets(loaded):
    model, twin = classifier(), classifier(2)
    content = {"state_dict": published(model), "classes": [NAMES[i] for i in (2, 0, 1)]}
    load_classifier(twin, content, CLASSES, "f")
    assert torch.equal(rows(twin), rows(model)[[1, 2, 0]])
    assert torch.equal(twin.final_fc[1].bias, model.final_fc[1].bias[[1, 2, 0]])
    assert "in another order" in loaded.text


def test_a_classifier_without_names_is_tested_with_a_warning(loaded):
    model, twin = classifier(), classifier(2)
    load_classifier(twin, {"state_dict": model.state_dict()}, CLASSES, "f")
    assert same(model, twin)
    assert "order is taken to be the data set's own (classInd.txt: HammerThrow, " in loaded.text
    assert "--class_index" in loaded.text


@pytest.mark.parametrize(
    "text",
    [
        "1 Archery\n2 HammerThrow\n3 Hammering\n",
        "2 Hammering\r\n0 Archery\r\n1 HammerThrow",
        "Archery\nHammerThrow\n\nHammering\n",
        "\ufeff0,Archery\n1,HammerThrow\n2,Hammering\n",
        "1.0;Archery;;\r2.0;HammerThrow;;\r3.0;Hammering;;\r",
        "Archery,\nHammerThrow,\nHammering,\n",
    ],
)
def test_class_index_names_the_order_of_a_classifier(text, tmp_path):
    (tmp_path / "classInd.txt").write_text(text, encoding="utf-8")
    listed = read_class_names(tmp_path / "classInd.txt", CLASSES)
    assert listed == ("Archery", "HammerThrow", "Hammering")
    model, twin = classifier(), classifier(2)
    load_classifier(twin, {"state_dict": model.state_dict()}, CLASSES, "f", listed)
    assert torch.equal(rows(twin), rows(model)[[1, 2, 0]])


def test_class_index_is_read_in_the_data_sets_spelling(tmp_path):
    (tmp_path / "list").write_text("playing_guitar_solo\n")
    info = ClassInfo("playing guitar (solo)", "", None)
    assert read_class_names(tmp_path / "list", [info]) == ("playing guitar (solo)",)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\na\n", "1 a\n1 b\n", "1 a\n3 b\n", None),
        *("a\nb\nc\n", "Archery\nHammerThrow\n", "Archery\nHammerThrow\nHammering\nd\n"),
    ],
)
def test_a_class_index_that_is_none_is_refused(text, tmp_path):
    if text is not None:
        (tmp_path / "list").write_text(text)
    with pytest.raises(UsageError, match=r"^--class_index "):
        read_class_names(tmp_path / "list", CLASSES)


@pytest.mark.parametrize(
    ("content", "listed", "told"),
    [
        ({"classes": ["a", "b", "c"]}, None, "its 3 classes are not the 3 .* e.g. 'Archery'"),
        ({"classes": NAMES[:2]}, None, "classes are not"),
        ({"classes": [*NAMES[:2], NAMES[0]]}, None, "classes are not"),
        ({"classes": 5}, None, "classes is 5, not a list of names"),
        ({"classes": [1, 2, 3]}, None, "not a list of names"),
        ({"classes": NAMES}, tuple(NAMES[::-1]), "^--class_index: .* leave the flag out"),
        ({}, ("a", "b", "c"), "classes are not"),
        ({}, tuple(NAMES[:2]), "classes are not"),
        ({"rows": 4}, None, "its 4 classes are not the 3"),
        ({"rows": 0}, None, "its 0 classes are not the 3"),
    ],
)
def test_other_classes_are_refused(content, listed, told):
    state = classifier().state_dict()
    if "rows" in content:
        state["final_fc.1.weight"] = torch.ones(content["rows"], 32)
    with pytest.raises(UsageError, match=told):
        load_classifier(classifier(), {"state_dict": state, **content}, CLASSES, "f", listed)


@pytest.mark.parametrize(
    "bias", [torch.tensor(1.0), torch.ones(2), torch.ones(3).to_sparse(), torch.ones(3, 3)]
)
def test_an_odd_bias_is_refused_with_classes_in_another_order(bias):
    content = {
        "state_dict": {**classifier().state_dict(), "final_fc.1.bias": bias},
        "classes": NAMES[::-1],
    }
    with pytest.raises(UsageError, match=r"final_fc\.1\.bias"):
        load_classifier(classifier(), content, CLASSES, "f")


# ------------------------------------------------------------------ what a test assumes


def test_a_test_tells_what_it_assumes_of_a_file_without_configuration(loaded):
    typed = {"test": "f", "dataset": "HMDB51", "img_dim": 224, "model": "lc-rnn"}
    assert changes.evaluated_config({"state_dict": {}}, typed).num_seq_in == 5
    told = (
        "Assumed: --split 1 --net resnet18 --num_seq_in 5 --seq_len 5 --ucf_hmdb_ms_ds 3 --resize"
    )
    assert told in loaded.text
    assert "original code trains lc-rnn with --num_seq_in 8" in loaded.text
    loaded.clear()
    changes.evaluated_config({"state_dict": {}, "config": {"model": "lc-rnn"}}, typed)
    changes.evaluated_config(None, typed)
    assert "Assumed" not in loaded.text


@pytest.mark.parametrize("test", ["", "random"])
def test_class_index_is_for_the_test_of_a_checkpoint(test):
    with pytest.raises(UsageError, match="--class_index: is for --test"):
        check(Config(model="lc-rnn", class_index="classInd.txt", test=test))
