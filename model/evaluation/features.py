"""The features of videos: a vector for each window of a video, and their mean for the video."""

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from model.lc import LC_RNN
from model.training.batches import copied_ahead
from model.training.build import build_learner
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.loop import norms_without_statistics
from model.training.meter import Meter
from model.training.weights import load_pretrained
from utils.config.flags import Config
from utils.logs import Progress, log
from utils.runtime.device import Runtime
from utils.samples import Batch, Loader

UNUSED_CLASSES = 2  # of the classifier that the backbone is part of


def build_network(config: Config, runtime: Runtime, content: dict[str, Any] | None) -> Learner:
    """Return the network of a configuration of `features_config`, on its device, for all ranks.

    Its backbone has the weights in the content of a checkpoint, or random ones. What comes after
    the backbone is not used. Raises UsageError for weights that don't fit.
    """
    learner = build_learner(config, UNUSED_CLASSES, whole_videos=False, runtime=runtime)
    if content is not None:
        load_pretrained(
            learner.model, content, getattr(config, config.evaluation), config.evaluation
        )
    learner.distribute()
    if lacks_statistics(learner):
        told = "the weights come without batch-norm statistics: training clips of %s give them"
        log.info(told, config.dataset)
    return learner


def lacks_statistics(learner: Learner) -> bool:
    """Whether batch norms of the backbone have no running statistics yet."""
    return bool(norms_without_statistics(network(learner).backbone))


def network(learner: Learner) -> LC_RNN:
    """Return the learner's network, which is that of a classifier."""
    return cast(LC_RNN, learner.model)


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
    blocks = batch.clip.flatten(0, 1)  # [B*K, C, L, H, W]
    features = torch.cat([block_features(learner, part) for part in blocks.split(blocks_at_once)])
    features = features.unflatten(0, batch.clip.shape[:2])  # [B, K, F]
    if batch.windows is None:
        windows = features.mean(dim=1, keepdim=True)  # [B, 1, F]
    else:  # [B, W, F]
        pairs = zip(features, batch.windows, strict=True)
        windows = torch.stack([of_blocks[places].mean(dim=1) for of_blocks, places in pairs])
    labels, rows = batch.labels[:, -1, -1, 0].tolist(), windows.float().cpu().numpy()
    return [_Item(*row) for row in zip(batch.item.tolist(), labels, rows, strict=True)]


def run_backbone(learner: Learner, batch: Batch) -> None:
    """Run the backbone on a batch of clips, of which its batch norms learn their statistics."""
    assert batch.clip is not None  # the guard admits no other batch
    block_features(learner, batch.clip.flatten(0, 1))


def block_features(learner: Learner, blocks: Tensor) -> Tensor:
    """Return the means over time and positions, `[K, F]`, of uint8 blocks `[K, C, L, H, W]`.

    Static blocks may come with L = 1.
    """
    model = network(learner)
    repeats = model.block_shape[2] // blocks.shape[2]
    return model.backbone(learner.task.normalise(blocks), repeats).mean(dim=(2, 3, 4))
