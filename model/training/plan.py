"""The plan of a run: what --dry_run tells of it, and nothing is changed."""

import os
import shutil
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from model.training.cost import StepCost, UncountedError, step_cost
from model.training.disk import disk_of
from model.training.learner import Learner
from model.training.optimizer import optimizer_text, schedule_of
from model.training.restoring import Restored
from model.training.weights import summary
from utils.config.flags import Config
from utils.runs.checkpoints import LAST, later_than
from utils.runs.folder import planned_folder, run_name
from utils.runs.report import tell
from utils.runs.starts import Start, seed_typed
from utils.samples import Batch, Fault, Loader, Samples

FEW = 5  # of a list's items that are told one by one
MOST_EPOCHS = 10_000  # of which it is told what happens when
SMALL = 10**8  # bytes, below which they are told in MB
TRIED = 10  # clips, of which one at least must be read
OF_PROGRAM = "the program itself needs 0.6 to 0.7 GB more"
OF_ALLOCATOR = ", and it keeps freed memory, which took 20 to 50 % more; --low_memory gives it back"


class Epochs(NamedTuple):
    """The epochs that a run still has to go, of which epoch 0 only measures."""

    first: int
    last: int

    @property
    def told(self) -> range:
        """The epochs that train, as far as something is told of each."""
        return range(max(1, self.first), min(self.last, self.first + MOST_EPOCHS) + 1)


def tell_plan(
    start: Start,
    typed: Mapping[str, Any],
    learner: Learner,
    loaders: Mapping[str, Loader],
    restored: Restored,
) -> None:
    """Print what the run would do; raises UsageError where it could not begin, and RunError."""
    rows = plan_of(start, typed, learner, loaders, restored)
    text = "\n".join(f"{name:<9} {row}" for name, row in rows)
    tell(f"{text}\nthis is a plan (--dry_run): nothing was trained or written", "no plan printed")


def plan_of(
    start: Start,
    typed: Mapping[str, Any],
    learner: Learner,
    loaders: Mapping[str, Loader],
    restored: Restored,
) -> list[tuple[str, str]]:
    """Return the rows of the plan, each a name and a text; raises UsageError as `tell_plan`."""
    config, samples = start.config, loaders["train"].samples
    epochs = Epochs(restored.state.epoch + 1, config.num_epochs)
    parameters = sum(parameter.numel() for parameter in learner.model.parameters())
    device = learner.runtime.device
    network = f"{config.model} with {config.net} on {device}, {parameters:,} parameters"
    folder, where = folder_text(start, typed, restored)
    sets = {mode: set_text(mode, loaders, learner, config) for mode in ("train", "val")}
    return [
        ("model", network),
        ("start", start_text(start, typed, restored, len(loaders["train"]))),
        ("folder", where),
        *sets.items(),
        ("epochs", epochs_text(epochs, samples)),
        ("weights", weights_text(learner, config)),
        ("learning", learning_text(config, epochs)),
        *cost_rows(learner, samples, config),
        ("disk", disk_text(config, learner, samples, folder, epochs, goes_on=bool(start.folder))),
    ]


# ---- where the run starts ----


def start_text(start: Start, typed: Mapping[str, Any], restored: Restored, batches: int) -> str:
    """Return what the run starts from; `batches` are those of an epoch."""
    config, state = start.config, restored.state
    if start.resumes:
        text = f"resumes {start.path} "
        text += f"after epoch {state.epoch}" if state.epoch >= 0 else "before epoch 0"
        if restored.position is not None:
            text += f" and {restored.position.done} of {batches} batches of the next"
        return text + ("; the optimizer starts anew" if config.reset_lr else "")
    again = f"again, as {start.folder} has no checkpoint yet, from " if start.folder else ""
    drawn = f"seed {config.seed}"
    if not start.folder and not seed_typed(dict(typed)):
        drawn = "a seed that is drawn when the run starts"
    if restored.pretrained is None:
        return f"{again}random weights of {drawn}"
    loaded, missing, unexpected, other_size = map(summary, restored.pretrained)
    return (
        f"{again}{config.pretrained}: loads {loaded}; missing, as initialised from {drawn}: "
        f"{missing}; left out: {unexpected}; of another size: {other_size}"
    )


def folder_text(start: Start, typed: Mapping[str, Any], restored: Restored) -> tuple[Path, str]:
    """Return the run's folder, and what becomes of it; raises UsageError if there can't be one."""
    config = start.config
    if start.folder is not None:
        text = f"{start.folder}, which is there"
        if start.resumes and start.path.name != LAST:
            later = later_than(start.folder / "model", restored.state.epoch)
            names = ", ".join(path.name for path in later[:FEW]) + (", …" if later[FEW:] else "")
            text += f"; removes what is past epoch {restored.state.epoch}: {names}" if later else ""
        return start.folder, text
    name = run_name(config, seed_typed(dict(typed)))
    folder, replaces = planned_folder(Path(config.output_dir), name, config.overwrite)
    return folder, f"{folder}, " + ("replacing the run of that name" if replaces else "a new one")


# ---- what it trains on, and how ----


def set_text(mode: str, loaders: Mapping[str, Loader], learner: Learner, config: Config) -> str:
    """Return how many clips and batches a pass over a set has."""
    if mode not in loaders:
        return "none (--not_save_best)"
    loader, processes = loaders[mode], learner.runtime.processes
    size, batches = processes.round_up(config.batch_size), len(loader)
    clips = len(loader.samples)
    text = f"{clips:,} clips in {batches:,} batches of {size}"
    if mode == "train":
        text += f", so {-(-batches // config.grad_accum):,} steps"
        text += f" of {config.grad_accum} batches" if config.grad_accum > 1 else ""
    if left := clips - min(clips, batches * size):
        text += f"; {left:,} clips, other ones in each pass, fill no batch and are left out"
    if short := loader.samples.total - clips:
        text += f"; {short:,} videos are too short"
    if processes.count > 1:
        text += f"; each of {processes.count} processes takes {size // processes.count} of a batch"
    return text


def epochs_text(epochs: Epochs, samples: Samples) -> str:
    """Return which epochs are still to be run, and from when on images are unexpected."""
    first, last = epochs
    if first > last:
        return f"none: the run has reached its {last}; a larger --num_epochs trains on"
    text = f"{first} to {last}" if first < last else f"{first}"
    text += "; epoch 0 only measures" if first == 0 else ""
    unexpected = (epoch for epoch in epochs.told if samples.phase(epoch) == "unexpected")
    if (begin := next(unexpected, None)) is not None:
        text += f"; with unexpected images from epoch {begin} on"
    return text


def weights_text(learner: Learner, config: Config) -> str:
    """Return which parameters learn, and at which rate at first."""
    texts = [f"{g.name}: {g.size:,} at rate {config.lr * g.factor:g}" for g in learner.groups]
    frozen = sum(p.numel() for p in learner.model.parameters() if not p.requires_grad)
    return "; ".join(texts + ([f"frozen: {frozen:,}"] if frozen else []))


def learning_text(config: Config, epochs: Epochs) -> str:
    """Return the optimizer, the rates by epochs where they change, and the precision."""
    text = optimizer_text(config)
    schedule = schedule_of(config)
    parts = [
        (rate, list(of_rate))
        for rate, of_rate in groupby(epochs.told, lambda epoch: config.lr * schedule.factor(epoch))
    ]
    if len(parts) > 1:
        told = [f"{rate:g} from epoch {numbers[0]}" for rate, numbers in parts]
        text += f" ({', '.join(told[:FEW])}{', …' if told[FEW:] else ''})"
    return f"{text}; {'float32' if config.amp == 'off' else f'{config.amp}, losses in float32'}"


# ---- what it takes ----


def cost_rows(learner: Learner, samples: Samples, config: Config) -> list[tuple[str, str]]:
    """Return the rows of a batch's operations and memory, in one process."""
    try:
        processes = learner.runtime.processes
        clips = processes.round_up(config.batch_size) // processes.count
        cost = step_cost(learner, first_sample(samples), clips)
    except UncountedError as error:
        return [("batch", f"not counted: {error}"), ("memory", "not counted")]
    text = f"{cost.flop / 1e9:,.1f} GFLOP forward and backward, for {clips} clips"
    text += " of each process" if processes.count > 1 else ""
    text += "; counted as without --compile" if config.compile else ""
    return [("batch", text), ("memory", memory_text(cost, learner, config))]


def first_sample(samples: Samples) -> Batch:
    """Return the sample of the first clip that can be read; raises UncountedError."""
    faults: list[Fault] = []
    for index in range(min(TRIED, len(samples))):
        sample = samples[1, index]
        if sample.clip is not None:
            return sample
        faults += sample.faults
    first = f": {faults[0].path}: {faults[0].reason}" if faults else ""
    raise UncountedError(f"the first clips can't be read{first}")


def memory_text(cost: StepCost, learner: Learner, config: Config) -> str:
    """Return the bytes of a step by part, and what else takes memory."""
    names = ("weights", "gradients", "optimizer", "exchanged", "kept")
    parts = [(name, getattr(cost, name)) for name in names]
    scale, unit = (1e9, "GB") if cost.peak >= SMALL else (1e6, "MB")
    told = ", ".join(f"{name} {size / scale:.2f}" for name, size in parts if size)
    text = f"{cost.peak / scale:.2f} {unit} at most: {told.replace('kept', 'kept for backward')}"
    if learner.runtime.device.type != "cpu":
        return text + "; what CUDA itself and its convolutions need comes on top"
    keeps = not config.low_memory and not config.plain
    return f"{text}; {OF_PROGRAM}{OF_ALLOCATOR if keeps else ''}"


def disk_text(
    config: Config,
    learner: Learner,
    samples: Samples,
    folder: Path,
    epochs: Epochs,
    goes_on: bool,
) -> str:
    """Return the bytes of the checkpoints that the run leaves, and the room where they lie."""
    phases = {samples.phase(epoch) for epoch in epochs.told}
    first = 0 if goes_on else epochs.first
    best = 0 if config.not_save_best else len(phases)
    disk = disk_of(config, learner, samples, first, best)
    count = len(disk.epochs)
    text = f"{size_text(disk.file)} a checkpoint; at the end {count} epochs' in "
    text += f"{size_text(disk.least)}"
    if best:
        text += f", and at most {size_text(disk.most)} with the best of each phase"
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.isdir(path))
    return f"{text}; {size_text(shutil.disk_usage(there).free)} are free there"


def size_text(size: int) -> str:
    """Return bytes in a text such as 175.3 MB."""
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
