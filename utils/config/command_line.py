"""The command line: a parser made from Config's fields, and the flags that were typed."""

import argparse
import os
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from utils.config.checks import check_text
from utils.config.flags import AUTO, EVALUATIONS, FIELDS, FLOATS, Config, normalised_names
from utils.config.presets import PRESETS, presets_text, with_preset
from utils.errors import UsageError
from utils.files import reason

STARTS = ("resume", "pretrained", *EVALUATIONS)  # a program takes one of them
SHOWN = {False: "off", "": "none", None: "by model"}  # defaults in --help; 0 equals False
METAVARS = {int: "N", float: "X", str: "NAME"}
EPILOG = """examples:
  run_model.py --dataset gabors --img_dim 64 --num_seq_in 3 --pred_step 1 --batch_size 8
  run_model.py --dataset k400 --img_dim 128 --num_epochs 100
  run_model.py --resume RUN_FOLDER --num_epochs 20
  run_model.py --dataset k400 --num_epochs 100 --resume auto
  run_model.py --model lc-rnn --dataset ucf101 --train_what ft --pretrained CHECKPOINT
  run_model.py --preset linear-probe --dataset ucf101 --pretrained CHECKPOINT
  run_model.py --test CHECKPOINT --test_crops 10
  run_model.py --retrieve CHECKPOINT --dataset ucf101
  run_model.py --extract CHECKPOINT --video clip.mp4
  run_model.py --analysis RUN_FOLDER
"""


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError, where argparse prints its usage and exits."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's message."""
        raise UsageError(f"{message} (see --help)")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the flags; those of `args` that end in =-- are refused, which argparse makes [].

        Paths are relative to the current folder, so raises UsageError if that is gone.
        """
        try:
            os.getcwd()
        except OSError as error:
            raise UsageError(f"the current folder is gone ({reason(error)}); cd to one") from None
        for argument in args or ():
            if argument.endswith("=--"):
                self.error(f"argument {argument[:-3]}: expected one argument")
        return super().parse_known_args(args, namespace)


def typed_text(typed: str) -> str:
    """Return a flag's text; raises ArgumentTypeError for none, and for control characters in it."""
    if not typed.strip():
        raise ArgumentTypeError("is empty (an unset variable?); give a value or leave the flag out")
    try:
        check_text(typed)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return typed


def path_text(typed: str) -> str:
    """Return a path with `~` and `~user` expanded; raises ArgumentTypeError.

    There may be nothing yet, but what leads there must be reachable.
    """
    expanded = os.path.expanduser(typed_text(typed))
    if expanded.startswith("~"):
        raise ArgumentTypeError(f"{typed} names the home of an unknown user; './~' starts a name")
    try:
        os.stat(expanded)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise ArgumentTypeError(f"{expanded[:100]}: can't be reached ({reason(error)})") from None
    return expanded


def typed_path(typed: str) -> Path:
    """Return `path_text` as a path: the type of every flag that takes one."""
    return Path(path_text(typed))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; what it returns holds only the flags that were typed."""
    parser = Parser(
        prog="run_model.py",
        usage="run_model.py [flags]",
        description="Dense Predictive Coding on videos and Gabor stimuli: train, finetune, test.",
        epilog=EPILOG + presets_text(),
        formatter_class=partial(RawDescriptionHelpFormatter, max_help_position=32, width=110),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    groups: dict[str, Any] = {}
    for field in FIELDS.values():
        meta = field.metadata
        if meta["group"] not in groups:
            groups[meta["group"]] = parser.add_argument_group(meta["group"])
        names = [f"--{name}" for name in (field.name, *meta["names"])]
        default = SHOWN.get(field.default, field.default)
        options: dict[str, Any] = {"dest": field.name, "help": f"{meta['help']} [{default}]"}
        if field.name == "schedule":
            options |= {"nargs": "+", "type": typed_text, "metavar": "EPOCH"}
            options["help"] = f"{meta['help']} [by model]"
        elif field.name == "analysis":  # as in the original code, or with a folder
            options |= {"nargs": "?", "const": True, "type": path_text, "metavar": "RUN_FOLDER"}
        elif field.type is bool:
            options |= {"action": "store_true"}
        else:
            kind: Any = float if field.type in FLOATS else field.type
            metavar = None if meta["choices"] else "PATH" if meta["is_path"] else METAVARS[kind]
            if kind is str:
                kind = path_text if meta["is_path"] else typed_text
            options |= {"type": kind, "choices": meta["choices"], "metavar": metavar}
        groups[meta["group"]].add_argument(*names, **options)
    num_seq = "the original's spelling: blocks seen and predicted (dpc-rnn), seen (lc-rnn)"
    groups["data"].add_argument("--num_seq", type=int, metavar="N", help=num_seq)
    preset = f"set several flags at once, as told below: {' or '.join(PRESETS)}"
    groups["training"].add_argument("--preset", metavar="NAME", type=typed_text, help=preset)
    # of older launchers of processes
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    return parser


def parse(arguments: list[str]) -> dict[str, Any]:
    """Return the typed flags by field name, without defaults; raises UsageError.

    `local_rank` is among them if the launcher has passed it, and `analysed`, the folder of the run
    to analyse, in the place of `analysis` if a folder was named.
    """
    typed = vars(build_parser().parse_args(arguments))
    starts = [name for name in STARTS if typed.get(name)]
    if isinstance(typed.get("analysis"), str):
        typed["analysed"] = typed.pop("analysis")
        starts.append("analysis RUN_FOLDER")
    if typed.get("resume") == AUTO and typed.get("pretrained"):
        starts.remove("resume")  # the weights are used only when the run starts
    if typed.get("resume") == AUTO and typed.get("reset_lr"):
        raise UsageError("--reset_lr: once only, with --resume RUN_FOLDER rather than auto")
    if len(starts) > 1:
        raise UsageError(f"--{' and --'.join(starts)}: take at most one of them")
    if "preset" in typed and starts not in ([], ["pretrained"]) and typed.get("resume") != AUTO:
        raise UsageError(f"--preset: is for new runs, and --{starts[0]} takes what is there")
    if "schedule" in typed:
        typed["schedule"] = " ".join(typed["schedule"])
    typed = with_preset(normalised_names(typed))
    if "num_seq" in typed:
        if "num_seq_in" in typed:
            raise UsageError("--num_seq and --num_seq_in: take one of them")
        typed["num_seq_in"] = _blocks_seen(typed.pop("num_seq"), typed)
    return typed


def _blocks_seen(num_seq: int, typed: dict[str, Any]) -> int:
    """Return --num_seq without the blocks that dpc-rnn predicts."""
    is_dpc = typed.get("model", Config.model) == "dpc-rnn"
    predicted = typed.get("pred_step", Config.pred_step) if is_dpc else 0
    if num_seq <= predicted:
        raise UsageError(
            f"--num_seq {num_seq}: counts predicted blocks too; take at least {predicted + 1}"
        )
    return num_seq - predicted
