"""From a configuration to a run's loaders: the one place that knows datasets by name."""

from collections.abc import Callable

from torch.utils.data import DataLoader

from dataset.augmentation import gabor_preset
from dataset.gabor_sequences import Sequences
from dataset.gabor_stimuli import DESIGNS
from dataset.gabors import GaborDataset, Layouts
from dataset.loading import EpochBatches, make_loader
from utils.config import Config
from utils.errors import UsageError


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
        preset=gabor_preset(
            config.model,
            mode,
            img_dim=config.img_dim,
            augment=not config.no_augm,
            bilinear=config.resize == "bilinear",
        ),
    )


BUILDERS: dict[str, Callable[[Config, str], GaborDataset]] = {"Gabors": gabors}


def build_dataset(config: Config, mode: str) -> GaborDataset:
    """The dataset of a mode (train, val, test); raises UsageError."""
    if config.dataset not in BUILDERS:
        raise UsageError(f"--dataset {config.dataset}: not there yet; take --dataset gabors")
    return BUILDERS[config.dataset](config, mode)


def build_loader(config: Config, mode: str, pin_memory: bool) -> DataLoader:
    """The batches of a mode; raises UsageError where the set has too few clips for one.

    dpc-rnn takes whole batches only, since their size is part of its task. lc-rnn trains on whole
    ones, and counts every item once in validation and test.
    """
    dataset = build_dataset(config, mode)
    whole_only = config.is_dpc or mode == "train"
    if len(dataset) < (config.batch_size if whole_only else 1):
        remedy = "lower --batch_size"
        if config.dataset == "Gabors":
            remedy += " or raise --train_len (validation has half of it)"
        raise UsageError(
            f"--batch_size {config.batch_size}: the {mode} set has {len(dataset)} clips, "
            f"less than one batch; {remedy}"
        )
    batches = EpochBatches(
        len(dataset),
        config.batch_size,
        seed=config.seed,
        mode=mode,
        shuffle=mode == "train" or (mode == "val" and config.is_dpc),
        whole_only=whole_only,
    )
    return make_loader(dataset, batches, num_workers=config.num_workers, pin_memory=pin_memory)
