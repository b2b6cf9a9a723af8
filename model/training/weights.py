"""Load weights from a checkpoint into a model, whatever code base named them."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.training.tensor_names import BACKBONE, canonical, names_in_model, tensors_of
from utils.errors import UsageError
from utils.logs import log
from utils.runs.structure import is_plain, shown
from utils.samples import ClassInfo

MIN_BACKBONE_SHARE = 0.9  # of the backbone's tensors that pretrained weights must cover
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm
CELL = "agg.cell_list."
CLASSIFIER = ("final_fc.1.weight", "final_fc.1.bias")


class Report(NamedTuple):
    """What became of each tensor, by name; the aggregator's cell has one name here."""

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    other_size: list[str]


def weights_of(model: nn.Module, content: dict[str, Any], told: str) -> dict[str, Tensor]:
    """Return the weights that a file holds, under the model's names where they are the model's.

    They are the file's `state_dict`, or the one dictionary in it that has the model's tensors, be
    it the file itself. `told` names the flag and the file. Raises UsageError if there is none, or
    no single one, or for a tensor of the model's that is not plain.
    """
    wanted = tensors_of(model)
    found = dict(_sets_of_tensors(content, ""))
    if "state_dict" in found:
        found = {"state_dict": found["state_dict"]}
    if not found:
        raise UsageError(f"{told}: has no state_dict; name a checkpoint of a model")
    named = {place: _renamed(state, wanted, told) for place, state in found.items()}
    fitting = {place: state for place, state in named.items() if wanted.keys() & state.keys()}
    if len(fitting) > 1:
        raise UsageError(
            f"{told}: holds several models ({', '.join(fitting)}); save the weights of one of them "
            "as state_dict"
        )
    return next(iter((fitting or named).values()))


def _sets_of_tensors(
    value: dict[Any, Any], place: str, depth: int = 3
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield each dictionary of named tensors, after its place; what is no tensor is left out."""
    named = {key: one for key, one in value.items() if isinstance(key, str)}
    tensors = {key: one for key, one in named.items() if isinstance(one, Tensor)}
    if tensors:
        yield place, tensors
    for key, one in named.items():
        if isinstance(one, dict) and depth:
            yield from _sets_of_tensors(one, f"{place}.{key}".lstrip("."), depth - 1)


def _renamed(state: dict[str, Tensor], wanted: Collection[str], told: str) -> dict[str, Tensor]:
    """Return tensors under the model's names; raises UsageError if two come to one name.

    Of the GRU's cell, which has two names in published files, the last one counts, as there.
    """
    renamed: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    for source, name in names_in_model(state, wanted).items():
        value = state[source]
        if name in wanted:
            if not is_plain(value):
                what = f"{told}: {name} is {shown(value)}"
                raise UsageError(f"{what}; save it as a dense one of real numbers")
            twice = name in renamed and not name.startswith(CELL)
            if twice and not torch.equal(renamed[name], value):
                raise UsageError(
                    f"{told}: {sources[name]} and {source} are both {name}, with other values; "
                    "save the weights of one model"
                )
        renamed[name], sources[name] = value, source
    return renamed


def load_weights(model: nn.Module, weights: dict[str, Tensor], told: str) -> Report:
    """Copy every tensor whose name and shape fit; leave the rest of the model as it is.

    Raises UsageError for values that are not finite numbers.
    """
    report = Report([], [], [], [])
    wanted = tensors_of(model)
    for key, value in wanted.items():
        if key not in weights:
            report.missing.append(key)
        elif weights[key].shape != value.shape:
            report.other_size.append(key)
        else:
            kind = value.dtype if value.is_floating_point() else torch.float64
            numbers = weights[key].detach().to(kind)
            if not numbers.isfinite().all():
                raise UsageError(
                    f"{told}: {key} has values that are not finite numbers; name a checkpoint from "
                    "before the loss was lost"
                )
            if key.endswith("running_var") and numbers.min() < 0:
                raise UsageError(f"{told}: {key} has negative values, but is a variance")
            value.copy_(numbers)
            report.loaded.append(key)
    report.unexpected.extend(key for key in weights if key not in wanted)
    return report


def load_exactly(model: nn.Module, content: dict[str, Any], told: str) -> None:
    """Load all tensors of the model; raises UsageError if one is missing or has another shape."""
    load_all(model, weights_of(model, content, told), told)


def load_all(model: nn.Module, weights: dict[str, Tensor], told: str) -> None:
    """Load all tensors of the model; raises UsageError if one is missing or has another shape."""
    report = load_weights(model, weights, told)
    wrong = report.missing + report.other_size
    if wrong:
        what = "is missing" if report.missing else "has another shape"
        raise UsageError(
            f"{told}: does not fit the model, e.g. {wrong[0]} {what}; name the flags that it was "
            f"trained with ({names_in_both(weights, model)})"
        )


def names_in_both(weights: dict[str, Tensor], model: nn.Module) -> str:
    """Return the first names of a file's tensors and of the model's, for a message."""
    first, wanted = (", ".join([*names][:3]) for names in (weights, tensors_of(model)))
    return f"the file's tensors are {first[:200]}, …, and the model's {wanted}, …"


def load_pretrained(model: nn.Module, content: dict[str, Any], path: str) -> Report:
    """Load what fits, and log what was loaded, missing and left out.

    Raises UsageError if the backbone is another one, or too little of it is there.
    """
    told = f"--pretrained {path}"
    weights = weights_of(model, content, told)
    report = load_weights(model, weights, told)
    unfit = [key for key in report.other_size if not key.startswith("final_fc.")]
    unfit += [
        key
        for key in report.unexpected
        if key.startswith(BACKBONE) and not key.endswith(STATISTICS)
    ]
    if unfit:
        raise UsageError(
            f"{told}: {unfit[0]} is not as in this network; name the --net that it is of"
        )
    parameters = {canonical(key) for key, _ in model.named_parameters() if key.startswith(BACKBONE)}
    covered = len(parameters.intersection(report.loaded)) / len(parameters)
    if covered < MIN_BACKBONE_SHARE:
        raise UsageError(
            f"{told}: covers {covered:.0%} of the backbone; "
            f"name a checkpoint of a model with this --net ({names_in_both(weights, model)})"
        )
    log.info("pretrained weights from %s:", path)
    log.info("  loaded: %s", summary(report.loaded))
    log.info("  missing, as initialised: %s", summary(report.missing))
    log.info("  unexpected, left out: %s", summary(report.unexpected))
    if report.other_size:
        log.warning("  of another size, left out: %s", ", ".join(report.other_size))
    return report


def summary(keys: list[str]) -> str:
    """Return the number of tensors in each part of the model, such as `backbone 60, agg 6`."""
    parts = Counter(
        key.split(".")[0] + (" statistics" if key.endswith(STATISTICS) else "") for key in keys
    )
    return ", ".join(f"{part} {count}" for part, count in parts.items()) or "none"


def load_classifier(
    model: nn.Module,
    content: dict[str, Any],
    classes: tuple[ClassInfo, ...],
    path: str,
    listed: tuple[str, ...] | None = None,
) -> None:
    """Load a whole lc-rnn, its classes in the order of the data set.

    Their names are those that the checkpoint holds, else those `listed` by --class_index, else the
    data set's, with a warning. Raises UsageError unless they are the classes of the data set.
    """
    told = f"--test {path}"
    weights = weights_of(model, content, told)
    if CLASSIFIER[0] not in weights:
        raise UsageError(
            f"{told}: has no classifier; finetune it first (--model lc-rnn --pretrained)"
        )
    own = [info.name for info in classes]
    names = class_names(content, path, listed)
    count = next(iter(weights[CLASSIFIER[0]].shape), 0)
    if count != len(own) or sorted(names or own) != sorted(own):
        other = sorted(set(names or own) ^ set(own))
        example = f", e.g. {other[0]!r}" if other else ""
        raise UsageError(
            f"{told}: its {count} classes are not the {len(own)} of this dataset{example}; "
            "name the dataset and the flags that it was trained with"
        )
    load_all(model, weights, told)
    if names is None:
        log.warning(
            "%s: names no classes, so their order is taken to be the data set's own "
            "(classInd.txt: %s, …); --class_index FILE names another",
            told,
            ", ".join(own[:3]),
        )
    elif names != own:
        log.info("its classes are in another order: they are put in that of the data set")
        order = [names.index(name) for name in own]
        for key in CLASSIFIER:
            rows = model.state_dict()[key]
            rows.copy_(rows[order])


def class_names(
    content: dict[str, Any], path: str, listed: tuple[str, ...] | None
) -> list[str] | None:
    """Return the names of a classifier's classes in its order; None if nothing tells them."""
    stored = content.get("classes")
    if stored is None:
        return None if listed is None else list(listed)
    if not isinstance(stored, list) or not all(isinstance(name, str) for name in stored):
        raise UsageError(f"--test {path}: classes is {shown(stored)}, not a list of names")
    if listed is not None and list(listed) != stored:
        raise UsageError(
            f"--class_index: {path} holds the names of its classes itself, in another order or "
            "other ones; leave the flag out"
        )
    return stored
