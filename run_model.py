"""Dense Predictive Coding on videos and Gabor stimuli: the one entry to everything.

    run_model.py [flags]                pretrain dpc-rnn, or train lc-rnn with --model lc-rnn
    run_model.py [flags] --dry_run      tell what a run of these flags would do
    run_model.py --resume RUN_FOLDER    go on with a run
    run_model.py [flags] --resume auto  go on with the run of these flags, or start it
    run_model.py --test CHECKPOINT      test a trained lc-rnn
    run_model.py --retrieve CHECKPOINT  how good its features are; --extract: write them to files
    run_model.py --analysis RUN_FOLDER  analyse a run's responses; --analysis alone: in training

The program's walk: flags → configuration → what to start from → loaders and model → weights → run
folder → epochs, or passes of a test or an analysis. It finds what is wrong before it makes the
folder. Modules that import torch are imported after the flags are parsed, so that wrong flags are
reported at once. With torchrun or srun this is one process per device; `--gpu 0,1` starts them.
"""

from utils.errors import tell_failed_imports
from utils.runtime.interrupts import Interrupts, end_at_signals

if __name__ == "__main__":
    end_at_signals()  # at once, since the modules below take a while
    tell_failed_imports("run_model.py")

import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.config import command_line
from utils.config.changes import features_config
from utils.config.checks import check_typed
from utils.config.flags import Config
from utils.errors import RunError, Stopped, UsageError, leave
from utils.logs import log, open_streams, say, start_logging
from utils.machine import machine_told
from utils.runs.report import report, tell_loaders
from utils.runtime.launch import launch, processes_to_launch
from utils.runtime.launchers import found, warn_of_other_launchers
from utils.runtime.meeting import joined
from utils.runtime.processes import ALONE, Processes
from utils.runtime.temporary import own_temporary_folder

if TYPE_CHECKING:
    from model.analysis.walk import Analysis
    from model.training.learner import Learner
    from model.training.saving import State
    from utils.runs.locks import RunLocks
    from utils.runs.starts import Start
    from utils.runtime.device import Runtime
    from utils.samples import Loader, Samples

SAVING_MEMORY = "--batch_size, --img_dim or --num_workers, or take --grad_checkpoint"


class Program(NamedTuple):
    """The typed flags, and what lasts as long as the program."""

    typed: dict[str, Any]
    processes: Processes
    interrupts: Interrupts
    locks: "RunLocks"


class Parts(NamedTuple):
    """What a configuration is built into; `loaders` by mode."""

    environment: dict[str, Any]
    loaders: dict[str, "Loader"]
    learner: "Learner"

    @property
    def samples(self) -> "Samples":
        """The first mode's data set; all have the same classes."""
        return next(iter(self.loaders.values())).samples


def main(arguments: list[str]) -> int:
    """Run the program and return its exit status.

    0: done; 1: failed; 2: wrong input; 130: Ctrl-C; 75: SIGTERM, SIGUSR1 or SIGHUP, resumable.
    """
    open_streams()
    processes, speaks = ALONE, False  # all ranks print the same until they begin to run
    try:
        with machine_told(SAVING_MEMORY):
            processes = found()
            typed = command_line.parse(arguments)
            processes = found(typed.pop("local_rank", None))
            start_logging(typed.get("log_level", Config.log_level) if processes.leads else "error")
            warn_of_other_launchers(processes)
            check_typed(typed)
            if processes.count == 1 and (count := processes_to_launch(typed)) > 1:
                return launch(Path(__file__), arguments, count)
            speaks = True
            run(typed, processes)
    except (UsageError, RunError, Stopped) as error:
        alike = not speaks or isinstance(error, Stopped)
        if processes.leads or not alike:
            who = "" if processes.leads else f", rank {processes.rank}"
            say(f"run_model.py{who}: {error}")
        return error.status
    except KeyboardInterrupt:
        say("run_model.py: stopped by Ctrl-C")
        return Stopped.status
    except SystemExit as shown:  # --help
        return int(shown.code or 0)
    return 0


def run(typed: dict[str, Any], processes: Processes) -> None:
    """Train or evaluate, with signals that wait for the end of a step."""
    from dataset.workers import end_workers
    from utils.runs.locks import NoLocks, RunLocks
    from utils.runs.starts import find_start

    interrupts = Interrupts(repeats=processes.count > 1)
    temporary, together = own_temporary_folder(), joined(processes, interrupts)
    kept = NoLocks() if "dry_run" in typed else RunLocks()
    with interrupts, temporary, together, kept as locks:
        program = Program(typed, processes, interrupts, locks)
        try:
            # rank 0 chooses and reads the files, and tells the other ranks
            start = processes.from_first(lambda: find_start(typed, processes.count, locks))
            if start.config.test:
                test(program, start)
            elif start.config.evaluation:
                evaluate(program, start)
            elif "analysed" in typed:
                analyse(program, start.config, start.folder or Path())
            else:
                train(program, start)
        finally:
            end_workers()


def train(program: Program, start: "Start") -> None:
    """Train from the start's weights or state to the last epoch, and print the result.

    With --dry_run, print what would be done instead.
    """
    from model.training.restoring import load_start
    from model.training.run import TrainingRun
    from utils.runs.starts import tell_resumed

    config = start.config
    parts = build(config, ("train",) if config.not_save_best else ("train", "val"), program)
    restored = load_start(start, parts.learner, parts.loaders["train"])
    if "dry_run" in program.typed:
        from model.training.plan import tell_plan

        told = partial(tell_plan, start, program.typed, parts.learner, parts.loaders, restored)
        return program.processes.from_first(told)
    state, position = restored.state, restored.position
    parts.learner.distribute()
    folder = program.processes.from_first(lambda: open_folder(program, start, parts, state))
    if start.resumes:
        tell_resumed(folder, config, state.epoch, position, len(parts.loaders["train"]))
    analysis = None
    if config.analysis:
        analysis = analysis_of(program, config, folder, parts.learner.runtime, parts.samples)
    training = TrainingRun(
        config,
        learner=parts.learner,
        loaders=parts.loaders,
        folder=folder,
        state=state,
        position=position,
        interrupts=program.interrupts,
        look=analysis.catch_up_if_free if analysis else None,
    )
    state = training.run()
    if analysis:
        analysis.finish_if_free()
    if program.processes.leads:
        report(folder, state.text())
        best = training.saver.best_path()
        if config.log_test_cmd and best and not config.is_dpc:
            log.info("to test it: python run_model.py --test %s", best)


def test(program: Program, start: "Start") -> None:
    """Test an lc-rnn in one pass over its test set, and print the accuracies."""
    from dataset.class_lists import read_class_names
    from model.training.classifiers import load_classifier
    from model.training.rows import accuracy_text
    from model.training.run import test_run

    config = start.config
    parts = build(config, ("test",), program)
    classes = parts.samples.classes
    if start.content is not None:
        listed = read_class_names(Path(config.class_index), classes) if config.class_index else None
        load_classifier(parts.learner.model, start.content, classes, config.test, listed)
    folder = program.processes.from_first(lambda: open_folder(program, start, parts))
    accuracies = test_run(config, parts.learner, parts.loaders["test"], folder, program.interrupts)
    texts = [*map(accuracy_text, accuracies), f"chance {1 / len(classes):.1%}"]
    if program.processes.leads:
        report(folder, "; ".join(texts))


def evaluate(program: Program, start: "Start") -> None:
    """Make features with the start's weights: measure them (retrieval), or write them to files."""
    from dataset.build import build_loader, build_whole_loaders
    from model.evaluation.features import build_network, lacks_statistics
    from model.evaluation.walk import Evaluation
    from utils.runtime.device import start_runtime
    from utils.runtime.environment import environment

    config = features_config(start.config)
    runtime = start_runtime(config, program.processes)
    loaders = build_whole_loaders(config, runtime)
    tell_loaders(loaders, program.processes.require_equal)
    learner = build_network(config, runtime, start.content)
    clips = build_loader(config, "train", runtime) if lacks_statistics(learner) else None
    parts = Parts(environment(runtime), loaders, learner)
    folder = program.processes.from_first(lambda: open_folder(program, start, parts))
    evaluation = Evaluation(config, learner, loaders, folder, program.interrupts)
    result = evaluation.run(clips)
    if program.processes.leads:
        report(folder, result)


def analyse(program: Program, config: Config, run_folder: Path) -> None:
    """Record a run's responses at its landmark epochs, compute and draw, and print the result."""
    from dataset.build import build_dataset
    from utils.runtime.device import start_runtime

    processes = program.processes  # each takes whole batches, in float32
    shared = dataclasses.replace(config, batch_size=config.batch_size * processes.count, amp="off")
    runtime, samples = start_runtime(shared, processes), build_dataset(config, "train")
    processes.require_equal("training sets", len(samples))
    analysis = analysis_of(program, config, run_folder, runtime, samples)
    result = analysis.run()
    if processes.leads:
        report(analysis.folder, result, "analysis")


def analysis_of(
    program: Program, config: Config, run_folder: Path, runtime: "Runtime", samples: "Samples"
) -> "Analysis":
    """Make the analysis of a run with this training set."""
    from dataset.build import build_analysed_loader
    from model.analysis.walk import Analysis

    again = f"run_model.py --resume {run_folder}" if config.analysis else "the same command"
    return Analysis(
        run_folder,
        config,
        runtime,
        samples=samples,
        make_loader=partial(build_analysed_loader, config, runtime),
        interrupts=program.interrupts,
        remedy=f"to go on: {again}",
    )


def build(config: Config, modes: tuple[str, ...], program: Program) -> Parts:
    """Build the loaders, and a model with weights drawn from the seed; raises UsageError."""
    from dataset.build import build_analysed_loader, build_loader
    from model.training.build import build_learner
    from utils.runtime.device import start_runtime
    from utils.runtime.environment import environment

    runtime = start_runtime(config, program.processes)
    loaders: dict[str, Loader] = {mode: build_loader(config, mode, runtime) for mode in modes}
    tell_loaders(loaders, program.processes.require_equal)
    if config.analysis and "train" in modes:
        build_analysed_loader(config, runtime)  # so that wrong flags end the program here
    samples = loaders[modes[0]].samples
    learner = build_learner(config, len(samples.classes), samples.whole_videos, runtime)
    parts = Parts(environment(runtime), loaders, learner)
    log.info("%s with %s on %s", config.model, config.net, parts.environment["device"])
    return parts


def open_folder(
    program: Program, start: "Start", parts: Parts, state: "State | None" = None
) -> Path:
    """Make the run's folder, or reopen it after the state's epoch."""
    from model.analysis.passes import forget_later
    from utils.runs.starts import new_folder, reopen_folder

    if start.folder is None:
        return new_folder(
            start.config, program.typed, parts.environment, parts.samples.classes, program.locks
        )
    epoch = -1 if state is None else state.epoch
    forget_later(start.folder, epoch)
    return reopen_folder(start, start.folder, epoch, program.typed, parts.environment)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
