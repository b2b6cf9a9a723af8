"""What values must look like: checks that are put together to describe a whole structure.

A check raises MisfitError for a value that differs, and names the place of the first difference.
"""

import math
import reprlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Check = Callable[[Any, str], None]
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
MOST = {int: 2**62, float: sys.float_info.max}


MISSING = object()


class MisfitError(ValueError):
    """A value is not what its place asks for; the message is such as `epoch is 'x'`."""

    def __init__(self, name: str, value: object):
        what = f"lacks {in_short(name)}" if value is MISSING else None
        super().__init__(what or f"{in_short(name)} is {shown(value)}")


class Words(str):
    """What a value is, in words, for a message."""


class Short(reprlib.Repr):
    """Show values in one short line, tensors without their numbers."""

    def repr_Tensor(self, value: Tensor, level: int) -> str:  # noqa: N802  (a type's name)
        """Return what kind of tensor it is."""
        return tensor_in_words(value)

    repr_Parameter = repr_Tensor

    def repr_Words(self, value: Words, level: int) -> str:  # noqa: N802
        """Return the words as they are."""
        return str(value)


def in_short(text: str) -> str:
    """Return a text in one line of at most 150 characters."""
    return " ".join(text.split())[:150]


def shown(value: object) -> str:
    """Return a value in a few words."""
    return in_short(Short().repr(value))


def tensor_in_words(value: Tensor) -> str:
    """Return a tensor's kind, and whether its values are finite."""
    if not is_plain(value):
        return f"a tensor that is not a plain one ({value.layout}, {value.dtype}, {value.device})"
    kind = f"a tensor {list(value.shape)} of {value.dtype}"
    return kind if _all_finite(value) else f"{kind} with values that are not finite numbers"


def is_plain(value: object) -> bool:
    """Whether a value is a dense tensor of real numbers on the CPU, which its memory holds."""
    return (
        type(value) in (Tensor, torch.nn.Parameter)
        and isinstance(value, Tensor)
        and value.dtype in FLOATS + INTEGERS
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_nested
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _all_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def tensor(
    dtypes: Collection[torch.dtype] = FLOATS + INTEGERS,
    shape: Sequence[int | None] | None = None,
    least: float = -math.inf,
    below: float = math.inf,
) -> Check:
    """Check for a plain tensor of finite numbers; a size of None in `shape` is any size."""

    def check(value: Any, name: str) -> None:
        fits = is_plain(value) and value.dtype in dtypes
        if fits and shape is not None:
            sizes = zip(shape, value.shape, strict=False)
            fits = len(shape) == value.dim() and all(size in (None, own) for size, own in sizes)
        if not fits or not _all_finite(value):
            raise MisfitError(name, value)
        if value.numel() and not (least <= value.min().item() and value.max().item() < below):
            raise MisfitError(
                f"{name}, with values from {value.min():g} to {value.max():g},", value
            )

    return check


def number(kind: type, least: float = -math.inf, most: float | None = None) -> Check:
    """Check for a number, which is finite unless `most` is infinite; an int is a float too."""
    limit = MOST[kind] if most is None else most

    def check(value: Any, name: str) -> None:
        if type(value) not in (int, kind) or not max(least, -MOST[kind]) <= value <= limit:
            raise MisfitError(name, value)

    return check


def choice(*values: object) -> Check:
    """Check for one of some values."""

    def check(value: Any, name: str) -> None:
        if not any(type(value) is type(one) and value == one for one in values):
            raise MisfitError(name, value)

    return check


def text(value: Any, name: str) -> None:
    """Check for a text."""
    if type(value) is not str:
        raise MisfitError(name, value)


def anything(value: Any, name: str) -> None:
    """Accept any value."""


def record(fields: Mapping[Any, Check], optional: Collection[Any] = ()) -> Check:
    """Check for a dictionary with these keys, of which the optional ones may be missing."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise MisfitError(name or "content", value)
        for key, field in fields.items():
            place = f"{name}.{key}".lstrip(".")
            if key in value:
                field(value[key], place)
            elif key not in optional:
                raise MisfitError(place, MISSING)

    return check


def mapping(item: Check, key: Check = text) -> Check:
    """Check for a dictionary whose keys and values are alike."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise MisfitError(name, value)
        for own, one in value.items():
            key(own, f"a key of {name}")
            item(one, f"{name}.{own}")

    return check


def items(item: Check, count: int | None = None) -> Check:
    """Check for a list or tuple whose items are alike."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, (list, tuple)) or count not in (None, len(value)):
            raise MisfitError(name, value)
        for index, one in enumerate(value):
            item(one, f"{name}[{index}]")

    return check


def row(*parts: Check) -> Check:
    """Check for a list or tuple with one item for each check."""

    def check(value: Any, name: str) -> None:
        items(anything, len(parts))(value, name)
        for index, (one, part) in enumerate(zip(value, parts, strict=True)):
            part(one, f"{name}[{index}]")

    return check


def unless(exception: object, otherwise: Check) -> Check:
    """Check for a value that equals the exception, or fits `otherwise`."""

    def check(value: Any, name: str) -> None:
        if type(value) is not type(exception) or value != exception:
            otherwise(value, name)

    return check


def like(value: object) -> Check:
    """Check for a setting of the same kind; switches may also be None."""
    if isinstance(value, bool) or value is None:
        return choice(True, False, None)
    if isinstance(value, (int, float)):
        return number(float, 0)
    if isinstance(value, (tuple, list)):
        return row(*map(like, value))
    return text
