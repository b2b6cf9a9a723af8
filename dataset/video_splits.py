"""UCF101, HMDB51, Kinetics400 and MouseSim: short descriptions, and the split that a run reads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dataset import augmentation, frames, split_files
from dataset.augmentation import Preset, preset_of
from dataset.split_files import CLASSES_FILE, VideoList
from dataset.videos import ClipShape, VideoClips, VideoOptions, Videos, WholeVideos
from utils.config.datasets import CATALOGUE, EYE_SUFFIX
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log

KINETICS_STRIDE = 5
SMALL_KINETICS = 140  # pixels, up to which its 150-pixel frames are enough


@dataclass(frozen=True)
class Description:
    """`numbered`: has splits 1 to 3. `dpc_preset`: its augmentation in dpc-rnn. `suffix`: of the
    folder of split files that a configuration asks for."""

    dpc_preset: Callable[[int, bool], Preset]
    numbered: bool = False
    suffix: Callable[[Config], str] = lambda config: ""


DESCRIPTIONS = {
    "UCF101": Description(augmentation.dpc_fixed_crop, numbered=True),
    "HMDB51": Description(augmentation.dpc_fixed_crop, numbered=True),
    "Kinetics400": Description(
        augmentation.dpc_sized_crop,
        suffix=lambda config: "_256" if config.img_dim > SMALL_KINETICS else "",
    ),
    "MouseSim": Description(
        augmentation.dpc_crop_only, suffix=lambda config: EYE_SUFFIX[config.eye]
    ),
}


class Split(NamedTuple):
    path: Path
    videos: VideoList
    classes: tuple[str, ...]


def video_dataset(config: Config, mode: str) -> Videos:
    """The clips of a mode (train, val), or whole videos (test); raises UsageError."""
    split = read_split(config, mode)
    strided = CATALOGUE[config.dataset].strided
    shape = ClipShape(
        config.num_blocks, config.seq_len, config.ucf_hmdb_ms_ds if strided else KINETICS_STRIDE
    )
    options = VideoOptions(
        seed=config.seed,
        mode=mode,
        shape=shape,
        preset=preset_of(config, mode, DESCRIPTIONS[config.dataset].dpc_preset),
        pad_short=config.pad_short,
        redraw=mode == "train",
        records_predictions=not config.is_dpc and mode != "train",
    )
    kind = WholeVideos if mode == "test" else VideoClips
    dataset = kind(split.videos, split.classes, options)
    short = dataset.total - len(dataset)
    if not len(dataset):
        raise UsageError(
            f"{split.path}: no video has more than {shape.span} frames, what a clip needs; lower "
            "--num_seq_in, --seq_len or --ucf_hmdb_ms_ds, or add --pad_short"
        )
    if short:
        log.info("%s: %d of %d videos are too short, left out", mode, short, dataset.total)
    return dataset


def read_split(config: Config, mode: str) -> Split:
    """Raises UsageError where there is none, or where it leads nowhere."""
    plain = Path(config.data_path_dir) / config.dataset
    description = DESCRIPTIONS[config.dataset]
    folder = plain.with_name(plain.name + description.suffix(config))
    number = f"{config.split:02}" if description.numbered else ""
    path = split_path(folder, mode, number)
    class_list = next(
        (f / CLASSES_FILE for f in (folder, plain) if (f / CLASSES_FILE).is_file()), None
    )
    if class_list is None:
        raise UsageError(f"{folder / CLASSES_FILE}: no such file; {remedy(folder.name)}")
    classes = split_files.read_classes(class_list)
    locate = split_files.locator(folder, config.dataset, config.temp_data_dir)
    videos = split_files.read_videos(path, classes, locate)
    split_files.check_there(path, videos, frames.is_there)
    return Split(path, videos, classes)


def split_path(folder: Path, mode: str, number: str) -> Path:
    """The split file; validation falls back to the test split."""
    path = folder / f"{mode}_split{number}.csv"
    if path.is_file():
        return path
    fallback = folder / f"test_split{number}.csv"
    if mode == "val" and fallback.is_file():
        log.warning("no %s: 'best' is chosen on %s, which is test data", path.name, fallback.name)
        return fallback
    raise UsageError(f"{path}: no such split file; {remedy(folder.name)}")


def remedy(split_folder: str) -> str:
    """Such as `make it with process_data/write_csvs.py --dataset Kinetics400 --k400_big`."""
    dataset, _, suffix = split_folder.partition("_")
    flag = {"": "", "256": " --k400_big"}.get(suffix, f" --eye {suffix}")
    if not suffix and dataset == "MouseSim":
        flag = " --eye both"
    return f"make it with process_data/write_csvs.py --d_root DIR --dataset {dataset}{flag}"
