"""What may happen between two steps: a batch is left out, the run is saved, stopped, or ended."""

import math
from dataclasses import dataclass

from model.training.learner import Learner
from model.training.meter import Meter
from model.training.saving import Saver
from utils.errors import RunError
from utils.runs.faults import Faults
from utils.runtime.interrupts import Interrupts, stopped
from utils.samples import Batch


@dataclass
class Guard:
    """Decide between steps what to leave out, when to save and stop, and whether to go on.

    `remedy` tells how to go on after a stop. `saver` keeps the position before a stop and every
    --checkpoint_minutes; None where there is nothing to keep. `faults` records unreadable files.
    """

    learner: Learner
    interrupts: Interrupts
    remedy: str
    saver: Saver | None = None
    faults: Faults | None = None

    def admits(self, batch: Batch, meter: Meter, together: bool) -> bool:
        """Return whether to step on the batch, after saving or stopping if it is time to.

        A batch without a readable clip is left out; with `together`, by all ranks as soon as one
        of them has none. Raises Stopped after a signal, RunError after too many unreadable files.
        """
        empty = not len(batch.item)
        due = self.saver is not None and self.saver.due
        # all that ranks tell each other in a step: one small tensor of integers
        asked, save, faulty, any_empty = self.learner.runtime.processes.largest(
            self.interrupts.asked, int(due), int(bool(batch.faults)), int(empty)
        )
        if (asked or save) and not self.learner.pending:  # no gradients wait for their update
            if self.saver is not None:
                self.saver.save_position()
            if asked:
                raise stopped(asked, self.remedy)
        if faulty and self.faults is not None:
            everyone = self.learner.runtime.processes.gather(batch.faults)
            self.faults.add(tuple(fault for faults in everyone for fault in faults))
        return not (any_empty if together else empty)

    def after_step(self, meter: Meter) -> None:
        """Count the batch, and show the loss every --log_freq batches.

        Reading the loss waits for the device. Raises RunError if it is not finite.
        """
        meter.done += 1
        progress = meter.progress
        progress.advance()
        if not progress.due(meter.done) or not meter.evaluated:
            return
        means = meter.means()
        if not math.isfinite(means.loss):
            what = f"the loss is {means.loss} by batch {meter.done} of {progress.label}"
            if self.saver is None:
                raise RunError(f"{what}: the tested weights are at fault")
            raise self.saver.divergence(what)
        progress.show(meter.done, means.loss, means.top1, meter.data_seconds)
