"""Random streams: each draw in the program comes from a generator named after what it is for."""

import zlib

import numpy as np


def stream(seed: int, *names: int | str) -> np.random.Generator:
    """The generator of, say, `stream(seed, "train", epoch, index)`: equal names, equal draws."""
    keys = (zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names)
    return np.random.default_rng((seed, *keys))
