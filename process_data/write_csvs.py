"""Write the split files that training reads, from the published splits and the frames there are.

    python process_data/write_csvs.py --d_root DATA --dataset UCF101

Makes {csv_root}/{dataset}/train_split01.csv and so on with rows `frames/{class}/NAME,number of
frames`, classInd.txt, root.txt and, if it isn't there yet, dataset.json. Frames are counted where
they lie, in frames/ or, for a class that is packed, in the index in frames_tar/; without either,
each video is decoded once to count them. videos.csv names the video files, which training can read.
published_splits.py says what splits are made of.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

from command_line import Asked, find_asked, first_few, log, parser, run_script
from counting import count_videos, jobs_of, write_files
from dataset.frames import frame_files, has_frames
from dataset.packed_frames import Tar, tar_folder
from dataset.pictures import FrameError
from dataset.split_files import (
    CLASSES_FILE,
    Row,
    class_folder,
    read_classes,
    write_classes,
    write_root,
    write_rows,
)
from decoding import Job
from descriptions import describe
from folders import shown, visible_folders
from lists import UNWRITABLE, Video, writable
from published_splits import SPLIT_LISTS, Splits
from utils.config.datasets import CATALOGUE, DatasetInfo
from utils.errors import RunError, UsageError

SHOWN = 10  # videos that are left out


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = parser(__doc__, csv_root=True).parse_args(arguments)
    asked = find_asked(options)
    info, variant, root = asked
    folder = options.csv_root / (info.name + variant.suffix)
    there, jobs, failed = find_there(asked, folder, options.num_workers)
    splits = SPLIT_LISTS[info.split_lists](info, root, sorted(there))
    if not splits:
        raise UsageError(f"{root}: has no published splits; run process_data/download_data.py")
    classes = ordered_classes(info, root, {name for name, _ in there})
    folder.mkdir(parents=True, exist_ok=True)
    _warn_of_other_classes(folder / CLASSES_FILE, classes)
    write_classes(folder, classes)
    write_root(folder, root)
    describe(folder, asked, next(iter(there.values())))
    if jobs:
        write_files(folder, asked, jobs, there)
    _remove_other_names(folder, asked, splits)
    _warn_of_lists(info, classes, splits)
    _warn_of_overlaps(splits)
    empty = []
    for name, videos in splits.items():
        rows = [there[video] for video in videos if video in there]
        _warn_of_videos(name, info, videos, [video for video in videos if video not in there])
        path = folder / f"{name}.csv"
        if rows:
            write_rows(path, rows)
            log.info("%s: %d videos", path, len(rows))
        else:
            path.unlink(missing_ok=True)
            empty.append(name)
    if empty:
        raise RunError(f"not written, since none of its videos has frames: {first_few(empty)}")
    return 1 if failed else 0


def find_there(
    asked: Asked, folder: Path, num_workers: int
) -> tuple[dict[Video, Row], list[Job], int]:
    """Return a row for each video, the videos themselves, and how many can't be decoded.

    Without any frames, packed or not, the videos are counted, which is noted in `folder`. Raises
    UsageError for no videos.
    """
    has_videos = (asked.root / "videos").is_dir()
    if has_frames(asked.frames) or not has_videos:
        there = find_frames(asked.frames, num_workers if num_workers > 0 else None)
        try:
            return there, jobs_of(asked)[0] if has_videos else [], 0
        except UsageError as error:
            log.warning("%s; clips can be read from the frames alone", error)
            return there, [], 0
    return count_videos(asked, folder, num_workers)


def find_frames(frames: Path, threads: int | None) -> dict[Video, Row]:
    """Return a row for each video that has frames, packed or not; raises UsageError for none."""
    counts: dict[tuple[str, str], int] = {}  # by the names of the folders
    faults: list[FrameError] = []
    tars = {tar.stem: tar for tar in tar_folder(frames).glob("[!.]*.tar") if tar.is_file()}
    classes = [folder for folder in visible_folders(frames) if folder.name not in tars]
    with ThreadPoolExecutor(threads) as pool:  # threads: they wait for the disk
        for part, faults_of_class in pool.map(_count_class, [*tars.values(), *classes]):
            counts |= part
            faults += faults_of_class
    for fault in faults[:SHOWN]:
        log.warning("%s: left out, %s", shown(fault.path), shown(fault.reason))
    if len(faults) > SHOWN:
        log.warning("%d more videos are left out for their frames", len(faults) - SHOWN)
    there = {
        (class_folder(folder), video): Row(f"{frames.name}/{folder}/{video}", count)
        for (folder, video), count in counts.items()
        if writable(folder + video)
    }
    if bad := [shown("/".join(names)) for names in counts if not writable("".join(names))]:
        log.warning("left out %d videos %s: %s", len(bad), UNWRITABLE, first_few(bad))
    if not there:
        raise UsageError(f"{frames}: holds no frames; run process_data/extract_frames.py")
    return there


def _count_class(place: Path) -> tuple[dict[tuple[str, str], int], list[FrameError]]:
    """Count the frames of a class's videos in its folder or its tar."""
    counts, faults = {}, []
    if place.is_file():
        try:
            spans = Tar(place).videos
        except FrameError as error:
            return {}, [error]
        return {(place.stem, video): span.frames for video, span in spans.items()}, []
    for video in visible_folders(place):
        try:
            counts[place.name, video.name] = len(frame_files(video))
        except FrameError as error:
            faults.append(error)
    return counts, faults


def ordered_classes(info: DatasetInfo, root: Path, found: set[str]) -> list[str]:
    """Return the classes in the order of the data set's own list, if it has one, else by name.

    Those that the list lacks come last, with a warning.
    """
    path = root / info.class_list
    if not info.class_list:
        return sorted(found)
    if not os.path.lexists(path):
        log.warning("%s: no such file; the classes are ordered by name", path)
        return sorted(found)
    listed = [class_folder(name) for name in read_classes(path)]
    if others := sorted(found.difference(listed)):
        message = "%s: lacks %d classes that have frames, which come last: %s"
        log.warning(message, path, len(others), first_few(others))
    return [name for name in listed if name in found] + others


def _warn_of_other_classes(path: Path, classes: list[str]) -> None:
    try:
        changed = path.is_file() and read_classes(path) != tuple(classes)
    except UsageError as error:
        log.warning("%s; it is written anew", error)
        return
    if changed:
        log.warning(
            "%s: had other classes, or another order, and is written anew; classifiers that were "
            "trained with it find their classes by name",
            path,
        )


def _remove_other_names(folder: Path, asked: Asked, splits: Splits) -> None:
    """Remove the split files of a user's own data set that no list makes now."""
    for mode in asked.info.modes if asked.info.name not in CATALOGUE else ():
        forms = (f"{mode}_split.csv", f"{mode}_split[0-9][0-9].csv")
        for path in sorted(path for form in forms for path in folder.glob(form)):
            if path.stem not in splits:
                log.warning("%s: removed, as it is none of the splits there are now", path)
                path.unlink()


def _warn_of_overlaps(splits: Splits) -> None:
    for first, second in combinations(splits, 2):
        shared = set(splits[first]).intersection(splits[second])
        if shared and first.partition("_")[2] == second.partition("_")[2]:
            names = sorted("/".join(video) for video in shared)
            message = "%d videos are both in %s and in %s: %s"
            log.warning(message, len(shared), first, second, first_few(names))


def _warn_of_lists(info: DatasetInfo, found: list[str], splits: Splits) -> None:
    listed = {name for videos in splits.values() for name, _ in videos}
    numbers = {name.partition("_")[2] for name in splits}
    modes = info.modes if info.name in CATALOGUE else ("train", "test")
    missing = {f"{mode}_{number}" for mode in modes for number in numbers}.difference(splits)
    if info.num_classes not in (None, len(found)):
        log.warning("%d classes, the published data set has %d", len(found), info.num_classes)
    for message, names in (
        ("%d classes have no frames: %s", listed.difference(found)),
        ("%d classes have frames, and are in no list: %s", set(found).difference(listed)),
        ("%d split files are not written, as they have no list: %s", missing),
    ):
        if names:
            log.warning(message, len(names), first_few(sorted(names)))


def _warn_of_videos(
    split: str, info: DatasetInfo, listed: list[Video], missing: list[Video]
) -> None:
    if missing:
        message = "%s: %d of its %d videos have no frames and are left out: %s"
        names = first_few([shown("/".join(video)) for video in missing])
        log.warning(message, split, len(missing), len(listed), names)
    published = info.split_sizes.get(split, len(listed))
    if len(listed) != published:
        log.warning("%s: lists %d videos, the published one %d", split, len(listed), published)


if __name__ == "__main__":
    run_script(main)
