"""Which frames make a clip, by hand. Frames count from 0."""

import numpy as np
import pytest

from dataset import clips

# ------------------------------------------------------------------ clips


def test_frames_of_a_clip_lie_a_stride_apart_and_blocks_follow_each_other():
    frames = clips.clip_frames(4, N=3, L=2, ds=5)
    assert frames.tolist() == [[4, 9], [14, 19], [24, 29]]


@pytest.mark.parametrize("start", [0, 1, 17])
@pytest.mark.parametrize(("N", "L", "ds"), [(1, 1, 1), (8, 5, 3), (5, 1, 2), (2, 7, 1)])
def test_every_frame_is_where_the_formula_puts_it(start, N, L, ds):
    frames = clips.clip_frames(start, N, L, ds)
    assert frames.shape == (N, L)
    for n in range(N):
        for block_frame in range(L):
            assert frames[n, block_frame] == start + ds * (L * n + block_frame)


@pytest.mark.parametrize(
    ("n", "starts"),
    [(0, 0), (1, 0), (29, 0), (30, 0), (31, 1), (32, 2), (300, 270)],
)
def test_a_clip_needs_more_frames_than_it_spans(n, starts):
    assert clips.num_starts(n, N=3, L=5, ds=2) == starts  # spans 30


def test_first_and_last_start_stay_inside_the_video():
    n, N, L, ds = 33, 3, 5, 2
    last = clips.num_starts(n, N, L, ds) - 1
    assert last == 2
    assert clips.clip_frames(0, N, L, ds)[0, 0] == 0
    # the last frame of the last clip: two frames before the video's last, as in the published code
    assert clips.clip_frames(last, N, L, ds)[-1, -1] == 30


def test_starts_of_many_lengths_never_leave_the_video():
    for n in range(60):
        for N, L, ds in ((1, 1, 1), (2, 3, 4), (3, 5, 2), (4, 2, 1)):
            starts = clips.num_starts(n, N, L, ds)
            assert (starts > 0) == (n > N * L * ds)
            for start in range(starts):
                assert clips.clip_frames(start, N, L, ds).max() < n


def test_the_last_frame_stands_in_for_those_beyond_the_end():
    frames = clips.clip_frames(0, N=2, L=3, ds=2)
    assert clips.padded(frames, 7).tolist() == [[0, 2, 4], [6, 6, 6]]
    assert clips.padded(frames, 1).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert clips.padded(frames, 11).tolist() == frames.tolist()


# ------------------------------------------------------------------ whole videos


def blocks_by_hand(n: int, L: int, ds: int) -> int:
    frames = list(range(0, n, ds))[:500]
    return len([frames[i : i + L] for i in range(0, len(frames), L) if i + L <= len(frames)])


@pytest.mark.parametrize(
    ("n", "L", "ds", "blocks"),
    [
        (30, 5, 2, 3),  # frames 0, 2, ..., 28: fifteen
        (29, 5, 2, 3),  # the same frames, the last of them being 28
        (28, 5, 2, 2),  # one short
        (27, 5, 2, 2),
        (5, 5, 1, 1),
        (4, 5, 1, 0),
        (1, 1, 3, 1),
        (0, 5, 3, 0),
        (1500, 5, 3, 100),
        (1498, 5, 3, 100),  # the 500th frame is 1497
        (1497, 5, 3, 99),
        (1501, 5, 3, 100),  # the cap: never a 501st
        (9000, 5, 3, 100),
        (501, 1, 1, 500),
        (600, 7, 1, 71),  # 500 = 71 · 7 + 3
    ],
)
def test_whole_blocks_of_at_most_500_frames(n, L, ds, blocks):
    assert clips.num_blocks(n, L, ds) == blocks
    assert blocks_by_hand(n, L, ds) == blocks


def test_the_blocks_of_many_videos_at_once_are_those_of_each():
    n = np.arange(0, 2000, 7, dtype=np.int32)
    blocks = clips.num_blocks(n, 4, 3)
    assert blocks.tolist() == [blocks_by_hand(int(count), 4, 3) for count in n]


@pytest.mark.parametrize(
    ("K", "N", "starts"),
    [
        (4, 4, [0]),
        (3, 4, []),
        (5, 4, [0]),  # the fifth block is in no window
        (6, 4, [0, 2]),
        (9, 4, [0, 2, 4]),
        (10, 4, [0, 2, 4, 6]),
        (5, 5, [0]),
        (6, 5, [0]),
        (7, 5, [0, 2]),  # half of 5, cut off
        (10, 5, [0, 2, 4]),
        (11, 5, [0, 2, 4, 6]),
        (4, 1, [0, 1, 2, 3]),  # a step of at least 1
        (4, 2, [0, 1, 2]),
        (4, 3, [0, 1]),
    ],
)
def test_windows_overlap_by_half(K, N, starts):
    assert clips.window_starts(K, N).tolist() == starts
