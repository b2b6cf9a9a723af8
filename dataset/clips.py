"""Which frames of a video make a clip: index arithmetic alone. Frames count from 0.

`N` blocks of `L` frames, `ds` frames apart, out of a video of `n`.
"""

import numpy as np

MOST_FRAMES = 500  # of a whole video, after taking every ds-th


def num_starts(n: int, N: int, L: int, ds: int) -> int:
    """How many frames a clip may start at; a clip needs more than N·L·ds frames."""
    return max(0, n - N * L * ds)


def clip_frames(start: int, N: int, L: int, ds: int) -> np.ndarray:
    """Frame(n, l) = start + ds·(L·n + l), `[N, L]`."""
    return (start + ds * np.arange(N * L)).reshape(N, L)


def num_blocks(n: np.ndarray | int, L: int, ds: int) -> np.ndarray:
    """The whole blocks in frames 0, ds, 2·ds, … of a video, of at most 500 such frames."""
    return np.minimum(-(-n // ds), MOST_FRAMES) // L


def window_starts(K: int, N: int) -> np.ndarray:
    """The first blocks of windows of N blocks that overlap by half, in a video of K blocks."""
    return np.arange(0, K - N + 1, max(1, N // 2))


def padded(frames: np.ndarray, n: int) -> np.ndarray:
    """The last frame stands in for those beyond the video's end."""
    return np.minimum(frames, n - 1)
