"""Load weights from a checkpoint into a model, whatever code base named them."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from utils.errors import UsageError
from utils.logs import log
from utils.samples import ClassInfo

MIN_BACKBONE_SHARE = 0.9  # of the backbone's tensors that pretrained weights must cover
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm
DUPLICATE_CELL = re.compile(r"^agg\.ConvGRUCell_(\d\d)\.")


class Report(NamedTuple):
    """What became of each tensor, by name; the aggregator's cell has one name here."""

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    other_size: list[str]


def weights_of(content: dict[str, Any], flag: str, path: Path | str) -> dict[str, Tensor]:
    """Return the file's `state_dict`, with one name for each tensor as in `canonical`."""
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(f"--{flag} {path}: has no state_dict; name a checkpoint of a model")
    return {canonical(key): value for key, value in state.items()}


def canonical(key: str) -> str:
    """Return a tensor's name without `module.`, and with `agg.cell_list.0` for the GRU's cell."""
    key = key.removeprefix("module.")
    return DUPLICATE_CELL.sub(lambda match: f"agg.cell_list.{int(match[1])}.", key)


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> Report:
    """Copy every tensor whose name and shape fit; leave the rest of the model as it is."""
    report = Report([], [], [], [])
    wanted = {canonical(key): value for key, value in model.state_dict().items()}
    for key, value in wanted.items():
        if key not in weights:
            report.missing.append(key)
        elif weights[key].shape != value.shape:
            report.other_size.append(key)
        else:
            value.copy_(weights[key])
            report.loaded.append(key)
    report.unexpected.extend(key for key in weights if key not in wanted)
    return report


def load_exactly(model: nn.Module, weights: dict[str, Tensor], flag: str, path: Path | str) -> None:
    """Load all tensors of the model; raises UsageError if one is missing or has another shape."""
    report = load_weights(model, weights)
    wrong = report.missing + report.other_size
    if wrong:
        raise UsageError(f"--{flag} {path}: does not fit the model, e.g. {wrong[0]}")


def load_pretrained(model: nn.Module, weights: dict[str, Tensor], path: str) -> Report:
    """Load what fits, and log what was loaded, missing and left out.

    Raises UsageError if the backbone is another one, or too little of it is there.
    """
    report = load_weights(model, weights)
    body = [key for key in report.other_size if not key.startswith("final_fc.")]
    if body:
        raise UsageError(
            f"--pretrained {path}: {body[0]} has another shape; name the --net that it is of"
        )
    deeper = [
        key
        for key in report.unexpected
        if key.startswith("backbone.") and not key.endswith(STATISTICS)
    ]
    if deeper:
        raise UsageError(
            f"--pretrained {path}: {deeper[0]} is no part of this backbone; "
            "name the --net that it is of"
        )
    parameters = {
        canonical(key) for key, _ in model.named_parameters() if key.startswith("backbone.")
    }
    covered = len(parameters.intersection(report.loaded)) / len(parameters)
    if covered < MIN_BACKBONE_SHARE:
        raise UsageError(
            f"--pretrained {path}: covers {covered:.0%} of the backbone; "
            "name a checkpoint of a model with this --net"
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
    model: nn.Module, content: dict[str, Any], classes: tuple[ClassInfo, ...], path: str
) -> None:
    """Load a whole lc-rnn; raises UsageError unless its classes are those of the data set."""
    weights = weights_of(content, "test", path)
    if "final_fc.1.weight" not in weights:
        raise UsageError(
            f"--test {path}: has no classifier; finetune it first (--model lc-rnn --pretrained)"
        )
    count = len(weights["final_fc.1.weight"])
    names = content.get("classes")
    if count != len(classes) or (names and names != [info.name for info in classes]):
        raise UsageError(
            f"--test {path}: its {count} classes are not the {len(classes)} of this dataset; "
            "name the dataset and the flags that it was trained with"
        )
    load_exactly(model, weights, "test", path)
