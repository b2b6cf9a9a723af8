"""Writes the split files that training reads, from the published splits and the frames there are.

    python process_data/write_csvs.py --d_root DATA --dataset UCF101

Makes {csv_root}/{dataset}/train_split01.csv and so on with rows `frames/{class}/NAME,number of
frames`, classInd.txt and root.txt. Frames are counted where they lie, in frames/ or, for a class
that is packed, in the index in frames_tar/. The published splits:

    UCF101       splits/trainlist01.txt, testlist01.txt, …   rows `Class/NAME.avi 1`
    HMDB51       splits/{class}_test_split1.txt, …           rows `NAME.avi 1`; 2: test, 0: unused
    Kinetics400  annotations/train.csv or train_split.csv    label,youtube_id,time_start,time_end
    MouseSim     none: 80 % of each class's videos train, drawn with seed 100 for all eyes alike
"""

import csv
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from command_line import UsageError, add_variant_flags, asked_variant, log, parser, run_script
from pack_frames import spans_of
from split_files import Row, first_few, write_classes, write_root, write_rows
from video_datasets import (
    VideoDataset,
    class_folder,
    frame_numbers,
    has_holes,
    visible_folders,
)

SEED = 100  # of MouseSim's split

Video = tuple[str, str]
"""Class folder, name without ending."""


def main(arguments: list[str]) -> int:
    made = parser(__doc__.split("\n")[0], csv_root=True)
    add_variant_flags(made)
    options = made.parse_args(arguments)
    asked = asked_variant(options)
    root = options.d_root / options.dataset
    threads = options.num_workers if options.num_workers > 0 else None
    counts = count_frames(root / asked.frames, threads)
    splits = SOURCES[options.dataset](root, sorted(counts))
    if not splits:
        raise UsageError(f"{root}: has no published splits; run process_data/download_data.py")
    folder = options.csv_root / asked.split_folder
    folder.mkdir(parents=True, exist_ok=True)
    classes = sorted({name for name, _ in counts})
    write_classes(folder, classes)
    write_root(folder, root)
    listed = {name for videos in splits.values() for name, _ in videos}
    _warn_of_classes(asked.dataset, classes, sorted(listed.difference(classes)))
    empty = []
    for name, videos in splits.items():
        rows = [Row("/".join((asked.frames, *v)), counts[v]) for v in videos if v in counts]
        _warn_of_videos(name, asked.dataset, videos, [v for v in videos if v not in counts])
        if rows:
            write_rows(folder / f"{name}.csv", rows)
            log.info("%s: %d videos", folder / f"{name}.csv", len(rows))
        else:
            (folder / f"{name}.csv").unlink(missing_ok=True)
            log.error("%s: none of its %d videos has frames; not written", name, len(videos))
            empty.append(name)
    return 1 if empty else 0


# ------------------------------------------------------------------ the frames


def count_frames(frames: Path, threads: int | None) -> dict[Video, int]:
    """Of each video, folder or packed; raises UsageError for none."""
    tars = frames.with_name(f"{frames.name}_tar")
    packed = {tar.stem: tar for tar in tars.glob("[!.]*.tar")} if tars.is_dir() else {}
    folders = visible_folders(frames) if frames.is_dir() else []
    counts = {
        (name, video): span.frames
        for name, tar in packed.items()
        for video, span in spans_of(tar).items()
    }
    with ThreadPoolExecutor(threads) as pool:  # threads: they wait for the disk
        unpacked = [folder for folder in folders if folder.name not in packed]
        for part in pool.map(_count_class, unpacked):
            counts |= part
    if not counts:
        raise UsageError(f"{frames}: holds no frames; run process_data/extract_frames.py")
    return counts


def _count_class(folder: Path) -> dict[Video, int]:
    counts = {}
    for video in visible_folders(folder):
        numbers = frame_numbers(video)
        if has_holes(numbers):
            log.warning("%s: left out, its frames are not numbered 1, 2, 3, …", video)
        elif numbers:
            counts[folder.name, video.name] = len(numbers)
    return counts


# ------------------------------------------------------------------ the published splits


def _ucf101(root: Path, there: list[Video]) -> dict[str, list[Video]]:
    """Rows `Class/NAME.avi` and, for training, a number."""
    splits = {}
    for mode in ("train", "test"):
        for path in sorted((root / "splits").glob(f"{mode}list[0-9][0-9].txt")):
            videos = [Path(re.sub(r"\s+\d+$", "", line)) for line in _lines(path)]
            splits[f"{mode}_split{path.stem[-2:]}"] = [
                (class_folder(video.parent.name), video.stem) for video in videos
            ]
    return splits


def _hmdb51(root: Path, there: list[Video]) -> dict[str, list[Video]]:
    """A file for each class, with rows `NAME.avi` and 1: train, 2: test, 0: unused."""
    splits = {}
    for path in sorted((root / "splits").glob("*_test_split[0-9].txt")):
        name, number = path.stem.rsplit("_test_split", 1)
        for line in _lines(path):
            video, _, use = line.rpartition(" ")
            if use in ("1", "2"):
                mode = "train" if use == "1" else "test"
                videos = splits.setdefault(f"{mode}_split0{number}", [])
                videos.append((class_folder(name), Path(video.strip()).stem))
    return splits


def _kinetics400(root: Path, there: list[Video]) -> dict[str, list[Video]]:
    splits = {}
    for mode in ("train", "val", "test"):
        names = (f"{mode}.csv", f"{mode}_split.csv")
        paths = [root / "annotations" / name for name in names]
        path = next((path for path in paths if path.is_file()), None)
        if path:
            splits[f"{mode}_split"] = list(_annotated(path))
    return splits


def _annotated(path: Path) -> Iterator[Video]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        needed = {"label", "youtube_id", "time_start", "time_end"}
        if not needed <= set(rows.fieldnames or ()):
            raise UsageError(f"{path}: needs columns {', '.join(sorted(needed))}; get it anew")
        for row in rows:
            try:
                start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"{path}, line {rows.line_num}: has no times; get it anew"
                ) from error
            yield class_folder(row["label"]), f"{row['youtube_id']}_{start:06}_{end:06}"


def _mousesim(root: Path, there: list[Video]) -> dict[str, list[Video]]:
    """From the videos' names where there are videos: then it does not depend on the eye."""
    videos = root / "videos"
    names = {
        (class_folder(folder.name), path.stem)
        for folder in (visible_folders(videos) if videos.is_dir() else ())
        for path in folder.iterdir()
        if path.suffix.lower() == ".mov" and not path.name.startswith(".")
    }
    by_class: dict[str, list[Video]] = {}
    for video in sorted(names or there):
        by_class.setdefault(video[0], []).append(video)
    rng = np.random.default_rng(SEED)
    train, test = [], []
    for videos_of_class in by_class.values():
        order = rng.permutation(len(videos_of_class))
        first_test = max(1, len(order) * 4 // 5)
        train += [videos_of_class[index] for index in sorted(order[:first_test])]
        test += [videos_of_class[index] for index in sorted(order[first_test:])]
    return {"train_split": train, "test_split": test}


SOURCES: dict[str, Callable[[Path, list[Video]], dict[str, list[Video]]]] = {
    "UCF101": _ucf101,
    "HMDB51": _hmdb51,
    "Kinetics400": _kinetics400,
    "MouseSim": _mousesim,
}


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [line.strip() for line in lines if line.strip()]


# ------------------------------------------------------------------ differences


def _warn_of_classes(dataset: VideoDataset, found: list[str], missing: list[str]) -> None:
    if dataset.classes not in (None, len(found)):
        log.warning("%d classes, the published data set has %d", len(found), dataset.classes)
    if missing:
        log.warning("%d classes have no frames: %s", len(missing), first_few(missing))


def _warn_of_videos(
    split: str, dataset: VideoDataset, listed: list[Video], missing: list[Video]
) -> None:
    if missing:
        log.warning(
            "%s: %d of its %d videos have no frames and are left out: %s",
            split,
            len(missing),
            len(listed),
            first_few(["/".join(video) for video in missing]),
        )
    published = (dataset.videos or {}).get(split, len(listed))
    if len(listed) != published:
        log.warning("%s: lists %d videos, the published one %d", split, len(listed), published)


if __name__ == "__main__":
    run_script(main)
