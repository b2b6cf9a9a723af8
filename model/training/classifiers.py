"""A trained classifier to test: its weights, and the order of its classes."""

from typing import Any

from torch import nn

from model.training.tensor_names import CLASSIFIER, weights_of
from model.training.weights import load_exactly
from utils.errors import UsageError
from utils.logs import log
from utils.runs.structure import shown
from utils.samples import ClassInfo

ROWS = (f"{CLASSIFIER}weight", f"{CLASSIFIER}bias")  # one for each class


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
    if ROWS[0] not in weights:
        raise UsageError(
            f"{told}: has no classifier; finetune it first (--model lc-rnn --pretrained)"
        )
    count = next(iter(weights[ROWS[0]].shape), 0)
    own, names = [info.name for info in classes], class_names(content, path, listed)
    if count != len(own) or sorted(names or own) != sorted(own):
        other = sorted(set(names or own) ^ set(own))
        example = f", e.g. {other[0]!r}" if other else ""
        raise UsageError(
            f"{told}: its {count} classes are not the {len(own)} of this dataset{example}; "
            "name the dataset and the flags that it was trained with"
        )
    load_exactly(model, weights, told)
    if names is None:
        log.warning(
            "%s: names no classes, so their order is taken to be the data set's own "
            "(classInd.txt: %s, …); --class_index FILE names another",
            told,
            ", ".join(own[:3]),
        )
    elif names != own:
        log.info("its classes are in another order: they are put in that of the data set")
        for name in ROWS:
            rows = model.state_dict()[name]
            rows.copy_(rows[[names.index(one) for one in own]])


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
