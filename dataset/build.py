"""From a configuration to a run's data sets and loaders."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dataset.augmentation import preset_of
from dataset.gabor_sequences import Sequences
from dataset.gabor_stimuli import DESIGNS
from dataset.gabors import GaborDataset, Layouts
from dataset.loading import ClipLoader, EpochBatches
from utils.config.datasets import GABORS, VIDEOS
from utils.config.described import info_of
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.device import Runtime
from utils.samples import Loader, Samples


def build_gabors(config: Config, mode: str, whole: bool = False) -> Samples:
    """Build the Gabor stimuli of a mode; raises UsageError for an unknown design."""
    design = DESIGNS.get(config.gabor_design)
    if design is None:
        raise UsageError(
            f"--gabor_design {config.gabor_design}: unknown; take one of {', '.join(DESIGNS)}"
        )
    if config.augm == "linear" and mode == "train" and not whole:
        raise UsageError(
            "--augm linear, typed or of a preset: is for videos; take --augm published"
        )
    if config.label_share < 1 and mode == "train" and not whole:
        raise UsageError(
            f"--label_share {config.label_share:g}: is for videos; lower --train_len for Gabors"
        )
    if config.from_videos:
        raise UsageError("--from_videos: is for videos; leave it out for Gabors")
    if mode == "test" and config.test_crops > 1:
        raise UsageError(
            f"--test_crops {config.test_crops}: is for videos; leave it out for Gabors"
        )
    return GaborDataset(
        mode=mode,
        seed=config.seed,
        length=config.train_len if mode == "train" else config.train_len // 2,
        num_blocks=config.num_blocks,
        seq_len=config.seq_len,
        sequences=Sequences(
            design=design,
            image_len=config.gab_img_len,
            gray=not config.no_gray,
            roll=config.roll,
            shift_frames=config.shift_frames,
            unexp_epoch=config.unexp_epoch,
            U_prob=config.U_prob,
        ),
        layouts=Layouts(
            num_gabors=config.num_gabors,
            per_clip=config.diff_possizes,
            own_U=config.diff_U_possizes or design.own_U_layout,
        ),
        preset=preset_of(config, "test" if whole else mode, flip=False),
    )


def build_videos(config: Config, mode: str, whole: bool) -> Samples:
    """Build the clips or whole videos of a mode; raises UsageError."""
    from dataset.video_splits import video_dataset  # needs OpenCV, which Gabors do without

    return video_dataset(config, mode, whole)


class Kind(NamedTuple):
    """How data sets of a kind are built, and the remedy where one is smaller than a batch."""

    build: Callable[[Config, str, bool], Samples]
    remedy: str


KINDS = {
    VIDEOS: Kind(build_videos, "lower --batch_size"),
    GABORS: Kind(
        build_gabors, "lower --batch_size or raise --train_len (validation has half of it)"
    ),
}


def build_dataset(config: Config, mode: str, whole: bool = False) -> Samples:
    """Build the data set of a mode (train, val, test); raises UsageError.

    With `whole`, samples are as in a test, whatever the mode and the model: whole videos, or clips
    of Gabors, without any random augmentation.
    """
    return KINDS[info_of(config).kind].build(config, mode, whole)


def build_analysed_loader(config: Config, runtime: Runtime) -> ClipLoader:
    """Build the loader of the training clips that an analysis records; raises UsageError.

    U images appear in every epoch. Batches are as in training with one process: whole ones alone,
    in the same order. Several processes take turns with them.
    """
    most = None
    if config.analysis_len:
        most = config.analysis_len // config.batch_size
        if not most:
            raise UsageError(
                f"--analysis_len {config.analysis_len}: is less than a batch of "
                f"{config.batch_size} clips; raise it"
            )
    config = dataclasses.replace(config, unexp_epoch=0)
    samples, processes = build_dataset(config, "train"), runtime.processes
    if len(samples) < config.batch_size:
        raise UsageError(
            f"--analysis: the training set has {len(samples)} clips, less than one batch of "
            f"{config.batch_size}, and whole batches alone are recorded"
        )
    order = EpochBatches(
        len(samples),
        config.batch_size,
        seed=config.seed,
        mode="train",
        shuffle=True,
        fewest=config.batch_size,
        processes=processes,
        whole=True,
        most=most,
    )
    return loader_of(samples, order, config, runtime)


def build_loader(config: Config, mode: str, runtime: Runtime, whole: bool = False) -> ClipLoader:
    """Build the loader of a mode; raises UsageError if the data set is smaller than one batch.

    dpc-rnn takes whole batches only, since their size is part of its task, except for data sets
    that keep a smaller last one. lc-rnn trains on whole batches, and counts every item once in
    validation and test; whole videos come one by one. Several processes share each batch. With
    `whole`, samples are as in a test, every item once and in order.
    """
    info = info_of(config)
    samples = build_dataset(config, mode, whole)
    processes = runtime.processes
    batch_size = processes.round_up(config.batch_size)
    even = not whole and (config.is_dpc or mode == "train")
    fewest = batch_size if even else 1
    if even and config.is_dpc and info.smallest_batch:
        fewest = info.smallest_batch * processes.count
    if len(samples) < fewest:
        raise UsageError(
            f"--batch_size {config.batch_size}: the {mode} set has {len(samples)} clips, "
            f"less than one batch; {KINDS[info.kind].remedy}"
        )
    order = EpochBatches(
        len(samples),
        1 if samples.whole_videos else batch_size,
        seed=config.seed,
        mode=mode,
        shuffle=not whole and (mode == "train" or (mode == "val" and config.is_dpc)),
        fewest=fewest,
        even=even,
        processes=processes,
    )
    return loader_of(samples, order, config, runtime)


def loader_of(
    samples: Samples, order: EpochBatches, config: Config, runtime: Runtime
) -> ClipLoader:
    """Return the loader of a data set in that order, with the configured workers."""
    return ClipLoader(
        samples,
        order,
        num_workers=config.num_workers,
        pin_memory=runtime.device.type == "cuda",
        timeout=config.worker_timeout,
    )


def build_whole_loaders(config: Config, runtime: Runtime) -> dict[str, Loader]:
    """Build the loaders of whole videos, or clips of Gabors, whose features are wanted, by mode.

    That of --video has the file's name in the place of a mode. Raises UsageError.
    """
    if config.video:
        from dataset.single_video import single_video, stem_of

        samples, processes = single_video(config), runtime.processes
        order = EpochBatches(
            1, 1, seed=config.seed, mode="test", shuffle=False, fewest=1, processes=processes
        )
        return {stem_of(config): loader_of(samples, order, config, runtime)}
    kind = info_of(config).kind
    if kind == GABORS and config.retrieve:
        raise UsageError("--retrieve: is for videos; Gabors are drawn, and have no test set")
    modes: Sequence[str] = ("train", "val")
    if kind == VIDEOS:
        from dataset.video_splits import modes_with_files

        modes = ("train", "test") if config.retrieve else modes_with_files(config)
    return {mode: build_loader(config, mode, runtime, whole=True) for mode in modes}
