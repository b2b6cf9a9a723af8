"""What a resumed or tested run may change of its stored configuration."""

import dataclasses
from pathlib import Path
from typing import Any

from utils.config.checks import evaluation_in, from_stored
from utils.config.flags import EVALUATIONS, FIELDS, Config, fields_on_resume
from utils.errors import UsageError
from utils.logs import log

# what a test needs to know about a classifier and its data
TOLD_BY_A_CHECKPOINT = "dataset split net img_dim num_seq_in seq_len ucf_hmdb_ms_ds resize"

# what the file of a backbone (--extract) holds, and the flags that these are of
OF_A_BACKBONE = {
    **{"net": "net", "img_dim": "img_dim", "seq_len": "seq_len", "num_blocks": "num_seq_in"},
    "ds": "ucf_hmdb_ms_ds",
}

# the groups of flags that tell what an analysis' clips and network are, but for those flags that
# make no difference to it: U images are on in it from the start, and dropout is off
RECORDED_GROUPS, NOT_RECORDED = ("data", "Gabors", "model"), {"unexp_epoch", "dropout"}
# flags of a later version that decide about it, too: at their defaults they are left out, so that
# analyses from before them stay what they are
RECORDED_LATER = {"label_share", "l2_norm", "augm"}
# technical flags that say how long or where a run is trained
OF_TRAINING = {"num_epochs", "output_dir"}


def run_identity(typed: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that identify a run for `--resume auto`, defaults included."""
    return {
        name: typed.get(name, FIELDS[name].default) for name in fields_on_resume("fixed", "free")
    }


def technical_flags(typed: dict[str, Any]) -> dict[str, Any]:
    """Return those of the typed flags that may differ between two starts of one run."""
    return {name: value for name, value in typed.items() if name in fields_on_resume("technical")}


def kept_config(stored: Config, kept: Config, kept_in: Path, reset_lr: bool) -> Config:
    """Return a checkpoint's configuration with the changes that a later start of its run made.

    `kept` is the configuration in the run's folder, read from the file `kept_in`. Raises UsageError
    if someone edited that file so that it describes another run.
    """
    for name in fields_on_resume("fixed") - ({"lr"} if reset_lr else set()):
        there, here = getattr(kept, name), getattr(stored, name)
        if there != here:
            hint = f", or repeat --reset_lr --lr {there}" if name == "lr" else ""
            raise UsageError(
                f"{kept_in}: {name} is {there!r} there, but the checkpoint has {here!r}; "
                f"put that back{hint}"
            )
    changed = fields_on_resume("free", "technical")
    return dataclasses.replace(stored, **{name: getattr(kept, name) for name in changed})


def resumed_config(stored: Config, typed: dict[str, Any]) -> Config:
    """Return the stored configuration with the typed flags, and log each change.

    Raises UsageError for a flag that must stay as it is until the run's end.
    """
    allowed = fields_on_resume("free", "technical") | ({"lr"} if typed.get("reset_lr") else set())
    starts = fields_on_resume("start")
    for name in FIELDS:
        before, after = getattr(stored, name), typed.get(name, getattr(stored, name))
        if name in starts or before == after:
            continue
        if name not in allowed:
            hint = "; --reset_lr allows it" if name == "lr" else ""
            raise UsageError(
                f"--{name} {after}: the run to resume has {before}; leave the flag out{hint}, "
                "or start a new run"
            )
        if name == "U_prob" and (before == 0) != (after == 0):
            raise UsageError(
                f"--U_prob {after:g}: the run to resume has {before:g}, and other classes with it; "
                "start a new run"
            )
        usual = before == "" or before is None
        log.info("--%s: %s instead of %s", name, after, "the default" if usual else before)
    defaults = {name: FIELDS[name].default for name in starts}
    return dataclasses.replace(stored, **{**defaults, **typed})


def evaluated_config(content: dict[str, Any] | None, typed: dict[str, Any]) -> Config:
    """Return the configuration of a test, a retrieval or an extraction.

    It is the checkpoint's, if it holds one, with the typed flags. Gabors have no test set: they are
    evaluated on a pass of epoch 0, with expected images unless `--unexp_epoch 0` is typed. Raises
    UsageError for typed flags that ask for another model.
    """
    name = evaluation_in(typed)
    told, is_test = f"--{name} {typed[name]}", name == "test"
    base = Config(model="lc-rnn" if is_test else Config.model)
    if content is not None and "config" in content:
        base = from_stored(content["config"])
        if base.is_dpc and is_test:
            raise UsageError(
                f"{told}: is a dpc-rnn, which has no classifier; finetune it first "
                "(--model lc-rnn --pretrained)"
            )
        for flag in ("model", "net", "track_bn", "l2_norm"):
            if typed.get(flag, getattr(base, flag)) != getattr(base, flag):
                raise UsageError(
                    f"--{flag} {typed[flag]}: the checkpoint to {name} has {getattr(base, flag)}; "
                    "leave the flag out"
                )
    elif content is not None and set(OF_A_BACKBONE) <= content.keys():
        told_by_it = {flag: content[key] for key, flag in OF_A_BACKBONE.items()}
        base = from_stored({"model": "lc-rnn", **told_by_it})
    elif content is not None:
        needed = TOLD_BY_A_CHECKPOINT + ("" if is_test else " pred_step")
        flags = [flag for flag in needed.split() if flag not in typed]
        assumed = [f"--{flag} {getattr(base, flag)}" for flag in flags]
        log.warning(
            "%s: holds no configuration of this program. Assumed: %s. These flags say otherwise%s",
            told,
            " ".join(assumed) or "nothing",
            "; the original code trains lc-rnn with --num_seq_in 8" if is_test else "",
        )
    for flag in ("label_share", "analysis"):
        if typed.get(flag, FIELDS[flag].default) != FIELDS[flag].default:
            raise UsageError(f"--{flag}: is for training; leave it out with --{name}")
    starts = {flag: FIELDS[flag].default for flag in fields_on_resume("start")}
    unexp_epoch = 0 if typed.get("unexp_epoch") == 0 else 1
    own = {"pretrained": "", "unexp_epoch": unexp_epoch, "label_share": 1.0}
    if not is_test:
        own["pad_short"] = True  # as published: each video has a feature
    return dataclasses.replace(base, **{**starts, **typed, **own})


def features_config(config: Config) -> Config:
    """Return the configuration of a classifier of clips as long as those that a network learned of.

    By its backbone, in float32, features are made; its batch-norm statistics are estimated as in
    finetuning.
    """
    own: dict[str, Any] = {"track_bn": False, "gather_negatives": False, "amp": "off"}
    return dataclasses.replace(config, model="lc-rnn", num_seq_in=config.num_blocks, **own)


def recorded_settings(config: Config) -> dict[str, Any]:
    """Return the flags that decide an analysis' clips and network, in their order.

    Whatever else makes the weights is told by these themselves.
    """
    names = [
        name
        for name, field in FIELDS.items()
        if field.metadata["group"] in RECORDED_GROUPS
        and name in fields_on_resume("fixed", "free") - NOT_RECORDED - RECORDED_LATER
    ]
    names += [n for n in sorted(RECORDED_LATER) if getattr(config, n) != FIELDS[n].default]
    return {name: getattr(config, name) for name in ("model", "seed", "batch_size", *names)}


def analysed_config(stored: Config, typed: dict[str, Any], run: Path) -> Config:
    """Return the configuration of a run that is analysed, with the technical flags that are typed.

    Raises UsageError for other flags, and for a test's folder.
    """
    told = f"--analysis {run}"
    if stored.evaluation:
        kind = EVALUATIONS[stored.evaluation]
        raise UsageError(f"{told}: is the folder of a {kind}; name that of the run")
    for name in typed:
        if name not in fields_on_resume("technical") - OF_TRAINING:
            raise UsageError(f"--{name}: is the run's own; leave it out with {told}")
    return dataclasses.replace(stored, **{**typed, "analysis": False})
