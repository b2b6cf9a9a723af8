"""Dense Predictive Coding on videos and Gabor stimuli: the one entry to everything.

    run_model.py [flags]                pretrain dpc-rnn, or train lc-rnn with --model lc-rnn
    run_model.py --resume RUN_FOLDER    go on with a run
    run_model.py [flags] --resume auto  go on with the run of these flags, or start it
    run_model.py --test CHECKPOINT      test a trained lc-rnn

A run reads: flags → configuration → datasets and loaders → model and weights → run folder → epochs.
What can be wrong is found before the folder is made. Whatever needs torch is imported after the
flags are parsed, so that a wrong one is told at once. Started by torchrun or srun, this is one of
several processes that run together, one per device; `--gpu 0,1` starts them itself.
"""

import dataclasses
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.config import command_line as flags
from utils.config.checks import check
from utils.config.datasets import CATALOGUE
from utils.config.flags import LARGEST_SEED, Config, from_stored
from utils.errors import RunError, Stopped, UsageError, leave
from utils.logs import log, start_logging
from utils.runs.folder import run_folder_of
from utils.runtime.launch import launch, processes_to_launch
from utils.runtime.processes import Processes, found

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from model.training.engine import Learner
    from model.training.passes import Position
    from model.training.saving import State
    from utils.runs.session import Session
    from utils.samples import ClassInfo

LARGE_IMAGE = 224  # pixels, from which on lc-rnn's rate drops later


class Parts(NamedTuple):
    """What a configuration is built into; `loaders` by mode."""

    environment: dict[str, Any]
    loaders: dict[str, "DataLoader"]
    learner: "Learner"

    @property
    def classes(self) -> tuple["ClassInfo", ...]:
        return next(iter(self.loaders.values())).dataset.classes


def main(arguments: list[str]) -> int:
    """→ the exit status: 0, 1 for a run that failed, 2 for wrong input, 130 after Ctrl-C, 75 after
    SIGTERM or SIGUSR1, when the same run can be resumed."""
    processes = found()
    speaks = processes.leads  # until they may have different things to say
    try:
        typed = flags.parse(arguments)
        start_logging(typed.get("log_level", Config.log_level) if speaks else "error")
        check_typed(typed)
        if processes.count == 1 and (count := processes_to_launch(typed)) > 1:
            return launch(Path(__file__), arguments, count)
        speaks = True
        from utils.runs.session import Session

        with Session(processes) as session:
            run(typed, session)
    except (UsageError, RunError, Stopped) as error:
        alike = not speaks or isinstance(error, Stopped)  # what all processes have to say
        if processes.leads or not alike:
            who = "run_model.py" + ("" if processes.leads else f", rank {processes.rank}")
            print(f"{who}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("run_model.py: stopped by Ctrl-C", file=sys.stderr)
        return Stopped.status
    return 0


def run(typed: dict[str, Any], session: "Session") -> None:
    from dataset.loading import end_workers
    from utils.runs.faults import told_of_workers

    try:
        with told_of_workers():
            if typed.get("resume") == flags.AUTO:
                resume_or_start(typed, session)
            elif typed.get("resume"):
                resume(typed, Path(typed["resume"]), session)
            elif typed.get("test"):
                test(typed, session)
            else:
                start(typed, session)
    finally:
        end_workers()


def start(typed: dict[str, Any], session: "Session") -> None:
    """A new run, from random or pretrained weights."""
    begin(checked_and_seeded(dataclasses.replace(Config(), **typed), session), typed, session)


def begin(
    config: Config, typed: dict[str, Any], session: "Session", folder: Path | None = None
) -> None:
    """A run's beginning, in a new folder or in the one given, whose run had got nowhere."""
    from model.training.saving import State
    from model.training.weights import load_pretrained, weights_of
    from utils.runs import records
    from utils.runs.checkpoints import read_checkpoint

    parts = build(config, training_modes(config), session.processes)
    if config.pretrained:
        content = read_checkpoint(config.pretrained, "pretrained")
        weights = weights_of(content, "pretrained", config.pretrained)
        load_pretrained(parts.learner.model, weights, config.pretrained)
    if folder is None:
        folder = session.new_folder(
            Path(config.output_dir), config, typed, parts.environment, parts.classes
        )
    else:
        session.take_up(folder, config, typed, parts.environment)
        if session.processes.leads:
            records.drop_rows_after(folder, -1)
        log.info("%s had got nowhere: starting it again", folder)
    train(config, parts, folder, State(), None, session)


def resume_or_start(typed: dict[str, Any], session: "Session") -> None:
    """--resume auto: the newest run with these flags that no one else has in hand, or a new one."""
    from utils.config.changes import technical_flags
    from utils.runs.resume import matching_runs

    parent = Path(typed.get("output_dir", Config.output_dir))
    folder = session.hold_first_free(lambda: matching_runs(parent, typed))
    if folder is None:
        log.info("--resume auto: no run of this configuration to go on with; starting it")
        start({name: value for name, value in typed.items() if name != "resume"}, session)
    else:
        resume(technical_flags(typed), folder, session, in_hand=True)


def resume(typed: dict[str, Any], path: Path, session: "Session", in_hand: bool = False) -> None:
    """Goes on where a run was stopped, or after its last complete epoch. `in_hand`: its folder is
    held already."""
    from model.training.saving import restore, restored_position
    from model.training.weights import load_exactly, weights_of
    from utils.config.changes import kept_config, resumed_config
    from utils.runs import checkpoints, records
    from utils.runs.folder import CONFIG_FILE, config_in
    from utils.runs.resume import find

    processes = session.processes
    if not in_hand:
        session.hold(path if path.is_dir() else run_folder_of(path))
    located = find(path, processes.count)
    if located is None:
        config = resumed_config(config_in(path), typed)
        check(config)
        begin(config, typed, session, folder=path)
        return
    checkpoint, content, folder = located
    stored = from_stored(content["config"])
    if folder is not None:
        kept, reset_lr = config_in(folder), typed.get("reset_lr", False)
        stored = kept_config(stored, kept, folder / CONFIG_FILE, reset_lr)
    config = resumed_config(stored, typed)
    check(config)
    parts = build(config, training_modes(config), processes)
    weights = weights_of(content, "resume", checkpoint)
    load_exactly(parts.learner.model, weights, "resume", checkpoint)
    state = restore(content, parts.learner, config.reset_lr, config.weight_decay)
    position = restored_position(content, processes)
    processes.barrier()  # all have read what the first one may change now
    if folder is None:
        folder = session.new_folder(
            Path(config.output_dir), config, typed, parts.environment, parts.classes
        )
    else:
        session.take_up(folder, config, typed, parts.environment)
        if processes.leads and checkpoint.name != checkpoints.LAST:
            removed = checkpoints.drop_later(folder / "model", state.epoch)
            if removed:
                log.warning("removed, being past epoch %d: %s", state.epoch, ", ".join(removed))
        if processes.leads:
            records.drop_rows_after(folder, state.epoch)
    where = f"after epoch {state.epoch} of {config.num_epochs}"
    if position is not None:
        where += f" and {position.done} of {len(parts.loaders['train'])} batches"
    log.info("resuming %s %s", folder, where)
    if state.epoch >= config.num_epochs:
        log.info("the run has reached its epochs already; a larger --num_epochs trains on")
    train(config, parts, folder, state, position, session)


def test(typed: dict[str, Any], session: "Session") -> None:
    """One pass of a trained lc-rnn over its test set."""
    from model.training.recording import accuracy_text
    from model.training.run import test_pass
    from model.training.weights import load_classifier
    from utils.config.changes import tested_config
    from utils.runs.checkpoints import read_checkpoint

    path = typed["test"]
    content = None if path == "random" else read_checkpoint(path, "test")
    config = checked_and_seeded(tested_config(content, typed), session)
    parts = build(config, ("test",), session.processes)
    loader = parts.loaders["test"]
    if content is not None:
        load_classifier(parts.learner.model, content, loader.dataset.classes, path)
    parent = run_folder_of(Path(path)) or Path(config.output_dir)
    folder = session.new_folder(parent, config, typed, parts.environment, parts.classes)
    accuracies = test_pass(parts.learner, loader, folder, config, session.interrupts)
    if session.processes.leads:
        chance = 1 / len(loader.dataset.classes)
        report(folder, "; ".join(map(accuracy_text, accuracies)) + f"; chance {chance:.1%}")


def check_typed(typed: dict[str, Any]) -> None:
    """What the flags alone tell to be wrong, where they are all there is."""
    if not typed.get("test") and typed.get("resume", flags.AUTO) == flags.AUTO:
        check(dataclasses.replace(Config(), **typed))


def checked_and_seeded(config: Config, session: "Session") -> Config:
    check(config)
    if config.seed >= 0:
        return config
    seed = session.processes.from_first(lambda: secrets.randbelow(LARGEST_SEED + 1))
    log.info("drew --seed %d", seed)
    return dataclasses.replace(config, seed=seed)


def training_modes(config: Config) -> tuple[str, ...]:
    return ("train",) if config.not_save_best else ("train", "val")


def build(config: Config, modes: tuple[str, ...], processes: Processes) -> Parts:
    """Loaders and a model with weights drawn from the seed; raises UsageError."""
    from dataset.build import build_loader
    from model.training.build import build_learner
    from utils.runtime.device import environment, start_runtime

    runtime = start_runtime(config, processes)
    loaders = {mode: build_loader(config, mode, runtime) for mode in modes}
    for mode, loader in loaders.items():
        unit = "videos" if loader.dataset.whole_videos else "clips"
        log.info("%s: %d %s in %d batches", mode, len(loader.dataset), unit, len(loader))
    dataset = loaders[modes[0]].dataset
    learner = build_learner(config, len(dataset.classes), dataset.whole_videos, runtime)
    parts = Parts(environment(runtime), loaders, learner)
    log.info("%s with %s on %s", config.model, config.net, parts.environment["device"])
    return parts


def train(
    config: Config,
    parts: Parts,
    folder: Path,
    state: "State",
    position: "Position | None",
    session: "Session",
) -> None:
    """Trains from the state to the last epoch, and says what came of it."""
    from model.training.run import Training

    steps = None
    if not config.is_dpc:
        steps = CATALOGUE[config.dataset].lr_steps[config.img_dim >= LARGE_IMAGE]
    training = Training(
        config,
        learner=parts.learner,
        loaders=parts.loaders,
        lr_steps=steps,
        folder=folder,
        state=state,
        position=position,
        interrupts=session.interrupts,
    )
    training.run()
    if not session.processes.leads:
        return
    report(folder, training.result_text())
    phase = training.dataset.phase(training.state.epoch)
    best = training.saver.best_path(training.state, phase)
    if config.log_test_cmd and best and not config.is_dpc:
        log.info("to test it: python run_model.py --test %s", best)


def report(folder: Path, result: str) -> None:
    pictures = sorted(path.name for path in folder.glob("*.png"))
    text = f"run folder: {folder}\nresult: {result}\npictures: {', '.join(pictures) or 'none'}"
    try:
        print(text, flush=True)
    except OSError as error:  # whoever read it has gone, or the disk is full
        raise RunError(f"{folder} is whole; can't print its result: {error.strerror}") from None


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
