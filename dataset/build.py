"""From a configuration to a run's loaders: the one place that knows datasets by name."""

from collections.abc import Callable
from typing import NamedTuple

from torch.utils.data import Dataset

from dataset.augmentation import dpc_jitter_only, preset_of
from dataset.gabor_sequences import Sequences
from dataset.gabor_stimuli import DESIGNS
from dataset.gabors import GaborDataset, Layouts
from dataset.loading import ClipLoader, EpochBatches
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.device import Runtime


def gabors(config: Config, mode: str) -> GaborDataset:
    design = DESIGNS[config.gabor_design]
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
        preset=preset_of(config, mode, dpc_jitter_only, flip=False),
    )


def videos(config: Config, mode: str) -> Dataset:
    from dataset.video_splits import video_dataset  # needs OpenCV, which Gabors do without

    return video_dataset(config, mode)


class Builder(NamedTuple):
    """`make`: the dataset of a mode. `fewest`: clips in dpc-rnn's last batch, where it need not be
    whole."""

    make: Callable[[Config, str], Dataset]
    fewest: int | None = None
    remedy: str = "lower --batch_size"


BUILDERS = {
    "UCF101": Builder(videos),
    "HMDB51": Builder(videos),
    "Kinetics400": Builder(videos),
    "MouseSim": Builder(videos, fewest=2),
    "Gabors": Builder(
        gabors, remedy="lower --batch_size or raise --train_len (validation has half of it)"
    ),
}


def build_dataset(config: Config, mode: str) -> Dataset:
    """The dataset of a mode (train, val, test); raises UsageError."""
    return BUILDERS[config.dataset].make(config, mode)


def build_loader(config: Config, mode: str, runtime: Runtime) -> ClipLoader:
    """The batches of a mode; raises UsageError where the set has too few clips for one.

    dpc-rnn takes whole batches only, since their size is part of its task, but for datasets that
    keep a smaller last one. lc-rnn trains on whole ones, and counts every item once in validation
    and test; whole videos come one by one. Several processes share each batch.
    """
    dataset = build_dataset(config, mode)
    builder = BUILDERS[config.dataset]
    processes = runtime.processes
    batch_size = processes.round_up(config.batch_size)
    fewest = 1
    even = config.is_dpc or mode == "train"
    if even:
        fewest = batch_size
        if config.is_dpc and builder.fewest:
            fewest = builder.fewest * processes.count
    if len(dataset) < fewest:
        raise UsageError(
            f"--batch_size {config.batch_size}: the {mode} set has {len(dataset)} clips, "
            f"less than one batch; {builder.remedy}"
        )
    batches = EpochBatches(
        len(dataset),
        1 if dataset.whole_videos else batch_size,
        seed=config.seed,
        mode=mode,
        shuffle=mode == "train" or (mode == "val" and config.is_dpc),
        fewest=fewest,
        even=even,
        processes=processes,
    )
    return ClipLoader(
        dataset,
        batches,
        num_workers=config.num_workers,
        pin_memory=runtime.device.type == "cuda",
        timeout=config.worker_timeout,
    )
