"""Values from a file, as the types that are declared for their places."""

import reprlib
import sys
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints, is_typeddict

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


class MisfitError(ValueError):
    """A value is not what its place asks for; the message is such as `epoch is 'x'`."""


class Range(NamedTuple):
    """The bounds of a number; those of a finite one if nothing else is said."""

    least: float = -sys.float_info.max
    most: float = sys.float_info.max

    def __call__(self, value: float) -> bool:
        """Whether the number lies within."""
        return self.least <= value <= self.most


class Form(NamedTuple):
    """A tensor's type of numbers, its sizes, of which None is any, and its least value."""

    dtypes: Sequence[torch.dtype]
    sizes: Sequence[int | None]
    least: float = -sys.float_info.max

    def __call__(self, value: Tensor) -> bool:
        """Whether the tensor is like this."""
        return (
            value.dtype in self.dtypes
            and value.dim() == len(self.sizes)
            and all(size in (None, own) for size, own in zip(self.sizes, value.shape, strict=True))
            and (not value.numel() or bool(value.min() >= self.least))
        )


def added(_: object) -> bool:
    """Mark, as a condition, a last field that files of earlier versions lack: it is the default."""
    return True


def typed(value: Any, kind: Any, place: str) -> Any:
    """Return a value as the type that is declared for its place; raises MisfitError.

    Declarations are built of int, float, str, Tensor, Any, `X | None`, `list[X]`, `dict[K, X]`,
    NamedTuples, which are lists or tuples in a file, and TypedDicts, or dictionaries of types, for
    those with known keys; other keys are left out. What follows the type in `Annotated` are
    conditions. An int is a float too, and tensors are plain and finite.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        made = typed(value, parts[0], place)
        if all(holds(made) for holds in parts[1:]):
            return made
    elif origin is UnionType:
        return None if value is None else typed(value, parts[0], place)
    elif origin is list and isinstance(value, (list, tuple)):
        return [typed(one, parts[0], f"{place}[{index}]") for index, one in enumerate(value)]
    elif origin is dict and isinstance(value, dict):
        return {
            typed(key, parts[0], f"a key of {place}"): typed(one, parts[1], f"{place}.{key}")
            for key, one in value.items()
        }
    elif hasattr(kind, "_fields") and isinstance(value, (list, tuple)):
        kinds = get_type_hints(kind, include_extras=True)
        if len(kinds) - sum(map(_is_added, kinds.values())) <= len(value) <= len(kinds):
            pairs = zip(value, kinds.items(), strict=False)
            return kind(*(typed(one, own, f"{place}.{name}") for one, (name, own) in pairs))
    elif (is_typeddict(kind) or isinstance(kind, dict)) and isinstance(value, dict):
        return _with_keys(value, kind, place)
    elif kind is Tensor:
        if is_plain(value) and _all_finite(value):
            return value
    elif kind is Any or type(value) is kind or (kind is float and type(value) is int):
        return value
    raise MisfitError(in_short(f"{place or 'content'} is {shown(value)}"))


def _is_added(kind: Any) -> bool:
    return get_origin(kind) is Annotated and added in get_args(kind)


def _with_keys(value: dict[Any, Any], kind: Any, place: str) -> dict[Any, Any]:
    kinds, needed = kind, kind
    if is_typeddict(kind):
        kinds, needed = get_type_hints(kind, include_extras=True), kind.__required_keys__
    places = {key: f"{place}.{key}".lstrip(".") for key in kinds}
    for key in needed:
        if key not in value:
            raise MisfitError(f"lacks {places[key]}")
    return {key: typed(value[key], kinds[key], places[key]) for key in kinds if key in value}


def plain(value: Any) -> Any:
    """Undo `typed`: return a value with tuples in the place of NamedTuples."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(map(plain, value))
    return value


# ---- what is told of a value ----


class Short(reprlib.Repr):
    """Show values in one short line, tensors without their numbers."""

    def repr_Tensor(self, value: Tensor, level: int) -> str:  # noqa: N802  (a type's name)
        """Return what kind of tensor it is."""
        if not is_plain(value):
            kind = f"{value.layout}, {value.dtype}, {value.device}"
            return f"a tensor that is not a plain one ({kind})"
        kind = f"a tensor {list(value.shape)} of {value.dtype}"
        if not _all_finite(value):
            return f"{kind} with values that are not finite numbers"
        return f"{kind} from {value.min():g} to {value.max():g}" if value.numel() else kind

    repr_Parameter = repr_Tensor


def in_short(text: str) -> str:
    """Return a text in one line of at most 150 characters."""
    return " ".join(text.split())[:150]


def shown(value: object) -> str:
    """Return a value in a few words."""
    return in_short(Short().repr(value))


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
