"""Tensorboard files of a run, written with --use_tb."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import image, scalar
from torch import Tensor

from utils.errors import RunError
from utils.runs.records import EpochRow


class Tensorboard:
    """`first_epoch`: events from there on, of a run that was resumed, are replaced.

    Written at once, not by tensorboardX's own thread: that ends at the first fault, after which the
    run would wait for it for ever. Raises RunError.
    """

    def __init__(self, folder: Path, first_epoch: int):
        self.folder = folder / "tensorboard"
        with self.told():
            self.folder.mkdir(exist_ok=True)
            self.writer = EventsWriter(str(self.folder / "events"))
            self.writer.write_event(Event(step=first_epoch, file_version="brain.Event:2"))
            start = SessionLog(status=SessionLog.START)
            self.writer.write_event(Event(step=first_epoch, session_log=start))

    @contextmanager
    def told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"can't write {self.folder}: {error.strerror}") from error

    def add_rows(self, rows: list[EpochRow]) -> None:
        with self.told():
            for row in rows:
                for name in ("loss", "top1", "top3", "top5", "lr", "seconds"):
                    value = getattr(row, name)
                    if value is not None:
                        self.add(scalar(f"{name}/{row.mode}", value), row.epoch)
            self.writer.flush()

    def add_clip(self, clip: Tensor, epoch: int) -> None:
        """The frames of one clip, uint8 `[N, C, L, H, W]`: a row for each frame of a block, blocks
        beside each other."""
        N, C, L, H, W = clip.shape
        frames = clip.permute(1, 2, 3, 0, 4).reshape(C, L * H, N * W)
        with self.told():
            self.add(image("input_clip", np.asarray(frames), dataformats="CHW"), epoch)

    def add(self, summary: Summary, epoch: int) -> None:
        self.writer.write_event(Event(summary=summary, step=epoch, wall_time=time.time()))

    def close(self) -> None:
        with self.told():
            self.writer.close()
