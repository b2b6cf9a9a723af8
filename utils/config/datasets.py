"""The one table of data sets: what run_model.py and process_data/ need to know of each by name.

Data sets that aren't in it are the user's own; `described.py` finds what is known of one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from utils.errors import CONTROL

VIDEOS, GABORS = "videos", "gabors"
LINEAR, AREA = INTERPOLATIONS = ("linear", "area")  # by which large frames are shrunk
AUGMENTATIONS = ("fixed crop", "sized crop", "crop only", "jitter only")  # of dpc-rnn
LONGEST_NAME = 60  # bytes of the user's own, which is part of a run folder's name


@dataclass(frozen=True)
class Variant:
    """Frames of a data set, and their split files, in folders whose names end in `suffix`."""

    suffix: str = ""
    short_side: int = 240  # pixels of a frame's shorter side
    interpolation: str = LINEAR
    large: bool = False  # for large images (--k400_big in process_data)
    eye: str = ""  # the half of the picture that is kept (--eye); empty: the data set has no eyes

    @property
    def frames(self) -> str:
        """The name of the folder of frames; of the packed frames, with `_tar` at its end."""
        return "frames" + self.suffix

    @property
    def flags(self) -> str:
        """The flags that process_data's scripts need for these frames, such as ` --eye left`."""
        return " --k400_big" * self.large + (f" --eye {self.eye}" if self.eye else "")


@dataclass(frozen=True)
class DatasetInfo:
    """A data set. Of those of videos, `name` is also their folder's name under `--d_root`."""

    name: str
    short_name: str  # in a run folder's name
    kind: str = VIDEOS
    aliases: tuple[str, ...] = ()  # for --dataset

    # training
    milestones: tuple[tuple[int, int], tuple[int, int]] = ((60, 80), (300, 400))
    """The epochs at which lc-rnn's rate drops, below 224 pixels and from there on."""
    stride: int | None = None  # frames; None: as --ucf_hmdb_ms_ds says
    dpc_preset: str = "fixed crop"  # dpc-rnn's augmentation, one of augmentation.DPC_PRESETS
    smallest_batch: int | None = None  # clips in dpc-rnn's last batch; None: only whole batches

    # frames and split files
    variants: tuple[Variant, ...] = (Variant(),)
    large_above: float = math.inf  # pixels: larger images are made of the large variant's frames
    splits: tuple[int, ...] = ()  # the numbers of its splits; empty: one split without a number
    modes: tuple[str, ...] = ("train", "test")  # of its split files

    # preparation
    endings: tuple[str, ...] = (".avi",)  # of the videos' names
    split_lists: str = "seeded"  # the kind of published split lists, one of write_csvs.SPLIT_LISTS
    class_list: str = ""  # its own, in the data set's folder; empty: classes are ordered by name
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Of the archives of `videos` and `splits`; or, with `{split}` in them, of the `list` of a
    split's archives and of its `annotations`, and of the archive of the videos that are
    `replacements` of broken ones. Without any, videos are placed by hand."""
    archive_of_archives: bool = False  # the archive of videos holds an archive for each class
    num_classes: int | None = None  # as published
    num_videos: int | None = None
    split_sizes: Mapping[str, int] = field(default_factory=dict)  # by the split file's stem

    def split_name(self, mode: str, number: int) -> str:
        """Return a split file's stem, such as `train_split01`, or `train_split` without numbers."""
        return f"{mode}_split{number:02}" if self.splits else f"{mode}_split"

    def split_names(self) -> list[str]:
        """Return the stems of all split files."""
        return [self.split_name(mode, n) for n in self.splits or (0,) for mode in self.modes]

    def variant(self, eye: str, large: bool = False) -> Variant:
        """Return the frames that were asked for; `eye` counts only for data sets with eyes."""
        return next(v for v in self.variants if v.eye in ("", eye) and v.large == large)


CATALOGUE = {
    info.name: info
    for info in (
        DatasetInfo(
            name="UCF101",
            short_name="ucf101",
            splits=(1, 2, 3),
            split_lists="list per split",
            class_list="splits/classInd.txt",
            addresses={
                "videos": "https://www.crcv.ucf.edu/data/UCF101/UCF101.rar",
                "splits": "https://www.crcv.ucf.edu/data/UCF101/"
                "UCF101TrainTestSplits-RecognitionTask.zip",
            },
            num_classes=101,
            num_videos=13320,
            split_sizes={
                **{"train_split01": 9537, "train_split02": 9586, "train_split03": 9624},
                **{"test_split01": 3783, "test_split02": 3734, "test_split03": 3696},
            },
        ),
        DatasetInfo(
            name="HMDB51",
            short_name="hmdb51",
            milestones=((30, 40), (150, 250)),
            splits=(1, 2, 3),
            split_lists="list per class",
            addresses={
                "videos": "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/"
                "hmdb51_org.rar",
                "splits": "http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/"
                "test_train_splits.rar",
            },
            archive_of_archives=True,
            num_classes=51,
            num_videos=6766,
            split_sizes={
                **{f"train_split0{number}": 3570 for number in (1, 2, 3)},
                **{f"test_split0{number}": 1530 for number in (1, 2, 3)},
            },
        ),
        DatasetInfo(
            name="Kinetics400",
            short_name="k400",
            aliases=("k400",),
            milestones=((30, 40), (150, 250)),
            stride=5,
            dpc_preset="sized crop",
            variants=(Variant(short_side=150), Variant("_256", short_side=256, large=True)),
            large_above=140,
            modes=("train", "val", "test"),
            endings=(".mp4",),
            split_lists="annotations",
            # the first two are in private tables of torchvision.datasets.Kinetics; a test compares
            addresses={
                "list": "https://s3.amazonaws.com/kinetics/400/{split}/k400_{split}_path.txt",
                "annotations": "https://s3.amazonaws.com/kinetics/400/annotations/{split}.csv",
                "replacements": "https://s3.amazonaws.com/kinetics/400/"
                "replacement_for_corrupted_k400.tgz",
            },
            num_classes=400,
        ),
        DatasetInfo(
            name="MouseSim",
            short_name="mousesim",
            dpc_preset="crop only",
            smallest_batch=2,
            variants=(
                *(Variant("_left", eye="left"), Variant("_right", eye="right")),
                Variant(eye="both"),
            ),
            endings=(".mov",),
        ),
        DatasetInfo(
            name="Gabors",
            short_name="gabors",
            kind=GABORS,
            milestones=((10, 15), (20, 30)),
            stride=1,
            dpc_preset="jitter only",
        ),
    )
}
NAMES = {
    spelling.lower(): name for name, info in CATALOGUE.items() for spelling in (name, *info.aliases)
}
ALL_NAMES = ", ".join(" or ".join((name, *info.aliases)) for name, info in CATALOGUE.items())
MOST_SPLITS = 99
TAKEN = {
    (info.name + variant.suffix).lower(): info.name + variant.flags
    for info in CATALOGUE.values()
    for variant in info.variants
}


def entry(name: str) -> DatasetInfo:
    """Return the table's entry, or what holds of every data set of the user's own."""
    own = DatasetInfo(name, name, split_lists="given or seeded", modes=("train", "val", "test"))
    return CATALOGUE.get(name, own)


def spelled(typed: str) -> str:
    """Return the table's spelling of a data set's name, or else the name as it is.

    Raises ValueError, with what is wrong, for a name that their folders can't have.
    """
    name = typed.lower()
    if name in NAMES:
        return NAMES[name]
    if name in TAKEN:
        raise ValueError(f"names the files of --dataset {TAKEN[name]}; take that, or rename it")
    if "/" in typed or "\\" in typed or CONTROL.search(typed):
        raise ValueError("must be the name of a folder, not a path")
    if typed.startswith(".") or typed != typed.strip():
        raise ValueError("a name has no dot in front, and no space around it; rename the folder")
    if not 1 <= len(typed.encode(errors="replace")) <= LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} bytes; rename the folder")
    return typed


def short_name(dataset: str, eye: str) -> str:
    """Return a data set's part of a run folder's name, such as ucf101 or mousesim_left."""
    info = entry(dataset)
    return info.short_name + info.variant(eye).suffix
