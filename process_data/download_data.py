"""Download a video data set and unpack it.

    python process_data/download_data.py --d_root DATA --dataset UCF101

    {d_root}/{dataset}/archives/          downloads, and archives placed there by hand
    {d_root}/{dataset}/archives/.done/    a file for each archive that was unpacked
    {d_root}/UCF101/videos/{class}/NAME.avi    and splits/; so for HMDB51
    {d_root}/Kinetics400/videos/{class}/NAME.mp4    and annotations/{train,val,test}.csv

The same command again goes on where it stopped. Archives are unpacked once: delete the file in
`.done`, or the folder that they fill, to have it done again. Of Kinetics400, which has its archives
in `archives/{split}/`, those that were downloaded are removed when their videos are in place. Then
the publisher's replacements of its broken videos take the place of these, and the frames that were
made of the broken ones are removed.
"""

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import command_line
from archives import move, unpack
from command_line import log
from downloads import Store, file_name, succeeds
from folders import video_files, visible_folders
from listed_archives import MINIMAL_VIDEOS, get_listed_archives, get_replacements
from members import ArchiveError
from places import Endings, class_places, flat_places
from rar import rar_programs
from utils.config.datasets import CATALOGUE, DatasetInfo, entry
from utils.errors import UsageError


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    asked = _parse(arguments)
    info = entry(asked.dataset)
    store = Store(asked.d_root / info.name)
    if "list" in info.addresses:
        good = True
        for mode in info.modes:  # one archive after the other, since the disk may be small
            good &= succeeds(
                get_listed_archives, store, info, mode, asked.minimal, asked.keep_archives
            )
        if "replacements" in info.addresses and not asked.minimal:
            good &= succeeds(get_replacements, store, info, asked.keep_archives)
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
    info = entry(parsed.dataset)
    if not info.addresses:
        place = f"{parsed.d_root}/{info.name}/videos/{{class}}/*{info.endings[0]}"
        told = "is not public" if info.name in CATALOGUE else "there is nothing to download"
        raise UsageError(f"{info.name}: {told}; place its videos at {place}")
    listed = [name for name, other in CATALOGUE.items() if "list" in other.addresses]
    for flag in ("minimal", "keep_archives"):
        if getattr(parsed, flag) and info.name not in listed:
            raise UsageError(f"--{flag}: is for {' and '.join(listed)}, not {info.name}")
    return parsed


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
        good = list(command_line.in_parallel(succeeds, calls, num_workers, "classes", killed))
        found = [p.relative_to(hidden / "videos").as_posix() for p in hidden.glob("videos/*/*")]
        move(hidden / "videos", videos, {name: name for name in found})
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    if not all(good):
        raise ArchiveError(f"{archive}: {good.count(False)} of its {len(good)} archives failed")


def killed(reason: str, _: object, __: Endings, archive: Path, videos: Path) -> bool:
    """Log that the process that unpacked an archive has ended, which is no success."""
    log.error("%s: its process was ended (%s)", archive, reason)
    return False


# ------------------------------------------------------------------ what was found


def report(root: Path, info: DatasetInfo) -> None:
    """Log the counts, and a warning where they are not the published ones."""
    folders = len(visible_folders(root / "videos"))
    videos = len(video_files(root / "videos"))
    log.info("%s: %d classes, %d videos", info.name, folders, videos)
    counts = {"classes": (folders, info.num_classes), "videos": (videos, info.num_videos)}
    for noun, (found, published) in counts.items():
        if published not in (None, found):
            message = "%s: %d %s, the published set has %d"
            log.warning(message, info.name, found, noun, published)


if __name__ == "__main__":
    command_line.run_script(main)
