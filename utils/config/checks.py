"""What a configuration may hold."""

import dataclasses
import math
import os
import re
from operator import ge, gt, le, lt
from typing import Any, get_args

from utils.config.described import info_of
from utils.config.flags import AUTO, CROPS, EVALUATIONS, FIELDS, RANDOM, Config, normalised_names
from utils.errors import CONTROL, UsageError

COMPARISONS = {"least": ge, "above": gt, "most": le, "below": lt}
WORDS = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
SUFFIX_BYTES = 80  # a name has at most 255, of which the other flags and a number take the rest
BATCH_BYTES = 2**33  # of a process's frames, one byte a value; a network needs many times more


def check_text(text: str) -> None:
    """Raise ValueError, with what is wrong, for a text that can be no name or path."""
    if match := CONTROL.search(text):
        raise ValueError(f"{text!r} holds the control character {match[0]!r}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} holds half a character") from None


def check(config: Config) -> None:
    """Raise UsageError for values, and combinations of them, that can't work."""
    for name in FIELDS:
        check_bounds(name, getattr(config, name))
    if config.shift_frames and not config.roll:
        raise UsageError("--shift_frames: needs --roll too")
    if config.shift_frames and config.gab_img_len == 1:
        raise UsageError("--shift_frames: needs --gab_img_len of at least 2")
    check_suffix(config.suffix)
    check_gpu(config.gpu)
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
    if config.class_index and config.test in ("", RANDOM):
        raise UsageError("--class_index: is for --test with a checkpoint; leave it out")
    check_evaluations(config)
    check_recipe(config)
    if not config.evaluation:
        check_share(config, count=1)


def evaluation_in(typed: dict[str, Any]) -> str:
    """Return the typed flag that names a checkpoint to evaluate, such as `test`, or nothing."""
    return next((name for name in EVALUATIONS if typed.get(name)), "")


def check_typed(typed: dict[str, Any]) -> None:
    """Raise UsageError for wrong values and data sets that aren't there.

    Nothing is checked unless the flags alone make the configuration.
    """
    stored = evaluation_in(typed) or ("analysis" if "analysed" in typed else "")
    if stored and typed.get("dry_run"):
        raise UsageError(f"--dry_run: is for training; leave it out with --{stored}")
    if not stored and typed.get("resume", AUTO) == AUTO:
        config = dataclasses.replace(Config(), **typed)
        check(config)
        info_of(config)


def check_evaluations(config: Config) -> None:
    """Raise UsageError for flags of a test or another evaluation that can't work."""
    if config.test_crops not in CROPS:
        raise UsageError(f"--test_crops {config.test_crops}: must be 1, 5 or 10")
    if config.test_crops > 1 and not config.test:
        raise UsageError("--test_crops: needs --test too")
    if config.test_crops > 1 and config.no_augm:
        raise UsageError(
            "--test_crops: --no_augm, typed or of the checkpoint, cuts no crops; leave it out"
        )
    if config.video and not config.extract:
        raise UsageError("--video: needs --extract too")


def check_recipe(config: Config) -> None:
    """Raise UsageError for a way to learn that is the other model's, or no way at all."""
    milestones(config)
    if config.optim != "sgd" and config.momentum != Config.momentum:
        raise UsageError("--momentum: is for --optim sgd; add that, or leave it out")
    if config.is_dpc:
        for name in ("label_share", "augm", "l2_norm"):
            if getattr(config, name) != FIELDS[name].default:
                raise UsageError(f"--{name}: is for lc-rnn; leave it out")
    if config.augm != "published" and config.no_augm and not config.evaluation:
        raise UsageError(
            f"--augm {config.augm}, typed or of a preset: --no_augm leaves all augmentation out; "
            "take --augm published, or leave --no_augm out"
        )


def milestones(config: Config) -> tuple[int, ...] | None:
    """Return the epochs of --schedule; None if the model's own are to be taken.

    Raises UsageError unless they are whole numbers that increase.
    """
    if not config.schedule:
        return None
    if config.schedule == "none":
        return ()
    words = config.schedule.split()
    epochs = tuple(int(word) for word in words if re.fullmatch(r"[0-9]{1,9}", word))
    if len(epochs) < len(words) or not epochs or list(epochs) != sorted(set(epochs)):
        raise UsageError(
            f"--schedule {config.schedule[:50]}: takes epochs that increase, such as 60 80, or none"
        )
    if epochs[0] < 1:
        raise UsageError(f"--schedule {config.schedule[:50]}: epochs count from 1")
    return epochs


def check_suffix(suffix: str) -> None:
    """Raise UsageError for a suffix that a folder's name can't end in."""
    try:
        size = len(suffix.encode())
    except UnicodeEncodeError:
        raise UsageError(f"--suffix {suffix}: is no UTF-8 text") from None
    if "/" in suffix:
        raise UsageError(f"--suffix {suffix}: is part of a folder's name, without '/'")
    if size > SUFFIX_BYTES:
        raise UsageError(
            f"--suffix {suffix[:20]}…: has {size} bytes; a folder's name has room for "
            f"{SUFFIX_BYTES}"
        )


def check_gpu(gpu: str) -> None:
    """Raise UsageError for anything but the numbers of different GPUs."""
    numbers = [number for number in gpu.split(",") if number]
    if (gpu and not numbers) or not all(re.fullmatch(r"[0-9]{1,3}", number) for number in numbers):
        raise UsageError(f"--gpu {gpu}: takes the numbers of GPUs, such as 0 or 0,1")
    if len({int(number) for number in numbers}) < len(numbers):
        raise UsageError(f"--gpu {gpu}: names a GPU twice; each process needs its own")


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


def check_memory(config: Config, count: int) -> None:
    """Raise UsageError if no machine holds a process's part of a batch, of `count` processes."""
    frames = config.num_blocks * config.seq_len
    if config.batch_size * frames * 3 * config.img_dim**2 > BATCH_BYTES * count:
        raise UsageError(
            f"--batch_size {config.batch_size}: no memory holds so many clips of {frames} frames "
            f"of {config.img_dim} pixels; lower it, or the clips' length or size"
        )


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


def from_stored(stored: dict[str, Any]) -> Config:
    """Return the configuration that a checkpoint or a run folder holds.

    Raises UsageError for unknown fields, and for values that their flags could not have.
    """
    if not isinstance(stored, dict):
        raise UsageError("stored configuration: is no dictionary")
    unknown = [str(name) for name in stored if name not in FIELDS]
    if unknown:
        names = ", ".join(sorted(unknown)[:5])
        told = f"unknown fields {names}, perhaps of a newer version: update the program"
        raise UsageError(f"stored configuration: {told}")
    try:
        for name, value in stored.items():
            check_type(name, value)
            check_bounds(name, value)
        return Config(**normalised_names(stored))
    except UsageError as error:
        raise UsageError(f"stored configuration: {error}; put the old value back") from None


def check_type(name: str, value: object) -> None:
    """Raise UsageError for a value that has not exactly the type and the form of its flag."""
    field = FIELDS[name]
    kinds = get_args(field.type) or (field.type,)
    choices = field.metadata["choices"]
    if not (type(value) in kinds or (float in kinds and type(value) is int)) or (
        choices and value not in choices
    ):
        raise UsageError(f"{name} is {str(value)[:50]!r}")
    if isinstance(value, str):
        try:
            check_text(value)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
