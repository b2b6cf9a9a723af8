"""The features of videos: a vector for each window of a video, and their mean for the video."""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from model.lc import LC_RNN
from model.training.batches import copied_ahead
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.meter import Meter
from utils.logs import Progress
from utils.samples import Batch, Loader


class Features(NamedTuple):
    """The features of V videos that were read, in the data set's order.

    `items` `[V]` are their indices in the data set, `labels` `[V]` their classes. `windows`
    `[W, F]` are the features of all windows, in float32, the first `counts[0]` of them the first
    video's, and so on.
    """

    items: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    windows: np.ndarray

    @property
    def videos(self) -> np.ndarray:
        """The mean over each video's windows, `[V, F]`."""
        sums = np.add.reduceat(self.windows, self.firsts, axis=0, dtype=np.float64)
        return (sums / self.counts[:, None]).astype(np.float32)

    @property
    def firsts(self) -> np.ndarray:
        """The index of each video's first window, `[V]`."""
        return np.cumsum(self.counts) - self.counts


class _Item(NamedTuple):
    item: int
    label: int
    windows: np.ndarray  # [W, F]


def features_of(
    learner: Learner, loader: Loader, guard: Guard, progress: Progress, blocks_at_once: int
) -> Features:
    """Return the features of a data set of whole videos, or of clips, in rank 0.

    The backbone runs in eval mode, on so many blocks at once, which changes no result. The feature
    of a window is the mean of the backbone's output, before any ReLU, over its blocks, times and
    positions. Other ranks get those of their own videos.
    """
    runtime, made = learner.runtime, []
    meter = Meter(runtime, progress, keep=False)
    learner.eval()
    with torch.inference_mode():
        for batch in copied_ahead(loader.batches(epoch=0), runtime.device):
            if guard.admits(batch, meter, together=False):
                made += _items(learner, batch, blocks_at_once)
            guard.after_step(meter)
    everyone = [item for part in runtime.processes.gather_to_first(made) for item in part]
    everyone = sorted(everyone or made, key=lambda one: one.item)
    none = np.zeros((0, network(learner).backbone.feature_size), np.float32)
    return Features(
        np.array([one.item for one in everyone], dtype=np.int64),
        np.array([one.label for one in everyone], dtype=np.int64),
        np.array([len(one.windows) for one in everyone], dtype=np.int64),
        np.concatenate([none, *(one.windows for one in everyone)]),
    )


def _items(learner: Learner, batch: Batch, blocks_at_once: int) -> list[_Item]:
    """Return the features of a batch's videos or clips."""
    assert batch.clip is not None  # the guard admits no other batch
    assert batch.labels is not None
    model = network(learner)
    repeats = model.block_shape[2] // batch.clip.shape[3]  # of static blocks' frames
    blocks = batch.clip.flatten(0, 1)  # [B*K, C, L, H, W], uint8
    features = torch.cat(
        [
            block_features(model.backbone, learner.task.normalise(part), repeats)
            for part in blocks.split(blocks_at_once)
        ]
    ).unflatten(0, batch.clip.shape[:2])  # [B, K, F]
    if batch.windows is None:
        windows = features.mean(dim=1, keepdim=True)  # [B, 1, F]
    else:  # [B, W, F]
        pairs = zip(features, batch.windows, strict=True)
        windows = torch.stack([of_blocks[places].mean(dim=1) for of_blocks, places in pairs])
    labels, rows = batch.labels[:, -1, -1, 0].tolist(), windows.float().cpu().numpy()
    return [_Item(*row) for row in zip(batch.item.tolist(), labels, rows, strict=True)]


def network(learner: Learner) -> LC_RNN:
    """Return the learner's network, which is that of a classifier."""
    return cast(LC_RNN, learner.model)


def block_features(backbone: nn.Module, blocks: Tensor, repeats: int = 1) -> Tensor:
    """Return the means over time and positions, `[K, F]`, of normalised `[K, C, L, H, W]`."""
    return backbone(blocks, repeats).mean(dim=(2, 3, 4))
