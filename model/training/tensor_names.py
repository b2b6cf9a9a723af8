"""How a model's tensors are named: here, in published files, and by other code bases."""

import re
from collections.abc import Collection
from statistics import mode

from torch import Tensor, nn

DUPLICATE_CELL = re.compile(r"\bagg\.ConvGRUCell_(\d\d)\.")
WRAPPERS = re.compile(r"\b(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
PUBLISHED_PREFIX = "module."
BACKBONE = "backbone."


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
