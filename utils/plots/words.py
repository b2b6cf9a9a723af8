"""What a run, a test or a retrieval is, and how far it has come, in sentences."""

from pathlib import Path

import pandas as pd

from utils.config.datasets import GABORS, entry
from utils.config.flags import EVALUATIONS, RANDOM, Config
from utils.plots import breakdowns
from utils.plots.account import Account
from utils.plots.going_on import LAST

METHODS = {
    "dpc-rnn": "Dense predictive coding (dpc-rnn), which learns without labels to predict the "
    "features of blocks to come",
    "lc-rnn": "A classifier (lc-rnn), which learns the class of a clip",
}
WHAT = {  # learns, with --train_what
    "all": "", "ft": " (its backbone at a tenth of the rate)", "last": " by its last layer alone",
}  # fmt: skip


def describe(account: Account) -> str:
    """Return in sentences what the folder is of; empty where its configuration is unknown."""
    config = account.config
    if config is None:
        return ""
    name = account.evaluation
    if name:
        weights = getattr(config, name)
        whose = "random weights" if weights == RANDOM else f"the weights in {weights}"
        what = f"A {EVALUATIONS[name]} with {whose}: a {config.net} of a {config.model}"
    else:
        what = f"{METHODS[config.model]}{WHAT[config.train_what]}, with a {config.net}"
    return f"{what}. {describe_clips(config)} The seed is {config.seed}.{describe_weights(config)}"


def describe_clips(config: Config) -> str:
    """Return in a sentence what a clip is."""
    is_gabors = entry(config.dataset).kind == GABORS
    source = f"Gabor stimuli (design {config.gabor_design})" if is_gabors else config.dataset
    blocks = counted(config.num_seq_in, "block")
    shown = f"{blocks} of {counted(config.seq_len, 'frame')} seen"
    if config.is_dpc:
        shown += f" and {config.pred_step} predicted"
    size = f"{config.img_dim} × {config.img_dim} pixels"
    return f"Clips are of {source}, {size}, {shown}, in batches of {config.batch_size}."


def describe_weights(config: Config) -> str:
    """Return in a sentence which weights a run has started from, if not from random ones."""
    return f" It started from the weights in {config.pretrained}." if config.pretrained else ""


def last_whole(epochs: pd.DataFrame) -> int:
    """Return the last epoch of which all passes are recorded; -1 without one."""
    if epochs.empty:
        return -1
    modes = epochs.groupby("epoch")["mode"].agg(set)
    whole = modes[modes.map(lambda found: found >= modes.iloc[0])]
    return int(whole.index.max())


def tell_state(folder: Path, epochs: pd.DataFrame, config: Config | None) -> str:
    """Return in sentences how far a run has come."""
    done = last_whole(epochs)
    last = config.num_epochs if config else None
    if done < 0:
        text = "No epoch is done: the run has just begun, or it was stopped before its first one."
    elif last is None:
        text = f"Epoch {done} is done."
    elif done >= last:
        text = f"The run is finished: all {counted(last, 'epoch')} are done, after epoch 0."
    else:
        text = f"Epoch {done} of {last} is done: the run goes on, or it was stopped."
    if (folder / "model" / LAST).exists():
        text += f" A position within the next epoch is saved (model/{LAST})."
    for best in breakdowns.best_epochs(epochs).sort_values("epoch").to_dict("records"):
        phase = f" of the {best['phase']} phase" if best["phase"] == "unexpected" else ""
        chance = f"chance {best['chance']:.1%}"
        text += f" The best validation top-1{phase} is {best['top1']:.1%} ({chance}), "
        text += f"in epoch {best['epoch']:g}."
    return text


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as "3 blocks"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
