"""What the command show_stimuli is asked for: its flags, and a run's folder or its flags."""

import dataclasses
import re
from argparse import ArgumentTypeError
from pathlib import Path
from typing import NamedTuple

from utils.config import command_line
from utils.config.checks import check
from utils.config.command_line import Parser, typed_path
from utils.config.datasets import GABORS, entry
from utils.config.flags import FIELDS, NEVER, Config, fields_on_resume
from utils.errors import UsageError
from utils.runs.folder import config_in, is_run_folder

NAME = "python -m dataset.show_stimuli"
SMALLEST, LARGEST = 32, 4096  # pixels of the film's side
SHORTEST_FRAME, LONGEST_FRAME = 1, 10_000  # milliseconds


class Asked(NamedTuple):
    """What is to be shown, and where it is written.

    `clips` has the first clip, and the one after the last or None for all that follow. `pixels` is
    the film's side, None for that of the network's images.
    """

    config: Config
    mode: str
    epoch: int
    clips: tuple[int, int | None]
    with_U: bool
    ms_per_frame: float
    pixels: int | None
    out: Path
    overwrite: bool


def build_parser() -> Parser:
    """Build the parser of the flags that are the command's own."""
    gabor_flags = [
        f"--{name}" for name, flag in FIELDS.items() if flag.metadata["group"] == "Gabors"
    ]
    parser = Parser(
        prog=NAME,
        usage=f"{NAME} [RUN_FOLDER] [flags]",
        description="Write what the network sees of Gabor stimuli: a film, pictures and tables.",
        epilog="RUN_FOLDER: the run whose stimuli are shown. Without it, flags of run_model.py say "
        "what is shown: --seed, --model, --img_dim, --seq_len, --num_seq_in, --pred_step, "
        f"--no_augm, --resize and {', '.join(gabor_flags)}. Those that stimuli don't depend on "
        "may be given too.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out",
        type=typed_path,
        metavar="FOLDER",
        help="folder to write [stimuli_{mode}_epoch{N} in RUN_FOLDER]",
    )
    parser.add_argument("--epoch", type=int, default=0, metavar="N", help="epoch of the clips [0]")
    parser.add_argument(
        "--mode", choices=("train", "val"), default="train", help="training or validation [train]"
    )
    parser.add_argument(
        "--clips",
        type=clip_range,
        default=(0, None),
        metavar="FROM:TO",
        help="the clips, from 0 on, without the one after ':' [all]",
    )
    parser.add_argument(
        "--with_U", action="store_true", help="show U in every epoch, as in an analysis"
    )
    parser.add_argument(
        "--ms_per_frame",
        type=float,
        default=60.0,
        metavar="MS",
        help="milliseconds that a frame lasts [60: 5 frames are 300 ms]",
    )
    parser.add_argument(
        "--pixels", type=int, metavar="N", help="side of the film, even [that of the images]"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace stimuli that were written before"
    )
    return parser


def clip_range(typed: str) -> tuple[int, int | None]:
    """Return (first, end) of a text such as 0:16, 16:, :16 or 3; raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d{0,9}):(\d{0,9})", typed, re.ASCII)
    if match:
        return int(match[1] or 0), int(match[2]) if match[2] else None
    if re.fullmatch(r"\d{1,9}", typed, re.ASCII):
        return int(typed), int(typed) + 1
    raise ArgumentTypeError(f"{typed!r} is no range such as 0:16, nor the number of a clip")


def parse(arguments: list[str]) -> Asked:
    """Return what the arguments ask for; raises UsageError."""
    flags, others = build_parser().parse_known_args(arguments)
    if not 0 <= flags.epoch < NEVER:
        raise UsageError(f"--epoch {flags.epoch}: must be at least 0 and below {NEVER}")
    if not SHORTEST_FRAME <= flags.ms_per_frame <= LONGEST_FRAME:
        raise UsageError(
            f"--ms_per_frame {flags.ms_per_frame:g}: must lie between {SHORTEST_FRAME} and "
            f"{LONGEST_FRAME}"
        )
    if flags.pixels is not None and not SMALLEST <= flags.pixels <= LARGEST:
        raise UsageError(f"--pixels {flags.pixels}: must lie between {SMALLEST} and {LARGEST}")
    if flags.pixels is not None and flags.pixels % 2:
        raise UsageError(f"--pixels {flags.pixels}: must be even, as the film's codec demands")
    folder = run_folder(others)
    config = config_of_flags(others) if folder is None else config_in(folder)
    if entry(config.dataset).kind != GABORS:
        where = "" if folder is None else f"{folder}: "
        raise UsageError(f"{where}{config.dataset} has videos; only Gabor stimuli can be shown")
    if config.seed < 0:
        raise UsageError("--seed: give the seed (0 or above) that the stimuli follow from")
    if flags.with_U:
        if config.U_prob == 0:
            raise UsageError("--with_U: the stimuli have no U (--U_prob 0)")
        config = dataclasses.replace(config, unexp_epoch=0)
    out = flags.out
    if out is None:
        if folder is None:
            raise UsageError("--out: name the folder to write")
        out = folder / f"stimuli_{flags.mode}_epoch{flags.epoch}{'_with_U' * flags.with_U}"
    return Asked(
        config,
        mode=flags.mode,
        epoch=flags.epoch,
        clips=flags.clips,
        with_U=flags.with_U,
        ms_per_frame=flags.ms_per_frame,
        pixels=flags.pixels,
        out=out,
        overwrite=flags.overwrite,
    )


def run_folder(others: list[str]) -> Path | None:
    """Return the run's folder among the arguments that aren't this command's own flags, if any.

    Raises UsageError if it is none, or if there are flags of run_model.py beside it.
    """
    if not others:
        raise UsageError("name a run's folder, or give flags of run_model.py, such as --seed 100")
    flags = [text for text in others if text.startswith("-")]
    if flags:
        for text in others:
            if is_run_folder(Path(text)):
                raise UsageError(f"{text}: its stimuli are those of its run; leave out {flags[0]}")
        return None
    if len(others) > 1:
        raise UsageError(f"{' '.join(others)}: name one folder")
    try:
        folder = typed_path(others[0])
    except ArgumentTypeError as error:
        raise UsageError(f"RUN_FOLDER: {error}") from None
    if not is_run_folder(folder):
        raise UsageError(f"{folder}: is no run's folder; it has no config.json")
    return folder


def config_of_flags(arguments: list[str]) -> Config:
    """Return the configuration that flags of run_model.py make with Gabors; raises UsageError."""
    typed = command_line.parse(["--dataset", GABORS, *arguments])
    starts = sorted(typed.keys() & fields_on_resume("start") | typed.keys() - FIELDS.keys())
    if starts:
        raise UsageError(f"--{starts[0]}: is for run_model.py alone; leave it out")
    config = dataclasses.replace(Config(), **typed)
    check(config)
    return config
