"""Downloads a video dataset and unpacks it: python process_data/download_data.py --help

    {d_root}/{dataset}/archives/          downloads, and archives placed there by hand
    {d_root}/{dataset}/archives/.done/    a file for each archive that was unpacked
    {d_root}/UCF101/videos/{class}/NAME.avi    and splits/; so for HMDB51
    {d_root}/Kinetics400/videos/{class}/NAME.mp4    and annotations/{train,val,test}.csv

The same command again goes on where it stopped. Archives are unpacked once: delete the file in
`.done`, or the folder that they fill, to have it done again. Of Kinetics400, which has its archives
in `archives/{split}/`, those that were downloaded are removed when their videos are in place.
"""

import argparse
import csv
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from archives import ArchiveError, move, rar_programs, unpack
from command_line import UsageError, in_parallel, parser, run_script
from downloads import DownloadError, Store, download, file_name
from video_datasets import DATASETS, class_folder, visible_folders

log = logging.getLogger("process_data")

# Kinetics400's are those of torchvision.datasets.Kinetics, written down since its tables are
# private and importing it takes seconds; a test compares them.
ADDRESSES = {
    "UCF101": {
        "videos": "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar",
        "splits": "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
    },
    "HMDB51": {
        "videos": "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/hmdb51_org.rar",
        "splits": "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/test_train_splits.rar",
    },
    "Kinetics400": {
        "list": "https://s3.amazonaws.com/kinetics/400/{split}/k400_{split}_path.txt",
        "annotations": "https://s3.amazonaws.com/kinetics/400/annotations/{split}.csv",
    },
}
PUBLISHED_VIDEOS = {"UCF101": 13320, "HMDB51": 6766}
MINIMAL_VIDEOS = 5  # of a class and split
MOST_FAILURES = 3  # archives in a row: then the network or the disk is at fault


def came_through(step: Callable[..., None], *arguments: object) -> bool:
    """Whether the step did; a failure is told in one line."""
    try:
        step(*arguments)
    except (DownloadError, ArchiveError, OSError) as error:
        log.error("%s", error)
        return False
    return True


# ------------------------------------------------------------------ UCF101, HMDB51


def fill_both(store: Store, dataset: str, num_workers: int) -> bool:
    """Splits and videos; whether both came through."""
    urls = ADDRESSES[dataset]
    missing = [u for folder, u in urls.items() if not store.is_done(file_name(u), folder)]
    if any(url.endswith(".rar") for url in missing):
        rar_programs()  # before gigabytes are downloaded
    videos = {
        "UCF101": unpack_videos,
        "HMDB51": partial(unpack_archives_of_videos, num_workers),
    }[dataset]
    good = came_through(fill, store, "splits", urls["splits"], unpack_splits)
    return came_through(fill, store, "videos", urls["videos"], videos) and good


def fill(store: Store, folder: str, url: str, unpack_all: Callable[[Path, Path], object]) -> None:
    name = file_name(url)
    if store.is_done(name, folder):
        log.info("%s: done before", name)
        return
    archive = store.get(url, name)
    log.info("%s: unpacking", name)
    unpack_all(archive, store.root / folder)
    store.note(name, "done")


def unpack_splits(archive: Path, splits: Path) -> None:
    unpack(archive, splits, partial(flat_places, ".txt"))


def unpack_videos(archive: Path, videos: Path) -> None:
    unpack(archive, videos, class_places)


def unpack_archives_of_videos(num_workers: int, archive: Path, videos: Path) -> None:
    """HMDB51's archive holds an archive for each class."""
    hidden = videos / ".unpacking_classes"
    shutil.rmtree(hidden, ignore_errors=True)  # of a run that was killed
    try:
        unpack(archive, hidden / "archives", partial(flat_places, ".rar"))
        calls = [(path, hidden / "videos") for path in sorted((hidden / "archives").iterdir())]
        good = list(in_parallel(unpack_class, calls, num_workers, "classes"))
        found = [p.relative_to(hidden / "videos").as_posix() for p in hidden.glob("videos/*/*")]
        move(hidden / "videos", videos, {name: name for name in found})
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    if not all(good):
        raise ArchiveError(f"{archive}: {good.count(False)} of its {len(good)} archives failed")


def unpack_class(archive: Path, videos: Path) -> bool:
    return came_through(unpack_videos, archive, videos)


def flat_places(ending: str, names: list[str]) -> dict[str, str]:
    return {name: PurePosixPath(name).name for name in visible(names, ending)}


def class_places(names: list[str]) -> dict[str, str]:
    """A video's class is its folder's name, however deep that lies."""
    paths = {name: PurePosixPath(name) for name in visible(names, ".avi")}
    return {n: f"{p.parent.name}/{p.name}" for n, p in paths.items() if p.parent.name}


def visible(names: list[str], ending: str) -> list[str]:
    return [n for n in names if n.endswith(ending) and not PurePosixPath(n).name.startswith(".")]


# ------------------------------------------------------------------ Kinetics400


def fill_kinetics(store: Store, minimal: bool, keep_archives: bool) -> bool:
    """Whether everything came through; an archive after the other, since the disk may be small."""
    good = True
    for split in DATASETS["Kinetics400"].modes:
        good &= came_through(fill_split, store, split, minimal, keep_archives)
    return good


def fill_split(store: Store, split: str, minimal: bool, keep_archives: bool) -> None:
    """Raises DownloadError or ArchiveError where some of the archives failed."""
    addresses = {k: v.format(split=split) for k, v in ADDRESSES["Kinetics400"].items()}
    labels = read_labels(annotations(store.root, split, addresses["annotations"]))
    archive_list = store.get(addresses["list"], file_name(addresses["list"]))
    urls = archive_list.read_text().split()[: 1 if minimal else None]
    failed_in_a_row = failed = 0
    for url in urls:
        if came_through(fill_part, store, split, url, labels, minimal):
            failed_in_a_row = 0
            if not keep_archives:
                store.remove(part_name(split, url))
        else:
            failed += 1
            failed_in_a_row += 1
        if failed_in_a_row == MOST_FAILURES:
            raise ArchiveError(f"{split}: stopped, {failed_in_a_row} archives in a row failed")
    if failed:
        raise ArchiveError(f"{split}: {failed} of {len(urls)} archives failed; run it again")


def part_name(split: str, url: str) -> str:
    """The splits' archives have the same names."""
    return f"{split}/{file_name(url)}"


def fill_part(store: Store, split: str, url: str, labels: dict[str, str], minimal: bool) -> None:
    name = part_name(split, url)
    if store.is_done(name, "videos") or (minimal and store.is_done(name, "videos", "minimal")):
        log.info("%s: done before", name)
        return
    archive = store.get(url, name)
    log.info("%s: unpacking", name)
    most = MINIMAL_VIDEOS if minimal else None
    names = unpack(archive, store.root / "videos", partial(labelled_places, labels, most))
    unknown = [n for n in visible(names, ".mp4") if PurePosixPath(n).stem not in labels]
    note = store.note(name, "minimal" if minimal else "done", "\n".join(unknown))
    if unknown:
        log.warning(
            "%s: left out %d videos without a row in the annotations, %s ... (all: %s)",
            *(name, len(unknown), unknown[0], note),
        )


def labelled_places(labels: dict[str, str], most: int | None, names: list[str]) -> dict[str, str]:
    """In the folders of their classes, at most `most` in each; without those of unknown class."""
    places, counts = {}, Counter()
    for name in visible(names, ".mp4"):
        path = PurePosixPath(name)
        label = labels.get(path.stem)
        if label is not None and (most is None or counts[label] < most):
            counts[label] += 1
            places[name] = f"{class_folder(label)}/{path.name}"
    return places


def annotations(root: Path, split: str, url: str) -> Path:
    folder = root / "annotations"
    for there in (folder / f"{split}.csv", folder / f"{split}_split.csv"):
        if there.is_file():
            return there
    download(url, folder / f"{split}.csv")
    return folder / f"{split}.csv"


def read_labels(path: Path) -> dict[str, str]:
    """Names of the published files, without ending → labels."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        try:
            return {
                f"{row['youtube_id']}_{int(row['time_start']):06}_{int(row['time_end']):06}": (
                    row["label"]
                )
                for row in rows
                if row["label"]
            }
        except (KeyError, ValueError, TypeError) as error:
            raise UsageError(
                f"{path}: line {rows.line_num} has no label, youtube_id, time_start and time_end "
                "in whole seconds; delete the file to have it downloaded"
            ) from error


# ------------------------------------------------------------------ what was found


def report(root: Path, name: str) -> None:
    """The counts, and a warning where they are not the published ones."""
    dataset = DATASETS[name]
    videos = root / "videos"
    folders = visible_folders(videos) if videos.is_dir() else []
    files = sum(
        path.suffix in dataset.endings and not path.name.startswith(".")
        for folder in folders
        for path in folder.iterdir()
    )
    log.info("%s: %d classes, %d videos", name, len(folders), files)
    for noun, found, published in (
        ("classes", len(folders), dataset.classes),
        ("videos", files, PUBLISHED_VIDEOS.get(name, files)),
    ):
        if found != published:
            log.warning("%s: %d %s, the published set has %d", name, found, noun, published)


def parse(arguments: list[str]) -> argparse.Namespace:
    made = parser("Downloads a video dataset and unpacks it.")
    made.add_argument(
        "--minimal",
        action="store_true",
        help=f"Kinetics400: the first archive of each split, {MINIMAL_VIDEOS} videos of a class",
    )
    made.add_argument(
        "--keep_archives",
        action="store_true",
        help="Kinetics400: do not remove downloads that are unpacked",
    )
    parsed = made.parse_args(arguments)
    if parsed.dataset == "MouseSim":
        raise UsageError(
            "MouseSim: is not public; place its videos at "
            f"{parsed.d_root}/MouseSim/videos/{{class}}/*.mov"
        )
    for flag in ("minimal", "keep_archives"):
        if getattr(parsed, flag) and parsed.dataset != "Kinetics400":
            raise UsageError(f"--{flag}: is for Kinetics400, not {parsed.dataset}")
    return parsed


def main(arguments: list[str]) -> int:
    asked = parse(arguments)
    store = Store(asked.d_root / asked.dataset)
    if asked.dataset == "Kinetics400":
        good = fill_kinetics(store, asked.minimal, asked.keep_archives)
    else:
        good = fill_both(store, asked.dataset, asked.num_workers)
    report(store.root, asked.dataset)
    return 0 if good else 1


if __name__ == "__main__":
    run_script(main)
