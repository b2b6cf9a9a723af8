"""Tensorboard files of a run, written with --use_tb."""

from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter
from torch import Tensor

from utils.records import EpochRow


class Tensorboard:
    """`first_epoch`: events from there on, of a run that was resumed, are replaced."""

    def __init__(self, folder: Path, first_epoch: int):
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_epoch)

    def add_rows(self, rows: list[EpochRow]) -> None:
        for row in rows:
            for name in ("loss", "top1", "top3", "top5", "lr", "seconds"):
                value = getattr(row, name)
                if value is not None:
                    self.writer.add_scalar(f"{name}/{row.mode}", value, row.epoch)
        self.writer.flush()

    def add_clip(self, clip: Tensor, epoch: int) -> None:
        """The frames of one clip, uint8 `[N, C, L, H, W]`: a row for each frame of a block, blocks
        beside each other."""
        N, C, L, H, W = clip.shape
        image = clip.permute(1, 2, 3, 0, 4).reshape(C, L * H, N * W)
        self.writer.add_image("input_clip", np.asarray(image), epoch)

    def close(self) -> None:
        self.writer.close()
