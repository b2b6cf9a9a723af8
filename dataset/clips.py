"""Which frames of a video make a clip: index arithmetic alone. Frames count from 0.

`N` blocks of `L` frames, `ds` frames apart, of a video of `n` frames.
"""

import numpy as np

MOST_FRAMES = 500  # of a whole video, after taking every ds-th


def num_starts(n: int, N: int, L: int, ds: int) -> int:
    """Return the number of possible first frames; a clip needs more than N·L·ds frames."""
    return max(0, n - N * L * ds)


def clip_frames(start: int, N: int, L: int, ds: int) -> np.ndarray:
    """Return the numbers frame(n, l) = start + ds·(L·n + l), `[N, L]`."""
    return (start + ds * np.arange(N * L)).reshape(N, L)


def num_blocks(n: np.ndarray | int, L: int, ds: int) -> np.ndarray:
    """Count the whole blocks in frames 0, ds, 2·ds, … of a video, at most 500 of them."""
    return np.minimum(-(-n // ds), MOST_FRAMES) // L


def window_starts(K: int, N: int) -> np.ndarray:
    """Return the first blocks of windows of N blocks that overlap by half, among K blocks."""
    return np.arange(0, K - N + 1, max(1, N // 2))


def padded(frames: np.ndarray, n: int) -> np.ndarray:
    """Replace frame numbers beyond the video's end by the last one."""
    return np.minimum(frames, n - 1)
