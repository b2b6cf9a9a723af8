"""A task is a model with its loss: a batch in, what the loop and the records need out."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.losses import contrast
from model.metrics import hits
from model.training.gathering import gather_clips
from utils.runtime.processes import ALONE, Processes
from utils.samples import Batch


class Predictions(NamedTuple):
    """What each item's Q predictions were to be and were: `labels` `[B, Q, 2]` (class, is_U),
    `predicted` class `[B, Q]`, `loss` `[B, Q]`, `rank` `[B, Q]` of the true class among all, from
    1, or 0 where classes are not ranked."""

    labels: Tensor
    predicted: Tensor
    loss: Tensor
    rank: Tensor

    def cpu(self) -> "Predictions":
        return Predictions(*(part.cpu() for part in self))


class Output(NamedTuple):
    """Of R rows of `columns` logits their `row_loss` `[R]`, of which `loss` is the mean, and `hits`
    `[R, up to 5]` (utils.metrics). `windows`: the predictions that a whole video's was averaged
    from."""

    loss: Tensor
    row_loss: Tensor
    hits: Tensor
    columns: int
    predictions: Predictions
    windows: Predictions | None = None


class ContrastiveTask(nn.Module):
    """dpc-rnn: tell the true future block's features from all others of the batch; with
    `gather_from`, from those of all processes."""

    def __init__(self, model: DPC_RNN, gather_from: Processes = ALONE):
        super().__init__()
        self.model = model
        self.gather_from = gather_from

    def forward(self, clips: Tensor, batch: Batch) -> Output:
        predicted, targets = self.model.predict(clips)  # [B, P, F, S]
        P = predicted.shape[1]
        labels = batch.labels[:, -P:, 0]  # of each predicted block's first frame: [B, P, 2]
        # B' clips in all, of which this process has B, from `first` on
        (targets, all_labels), first = gather_clips(self.gather_from, targets, labels)
        losses, found, best = contrast(predicted, targets, first)
        mean_loss = losses.detach().mean(dim=2)  # [B, P]
        decoded = all_labels[..., 0].flatten()[best]  # [B, P]
        predictions = Predictions(labels, decoded, mean_loss, torch.zeros_like(decoded))
        row_loss = losses.flatten()  # [B*P*S]
        columns = targets[:, :, 0].numel()  # B'*P*S
        return Output(row_loss.mean(), row_loss, found, columns, predictions)


class ClassificationTask(nn.Module):
    """lc-rnn: the class of the clip's last frame."""

    def __init__(self, model: LC_RNN):
        super().__init__()
        self.model = model

    def forward(self, clips: Tensor, batch: Batch) -> Output:
        logits = self.model(clips)[0].squeeze(1)  # [B, classes]
        labels = batch.labels[:, -1:, -1]  # [B, 1, 2]
        target = labels[:, 0, 0]
        row_loss = functional.cross_entropy(logits, target, reduction="none")  # [B]
        predictions = ranked(logits.detach()[:, None], labels, row_loss.detach()[:, None])
        columns = logits.shape[1]
        return Output(row_loss.mean(), row_loss, hits(logits, target), columns, predictions)


class WholeVideoTask(nn.Module):
    """lc-rnn on whole videos, one at a time: the softmax outputs of all windows, averaged.

    `per_pass`: how many windows go through the network at once; it changes no result.
    """

    def __init__(self, model: LC_RNN, per_pass: int):
        super().__init__()
        self.model = model
        self.per_pass = per_pass

    def forward(self, clips: Tensor, batch: Batch) -> Output:
        windows = batch.windows[0]  # [W, N]
        blocks = clips[0].split(self.per_pass * windows.shape[1])  # each [up to per_pass·N, C, …]
        features = torch.cat([self.model.features(part) for part in blocks])  # [K, F, D, D]
        logits = torch.cat(
            [self.model.classify(features[part])[0] for part in windows.split(self.per_pass)]
        )  # [W, classes]
        labels = batch.labels[:, -1:, -1]  # [1, 1, 2]
        target = labels[:, 0, 0]  # [1]
        log_shares = functional.log_softmax(logits, dim=1)
        # the logarithm of the mean of the softmax outputs
        averaged = log_shares.logsumexp(dim=0, keepdim=True) - math.log(len(windows))
        row_loss = functional.nll_loss(averaged, target, reduction="none")  # [1]
        window_loss = -log_shares[:, target].T  # [1, W]
        return Output(
            row_loss.mean(),
            row_loss,
            hits(averaged, target),
            averaged.shape[1],
            ranked(averaged[None], labels, row_loss[None]),
            ranked(logits[None], labels.expand(-1, len(windows), -1), window_loss),
        )


def ranked(logits: Tensor, labels: Tensor, loss: Tensor) -> Predictions:
    """Predictions from `logits` `[B, Q, classes]`, `labels` `[B, Q, 2]` and `loss` `[B, Q]`."""
    order = logits.argsort(dim=2, descending=True, stable=True)
    rank = 1 + (order == labels[..., :1]).int().argmax(dim=2)  # [B, Q]
    return Predictions(labels, order[..., 0], loss, rank)
