"""What each pass of a run leaves behind: rows, tensorboard events, pictures, log lines."""

from pathlib import Path

from model.training.meter import Summary
from model.training.rows import epoch_line, prediction_rows
from utils.config.flags import Config
from utils.logs import log
from utils.plots.pictures import Pictures
from utils.runs.positions import Times
from utils.runs.records import EPOCHS, PREDICTIONS, WINDOWS, EpochRow, append_rows
from utils.samples import Samples

MUCH_WAITING = 0.2  # of a training epoch's time


def record(
    folder: Path, samples: Samples, epoch: int, mode: str, lr: float, summary: Summary
) -> EpochRow:
    """Append a pass's rows to the records, and return its row of epochs.csv."""
    if samples.records_predictions:
        for name, batches in (PREDICTIONS, summary.predictions), (WINDOWS, summary.windows):
            append_rows(folder, name, prediction_rows(epoch, mode, samples, batches))
    row = summary.row(epoch, mode, samples.phase(epoch), lr, samples.total)
    append_rows(folder, EPOCHS, [row])
    return row


class Recorder:
    """Keep what the passes of a run leave behind; only rank 0 writes.

    When the context ends, no drawing goes on.
    """

    def __init__(self, folder: Path, config: Config, leads: bool, first_epoch: int):
        self.folder = folder
        self.config = config
        self.leads = leads
        self.pictures = Pictures(folder, config.plt_bkend)
        self.warned = False
        self.tensorboard = None
        if config.use_tb and leads:
            from utils.runs.tensorboard import Tensorboard

            self.tensorboard = Tensorboard(folder, first_epoch)

    def __enter__(self) -> "Recorder":
        self.pictures.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.pictures.__exit__(*error)

    def add(self, samples: Samples, epoch: int, mode: str, lr: float, summary: Summary) -> EpochRow:
        """Record a pass, and return its row of epochs.csv."""
        if self.leads:
            return record(self.folder, samples, epoch, mode, lr, summary)
        return summary.row(epoch, mode, samples.phase(epoch), lr, samples.total)

    def show_clip(self, samples: Samples, epoch: int) -> None:
        """Show the epoch's first clip in tensorboard."""
        if self.tensorboard:
            clip = samples[epoch, 0].clip
            if clip is not None:
                self.tensorboard.add_clip(clip, epoch)

    def add_scalars(self, rows: list[EpochRow]) -> None:
        """Show an epoch's losses, accuracies, rate and scores in tensorboard."""
        if self.tensorboard:
            self.tensorboard.add_rows(rows)

    def end_epoch(self, rows: list[EpochRow], is_best: bool, seconds: float, last: int) -> None:
        """Log the epoch's line with the time that is left, and draw beside the next epoch."""
        epoch = rows[-1].epoch
        if self.leads and epoch < last:
            self.pictures.draw(at_once=False)
        log.info("%s", epoch_line(rows, last, is_best, seconds * (last - epoch)))

    def finish(self) -> None:
        """Draw the pictures of the whole run."""
        if self.tensorboard:
            self.tensorboard.close()
        if self.leads:
            self.pictures.draw(at_once=True)

    def warn_if_data_bound(self, times: Times) -> None:
        """Warn once if over 20 % of a training epoch was spent waiting for data."""
        share = times.data / times.seconds
        if share > MUCH_WAITING and not self.warned:
            self.warned = True
            log.warning(
                "%.0f %% of the epoch went by waiting for data: raise --num_workers (now %d); for "
                "videos, extract or pack frames, or copy them to the node's disk (--temp_data_dir)",
                100 * share,
                self.config.num_workers,
            )
