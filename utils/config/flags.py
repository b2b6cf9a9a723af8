"""The configuration: one frozen dataclass, each field a flag with its help, group and default."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from utils.config.datasets import CATALOGUE, NAMES
from utils.errors import UsageError

MODELS = {"dpc-rnn": "dpc-rnn", "dpc": "dpc-rnn", "lc-rnn": "lc-rnn", "lc": "lc-rnn"}
NETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")
TRAIN_WHAT = ("all", "ft", "last")
DEFAULT_WD = {"dpc-rnn": 1e-5, "lc-rnn": 1e-3}
LARGEST_SEED = 2**32 - 1
FLOATS = (float, float | None)


def flag(
    group: str,
    default: Any,
    help: str,
    *,
    names: tuple[str, ...] = (),
    choices: tuple[str, ...] | None = None,
    on_resume: str = "fixed",
):
    """`names`: other spellings. `on_resume`: 'fixed'; 'free', which may change; 'technical', which
    may change and is no part of what the run is; or 'start' for flags that say how a run starts,
    and so are no part of what a resumed run has to agree with."""
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
    output_dir: str = flag("run", "output_dir", "parent of the run folder", on_resume="technical")
    suffix: str = flag("run", "", "added to the run folder's name", names=("prefix",))
    num_epochs: int = flag(
        "run",
        10,
        "epochs to train, beside epoch 0, which measures",
        names=("epochs",),
        on_resume="technical",
    )
    resume: str = flag(
        "run", "", "go on with a run: its folder, a checkpoint, or auto", on_resume="start"
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
        "data", "process_data/data", "where the split files are", on_resume="technical"
    )
    temp_data_dir: str = flag(
        "data", "", "a node's own disk that holds the frames", on_resume="technical"
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
        "data", False, "stop at the first frame that can't be read", on_resume="technical"
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
    grad_accum: int = flag("training", 1, "batches whose mean gradient makes one update")
    amp: str = flag(
        "training",
        "off",
        "precision of the network; loss and scores stay float32",
        choices=("off", "bf16", "fp16"),
        on_resume="free",
    )
    gather_negatives: bool = flag(
        "training", False, "dpc-rnn on several devices: contrast with the clips of all"
    )
    sync_bn: bool = flag("training", False, "on several GPUs: batch norm over the clips of all")
    # ---- technical
    gpu: str = flag(
        "technical",
        "",
        "which GPU, the first visible one otherwise; 0,1: one process on each",
        on_resume="technical",
    )
    cpu_only: bool = flag("technical", False, "use no GPU", on_resume="technical")
    num_workers: int = flag(
        "technical", 2, "processes that make clips, for each device", on_resume="technical"
    )
    worker_timeout: float = flag(
        "technical",
        600,
        "seconds without a batch after which the run ends; 0: never",
        on_resume="technical",
    )
    checkpoint_minutes: float = flag(
        "technical",
        0,
        "save within epochs too, this often; 0: only when stopped",
        on_resume="technical",
    )
    low_memory: bool = flag(
        "technical",
        False,
        "on the CPU: give memory back at once; slower",
        on_resume="technical",
    )
    grad_checkpoint: bool = flag(
        "technical",
        False,
        "compute each stage of the backbone twice rather than keep it; less memory, slower",
        on_resume="technical",
    )
    compile: bool = flag(
        "technical", False, "compile the model (torch.compile)", on_resume="technical"
    )
    deterministic: bool = flag(
        "technical",
        False,
        "ask for deterministic algorithms, and name those that are not",
        on_resume="technical",
    )
    log_freq: int = flag(
        "technical", 5, "batches between log lines", names=("print_freq",), on_resume="technical"
    )
    log_level: str = flag(
        "technical",
        "info",
        "how much is logged",
        choices=("debug", "info", "warning", "error"),
        on_resume="technical",
    )
    use_tb: bool = flag("technical", False, "write tensorboard files", on_resume="technical")
    plt_bkend: str = flag(
        "technical", "", "matplotlib backend of the pictures: agg or cairo", on_resume="technical"
    )
    log_test_cmd: bool = flag(
        "technical", False, "log the command that tests the best model", on_resume="technical"
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


def fields_on_resume(*kinds: str) -> set[str]:
    """Return the names of the flags that behave in one of these ways on resume."""
    return {name for name, field in FIELDS.items() if field.metadata["on_resume"] in kinds}


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


def from_stored(stored: dict[str, Any]) -> Config:
    """The configuration that a checkpoint or a run folder holds; raises UsageError on unknown
    fields and on values of another kind.
    """
    unknown = stored.keys() - FIELDS.keys()
    if unknown:
        raise UsageError(f"stored configuration: unknown fields {', '.join(sorted(unknown))}")
    for name, value in stored.items():
        kind = FIELDS[name].type
        if not isinstance(value, kind) and not (kind in FLOATS and type(value) is int):
            raise UsageError(f"stored configuration: {name} is {value!r}; put the old value back")
        choices = FIELDS[name].metadata["choices"]
        if choices and value not in choices:
            raise UsageError(f"stored configuration: {name} is {value!r}; put the old value back")
    return Config(**normalised_names(stored))
