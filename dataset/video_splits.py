"""The split of a data set of videos that a run reads, and its clips or whole videos."""

import os
from pathlib import Path
from typing import NamedTuple

from dataset import split_files, video_list
from dataset.augmentation import preset_of
from dataset.frames import has_frames
from dataset.label_share import labelled
from dataset.split_files import VIDEOS_FILE, how_to_make
from dataset.video_files import Making
from dataset.video_list import VideoList
from dataset.videos import VideoClips, VideoOptions, Videos, WholeVideos
from utils.config.datasets import entry
from utils.config.described import info_of, stride_of, variant_of
from utils.config.flags import Config, split_folder
from utils.errors import UsageError
from utils.logs import log


class Split(NamedTuple):
    """A split file's videos, and the names of the classes."""

    path: Path
    videos: VideoList
    classes: tuple[str, ...]


def video_dataset(config: Config, mode: str, whole: bool = False) -> Videos:
    """Build the clips of a mode, or its whole videos, as in mode test; raises UsageError."""
    whole = whole or mode == "test"
    split = read_split(config, mode)
    options = options_of(config, mode, whole)
    kind = WholeVideos if whole else VideoClips
    dataset = kind(split.videos, split.classes, options)
    if not len(dataset):
        raise UsageError(
            f"{split.path}: no video has more than {options.too_few} frames, what a clip needs; "
            "lower --num_seq_in, --seq_len or the stride, or add --pad_short"
        )
    if short := dataset.total - len(dataset):
        message = "%s: %d of %d videos are too short, %d frames or fewer, and are left out"
        log.info(message, mode, short, dataset.total, options.too_few)
    if options.ds != stride_of(config, entry(config.dataset)):
        log.info("%s: frames %d apart, as dataset.json says", mode, options.ds)
    if config.label_share < 1 and mode == "train" and not whole:
        usable = len(dataset)
        dataset.items = labelled(
            split.videos.labels, dataset.items, share=config.label_share, seed=config.seed
        )
        message = "--label_share %g: %d of %d training videos remain"
        log.info(message, config.label_share, len(dataset), usable)
    return dataset


def options_of(config: Config, mode: str, whole: bool) -> VideoOptions:
    """Return how samples of a mode are made."""
    return VideoOptions(
        seed=config.seed,
        mode=mode,
        N=config.num_blocks,
        L=config.seq_len,
        ds=stride_of(config, info_of(config)),
        preset=preset_of(config, "test" if whole else mode),
        pad_short=config.pad_short,
        redraw=mode == "train" and not whole,
        records_predictions=not config.is_dpc and mode != "train",
        crops=config.test_crops if mode == "test" else 1,
    )


def making_of(config: Config) -> Making:
    """Return how frames are made of the data set's videos."""
    info = info_of(config)
    variant = variant_of(config, info)
    return Making(variant.short_side, variant.eye or "both", variant.interpolation)


def split_path(config: Config, mode: str) -> Path:
    """Return the path of a mode's split file."""
    info = info_of(config)
    variant = variant_of(config, info)
    folder = split_folder(config.data_path_dir) / (info.name + variant.suffix)
    return folder / f"{info.split_name(mode, config.split)}.csv"


def modes_with_files(config: Config) -> tuple[str, ...]:
    """Return the modes that have a split file, or all of them if none has one."""
    modes = info_of(config).modes
    return tuple(mode for mode in modes if os.path.exists(split_path(config, mode))) or modes


def read_split(config: Config, mode: str) -> Split:
    """Read the split of a mode; raises UsageError if there is none, or its frames are missing.

    Validation falls back to the test split. Where there are neither frames nor packed ones, or with
    --from_videos, clips are decoded from the video files that videos.csv names.
    """
    info = info_of(config)
    variant = variant_of(config, info)
    path, test = split_path(config, mode), split_path(config, "test")
    folder = path.parent
    if mode == "val" and os.path.exists(test) and not os.path.exists(path):
        log.warning("no %s: 'best' is chosen on %s, which is test data", path.name, test.name)
        path = test
    if not os.path.exists(path):
        raise UsageError(f"{path}: no such split file; {how_to_make(info, variant)}")
    classes = split_files.read_class_list(folder.parent, info, variant)
    locate = video_list.locator(folder, info.name, config.temp_data_dir)
    videos = video_list.read_videos(path, classes, locate)
    extracted = has_frames(locate.root / variant.frames)
    if config.from_videos or (not extracted and os.path.exists(folder / VIDEOS_FILE)):
        videos = video_list.from_files(videos, folder, making_of(config))
        log.info("%s: clips are decoded from the video files", mode)
    video_list.check_there(path, videos)
    return Split(path, videos, classes)
