"""What a configuration may hold."""

import math

from utils.config.flags import LARGEST_SEED, Config
from utils.errors import UsageError


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
        "grad_accum": 1,
        "worker_timeout": 0,
        "checkpoint_minutes": 0,
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
    if not config.is_dpc and config.gather_negatives:
        raise UsageError("--gather_negatives: is for dpc-rnn; lc-rnn contrasts nothing")
    if not config.is_dpc and config.track_bn:
        raise UsageError("--track_bn: is for dpc-rnn; lc-rnn always keeps the statistics")
    if config.reset_lr and not config.resume:
        raise UsageError("--reset_lr: needs --resume too")
    if config.is_dpc and config.test:
        raise UsageError("--test: is for lc-rnn; add --model lc-rnn")
    if not config.test:
        check_share(config, count=1)


def check_share(config: Config, count: int) -> None:
    """Of a batch, that each of so many processes trains on; raises UsageError."""
    clips = -(-config.batch_size // count)
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
