"""How a model's tensors are named: here, in published files, and in those of other code bases."""

import re
from collections.abc import Collection, Iterator
from statistics import mode
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UsageError
from utils.runs.structure import is_plain, shown

DUPLICATE_CELL = re.compile(r"\bagg\.ConvGRUCell_(\d\d)\.")
WRAPPERS = re.compile(r"\b(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
PUBLISHED_PREFIX = "module."
BACKBONE, CLASSIFIER = "backbone.", "final_fc.1."
CELL = "agg.cell_list."  # the name that counts of the two that the GRU's cell has


def published(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's tensors under the names that published files have, and that load there."""
    return {PUBLISHED_PREFIX + key: value for key, value in model.state_dict().items()}


def canonical(key: str) -> str:
    """Return a tensor's name without wrappers, and with `agg.cell_list.0` for the GRU's cell."""
    key = WRAPPERS.sub("", key)
    return DUPLICATE_CELL.sub(lambda match: f"agg.cell_list.{int(match[1])}.", key)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's tensors by their canonical names."""
    return {canonical(key): value for key, value in model.state_dict().items()}


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


def names_in_model(keys: Collection[str], wanted: Collection[str]) -> dict[str, str]:
    """Return each key's name in a model with the `wanted` names, where it has one.

    What wrappers and classes put before the names goes, of the other keys too where it is usual. A
    backbone alone has the names that begin with `backbone.`
    """
    alone = {key.removeprefix(BACKBONE) for key in wanted if key.startswith(BACKBONE)}
    own = {key: canonical(key) for key in keys}
    for names, start in ((wanted, ""), (alone, BACKBONE)):
        found = {key: _prefix(name, names) for key, name in own.items()}
        prefixes = {key: prefix for key, prefix in found.items() if prefix is not None}
        if prefixes:
            usual = mode(prefixes.values())
            return {
                key: start + name.removeprefix(prefixes.get(key, usual))
                for key, name in own.items()
            }
    return own


def _prefix(key: str, names: Collection[str]) -> str | None:
    """Return what stands before one of the names in a key; None if it ends in no name."""
    parts = key.split(".")
    ends = (".".join(parts[index:]) for index in range(len(parts)))
    return next((key.removesuffix(end) for end in ends if end in names), None)
