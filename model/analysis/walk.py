"""An analysis' walk: from a run's checkpoints to its recorded passes, as many as there can be.

It is the same while a run is trained, after each epoch, and for a run's folder alone.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import torch

from model.analysis.evaluating import Evaluator, WholeBatches
from model.analysis.hooks import Steps
from model.analysis.network import build_network, load_weights, read_weights
from model.analysis.passes import Outcome, landmarks_of, passes_of, weights_in
from model.analysis.permutations import PERMUTATIONS
from model.analysis.record import Made
from model.training.tasks import Task
from utils.analysis.recorded import Pass, folder_of, list_passes, read_made, write_pass
from utils.config.changes import recorded_settings
from utils.config.flags import Config
from utils.errors import UsageError
from utils.files import writing
from utils.logs import log, log_to_folder
from utils.runs.folder import read_config, remove_half_written
from utils.runs.locks import RunInUseError, held
from utils.runtime.device import Runtime
from utils.runtime.interrupts import Interrupts
from utils.samples import Samples

T = TypeVar("T")
FORMAT = 1  # of the files of a pass


class Analysis:
    """Record the passes of a run at its landmark epochs that its checkpoints allow.

    `samples` is the run's training set, and `make_loader` makes the loader of the clips to record,
    with U images in every epoch. `remedy` tells how to go on after a stop. All ranks call its
    methods, and rank 0 writes.
    """

    def __init__(
        self,
        run: Path,
        config: Config,
        runtime: Runtime,
        *,
        samples: Samples,
        make_loader: Callable[[], WholeBatches],
        interrupts: Interrupts,
        remedy: str,
    ):
        self.run_folder = run
        self.config = config
        self.runtime = runtime
        self.samples = samples
        self.make_loader = make_loader
        self.evaluator = Evaluator(config, runtime, samples, interrupts, remedy)
        self.clips_of = None if config.analysis_epoch < 0 else config.analysis_epoch
        self.folder = folder_of(run, self.clips_of)
        self.passes = passes_of(landmarks_of(samples.landmark_epochs, config.num_epochs))
        self.made: list[Pass] = []
        self.there: list[Pass] = []
        self.said = False

    # ---- of a run's folder

    def run(self) -> str:
        """Record, compute and draw what the run's folder allows; return the result in words.

        Raises UsageError if there is nothing to record, and RunInUseError.
        """
        self.runtime.processes.from_first(self._require_something)
        with self._locked():
            if self.runtime.processes.leads:
                log_to_folder(self.folder)
            return f"{self._finish()}; {self.folder / 'report.html'} shows it"

    def _require_something(self) -> None:
        epochs = {of.weights for of in self.passes}
        if not epochs & self._weights().keys() and not list_passes(self.folder):
            needed = ", ".join(map(str, sorted(epochs)))
            raise UsageError(
                f"--analysis {self.run_folder}: model/ has no checkpoint of the epochs {needed}, "
                "so there is nothing to record; train the run"
            )

    # ---- while a run is trained

    def catch_up_if_free(self) -> None:
        """Record what is lacking and can be recorded, unless another program does."""
        files = self.runtime.processes.from_first(self._weights)
        if any(of.weights in files for of in self._left()):
            self._if_free(self._catch_up)

    def finish_if_free(self) -> None:
        """Record what is still lacking, compute and draw, unless another program does."""
        result = self._if_free(self._finish)
        if result is not None:
            log.info("analysis: %s; it is in %s", result, self.folder)

    def _if_free(self, act: Callable[[], T]) -> T | None:
        """Call the function with the lock held, or log which program holds it, and return None."""
        try:
            with self._locked():
                return act()
        except RunInUseError as error:
            again = f"run_model.py --analysis {self.run_folder}"
            log.warning("%s; to record what it leaves out, run later: %s", error, again)
            return None

    # ---- both

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the analysis, not that of the run; raises RunInUseError."""
        with ExitStack() as stack:

            def lock() -> None:
                with writing(self.folder):
                    self.folder.mkdir(exist_ok=True)
                stack.enter_context(held(self.folder))
                remove_half_written(self.folder / "recorded")

            self.runtime.processes.from_first(lock)
            yield

    def _finish(self) -> str:
        """Record what is lacking, compute and draw; return in words what was recorded."""
        result = self._catch_up().text()

        def compute_and_draw() -> None:
            from utils.analysis.compute import compute
            from utils.analysis.drawing.draw import draw

            if list_passes(self.folder):
                compute(self.run_folder, self.clips_of)
                draw(self.run_folder, self.clips_of)

        self.runtime.processes.from_first(compute_and_draw)
        return result

    def _catch_up(self) -> Outcome:
        """Record what is lacking and can be recorded.

        Raises UsageError for files that don't fit, RunError for what can't be written, and Stopped
        after a signal, between two batches.
        """
        first = self.runtime.processes.from_first
        files = first(self._weights)
        if any(of.weights in files for of in self._left()):
            self._record(self._left(), files)
        like = {**self._settings(), "clips": self._clips}  # the weights may be gone
        recorded = first(lambda: {of: self._is_there(of, like) for of in list_passes(self.folder)})
        last = max([*files, *(of.weights for of in recorded)], default=-1)  # reached by the run
        kept = [of for of in self._left() if recorded.get(of)]
        lacking = [of for of in self._left() if of not in kept]
        return Outcome(
            self.made,
            [*self.there, *kept],
            unkept=[of for of in lacking if of.weights <= last],
            ahead=[of for of in lacking if of.weights > last],
            other=[of for of, fits in recorded.items() if not fits],
        )

    def _weights(self) -> dict[int, Path]:
        return weights_in(self.run_folder / "model")

    def _left(self) -> list[Pass]:
        return [of for of in self.passes if of not in {*self.made, *self.there}]

    def _record(self, passes: list[Pass], files: dict[int, Path]) -> None:
        """Record those of the passes whose weights are in `files`, and that are not there yet."""
        self._say_once()
        first, loader = self.runtime.processes.from_first, self.make_loader()
        task = build_network(self.config, len(self.samples.classes), self.runtime.device)
        for epoch, group in groupby(passes, key=lambda of: of.weights):  # their epochs ascend
            if epoch not in files:
                continue
            read = first(partial(self._read, files[epoch], task))
            if read is None:
                continue
            weights = load_weights(task, read, f"--analysis {files[epoch]}")
            for of in group:
                made = self._made_of(of, task, loader, weights)
                if first(partial(self._is_there, of, made)):
                    self.there.append(of)
                    continue
                found = self.evaluator.evaluate(task, loader, self._clips_of(of), of.name)
                first(partial(self._write, of, made, found))
                self.made.append(of)

    def _read(self, path: Path, task: Task) -> dict[str, torch.Tensor] | None:
        """Read weights; None, with a warning, if the file is damaged or has just been removed."""
        try:
            return read_weights(path, task, self.samples.classes)
        except UsageError as error:
            log.warning("%s; left out", error)
            return None

    def _write(self, of: Pass, made: dict[str, Any], found: Made | None) -> None:
        assert found is not None  # in rank 0
        write_pass(
            self.folder,
            of,
            made=made,
            groups=found.groups,
            statistics=found.statistics,
            blocks=found.blocks,
            vectors=found.vectors,
            maps=found.maps or None,
        )

    def _clips_of(self, of: Pass) -> int:
        return of.epoch if self.clips_of is None else self.clips_of

    def _made_of(self, of: Pass, task: Task, loader: WholeBatches, weights: str) -> dict[str, Any]:
        """Return what makes a pass what it is: no times, and no paths."""
        batches = loader.batches_of(self._clips_of(of))
        return {
            **self._settings(),
            "epoch": of.epoch,
            "when": of.when,
            "weights_after_epoch": of.weights,
            "weights_sha256": weights,
            "batches": len(batches),
            "clips": sum(map(len, batches)),
            "predicted_blocks": Steps.of(task.model).P,
        }

    def _settings(self) -> dict[str, Any]:
        """Return what all passes of an analysis have in common."""
        return {
            "format": FORMAT,
            "run": recorded_settings(self.config),
            "clips_of": self.clips_of,
            "permutations": PERMUTATIONS if self.evaluator.compares else 0,
            "maps": self.config.analysis_maps,
        }

    def _is_there(self, of: Pass, wanted: dict[str, Any]) -> bool:
        """Whether a pass was recorded like that; one with maps is as good as one without."""
        made = read_made(self.folder, of) or {}
        return {**made, **wanted, "maps": wanted["maps"] or made.get("maps")} == made

    @cached_property
    def _clips(self) -> int:
        """The number of clips of each pass."""
        return sum(map(len, self.make_loader().batches_of(0)))

    def _say_once(self) -> None:
        """Log what a reader of the results has to know."""
        if self.said:
            return
        self.said = True
        log.info("analysis: recording in eval mode and float32, in batches as in training")
        if not self.evaluator.compares:
            log.info("there are no unexpected images: responses are by class, without a USI")
        starts = self.runtime.processes.from_first(lambda: read_config(self.run_folder)["starts"])
        config = self.config
        apart = {"batch norm": config.sync_bn, "the contrast": config.gather_negatives}
        fewer = " and ".join(part for part, whole in apart.items() if not whole)
        if fewer and config.is_dpc and any(start.get("processes", 1) > 1 for start in starts):
            log.info(
                "in training, several processes shared each batch, so %s saw fewer clips than in "
                "the analysis, which takes whole batches",
                fewer,
            )
