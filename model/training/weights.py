"""Load weights from a checkpoint into a model, whatever code base named them."""

from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.training.tensor_names import BACKBONE, CLASSIFIER, canonical, tensors_of, weights_of
from utils.errors import UsageError
from utils.logs import log

MIN_BACKBONE_SHARE = 0.9  # of the backbone's tensors that pretrained weights must cover
COUNTED = "num_batches_tracked"
STATISTICS = ("running_mean", "running_var", COUNTED)  # of batch norm


class Report(NamedTuple):
    """What became of each tensor, by name; the aggregator's cell has one name here."""

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    other_size: list[str]


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
    for key in [key for key in report.missing if key.endswith(COUNTED)]:
        norm = key.removesuffix(COUNTED)
        if {f"{norm}running_mean", f"{norm}running_var"} <= set(report.loaded):
            wanted[key].fill_(1)  # other programs don't count the batches of their statistics
    report.unexpected.extend(key for key in weights if key not in wanted)
    return report


def load_exactly(model: nn.Module, weights: dict[str, Tensor], told: str) -> None:
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


def load_pretrained(
    model: nn.Module, content: dict[str, Any], path: str, flag: str = "pretrained"
) -> Report:
    """Load what fits, and log what was loaded, missing and left out; `flag` named the file.

    Raises UsageError if the backbone is another one, or too little of it is there.
    """
    told = f"--{flag} {path}"
    weights = weights_of(model, content, told)
    report = load_weights(model, weights, told)
    other = [key for key in report.other_size if not key.startswith(CLASSIFIER)]
    other += [
        key
        for key in report.unexpected
        if key.startswith(BACKBONE) and not key.endswith(STATISTICS)
    ]
    if other:
        raise UsageError(
            f"{told}: {other[0]} is not as in this network; name the --net that it is of"
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
