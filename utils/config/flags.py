"""The configuration: one frozen dataclass, in which each flag is declared once."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from utils.config.datasets import ALL_NAMES, MOST_SPLITS, spelled
from utils.errors import UsageError

MODELS = {"dpc-rnn": "dpc-rnn", "dpc": "dpc-rnn", "lc-rnn": "lc-rnn", "lc": "lc-rnn"}
NETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200")
AMP = ("off", "bf16", "fp16")
TRAIN_WHAT = ("all", "ft", "last")
OPTIMIZERS = ("adam", "sgd")
CROPS = (1, 5, 10)
# flags that name a checkpoint and train nothing, and what they do
EVALUATIONS = {"test": "test", "retrieve": "retrieval", "extract": "extraction"}
RANDOM = "random"  # in the place of a checkpoint: weights drawn from the seed
DEFAULT_WD = {"dpc-rnn": 1e-5, "lc-rnn": 1e-3}
SEEDS = 2**32
NEVER = 10**9  # as an epoch
FLOATS = (float, float | None)
AUTO = "auto"  # as --resume: resume the run of this configuration, or start it


def flag(
    group: str,
    default: Any,
    help: str,
    *,
    names: tuple[str, ...] = (),
    choices: tuple[str, ...] | None = None,
    on_resume: str = "fixed",
    is_path: bool = False,
    **bounds: float,
) -> Any:
    """Declare a flag as a field of Config.

    `names` are other spellings. `bounds` limit a number: `least`, `above`, `most`, `below`; upper
    ones are far above what is useful, and keep slips from filling the memory or the disk.
    `on_resume` is 'fixed' for what a resumed run must keep, 'free' for what it may change,
    'technical' for what may change and doesn't identify the run, and 'start' for flags that only
    say how the program starts.
    """
    options = {"names": names, "choices": choices, "on_resume": on_resume, "is_path": is_path}
    metadata = {"group": group, "help": help, "bounds": bounds, **options}
    return dataclasses.field(default=default, metadata=metadata)


run, data, gabors = partial(flag, "run"), partial(flag, "data"), partial(flag, "Gabors")
network, training = partial(flag, "model"), partial(flag, "training")
technical = partial(flag, "technical", on_resume="technical")
analysing = partial(flag, "analysis", on_resume="technical")


@dataclass(frozen=True)
class Config:
    """The value of every flag."""

    model: str = run("dpc-rnn", "what to train: dpc-rnn (self-supervised) or lc-rnn (classifier)")
    output_dir: str = run(
        "output_dir", "parent of the run folder", on_resume="technical", is_path=True
    )
    suffix: str = run("", "added to the run folder's name", names=("prefix",))
    num_epochs: int = run(
        10,
        "epochs to train after epoch 0",
        names=("epochs",),
        on_resume="technical",
        least=0,
        most=NEVER,
    )
    resume: str = run(
        "", "run to resume: its folder, a checkpoint, or auto", on_resume="start", is_path=True
    )
    reset_lr: bool = run(
        False, "with --resume: restart the optimizer; --lr may change", on_resume="start"
    )
    pretrained: str = run(
        "", "checkpoint whose weights to start from", names=("pretrain",), is_path=True
    )
    test: str = run(
        "", "checkpoint to test (lc-rnn), or 'random' weights", on_resume="start", is_path=True
    )
    test_crops: int = run(
        1, "with --test: crops of each frame: 1, 5, or 10 with mirror images", on_resume="start"
    )
    retrieve: str = run(
        "",
        "checkpoint, or 'random', by whose features videos find others of their class",
        on_resume="start",
        is_path=True,
    )
    extract: str = run(
        "",
        "checkpoint, or 'random', whose features and backbone are written to files",
        on_resume="start",
        is_path=True,
    )
    video: str = run(
        "", "with --extract: one video file in place of a data set", on_resume="start", is_path=True
    )
    seed: int = run(-1, "random seed; -1: one is drawn, logged and saved", least=-1, below=SEEDS)
    not_save_best: bool = run(False, "neither validate nor keep the best model")
    overwrite: bool = run(False, "replace a run folder of the same name", on_resume="start")
    dry_run: bool = run(False, "tell what the run would do, and do nothing", on_resume="start")

    dataset: str = data("UCF101", f"{ALL_NAMES}, in any case; or the name of your own data")
    data_path_dir: str = data(
        "process_data/data", "folder of split files", on_resume="technical", is_path=True
    )
    temp_data_dir: str = data(
        "", "a node's own disk that holds the frames", on_resume="technical", is_path=True
    )
    from_videos: bool = data(
        False, "decode the video files, also where there are frames", on_resume="technical"
    )
    split: int = data(1, "which of a data set's numbered splits", least=1, most=MOST_SPLITS)
    label_share: float = data(
        1, "lc-rnn: share of each class's training videos that is used", above=0, most=1
    )
    eye: str = data("right", "MouseSim: which eye's view", choices=("left", "right", "both"))
    class_index: str = data(
        "",
        "with --test: list of the classes in the order of a classifier that doesn't name them",
        on_resume="start",
        is_path=True,
    )
    img_dim: int = data(128, "height and width of the images, in pixels", least=32, most=4096)
    seq_len: int = data(5, "frames in a block", least=1, most=1000)
    num_seq_in: int = data(5, "blocks seen", least=1, most=1000)
    ucf_hmdb_ms_ds: int = data(
        3, "frame stride: UCF101, HMDB51, MouseSim", names=("ds",), least=1, most=1000
    )
    no_augm: bool = data(False, "no augmentation: only resize and normalise")
    resize: str = data("nearest", "how images are resized", choices=("nearest", "bilinear"))
    pad_short: bool = data(False, "repeat a too-short video's last frame, not leave it out")
    strict_data: bool = data(False, "stop at the first unreadable frame", on_resume="technical")

    gabor_design: str = gabors(
        "dpc", "the stimuli's design: dpc, gillon2021, or another of dataset/gabor_stimuli.py"
    )
    num_gabors: int = gabors(30, "patches in an image", least=1, most=10_000)
    gab_img_len: int = gabors(
        5, "frames that an image lasts; 5 are about 300 ms", least=1, most=1000
    )
    diff_possizes: bool = gabors(False, "draw positions and sizes anew for every clip")
    no_gray: bool = gabors(False, "no gray image between sequences")
    roll: bool = gabors(False, "start sequences at a random image")
    shift_frames: bool = gabors(False, "with --roll: start at a random frame of it")
    unexp_epoch: int = gabors(5, "first epoch with U images", on_resume="free", least=0, most=NEVER)
    U_prob: float = gabors(0.08, "chance that a D becomes U", on_resume="free", least=0, most=1)
    diff_U_possizes: bool = gabors(False, "U has positions and sizes of its own")
    train_len: int = gabors(
        1000, "training clips in an epoch; validation has half", least=1, most=10**8
    )

    net: str = network("resnet18", "the backbone: resnet18, 34, 50, 101, 152 or 200")
    pred_step: int = network(3, "blocks predicted (dpc-rnn)", least=1, most=1000)
    track_bn: bool = network(False, "dpc-rnn: keep running batch-norm statistics")
    l2_norm: bool = network(False, "lc-rnn: L2-normalise the context before the last batch norm")
    dropout: float = network(0.5, "dropout rate (lc-rnn)", on_resume="free", least=0, below=1)

    train_what: str = training(
        "all", "what lc-rnn trains; ft: pretrained layers at a 10th of the rate", choices=TRAIN_WHAT
    )
    augm: str = training(
        "published",
        "lc-rnn's training augmentation; linear: that of the published linear probes",
        choices=("published", "linear"),
    )
    batch_size: int = training(
        24, "clips in a batch, over all devices together", least=1, most=10**6
    )
    lr: float = training(1e-3, "learning rate", above=0, below=inf)
    optim: str = training("adam", "the optimizer", choices=OPTIMIZERS)
    momentum: float = training(0.9, "with --optim sgd: its momentum", least=0, below=1)
    schedule: str = training(
        "",
        "epochs after which the rate drops, such as 60 80; none: it never does; by model: none for "
        "dpc-rnn, the published ones for lc-rnn",
        on_resume="free",
    )
    lr_gamma: float = training(
        0.1, "factor by which the rate drops then", on_resume="free", above=0, most=1
    )
    wd: float | None = training(
        None, "weight decay (1e-5 dpc-rnn, 1e-3 lc-rnn)", on_resume="free", least=0, below=inf
    )
    grad_accum: int = training(
        1, "batches whose mean gradient makes one update", least=1, most=10**6
    )
    amp: str = training(
        "off", "the network's precision; losses stay float32", choices=AMP, on_resume="free"
    )
    gather_negatives: bool = training(False, "dpc-rnn: contrast with the clips of all devices")
    sync_bn: bool = training(False, "batch norm over the clips of all GPUs")

    gpu: str = technical("", "which GPU, else the first visible one; 0,1: one process on each")
    cpu_only: bool = technical(False, "use no GPU")
    num_workers: int = technical(2, "processes that make clips, for each device", least=0, most=256)
    worker_timeout: float = technical(
        600, "seconds to wait for a batch; 0: no limit", least=0, most=10**6
    )
    checkpoint_minutes: float = technical(
        0, "minutes between saves in an epoch; 0: none", least=0, most=10**6
    )
    low_memory: bool = technical(False, "on the CPU: give memory back at once; slower")
    grad_checkpoint: bool = technical(False, "recompute the backbone's stages: less memory, slower")
    plain: bool = technical(False, "compute with plain torch, without what model/fast makes faster")
    compile: bool = technical(False, "compile the model (torch.compile)")
    deterministic: bool = technical(False, "use deterministic algorithms where torch has them")
    log_freq: int = technical(
        5, "batches between log lines", names=("print_freq",), least=1, most=10**9
    )
    log_level: str = technical(
        "info", "how much is logged", choices=("debug", "info", "warning", "error")
    )
    use_tb: bool = technical(False, "write tensorboard files")
    plt_bkend: str = technical("", "matplotlib backend of the pictures: agg or cairo")
    log_test_cmd: bool = technical(False, "log the command that tests the best model")

    analysis: bool = analysing(
        False,
        "record responses at the landmark epochs and analyse them: after training with "
        "RUN_FOLDER, without it while training",
    )
    analysis_epoch: int = analysing(
        -1, "record all on the clips of this epoch; -1: of each its own", least=-1, most=NEVER
    )
    analysis_len: int = analysing(
        0, "record the first N clips of an epoch, in whole batches; 0: all", least=0, most=10**8
    )
    analysis_maps: bool = analysing(
        False, "keep whole feature maps too, which takes memory and room for each clip"
    )

    @property
    def is_dpc(self) -> bool:
        """Whether the model is dpc-rnn, which predicts and contrasts."""
        return self.model == "dpc-rnn"

    @property
    def evaluation(self) -> str:
        """The flag by which a checkpoint is tested or otherwise evaluated; empty in training."""
        return next((name for name in EVALUATIONS if getattr(self, name)), "")

    @property
    def num_blocks(self) -> int:
        """N: the blocks of a clip."""
        return self.num_seq_in + (self.pred_step if self.is_dpc else 0)

    @property
    def weight_decay(self) -> float:
        """The weight decay that was typed, else the model's own."""
        return DEFAULT_WD[self.model] if self.wd is None else self.wd


FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def split_folder(data_path_dir: str) -> Path:
    """Return the absolute path of the split files; the default is in this repository."""
    is_default = Path(data_path_dir) == Path(Config.data_path_dir)
    return ((Path(__file__).parents[2] if is_default else Path()) / data_path_dir).absolute()


def fields_on_resume(*kinds: str) -> set[str]:
    """Return the names of the flags that behave in one of these ways on resume."""
    return {name for name, field in FIELDS.items() if field.metadata["on_resume"] in kinds}


def normalised_names(typed: dict[str, Any]) -> dict[str, Any]:
    """Return the flags with model, dataset and net in their one spelling.

    A data set may be the user's own. Raises UsageError for unknown names.
    """
    known = {
        "model": (MODELS, "dpc-rnn or lc-rnn"),
        "net": ({net: net for net in NETS}, "one of " + ", ".join(NETS)),
    }
    names: dict[str, str | None] = {}
    if "dataset" in typed:
        try:
            names["dataset"] = spelled(typed["dataset"])
        except ValueError as error:
            raise UsageError(f"--dataset {typed['dataset']}: {error}") from None
    for name, (spellings, choice) in known.items():
        if name in typed:
            names[name] = spellings.get(typed[name].lower())
            if names[name] is None:
                raise UsageError(f"--{name} {typed[name]}: unknown; take {choice}")
    return {**typed, **names}
