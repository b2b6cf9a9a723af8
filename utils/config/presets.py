"""Recipes: the flags that --preset sets together."""

from textwrap import fill, indent
from typing import Any, NamedTuple

from utils.errors import UsageError


class Recipe(NamedTuple):
    """What a preset is, and the flags that it sets."""

    help: str
    flags: dict[str, Any]


PRESETS = {
    "linear-probe": Recipe(
        "lc-rnn's linear layer alone learns, as in the published linear evaluations (CoCLR)",
        {
            "model": "lc-rnn",
            "train_what": "last",
            "l2_norm": True,
            "dropout": 0.0,
            "augm": "linear",
            "optim": "sgd",
            "lr": 0.1,
            "momentum": 0.9,
            "wd": 1e-3,
            "schedule": "60 80",
            "lr_gamma": 0.1,
            "num_epochs": 100,
        },
    ),
    "dpc-long": Recipe(
        "the long pretraining of dpc-rnn that its authors describe: 1e-3, then 1e-4",
        {
            "model": "dpc-rnn",
            "lr": 1e-3,
            "schedule": "300",
            "lr_gamma": 0.1,
            "num_epochs": 400,
        },
    ),
}


def presets_text() -> str:
    """Return what each preset sets, in lines for --help."""
    lines = ["\npresets; flags that are typed beside one win:"]
    for name, recipe in PRESETS.items():
        flags = [
            f"--{flag}" if value is True else f"--{flag} {value}"
            for flag, value in recipe.flags.items()
        ]
        told = fill(" ".join(flags), 100, break_on_hyphens=False)
        lines += [f"  {name}: {recipe.help}", indent(told, " " * 4)]
    return "\n".join(lines)


def with_preset(typed: dict[str, Any]) -> dict[str, Any]:
    """Return the flags with those that --preset sets in its place; typed ones win.

    Raises UsageError for an unknown name, and for a preset of the other model.
    """
    if "preset" not in typed:
        return typed
    name = typed["preset"]
    if name not in PRESETS:
        raise UsageError(f"--preset {name}: unknown; take {' or '.join(PRESETS)}")
    rest = {flag: value for flag, value in typed.items() if flag != "preset"}
    model = PRESETS[name].flags["model"]
    if rest.get("model", model) != model:
        raise UsageError(f"--preset {name}: is for {model}; leave --model {rest['model']} out")
    return {**PRESETS[name].flags, **rest}
