"""The command line: flags from the configuration's fields, and what was typed."""

import argparse
from typing import Any, NoReturn

from utils.config.flags import FIELDS, FLOATS, Config, normalised_names
from utils.errors import UsageError

AUTO = "auto"  # of --resume: go on with the run of this configuration, or start it
EPILOG = """examples:
  run_model.py --dataset gabors --img_dim 64 --num_seq_in 3 --pred_step 1 --batch_size 8
  run_model.py --dataset k400 --img_dim 128 --num_epochs 100
  run_model.py --resume RUN_FOLDER --num_epochs 20
  run_model.py --dataset k400 --num_epochs 100 --resume auto
  run_model.py --model lc-rnn --dataset ucf101 --train_what ft --pretrained CHECKPOINT
  run_model.py --test CHECKPOINT
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")


class Help(argparse.RawDescriptionHelpFormatter):
    """Shows every default, and nothing twice."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32, width=110)

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default is argparse.SUPPRESS and action.dest in FIELDS:
            default = FIELDS[action.dest].default
            shown = {False: "off", "": "none", None: "by model"}.get(default, default)
            return f"{action.help} [{shown}]"
        return action.help


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="run_model.py",
        usage="run_model.py [flags]",
        description="Dense Predictive Coding on videos and Gabor stimuli: train, finetune, test.",
        epilog=EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    groups: dict[str, Any] = {}
    for field in FIELDS.values():
        meta = field.metadata
        group = groups.get(meta["group"])
        if group is None:
            group = groups[meta["group"]] = parser.add_argument_group(meta["group"])
        names = [f"--{name}" for name in (field.name, *meta["names"])]
        if field.type is bool:
            group.add_argument(*names, dest=field.name, action="store_true", help=meta["help"])
            continue
        kind = float if field.type in FLOATS else field.type
        group.add_argument(
            *names,
            dest=field.name,
            type=kind,
            choices=meta["choices"],
            metavar=None if meta["choices"] else {int: "N", float: "X", str: "NAME"}[kind],
            help=meta["help"],
        )
    groups["data"].add_argument(
        "--num_seq",
        type=int,
        metavar="N",
        help="the original's spelling: blocks seen and predicted (dpc-rnn), seen (lc-rnn)",
    )
    parser.add_argument("--analysis", action="store_true", help=argparse.SUPPRESS)
    return parser


def parse(arguments: list[str]) -> dict[str, Any]:
    """What was typed, by field name, defaults left out; raises UsageError."""
    typed = vars(build_parser().parse_args(arguments))
    if typed.pop("analysis", False):
        raise UsageError("--analysis: not there yet")
    starts = [name for name in ("resume", "pretrained", "test") if typed.get(name)]
    if typed.get("resume") == AUTO and typed.get("pretrained"):
        starts.remove("resume")  # the weights are used only when the run starts
    if typed.get("resume") == AUTO and typed.get("reset_lr"):
        raise UsageError("--reset_lr: once only, with --resume RUN_FOLDER rather than auto")
    if len(starts) > 1:
        raise UsageError(f"--{' and --'.join(starts)}: take at most one of them")
    typed = normalised_names(typed)
    if "num_seq" in typed:
        if "num_seq_in" in typed:
            raise UsageError("--num_seq and --num_seq_in: take one of them")
        num_seq = typed.pop("num_seq")
        predicted = (
            typed.get("pred_step", Config.pred_step)
            if typed.get("model", Config.model) == "dpc-rnn"
            else 0
        )
        typed["num_seq_in"] = num_seq - predicted
        if typed["num_seq_in"] < 1:
            raise UsageError(
                f"--num_seq {num_seq}: counts predicted blocks too; take at least {predicted + 1}"
            )
    return typed
