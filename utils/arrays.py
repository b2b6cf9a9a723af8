"""Archives of arrays."""

from pathlib import Path
from typing import Any

import numpy as np

from utils.files import replacing, writing


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed .npz file whole or not at all; raises RunError."""
    with writing(path), replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
