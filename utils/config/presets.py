"""Recipes: the flags that --preset sets together."""

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


def with_preset(typed: dict[str, Any]) -> dict[str, Any]:
    """Return the flags with those that --preset sets in its place; typed ones win.

    Raises UsageError for an unknown name.
    """
    if "preset" not in typed:
        return typed
    name = typed["preset"]
    if name not in PRESETS:
        raise UsageError(f"--preset {name}: unknown; take {' or '.join(PRESETS)}")
    rest = {flag: value for flag, value in typed.items() if flag != "preset"}
    return {**PRESETS[name].flags, **rest}
