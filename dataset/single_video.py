"""One video file as a data set: without split files, and of no class."""

import os
from pathlib import Path

import numpy as np

from dataset.clips import MOST_FRAMES
from dataset.pictures import FrameError
from dataset.video_files import count_frames
from dataset.video_list import Locator, Texts, VideoList
from dataset.video_splits import making_of, options_of
from dataset.videos import WholeVideos
from utils.config.datasets import VIDEOS
from utils.config.described import info_of
from utils.config.flags import Config
from utils.errors import UsageError
from utils.files import end_of_name
from utils.logs import log

NO_CLASS = -1  # the label
STEM_BYTES = 100  # of a file's name, in the names of other files


def single_video(config: Config) -> WholeVideos:
    """Return the whole video of --video, with frames made as those of the data set.

    Raises UsageError for a file that can't be decoded.
    """
    told = f"--video {config.video}"
    if info_of(config).kind != VIDEOS:
        raise UsageError(
            f"{told}: {config.dataset} are no videos; name, with --dataset, the one whose frame "
            "size and stride the video is to have"
        )
    path = os.path.abspath(config.video)
    try:
        names, files = Texts.of([Path(path).name]), Texts.of([path])
        frames = np.array([count_frames(Path(path))], np.int64)
    except UnicodeEncodeError:
        raise UsageError(f"{told}: is no UTF-8 text; rename the file") from None
    except FrameError as error:
        raise UsageError(f"{told}: {error.reason}; name a video that OpenCV can decode") from error
    options = options_of(config, "test", whole=True)
    if frames[0] > (most := MOST_FRAMES * options.ds):
        message = "%s: of its %d frames the first %d are used; cut it into parts of that length"
        log.warning(message, told, frames[0], most)
    labels = np.array([NO_CLASS], np.int32)
    videos = VideoList(names, frames, labels, Locator(Path()), files, making_of(config))
    return WholeVideos(videos, (), options)


def stem_of(config: Config) -> str:
    """Return the video's name without its ending; of a long name, the end."""
    return end_of_name(Path(config.video).stem, STEM_BYTES)
