"""What a configuration may hold."""

import math
from operator import ge, gt, le, lt

from utils.config.flags import FIELDS, Config
from utils.errors import UsageError

COMPARISONS = {"least": ge, "above": gt, "most": le, "below": lt}
WORDS = {"least": "at least", "above": "above", "most": "at most", "below": "below"}


def check(config: Config) -> None:
    """Raise UsageError for values, and combinations of them, that can't work."""
    for name in FIELDS:
        check_bounds(name, getattr(config, name))
    if config.shift_frames and not config.roll:
        raise UsageError("--shift_frames: needs --roll too")
    if config.shift_frames and config.gab_img_len == 1:
        raise UsageError("--shift_frames: needs --gab_img_len of at least 2")
    if "/" in config.suffix:
        raise UsageError(f"--suffix {config.suffix}: is part of a folder's name, without '/'")
    if config.is_dpc and config.train_what != "all":
        raise UsageError(f"--train_what {config.train_what}: is for lc-rnn; dpc-rnn takes only all")
    if not config.is_dpc and config.gather_negatives:
        raise UsageError("--gather_negatives: is for dpc-rnn; lc-rnn contrasts nothing")
    if not config.is_dpc and config.track_bn:
        raise UsageError("--track_bn: is for dpc-rnn; lc-rnn always keeps the statistics")
    if config.plain and config.grad_checkpoint:
        raise UsageError("--grad_checkpoint: is part of what --plain leaves out; take one of them")
    if config.compile and config.grad_checkpoint:
        raise UsageError("--compile: torch can't compile --grad_checkpoint; take one of them")
    if config.reset_lr and not config.resume:
        raise UsageError("--reset_lr: needs --resume too")
    if config.is_dpc and config.test:
        raise UsageError("--test: is for lc-rnn; add --model lc-rnn")
    if not config.test:
        check_share(config, count=1)


def check_bounds(name: str, value: float | None) -> None:
    """Raise UsageError if a flag's value is outside the bounds that its declaration sets."""
    bounds = FIELDS[name].metadata["bounds"]
    if value is None or all(COMPARISONS[kind](value, bound) for kind, bound in bounds.items()):
        return
    if bounds.keys() == {"least", "most"}:
        allowed = f"lie between {bounds['least']} and {bounds['most']}"
    else:
        allowed = "be " + " and ".join(f"{WORDS[kind]} {bounds[kind]}" for kind in bounds)
    shown = f"{value:g}" if isinstance(value, float) else value
    raise UsageError(f"--{name} {shown}: must {allowed}")


def check_share(config: Config, count: int) -> None:
    """Raise UsageError if a batch shared by so many processes leaves one too little to train on."""
    clips = math.ceil(config.batch_size / count)
    hint = f"; it is shared by {count} processes" if count > 1 else ""
    positions = math.ceil(config.img_dim / 32) ** 2
    if config.is_dpc and clips * config.pred_step * positions < 2:
        raise UsageError(
            f"--batch_size {config.batch_size}: leaves nothing to contrast with{hint}; raise it"
        )
    if not config.is_dpc and clips < 2:
        raise UsageError(
            f"--batch_size {config.batch_size}: lc-rnn trains on at least 2 (batch norm){hint}"
        )
