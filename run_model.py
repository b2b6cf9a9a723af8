"""Dense Predictive Coding on videos and Gabor stimuli: the one entry to everything.

    run_model.py [flags]                pretrain dpc-rnn, or train lc-rnn with --model lc-rnn
    run_model.py --resume RUN_FOLDER    go on with a run
    run_model.py --test CHECKPOINT      test a trained lc-rnn

A run reads: flags → configuration → datasets and loaders → model and weights → run folder → epochs.
What can be wrong is found before the folder is made. Whatever needs torch is imported after the
flags are parsed, so that a wrong one is told at once.
"""

import dataclasses
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from utils import flags
from utils.catalogue import CATALOGUE
from utils.config import LARGEST_SEED, Config, check
from utils.errors import RunError, Stopped, UsageError
from utils.logs import log, log_to_folder, start_logging
from utils.run_folder import checkpoint_stem, make_folder, run_folder_of, run_name, write_config

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader

    from model.optim import Group
    from model.training import State

LARGE_IMAGE = 224  # pixels, from which on lc-rnn's rate drops later


class Parts(NamedTuple):
    """What a configuration is built into; `loaders` by mode."""

    device: "torch.device"
    environment: dict[str, Any]
    loaders: dict[str, "DataLoader"]
    task: "torch.nn.Module"
    groups: list["Group"]
    optimizer: "torch.optim.Optimizer"


def main(arguments: list[str]) -> int:
    """→ the exit status: 0, 1 for a run that failed, 2 for wrong input, 130 after Ctrl-C."""
    try:
        typed = flags.parse(arguments)
        start_logging(typed.get("log_level", Config.log_level))
        if typed.get("resume"):
            resume(typed)
        elif typed.get("test"):
            test(typed)
        else:
            start(typed)
    except (UsageError, RunError, Stopped) as error:
        print(f"run_model.py: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("run_model.py: stopped by Ctrl-C", file=sys.stderr)
        return Stopped.status
    return 0


def start(typed: dict[str, Any]) -> None:
    """A new run, from random or pretrained weights."""
    config = checked_and_seeded(dataclasses.replace(Config(), **typed))

    from model.training import State
    from utils.checkpoints import read_checkpoint
    from utils.weights import load_pretrained, weights_of

    parts = build(config, training_modes(config))
    if config.pretrained:
        content = read_checkpoint(config.pretrained, "pretrained")
        weights = weights_of(content, "pretrained", config.pretrained)
        load_pretrained(parts.task.model, weights, config.pretrained)
    folder = new_folder(Path(config.output_dir), config, typed, parts)
    fill_statistics(parts)
    train(config, parts, folder, State())


def resume(typed: dict[str, Any]) -> None:
    """Goes on after the last complete epoch of a run."""
    from model.training import restore
    from utils import checkpoints, records
    from utils.resume import find, resumed_config, stored_config
    from utils.weights import load_exactly, weights_of

    checkpoint, content, folder = find(Path(typed["resume"]))
    config = resumed_config(stored_config(content, checkpoint), typed)
    check(config)
    parts = build(config, training_modes(config))
    weights = weights_of(content, "resume", checkpoint)
    load_exactly(parts.task.model, weights, "resume", checkpoint)
    optimizer = None if config.reset_lr else parts.optimizer
    state = restore(content, optimizer, config.weight_decay)
    if folder is None:
        folder = new_folder(Path(config.output_dir), config, typed, parts)
    else:
        log_to_folder(folder)
        removed = checkpoints.drop_later(folder / "model", state.epoch)
        if removed:
            log.warning("removed, being past epoch %d: %s", state.epoch, ", ".join(removed))
        records.drop_rows_after(folder, state.epoch)
        write_config(folder, config, typed, parts.environment)
    log.info("resuming %s after epoch %d of %d", folder, state.epoch, config.num_epochs)
    if state.epoch >= config.num_epochs:
        log.info("the run has reached its epochs already; a larger --num_epochs trains on")
    train(config, parts, folder, state)


def test(typed: dict[str, Any]) -> None:
    """One pass of a trained lc-rnn over its test set."""
    from model.recording import accuracy_text
    from model.training import test_pass
    from utils.checkpoints import read_checkpoint
    from utils.resume import tested_config
    from utils.weights import load_classifier

    path = typed["test"]
    content = None if path == "random" else read_checkpoint(path, "test")
    config = checked_and_seeded(tested_config(content, typed))
    parts = build(config, ("test",))
    loader = parts.loaders["test"]
    if content is not None:
        load_classifier(parts.task.model, content, loader.dataset.classes, path)
    folder = new_folder(run_folder_of(Path(path)) or Path(config.output_dir), config, typed, parts)
    accuracies = test_pass(parts.task, loader, parts.device, folder, config)
    chance = 1 / len(loader.dataset.classes)
    report(folder, "; ".join(map(accuracy_text, accuracies)) + f"; chance {chance:.1%}")


def checked_and_seeded(config: Config) -> Config:
    check(config)
    if config.seed >= 0:
        return config
    seed = secrets.randbelow(LARGEST_SEED + 1)
    log.info("drew --seed %d", seed)
    return dataclasses.replace(config, seed=seed)


def training_modes(config: Config) -> tuple[str, ...]:
    return ("train",) if config.not_save_best else ("train", "val")


def build(config: Config, modes: tuple[str, ...]) -> Parts:
    """Loaders and a model with weights drawn from the seed; raises UsageError."""
    import torch

    from dataset.build import build_loader
    from model.build import build_task
    from model.optim import freeze_all_but, make_optimizer, parameter_groups
    from utils.device import environment, pick_device

    device = pick_device(config.gpu, config.cpu_only)
    on_gpu = device.type == "cuda"
    loaders = {mode: build_loader(config, mode, pin_memory=on_gpu) for mode in modes}
    for mode, loader in loaders.items():
        unit = "videos" if loader.dataset.whole_videos else "clips"
        log.info("%s: %d %s in %d batches", mode, len(loader.dataset), unit, len(loader))
    torch.manual_seed(config.seed)
    dataset = loaders[modes[0]].dataset
    task = build_task(config, len(dataset.classes), dataset.whole_videos).to(device)
    groups = parameter_groups(task.model, config.train_what)
    freeze_all_but(task.model, groups)
    optimizer = make_optimizer(groups, config.lr, config.weight_decay)
    parts = Parts(device, environment(device), loaders, task, groups, optimizer)
    log.info("%s with %s on %s", config.model, config.net, parts.environment["device"])
    return parts


def new_folder(parent: Path, config: Config, typed: dict[str, Any], parts: Parts) -> Path:
    """A folder with the run's configuration, empty records and a log."""
    from utils.records import start_records

    if config.test:
        name = f"test_{checkpoint_stem(config.test)}"
    else:
        name = run_name(config, seed_typed=typed.get("seed", -1) >= 0)
    folder = make_folder(parent, name, config.overwrite)
    log_to_folder(folder)
    write_config(folder, config, typed, parts.environment)
    dataset = next(iter(parts.loaders.values())).dataset
    start_records(folder, dataset.classes)
    log.info("run folder: %s", folder)
    return folder


def fill_statistics(parts: Parts) -> None:
    """Batch norm that evaluates with running statistics, and has none yet, gets them first."""
    from model.engine import estimate_statistics, norms_without_statistics

    if norms_without_statistics(parts.task):
        count = estimate_statistics(parts.task, parts.loaders["train"], parts.device)
        log.info("estimated the batch norm's statistics over %d training batches", count)


def train(config: Config, parts: Parts, folder: Path, state: "State") -> None:
    """Trains from the state to the last epoch, and says what came of it."""
    from model.training import Training

    for group in parts.groups:
        rate = config.lr * group.factor
        log.info("training %s: %d parameters at rate %g", group.name, group.size, rate)
    (folder / "model").mkdir(exist_ok=True)
    steps = None
    if not config.is_dpc:
        steps = CATALOGUE[config.dataset].lr_steps[config.img_dim >= LARGE_IMAGE]
    training = Training(
        config,
        task=parts.task,
        groups=parts.groups,
        optimizer=parts.optimizer,
        loaders=parts.loaders,
        lr_steps=steps,
        device=parts.device,
        folder=folder,
        state=state,
    )
    try:
        with training.interrupts:
            training.run()
    except KeyboardInterrupt:
        remedy = "it had no complete epoch yet"
        if any((folder / "model").glob("epoch*")):
            remedy = f"to go on: run_model.py --resume {folder}"
        raise Stopped(f"stopped by Ctrl-C; {remedy}") from None
    report(folder, training.result_text())
    best = training.best_checkpoint(training.dataset.phase(training.state.epoch))
    if config.log_test_cmd and best and not config.is_dpc:
        log.info("to test it: python run_model.py --test %s", best)


def report(folder: Path, result: str) -> None:
    pictures = sorted(path.name for path in folder.glob("*.png"))
    print(f"run folder: {folder}\nresult: {result}\npictures: {', '.join(pictures) or 'none'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
