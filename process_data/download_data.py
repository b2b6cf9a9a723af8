"""Download a video data set and unpack it.

    python process_data/download_data.py --d_root DATA --dataset UCF101

    {d_root}/{dataset}/archives/          downloads, and archives placed there by hand
    {d_root}/{dataset}/archives/.done/    a file for each archive that was unpacked
    {d_root}/UCF101/videos/{class}/NAME.avi    and splits/; so for HMDB51
    {d_root}/Kinetics400/videos/{class}/NAME.mp4    and annotations/{train,val,test}.csv

The same command again goes on where it stopped. Archives are unpacked once: delete the file in
`.done`, or the folder that they fill, to have it done again. Of Kinetics400, which has its archives
in `archives/{split}/`, those that were downloaded are removed when their videos are in place.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import command_line
from archives import ArchiveError, Plan, move, rar_programs, unpack
from command_line import log
from dataset.split_files import class_folder
from downloads import DownloadError, Store, download, file_name
from folders import video_files, visible_folders
from published_splits import annotation_file, read_annotations
from utils.config.datasets import CATALOGUE, DatasetInfo
from utils.errors import UsageError

MINIMAL_VIDEOS = 5  # of a class and split
MOST_FAILURES = 3  # archives in a row: then the network or the disk is at fault
Endings = str | tuple[str, ...]


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    asked = _parse(arguments)
    info = CATALOGUE[asked.dataset]
    store = Store(asked.d_root / info.name)
    if "list" in info.addresses:
        good = True
        for mode in info.modes:  # one archive after the other, since the disk may be small
            good &= succeeds(
                get_listed_archives, store, info, mode, asked.minimal, asked.keep_archives
            )
    else:
        good = get_videos_and_splits(store, info, asked.num_workers)
    report(store.root, info)
    return 0 if good else 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = command_line.parser(__doc__, frames=False)
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
    info = CATALOGUE[parsed.dataset]
    if not info.addresses:
        place = f"{parsed.d_root}/{info.name}/videos/{{class}}/*{info.endings[0]}"
        raise UsageError(f"{info.name}: is not public; place its videos at {place}")
    listed = [name for name, other in CATALOGUE.items() if "list" in other.addresses]
    for flag in ("minimal", "keep_archives"):
        if getattr(parsed, flag) and info.name not in listed:
            raise UsageError(f"--{flag}: is for {' and '.join(listed)}, not {info.name}")
    return parsed


def succeeds(step: Callable[..., object], *arguments: object) -> bool:
    """Run a step and return whether it succeeded; log a failure in one line."""
    try:
        step(*arguments)
    except (DownloadError, ArchiveError, OSError) as error:
        log.error("%s", error)
        return False
    return True


# ------------------------------------------------------------------ an archive of videos


def get_videos_and_splits(store: Store, info: DatasetInfo, num_workers: int) -> bool:
    """Get splits and videos; return whether both succeeded."""
    urls = info.addresses
    missing = [u for folder, u in urls.items() if not store.is_done(file_name(u), folder)]
    if any(url.endswith(".rar") for url in missing):
        rar_programs()  # before gigabytes are downloaded
    videos = partial(unpack_videos, info.endings)
    if info.archive_of_archives:
        videos = partial(unpack_archives_of_videos, info.endings, num_workers)
    good = succeeds(get_archive, store, "splits", urls["splits"], unpack_splits)
    return succeeds(get_archive, store, "videos", urls["videos"], videos) and good


def get_archive(
    store: Store, folder: str, url: str, unpack_all: Callable[[Path, Path], object]
) -> None:
    """Download an archive and unpack it into a folder, unless that is done."""
    name = file_name(url)
    if store.is_done(name, folder):
        log.info("%s: done before", name)
        return
    archive = store.get(url, name)
    log.info("%s: unpacking", name)
    unpack_all(archive, store.root / folder)
    store.note(name, "done")


def unpack_splits(archive: Path, splits: Path) -> None:
    """Unpack lists of videos."""
    unpack(archive, splits, flat_places(".txt"))


def unpack_videos(endings: Endings, archive: Path, videos: Path) -> None:
    """Unpack videos that lie in folders of their classes."""
    unpack(archive, videos, partial(class_places, endings))


def unpack_archives_of_videos(
    endings: Endings, num_workers: int, archive: Path, videos: Path
) -> None:
    """Unpack an archive that holds an archive for each class."""
    hidden = videos / ".unpacking_classes"
    shutil.rmtree(hidden, ignore_errors=True)  # of a run that was killed
    try:
        unpack(archive, hidden / "archives", flat_places(".rar"))
        parts = sorted((hidden / "archives").iterdir())
        calls = [(unpack_videos, endings, path, hidden / "videos") for path in parts]
        good = list(command_line.in_parallel(succeeds, calls, num_workers, "classes"))
        found = [p.relative_to(hidden / "videos").as_posix() for p in hidden.glob("videos/*/*")]
        move(hidden / "videos", videos, {name: name for name in found})
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    if not all(good):
        raise ArchiveError(f"{archive}: {good.count(False)} of its {len(good)} archives failed")


def flat_places(endings: Endings) -> Plan:
    """Plan to unpack files without their folders."""
    return lambda names: {name: PurePosixPath(name).name for name in visible(names, endings)}


def class_places(endings: Endings, names: list[str]) -> dict[str, str]:
    """Plan to unpack videos; the class is the folder's name, however deep that lies."""
    paths = {name: PurePosixPath(name) for name in visible(names, endings)}
    return {n: f"{p.parent.name}/{p.name}" for n, p in paths.items() if p.parent.name}


def visible(names: list[str], endings: Endings) -> list[str]:
    """Return the names with these endings that don't start with a dot."""
    return [n for n in names if n.endswith(endings) and not PurePosixPath(n).name.startswith(".")]


# ------------------------------------------------------------------ a list of archives


def get_listed_archives(
    store: Store, info: DatasetInfo, split: str, minimal: bool, keep_archives: bool
) -> None:
    """Get the videos of a split; raises DownloadError or ArchiveError if some archives failed."""
    addresses = {key: address.format(split=split) for key, address in info.addresses.items()}
    table = annotation_file(store.root, split)
    if not table.is_file():
        download(addresses["annotations"], table)
    labels = {name: label for label, name in read_annotations(table) if label}
    archive_list = store.get(addresses["list"], file_name(addresses["list"]))
    urls = archive_list.read_text().split()[: 1 if minimal else None]
    failed_in_a_row = failed = 0
    for url in urls:
        name = f"{split}/{file_name(url)}"  # the splits' archives have the same names
        if succeeds(get_part, store, info, name, url, labels, minimal):
            failed_in_a_row = 0
            if not keep_archives:
                store.remove(name)
        else:
            failed += 1
            failed_in_a_row += 1
        if failed_in_a_row == MOST_FAILURES:
            raise ArchiveError(f"{split}: stopped, {failed_in_a_row} archives in a row failed")
    if failed:
        raise ArchiveError(f"{split}: {failed} of {len(urls)} archives failed; run it again")


def get_part(
    store: Store, info: DatasetInfo, name: str, url: str, labels: dict[str, str], minimal: bool
) -> None:
    """Download one of a split's archives and unpack its videos, unless that is done."""
    if store.is_done(name, "videos") or (minimal and store.is_done(name, "videos", "minimal")):
        log.info("%s: done before", name)
        return
    archive = store.get(url, name)
    log.info("%s: unpacking", name)
    most = MINIMAL_VIDEOS if minimal else None
    plan = partial(labelled_places, info.endings, labels, most)
    names = unpack(archive, store.root / "videos", plan)
    unknown = [n for n in visible(names, info.endings) if PurePosixPath(n).stem not in labels]
    note = store.note(name, "minimal" if minimal else "done", "\n".join(unknown))
    if unknown:
        log.warning(
            "%s: left out %d videos without a row in the annotations, %s ... (all: %s)",
            *(name, len(unknown), unknown[0], note),
        )


def labelled_places(
    endings: Endings, labels: dict[str, str], most: int | None, names: list[str]
) -> dict[str, str]:
    """Plan to unpack videos of known classes, at most `most` of each, into folders of these."""
    places: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name in visible(names, endings):
        path = PurePosixPath(name)
        label = labels.get(path.stem)
        if label is not None and (most is None or counts[label] < most):
            counts[label] += 1
            places[name] = f"{class_folder(label)}/{path.name}"
    return places


# ------------------------------------------------------------------ what was found


def report(root: Path, info: DatasetInfo) -> None:
    """Log the counts, and a warning where they are not the published ones."""
    folders = len(visible_folders(root / "videos"))
    videos = len(video_files(root / "videos", info.endings))
    log.info("%s: %d classes, %d videos", info.name, folders, videos)
    counts = {"classes": (folders, info.num_classes), "videos": (videos, info.num_videos)}
    for noun, (found, published) in counts.items():
        if published not in (None, found):
            message = "%s: %d %s, the published set has %d"
            log.warning(message, info.name, found, noun, published)


if __name__ == "__main__":
    command_line.run_script(main)
