"""The configuration: one frozen dataclass, each field a flag with its help, group and default."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from utils.catalogue import CATALOGUE, NAMES
from utils.errors import UsageError

MODELS = {"dpc-rnn": "dpc-rnn", "dpc": "dpc-rnn", "lc-rnn": "lc-rnn", "lc": "lc-rnn"}
NETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")
TRAIN_WHAT = ("all", "ft", "last")
DEFAULT_WD = {"dpc-rnn": 1e-5, "lc-rnn": 1e-3}
LARGEST_SEED = 2**32 - 1


def flag(
    group: str,
    default: Any,
    help: str,
    *,
    names: tuple[str, ...] = (),
    choices: tuple[str, ...] | None = None,
    on_resume: str = "fixed",
):
    """`names`: other spellings. `on_resume`: 'fixed', 'free', or 'start' for flags that say how a
    run starts rather than what it is, and so are no part of what a resumed run has to agree
    with."""
    metadata = {
        "group": group,
        "help": help,
        "names": names,
        "choices": choices,
        "on_resume": on_resume,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    # ---- run
    model: str = flag(
        "run", "dpc-rnn", "what to train: dpc-rnn (self-supervised) or lc-rnn (classifier)"
    )
    output_dir: str = flag("run", "output_dir", "parent of the run folder", on_resume="free")
    suffix: str = flag("run", "", "added to the run folder's name", names=("prefix",))
    num_epochs: int = flag(
        "run",
        10,
        "epochs to train, beside epoch 0, which measures",
        names=("epochs",),
        on_resume="free",
    )
    resume: str = flag(
        "run", "", "go on with a run: its folder, or a checkpoint", on_resume="start"
    )
    reset_lr: bool = flag(
        "run",
        False,
        "with --resume: restart the optimizer; --lr may then change",
        on_resume="start",
    )
    pretrained: str = flag("run", "", "weights to start from", names=("pretrain",))
    test: str = flag(
        "run", "", "test this checkpoint, or 'random' weights (lc-rnn)", on_resume="start"
    )
    seed: int = flag("run", -1, "of all that is random; -1: one is drawn, logged and saved")
    not_save_best: bool = flag("run", False, "neither validate nor keep the best model")
    overwrite: bool = flag("run", False, "replace a run folder of the same name", on_resume="start")
    # ---- data
    dataset: str = flag(
        "data", "UCF101", "UCF101, HMDB51, Kinetics400 (k400), MouseSim or Gabors, any case"
    )
    data_path_dir: str = flag(
        "data", "process_data/data", "where the split files are", on_resume="free"
    )
    temp_data_dir: str = flag(
        "data", "", "a node's own disk that holds the frames", on_resume="free"
    )
    split: int = flag("data", 1, "which split of UCF101 or HMDB51, 1 to 3")
    eye: str = flag("data", "right", "of MouseSim", choices=("left", "right", "both"))
    img_dim: int = flag("data", 128, "pixels of a side of the images")
    seq_len: int = flag("data", 5, "frames in a block")
    num_seq_in: int = flag("data", 5, "blocks seen")
    ucf_hmdb_ms_ds: int = flag(
        "data", 3, "take every n-th frame of UCF101, HMDB51, MouseSim", names=("ds",)
    )
    no_augm: bool = flag("data", False, "resize and normalise only")
    resize: str = flag("data", "nearest", "how images are resized", choices=("nearest", "bilinear"))
    pad_short: bool = flag(
        "data", False, "videos too short for a clip repeat their last frame, not left out"
    )
    strict_data: bool = flag(
        "data", False, "stop at the first frame that can't be read", on_resume="free"
    )
    # ---- Gabors
    gabor_design: str = flag("Gabors", "dpc", "the stimuli's design", choices=("dpc", "gillon2021"))
    num_gabors: int = flag("Gabors", 30, "patches in an image")
    gab_img_len: int = flag("Gabors", 5, "frames that an image lasts; 5 are about 300 ms")
    diff_possizes: bool = flag("Gabors", False, "positions and sizes anew for every clip")
    no_gray: bool = flag("Gabors", False, "no gray image between sequences")
    roll: bool = flag("Gabors", False, "sequences start at a random image")
    shift_frames: bool = flag("Gabors", False, "with --roll: and at a random frame of it")
    unexp_epoch: int = flag("Gabors", 5, "epoch from which U images appear", on_resume="free")
    U_prob: float = flag("Gabors", 0.08, "chance of each D to become U; 0: never", on_resume="free")
    diff_U_possizes: bool = flag("Gabors", False, "U has positions and sizes of its own")
    train_len: int = flag("Gabors", 1000, "training clips an epoch; validation has half")
    # ---- model
    net: str = flag("model", "resnet18", "the backbone: resnet18, 34, 50, 101, 152 or 200")
    pred_step: int = flag("model", 3, "blocks predicted (dpc-rnn)")
    track_bn: bool = flag("model", False, "dpc-rnn: keep running batch-norm statistics")
    dropout: float = flag("model", 0.5, "before the classifier (lc-rnn)", on_resume="free")
    # ---- training
    train_what: str = flag(
        "training",
        "all",
        "what learns: all, ft (backbone and aggregator at a tenth of the rate), last (lc-rnn)",
        choices=TRAIN_WHAT,
    )
    batch_size: int = flag("training", 24, "clips in a batch, over all devices together")
    lr: float = flag("training", 1e-3, "learning rate of Adam")
    wd: float | None = flag(
        "training", None, "weight decay (1e-5 dpc-rnn, 1e-3 lc-rnn)", on_resume="free"
    )
    # ---- technical
    gpu: str = flag("technical", "", "which GPU; the first visible one otherwise", on_resume="free")
    cpu_only: bool = flag("technical", False, "use no GPU", on_resume="free")
    num_workers: int = flag("technical", 2, "processes that make clips", on_resume="free")
    log_freq: int = flag(
        "technical", 5, "batches between log lines", names=("print_freq",), on_resume="free"
    )
    log_level: str = flag(
        "technical",
        "info",
        "how much is logged",
        choices=("debug", "info", "warning", "error"),
        on_resume="free",
    )
    use_tb: bool = flag("technical", False, "write tensorboard files", on_resume="free")
    plt_bkend: str = flag(
        "technical", "", "matplotlib backend of the pictures: agg or cairo", on_resume="free"
    )
    log_test_cmd: bool = flag(
        "technical", False, "log the command that tests the best model", on_resume="free"
    )

    @property
    def is_dpc(self) -> bool:
        return self.model == "dpc-rnn"

    @property
    def num_blocks(self) -> int:
        """N: the blocks of a clip."""
        return self.num_seq_in + (self.pred_step if self.is_dpc else 0)

    @property
    def weight_decay(self) -> float:
        return DEFAULT_WD[self.model] if self.wd is None else self.wd


FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def fields_on_resume(kind: str) -> set[str]:
    return {name for name, field in FIELDS.items() if field.metadata["on_resume"] == kind}


def normalised_names(typed: dict[str, Any]) -> dict[str, Any]:
    """What was typed, with model and dataset in their one spelling; raises UsageError on unknown
    names.
    """
    known = {
        "model": (MODELS, "dpc-rnn or lc-rnn"),
        "dataset": (NAMES, "one of " + ", ".join(CATALOGUE)),
        "net": ({net: net for net in NETS}, "one of " + ", ".join(NETS)),
    }
    names = {}
    for flag_name, (spellings, choice) in known.items():
        if flag_name in typed:
            names[flag_name] = spellings.get(typed[flag_name].lower())
            if names[flag_name] is None:
                raise UsageError(f"--{flag_name} {typed[flag_name]}: unknown; take {choice}")
    return {**typed, **names}


def check(config: Config) -> None:
    """Raises UsageError for values, and combinations of them, that can't work."""
    smallest = {
        "img_dim": 32,
        "seq_len": 1,
        "num_seq_in": 1,
        "pred_step": 1,
        "batch_size": 1,
        "num_epochs": 0,
        "ucf_hmdb_ms_ds": 1,
        "num_gabors": 1,
        "gab_img_len": 1,
        "train_len": 1,
        "unexp_epoch": 0,
        "num_workers": 0,
        "log_freq": 1,
        "seed": -1,
    }
    for name, least in smallest.items():
        if getattr(config, name) < least:
            raise UsageError(f"--{name} {getattr(config, name)}: must be at least {least}")
    if config.seed > LARGEST_SEED:
        raise UsageError(f"--seed {config.seed}: must be at most {LARGEST_SEED}")
    if not 0 <= config.U_prob <= 1:
        raise UsageError(f"--U_prob {config.U_prob:g}: must lie between 0 and 1")
    if not 0 <= config.dropout < 1:
        raise UsageError(f"--dropout {config.dropout:g}: must be at least 0 and below 1")
    if not 0 < config.lr < float("inf"):
        raise UsageError(f"--lr {config.lr:g}: must be above 0")
    if not 0 <= config.weight_decay < float("inf"):
        raise UsageError(f"--wd {config.weight_decay:g}: must be at least 0")
    if config.split not in (1, 2, 3):
        raise UsageError(f"--split {config.split}: must be 1, 2 or 3")
    if config.shift_frames and not config.roll:
        raise UsageError("--shift_frames: needs --roll too")
    if config.shift_frames and config.gab_img_len == 1:
        raise UsageError("--shift_frames: needs --gab_img_len of at least 2")
    if "/" in config.suffix:
        raise UsageError(f"--suffix {config.suffix}: is part of a folder's name, without '/'")
    if config.is_dpc and config.train_what != "all":
        raise UsageError(f"--train_what {config.train_what}: is for lc-rnn; dpc-rnn takes only all")
    if not config.is_dpc and config.track_bn:
        raise UsageError("--track_bn: is for dpc-rnn; lc-rnn always keeps the statistics")
    if config.reset_lr and not config.resume:
        raise UsageError("--reset_lr: needs --resume too")
    if config.is_dpc and config.test:
        raise UsageError("--test: is for lc-rnn; add --model lc-rnn")
    positions = math.ceil(config.img_dim / 32) ** 2
    if config.is_dpc and config.batch_size * config.pred_step * positions < 2:
        raise UsageError(
            f"--batch_size {config.batch_size}: leaves nothing to contrast with; raise it"
        )
    if not config.is_dpc and not config.test and config.batch_size < 2:
        raise UsageError(
            f"--batch_size {config.batch_size}: lc-rnn trains on at least 2 (batch norm)"
        )


def from_stored(stored: dict[str, Any]) -> Config:
    """The configuration that a checkpoint or a run folder holds; raises UsageError on unknown
    fields.
    """
    unknown = stored.keys() - FIELDS.keys()
    if unknown:
        raise UsageError(f"stored configuration: unknown fields {', '.join(sorted(unknown))}")
    return Config(**stored)
