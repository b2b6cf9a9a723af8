"""A task is a model with its loss: a batch in, what the loop and the records need out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.losses import contrastive_logits, contrastive_loss
from utils.batch import Batch


class Predictions(NamedTuple):
    """What each item's Q predictions were to be and were: `labels` `[B, Q, 2]` (class, is_U),
    `predicted` class `[B, Q]`, `loss` `[B, Q]`."""

    labels: Tensor
    predicted: Tensor
    loss: Tensor


class Output(NamedTuple):
    """R rows of `logits` `[R, K]` with their `target` `[R]` and `row_loss` `[R]`; `loss` is its
    mean.
    """

    loss: Tensor
    row_loss: Tensor
    logits: Tensor
    target: Tensor
    predictions: Predictions


class ContrastiveTask(nn.Module):
    """dpc-rnn: tell the true future block's features from all others of the batch."""

    def __init__(self, model: DPC_RNN):
        super().__init__()
        self.model = model

    def forward(self, clips: Tensor, batch: Batch) -> Output:
        score = self.model(clips)  # [B, P, S, B, P, S]
        logits, target = contrastive_logits(score)
        losses = contrastive_loss(score)  # [B, P, S]
        with torch.no_grad():
            P = score.shape[1]
            labels = batch.labels[:, -P:, 0]  # of each predicted block's first frame: [B, P, 2]
            # the block of the batch with the highest score averaged over all pairs of positions
            best = score.detach().mean(dim=(2, 5)).flatten(2).argmax(dim=2)  # [B, P]
            predicted = labels[..., 0].flatten()[best]
            predictions = Predictions(labels, predicted, losses.detach().mean(dim=2))
        row_loss = losses.flatten()  # [B*P*S]
        return Output(row_loss.mean(), row_loss, logits, target, predictions)


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
        predicted = logits.detach().argmax(dim=1, keepdim=True)  # [B, 1]
        predictions = Predictions(labels, predicted, row_loss.detach()[:, None])
        return Output(row_loss.mean(), row_loss, logits, target, predictions)
