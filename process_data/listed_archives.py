"""Data sets that come as a list of archives for each split, with replacements of some videos."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from archives import unpack
from command_line import log
from dataset.packed_frames import is_packed, tar_of
from downloads import Store, download, file_name, succeeds
from folders import video_files
from lists import read_names
from members import ArchiveError
from places import labelled_places, visible
from published_splits import annotated_classes, annotation_file, read_annotations
from utils.config.datasets import DatasetInfo
from utils.errors import UsageError

MINIMAL_VIDEOS = 5  # of a class and split
MOST_FAILURES = 3  # archives in a row: then the network or the disk is at fault
NOWHERE: Mapping[str, str] = MappingProxyType({})


def get_listed_archives(
    store: Store, info: DatasetInfo, split: str, minimal: bool, keep_archives: bool
) -> None:
    """Get the videos of a split; raises DownloadError or ArchiveError if some archives failed."""
    addresses = {key: address.format(split=split) for key, address in info.addresses.items()}
    table = annotation_file(store.root, split)
    if not table.is_file():
        download(addresses["annotations"], table)
    classes, most = read_annotations(table), MINIMAL_VIDEOS if minimal else None
    archive_list = store.get(addresses["list"], file_name(addresses["list"]))
    failed_in_a_row = failed = 0
    urls = addresses_in(archive_list)[: 1 if minimal else None]
    for url in urls:
        name = f"{split}/{file_name(url)}"  # the splits' archives have the same names
        if succeeds(get_part, store, info, name, url, classes, most):
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


def addresses_in(archive_list: Path) -> list[str]:
    """Return the addresses in a list; raises UsageError for a line that is none."""
    lines = read_names(archive_list)
    for line in lines:
        if not line.name.startswith(("http://", "https://")) or not file_name(line.name):
            told = f"{line.name!r} is no address of an archive; delete the file and run again"
            raise UsageError(f"{archive_list}, line {line.line}: {told}")
    return [line.name for line in lines]


def get_part(
    store: Store,
    info: DatasetInfo,
    name: str,
    url: str,
    classes: dict[str, str],
    most: int | None = None,
    there: Mapping[str, str] = NOWHERE,
) -> None:
    """Download an archive and unpack its videos, unless that is done.

    These are the videos that have `classes`, at most `most` of each. Their places are folders of
    these, or those where they are `there`, by their names.
    """
    note = "done" if most is None else "minimal"
    if store.is_done(name, "videos") or store.is_done(name, "videos", note):
        log.info("%s: done before", name)
        return
    archive = store.get(url, name)
    log.info("%s: unpacking", name)
    plan = partial(labelled_places, info.endings, classes, most, there)
    names = unpack(archive, store.root / "videos", plan)
    if there:  # before the note: a kill in between has it done again
        replaced = [path for path in map(PurePosixPath, names) if path.name in there]
        remove_frames(store.root, info, classes, replaced)
    if "replacements" in info.addresses:  # broken videos may be among these
        store.forget(file_name(info.addresses["replacements"]))
    unknown = [n for n in visible(names, info.endings) if PurePosixPath(n).stem not in classes]
    path = store.note(name, note, "\n".join(unknown))
    if unknown:
        log.warning(
            "%s: left out %d videos without a row in the annotations, %r ... (all: %s)",
            *(name, len(unknown), unknown[0], path),
        )


def get_replacements(store: Store, info: DatasetInfo, keep_archives: bool) -> None:
    """Get the publisher's replacements of broken videos; remove the frames of the broken ones."""
    url, videos = info.addresses["replacements"], store.root / "videos"
    name, classes, there = file_name(url), {}, {}
    if not store.is_done(name, "videos"):
        classes = annotated_classes(info, store.root)
        there = {path.name: path.relative_to(videos).as_posix() for path in video_files(videos)}
    get_part(store, info, name, url, classes, there=there)
    if not keep_archives:
        store.remove(name)


def remove_frames(
    root: Path, info: DatasetInfo, classes: dict[str, str], replaced: list[PurePosixPath]
) -> None:
    """Remove the frames of videos that were replaced; warn of those that are packed."""
    known = [path for path in replaced if path.stem in classes]
    for path in known:
        for variant in info.variants:
            frames = root / variant.frames / classes[path.stem] / path.stem
            shutil.rmtree(frames, ignore_errors=True)
            if is_packed(frames):
                tar = tar_of(frames)
                log.warning("%s: holds frames of the broken %s; pack it anew", tar, path.name)
    log.info("%d broken videos replaced; extract_frames.py makes their frames anew", len(known))
