"""A task is a model with its loss: a batch in, what the loop and the records need out."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.dpc import DPC_RNN
from model.fast.resnet_2d3d import FastResNet2d3d
from model.fast.score_blocks import contrast_in_blocks
from model.lc import LC_RNN
from model.losses import Contrast, KindSums, contrast, sum_by_kind
from model.metrics import hits
from model.resnet_2d3d import ResNet2d3d
from model.training.gathering import gather_clips
from utils.config.flags import CROPS, Config
from utils.runs.positions import Predictions
from utils.runtime.processes import ALONE, Processes
from utils.samples import Batch

Loss = Callable[[Tensor, Tensor, int], Contrast]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of red, green, blue in 0..1


class Output(NamedTuple):
    """A batch's mean loss, its rows' losses and hits, and the number of candidates of each row.

    `row_loss` `[R]` and `hits` `[R, up to 5]`, as of model.metrics. `windows`: the predictions
    that a whole video's prediction was averaged from, those of the centre crop. `kinds`: what is
    told of the pairs of a contrast by their kind; None without pairs. `crops`: predictions of
    whole videos from V numbers of crops, of which `predictions` are those from the most.
    `probabilities` `[B, V, classes]` of a classifier that isn't training; without crops, V = 1.
    """

    loss: Tensor
    row_loss: Tensor
    hits: Tensor
    columns: int
    predictions: Predictions
    windows: Predictions | None = None
    kinds: KindSums | None = None
    crops: Predictions | None = None
    probabilities: Tensor | None = None


class Task(nn.Module):
    """A model with its loss. Subclasses compute `output` from normalised clips.

    `gathers`: whether a forward talks to the other ranks, so that all of them have to step.
    """

    gathers = False
    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        # on the device once: a constant that is made in a step would wait for the device
        shape = (len(MEAN), 1, 1, 1)
        self.register_buffer("mean", torch.tensor(MEAN).view(shape) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(shape) * 255, persistent=False)

    def forward(self, batch: Batch) -> Output:
        """Return the loss, hits and predictions of a batch of uint8 clips."""
        assert batch.clip is not None  # the guard admits no other batch
        assert batch.labels is not None
        return self.output(self.normalise(batch.clip), batch.labels, batch.windows)

    def normalise(self, clip: Tensor) -> Tensor:
        """Return the clip in float32, each channel with ImageNet's mean and spread."""
        return clip.float().sub_(self.mean).div_(self.std)  # [B, N, C, L, H, W]

    def output(self, clips: Tensor, labels: Tensor, windows: Tensor | None) -> Output:
        """Return the loss, hits and predictions for normalised `clips` `[B, N, C, L, H, W]`.

        `labels` and `windows` are the batch's.
        """
        raise NotImplementedError


class ContrastiveTask(Task):
    """Tell the true future block's features from all others of the batch (dpc-rnn).

    `contrast` is the loss, `model.losses.contrast` or one with its meaning. With `gather_from`,
    the others are those of all ranks.
    """

    model: DPC_RNN

    def __init__(
        self, model: DPC_RNN, gather_from: Processes = ALONE, contrast: Loss = contrast_in_blocks
    ):
        super().__init__(model)
        self.gather_from = gather_from
        self.contrast = contrast
        self.gathers = gather_from.count > 1

    def output(self, clips: Tensor, labels: Tensor, windows: Tensor | None) -> Output:
        """Return the InfoNCE loss of every predicted vector, and each block's best match."""
        predicted, targets = self.model.predict(clips)  # [B, P, F, S] each
        P = predicted.shape[1]
        labels = labels[:, -P:, 0]  # of each predicted block's first frame: [B, P, 2]
        # of B' clips in all, this rank's B start at index `first`
        (targets, all_labels), first = gather_clips(self.gather_from, targets, labels)
        # [B, P, S], [B·P·S, up to 5], [B, P], [B·P·S]
        losses, found, best, winner = self.contrast(predicted, targets, first)
        kinds = sum_by_kind(predicted, targets, winner, first)
        decoded = all_labels[..., 0].flatten()[best]  # [B, P]
        mean_loss = losses.detach().mean(dim=2)  # [B, P]
        predictions = Predictions(labels, decoded, mean_loss, torch.zeros_like(decoded))
        row_loss = losses.flatten()  # [B·P·S]
        columns = targets[:, :, 0].numel()  # B'·P·S
        return Output(row_loss.mean(), row_loss, found, columns, predictions, kinds=kinds)


class ClassificationTask(Task):
    """Name the class of the clip's last frame (lc-rnn)."""

    model: LC_RNN

    def output(self, clips: Tensor, labels: Tensor, windows: Tensor | None) -> Output:
        """Return the cross entropy of each clip."""
        logits = self.model(clips)[0].squeeze(1)  # [B, classes]
        labels = labels[:, -1:, -1]  # [B, 1, 2]
        target = labels[:, 0, 0]  # [B]
        row_loss = functional.cross_entropy(logits, target, reduction="none")  # [B]
        predictions = ranked(logits.detach()[:, None], labels, row_loss.detach()[:, None])
        found = hits(logits, target)  # [B, up to 5]
        shares = None if self.training else logits.detach().softmax(dim=1)[:, None]
        output = Output(row_loss.mean(), row_loss, found, logits.shape[1], predictions)
        return output._replace(probabilities=shares)  # [B, 1, classes]


class WholeVideoTask(Task):
    """Average the softmax outputs of all windows of a video (lc-rnn), one video at a time.

    Those of several crops are averaged over windows, and then over crops: the first one, the first
    5 and all 10, as far as there are so many. `per_pass` windows go through the network at once,
    which changes no result.
    """

    model: LC_RNN

    def __init__(self, model: LC_RNN, per_pass: int):
        super().__init__(model)
        self.per_pass = per_pass

    def forward(self, batch: Batch) -> Output:
        """Return what `output` does; blocks are normalised when they go through the network."""
        assert batch.clip is not None  # the guard admits no other batch
        assert batch.labels is not None
        return self._output(batch.clip, batch.labels, batch.windows, self.normalise)

    def output(self, clips: Tensor, labels: Tensor, windows: Tensor | None) -> Output:
        """Return the loss and rank of the averaged probability, and those of each window."""
        return self._output(clips, labels, windows, nn.Identity())

    def _output(
        self,
        clips: Tensor,
        labels: Tensor,
        windows: Tensor | None,
        prepare: Callable[[Tensor], Tensor],
    ) -> Output:
        assert windows is not None
        windows = windows[0] if windows.ndim == 4 else windows  # [crops, W, N]
        crops, W = windows.shape[:2]
        blocks = clips[0].unflatten(0, (crops, -1))  # [crops, K, C, L, H, W]
        starts = blocks.shape[1] * torch.arange(crops, device=windows.device)[:, None, None]
        logits = torch.stack(
            [
                self._logits(of_crop, chosen, prepare)
                for of_crop, chosen in zip(blocks, windows - starts, strict=True)
            ]
        )  # [crops, W, classes]
        labels = labels[:, -1:, -1]  # [1, 1, 2]
        target = labels[:, 0, 0]  # [1]
        log_shares = functional.log_softmax(logits, dim=2)  # [crops, W, classes]
        averaged = average(log_shares)  # [V, classes]
        V = len(averaged)
        losses = -averaged[:, target].T  # [1, V]
        row_loss = losses[:, -1]  # [1]
        voted = ranked(averaged[None], labels.expand(-1, V, -1), losses)
        window_loss = -log_shares[0, :, target].T  # [1, W]
        return Output(
            row_loss.mean(),
            row_loss,
            hits(averaged[-1:], target),
            averaged.shape[1],
            Predictions(*(part[:, -1:] for part in voted)),
            windows=ranked(logits[:1], labels.expand(-1, W, -1), window_loss),
            crops=voted,
            probabilities=averaged.exp()[None],
        )

    def _logits(
        self, blocks: Tensor, windows: Tensor, prepare: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return the logits `[W, classes]` of the windows `[W, N]` of blocks `[K, C, L, H, W]`."""
        parts = blocks.split(self.per_pass * windows.shape[1])  # [up to per_pass·N, C, L, H, W]
        features = torch.cat([self.model.features(prepare(part)) for part in parts])  # [K, F, D, D]
        return torch.cat(
            [self.model.classify(features[part])[0] for part in windows.split(self.per_pass)]
        )


def average(log_shares: Tensor) -> Tensor:
    """Average softmax outputs over windows, and then over the first 1, 5 and 10 crops there are.

    Takes `[crops, W, classes]` and returns `[V, classes]`, logarithms both.
    """
    crops, W, _ = log_shares.shape
    of_crops = log_shares.logsumexp(dim=1) - math.log(W)  # [crops, classes]
    return torch.stack([of_crops[:n].logsumexp(dim=0) - math.log(n) for n in CROPS if n <= crops])


def ranked(logits: Tensor, labels: Tensor, loss: Tensor) -> Predictions:
    """Return predictions from `logits` `[B, Q, classes]`, `labels` `[B, Q, 2]`, `loss` `[B, Q]`."""
    order = logits.argsort(dim=2, descending=True, stable=True)  # [B, Q, classes]
    rank = 1 + (order == labels[..., :1]).int().argmax(dim=2)  # [B, Q]
    return Predictions(labels, order[..., 0], loss, rank)


def build_task(
    config: Config, num_classes: int, whole_videos: bool = False, processes: Processes = ALONE
) -> Task:
    """Return the task with weights drawn from torch's default generator.

    `whole_videos`: lc-rnn is given whole videos with windows, rather than clips.
    """
    backbone: Callable[[str, bool], ResNet2d3d] = ResNet2d3d
    if not config.plain:
        backbone = partial(FastResNet2d3d, grad_checkpoint=config.grad_checkpoint)
    sizes = (config.net, config.img_dim, config.num_seq_in, config.seq_len)
    if config.is_dpc:
        predictor = DPC_RNN(*sizes, config.pred_step, config.track_bn, backbone)
        loss = contrast if config.plain else contrast_in_blocks
        return ContrastiveTask(predictor, processes if config.gather_negatives else ALONE, loss)
    classifier = LC_RNN(*sizes, num_classes, config.dropout, backbone, config.l2_norm)
    if whole_videos:
        return WholeVideoTask(classifier, config.batch_size)
    return ClassificationTask(classifier)
