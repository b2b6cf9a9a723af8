"""Random streams: every draw in the program comes from a generator named after its purpose."""

import zlib

import numpy as np


def stream(seed: int, *names: int | str) -> np.random.Generator:
    """Return the generator of these names, for example `stream(seed, "train", epoch, index)`.

    The same seed and names always give the same draws.
    """
    keys = (zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names)
    return np.random.default_rng((seed, *keys))
