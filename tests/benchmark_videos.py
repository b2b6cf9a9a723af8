"""Milliseconds per clip from videos, frames and packed frames: python tests/benchmark_videos.py

    python tests/benchmark_videos.py            all three kinds of videos, about two minutes
    python tests/benchmark_videos.py --videos 4 --rounds 3

Videos are made of a blurred texture that moves: 320×240 pixels, 7 s at 25 frames/s, as XviD in AVI,
like UCF101's; and 340×256 pixels, 10 s at 30 frames/s, as MPEG-4 in MP4, in the size of
Kinetics400's, whose frames are shrunk to 150 pixels or, with 256, left as they are. (Kinetics400 is
in H.264, which OpenCV's wheel reads but doesn't write, and which takes longer to decode.) The clips
are dpc-rnn's of training, 40 frames at the data set's stride, and whole videos as in tests, at 128
pixels. One process with one thread makes them; the files lie in the system's cache. Sources take
turns within a round; the table has medians over videos and rounds, of the processor's time, which
other programs on the machine change little.
"""

import argparse
import json
import logging
import shutil
import site
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "process_data"):
    site.addsitedir(str(folder))


class Kind(NamedTuple):
    """Videos: their size, frames and codec, and what dataset.json says of them."""

    size: tuple[int, int]
    frames: int
    fps: int
    codec: str
    ending: str
    read: dict[str, Any]


KINDS = (
    Kind((320, 240), 175, 25, "XVID", ".avi", {"stride": 3, "short_side": 240}),
    *(
        Kind(
            *((340, 256), 300, 30, "mp4v", ".mp4"),
            {"stride": 5, "short_side": short_side, "augmentation": "sized crop"},
        )
        for short_side in (150, 256)
    ),
)
DATASET = "Scrolling"
SOURCES = ("videos", "frames", "packed frames")


def make_video(path: Path, kind: Kind, seed: int) -> None:
    width, height = kind.size
    noise = np.random.default_rng(seed).integers(0, 256, (height * 2, width * 2, 3), np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*kind.codec), kind.fps, (width, height)
    )
    for frame in range(kind.frames):
        x, y = frame * 2 % width, frame % height
        writer.write(np.ascontiguousarray(texture[y : y + height, x : x + width]))
    writer.release()


def prepare(root: Path, kind: Kind, count: int) -> dict[str, Path]:
    """Make a data set and prepare it in three ways; return the split files' folders by source."""
    import extract_frames
    import pack_frames
    import write_csvs

    whole = root / DATASET
    for number in range(count):
        make_video(whole / "videos" / "Scroll" / f"v{number:02}{kind.ending}", kind, number)
    listed = "".join(f"Scroll/v{number:02}{kind.ending} 1\n" for number in range(count))
    (whole / "splits").mkdir()
    for name in ("trainlist01.txt", "testlist01.txt"):
        (whole / "splits" / name).write_text(listed)
    flags = ["--d_root", str(root), "--dataset", DATASET, "--num_workers", "0"]
    folders = {source: root / "data" / source for source in SOURCES}
    for source, folder in folders.items():
        (folder / DATASET).mkdir(parents=True)
        (folder / DATASET / "dataset.json").write_text(json.dumps(kind.read))
        if source == "frames":
            side = ["--short_side", str(kind.read["short_side"])]
            assert extract_frames.main([*flags, *side]) == 0
        assert write_csvs.main([*flags, "--csv_root", str(folder)]) == 0
    # the same frames, packed, in a folder of their own
    packed = root / "packed"
    shutil.copytree(whole / "frames", packed / DATASET / "frames")
    assert pack_frames.main([flags[0], str(packed), *flags[2:]]) == 0
    shutil.rmtree(packed / DATASET / "frames")
    (folders["packed frames"] / DATASET / "root.txt").write_text(f"{packed / DATASET}\n")
    return folders


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--videos", type=int, default=8)
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    logging.getLogger("process_data").setLevel(logging.ERROR)
    print(f"{'':46}" + "".join(f"{source:>16}" for source in SOURCES))
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), kind, asked.videos, asked.rounds)


def measure(root: Path, kind: Kind, count: int, rounds: int) -> None:
    from dataset.build import build_dataset
    from utils.config.flags import Config

    folders = prepare(root, kind, count)
    for model, mode, told in (
        ("dpc-rnn", "train", "training clip"),
        ("lc-rnn", "test", "whole video"),
    ):
        data = {
            source: build_dataset(
                Config(
                    model=model,
                    dataset=DATASET,
                    data_path_dir=str(path),
                    from_videos=source == "videos",
                    seed=1,
                ),
                mode,
            )
            for source, path in folders.items()
        }
        seconds: dict[str, list[float]] = {source: [] for source in SOURCES}
        for epoch in range(rounds):
            for index in range(count):
                for source, samples in data.items():
                    start = time.process_time()
                    assert samples[epoch, index].clip is not None
                    seconds[source].append(time.process_time() - start)
        medians = [1000 * statistics.median(of_source) for of_source in seconds.values()]
        width, height = kind.size
        name = f"{width}×{height}, {kind.frames // kind.fps} s, {kind.codec}"
        name += f", to {kind.read['short_side']}: {told}"
        print(f"{name:46}" + "".join(f"{median:>13.1f} ms" for median in medians), flush=True)


if __name__ == "__main__":
    main()
