"""Write the split files that training reads, from the published splits and the frames there are.

    python process_data/write_csvs.py --d_root DATA --dataset UCF101

Makes {csv_root}/{dataset}/train_split01.csv and so on with rows `frames/{class}/NAME,number of
frames`, classInd.txt and root.txt. Frames are counted where they lie, in frames/ or, for a class
that is packed, in the index in frames_tar/. published_splits.py says what splits are made of.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from command_line import find_asked, first_few, log, parser, run_script
from dataset.frames import frame_numbers, tar_folder
from dataset.split_files import Row, write_classes, write_root, write_rows
from folders import has_holes, visible_folders
from pack_frames import packed_counts
from published_splits import SPLIT_LISTS, Video
from utils.config.datasets import DatasetInfo
from utils.errors import UsageError


def main(arguments: list[str]) -> int:
    """Run the script and return its exit status."""
    options = parser(__doc__, csv_root=True).parse_args(arguments)
    asked = find_asked(options)
    info, variant, root = asked
    threads = options.num_workers if options.num_workers > 0 else None
    counts = count_frames(asked.frames, threads)
    splits = SPLIT_LISTS[info.split_lists](info, root, sorted(counts))
    if not splits:
        raise UsageError(f"{root}: has no published splits; run process_data/download_data.py")
    folder = options.csv_root / (info.name + variant.suffix)
    folder.mkdir(parents=True, exist_ok=True)
    classes = sorted({name for name, _ in counts})
    write_classes(folder, classes)
    write_root(folder, root)
    listed = {name for videos in splits.values() for name, _ in videos}
    _warn_of_classes(info, classes, sorted(listed.difference(classes)))
    empty = []
    for name, videos in splits.items():
        rows = [Row("/".join((variant.frames, *v)), counts[v]) for v in videos if v in counts]
        _warn_of_videos(name, info, videos, [v for v in videos if v not in counts])
        path = folder / f"{name}.csv"
        if rows:
            write_rows(path, rows)
            log.info("%s: %d videos", path, len(rows))
        else:
            path.unlink(missing_ok=True)
            log.error("%s: none of its %d videos has frames; not written", name, len(videos))
            empty.append(name)
    return 1 if empty else 0


def count_frames(frames: Path, threads: int | None) -> dict[Video, int]:
    """Count the frames of each video, packed or not; raises UsageError for none."""
    counts: dict[Video, int] = {}
    tars = {tar.stem: tar for tar in tar_folder(frames).glob("[!.]*.tar")}
    for name, tar in tars.items():
        counts |= {(name, video): count for video, count in packed_counts(tar).items()}
    with ThreadPoolExecutor(threads) as pool:  # threads: they wait for the disk
        unpacked = [folder for folder in visible_folders(frames) if folder.name not in tars]
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


def _warn_of_classes(info: DatasetInfo, found: list[str], missing: list[str]) -> None:
    if info.num_classes not in (None, len(found)):
        log.warning("%d classes, the published data set has %d", len(found), info.num_classes)
    if missing:
        log.warning("%d classes have no frames: %s", len(missing), first_few(missing))


def _warn_of_videos(
    split: str, info: DatasetInfo, listed: list[Video], missing: list[Video]
) -> None:
    if missing:
        log.warning(
            "%s: %d of its %d videos have no frames and are left out: %s",
            *(split, len(missing), len(listed), first_few(["/".join(video) for video in missing])),
        )
    published = info.split_sizes.get(split, len(listed))
    if len(listed) != published:
        log.warning("%s: lists %d videos, the published one %d", split, len(listed), published)


if __name__ == "__main__":
    run_script(main)
