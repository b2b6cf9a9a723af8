"""Tensorboard files of a run, written with --use_tb."""

import time
from pathlib import Path

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import image, scalar
from torch import Tensor

from utils.files import writing
from utils.runs.records import EpochRow

BY_KIND = tuple(name for name in EpochRow._fields if name.startswith(("score_", "wrong_")))
SHOWN = ("loss", "top1", "top3", "top5", "lr", "seconds", *BY_KIND)


class Tensorboard:
    """The tensorboard files in a run's folder; methods raise RunError if they can't write.

    Events of a resumed run replace those from `first_epoch` on. They are written at once rather
    than by tensorboardX's thread, which ends at the first error, and the run would wait forever.
    """

    def __init__(self, folder: Path, first_epoch: int):
        self.folder = folder / "tensorboard"
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
            self.writer = EventsWriter(str(self.folder / "events"))
            self.writer.write_event(Event(step=first_epoch, file_version="brain.Event:2"))
            start = SessionLog(status=SessionLog.START)
            self.writer.write_event(Event(step=first_epoch, session_log=start))

    def add_rows(self, rows: list[EpochRow]) -> None:
        """Add the losses, accuracies, rates, times and scores of an epoch's passes."""
        with writing(self.folder):
            for row in rows:
                for name in SHOWN:
                    value = getattr(row, name)
                    if value is not None:
                        self._add(scalar(f"{name}/{row.mode}", value), row.epoch)
            self.writer.flush()

    def add_clip(self, clip: Tensor, epoch: int) -> None:
        """Add a picture of a clip, uint8 `[N, C, L, H, W]`: a column for each block."""
        N, C, L, H, W = clip.shape
        frames = clip.permute(1, 2, 3, 0, 4).reshape(C, L * H, N * W)
        with writing(self.folder):
            self._add(image("input_clip", np.asarray(frames), dataformats="CHW"), epoch)

    def close(self) -> None:
        """Write what is left and close the file."""
        with writing(self.folder):
            self.writer.close()

    def _add(self, summary: Summary, epoch: int) -> None:
        self.writer.write_event(Event(summary=summary, step=epoch, wall_time=time.time()))
