"""Read a checkpoint, whoever wrote it, without running any code in it."""

import json
import os
import re
import shlex
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy._core import multiarray

from utils.errors import UsageError
from utils.files import reason, regular_only
from utils.runs.foreign import fault_of

NUMPY_KINDS = "? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16 U1 S1 M8 m8"
PATHS = "Path PosixPath WindowsPath PurePosixPath PureWindowsPath"
# by module, what others keep beside the weights, and what such things are made of
HOLDERS = {
    "argparse": "Namespace",
    "types": "SimpleNamespace",
    "easydict": "EasyDict",
    "yacs.config": "CfgNode",
    "collections": "defaultdict",
    "builtins": "dict list int float str tuple bool frozenset range slice",
    "decimal": "Decimal",
    "uuid": "UUID",
    "datetime": "datetime date time timedelta timezone",
    "pathlib": PATHS,
    "pathlib._local": PATHS,
}


class Holder:
    """Stands for any type that holds values: what would be made of it becomes a dictionary."""

    def __new__(cls, *_: object) -> OrderedDict:  # type: ignore[misc]
        """Make a dictionary, the one type that the unpickler fills in every way."""
        return OrderedDict()


SAFE_GLOBALS: list[Any] = [
    np.dtype,
    np.ndarray,
    *(type(np.dtype(kind)) for kind in NUMPY_KINDS.split()),
    *(
        (function, f"numpy.{module}.multiarray.{function.__name__}")
        for function in (multiarray.scalar, multiarray._reconstruct)
        for module in ("core", "_core")  # as older versions and NumPy 2 name it
    ),
    *((Holder, f"{module}.{name}") for module, names in HOLDERS.items() for name in names.split()),
]
# in the errors of torch's unpickler: the type that it doesn't make, or else its words
UNKNOWN_TYPE = re.compile(r"GLOBAL ([\w.]+)")
UNKNOWN = re.compile(r"WeightsUnpickler error:\s*([^\n]{,100})")


def read_checkpoint(path: Path | str, flag: str) -> dict[str, Any]:
    """Read the file that a flag names to the CPU, and run no code in it; raises UsageError."""
    told = f"--{flag} {path}"
    try:
        with open(path, "rb", opener=regular_only) as file:
            if fault := fault_of(file, str(path)):
                raise UsageError(f"{told}: {fault}")
            content = _unpickled(file, told, Path(path))
    except FileNotFoundError as error:
        raise UsageError(f"{told}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        raise UsageError(f"{told}: can't be read ({reason(error)}); name a checkpoint") from error
    if not isinstance(content, dict):
        raise UsageError(f"{told}: holds no dictionary; name a checkpoint of this program")
    return content


def _unpickled(file: BinaryIO, told: str, path: Path) -> Any:
    """Return what torch.save wrote into the open file."""
    left = os.fstat(file.fileno()).st_size

    def on_cpu(storage: Any, _: str) -> Any:
        nonlocal left
        left -= storage.nbytes()
        if left < 0:
            raise ValueError("its tensors need more bytes than the file has")
        return storage

    file.seek(0)
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files; what matters is raised
            return torch.load(file, map_location=on_cpu, weights_only=True)
    except Exception as error:  # the unpickler raises anything for a damaged or foreign file
        if unknown := UNKNOWN_TYPE.search(str(error)) or UNKNOWN.search(str(error)):
            raise UsageError(
                f"{told}: holds more than weights and plain values ({unknown[1]}), which could run "
                "code, so the file isn't read; only if you trust it, save its weights alone, which "
                "runs such code: ",
                resaving(path),
            ) from error
        raise UsageError(
            f"{told}: can't be loaded ({reason(error)[:120]}); name a whole checkpoint"
        ) from error


def resaving(path: Path) -> str:
    """Return a command that saves the weights of a file alone; it runs what code is in the file."""
    stem = path.name.removesuffix(".tar").removesuffix(".pth")
    # in double quotes, which a shell's single ones leave as they are
    old, new = (
        json.dumps(str(name), ensure_ascii=False)
        for name in (path, path.with_name(f"{stem}_weights.pth.tar"))
    )
    code = (
        "import torch; "
        'f = lambda c: c.state_dict() if hasattr(c, "state_dict") else c; '
        f'c = f(torch.load({old}, "cpu", weights_only=False)); '
        'w = f(c.get("state_dict", c.get("model", c))); '
        "w = {k: v.detach() for k, v in w.items() if torch.is_tensor(v)}; "
        f'torch.save({{"state_dict": w}}, {new})'
    )
    return f"python -c {shlex.quote(code)}"
