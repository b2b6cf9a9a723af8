"""DPC-RNN: predict the features of a clip's last blocks from its first (Han et al. 2019, 3)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.convrnn import ConvGRU, start_orthogonal
from model.resnet_2d3d import ResNet2d3d
from utils.runtime.precision import full_precision


class DPC_RNN(nn.Module):  # noqa: N801  (the published name)
    """Dense Predictive Coding of clips of N = num_seq_in + pred_step blocks.

    `backbone` makes the backbone of a depth, such as resnet18, with or without running batch-norm
    statistics.
    """

    def __init__(
        self,
        net: str,
        img_dim: int,
        num_seq_in: int,
        seq_len: int,
        pred_step: int,
        track_bn: bool = False,
        backbone: Callable[[str, bool], ResNet2d3d] = ResNet2d3d,
    ):
        super().__init__()
        self.block_shape = (num_seq_in + pred_step, 3, seq_len, img_dim, img_dim)
        self.pred_step = pred_step
        self.backbone = backbone(net, track_bn)
        size = self.backbone.feature_size
        self.agg = ConvGRU(size)
        first, last = nn.Conv2d(size, size, kernel_size=1), nn.Conv2d(size, size, kernel_size=1)
        self.network_pred = nn.Sequential(first, nn.ReLU(inplace=True), last)
        start_orthogonal(first)
        start_orthogonal(last)

    def forward(self, clips: Tensor) -> Tensor:
        """Score every predicted feature vector against every true one, `[B, P, S, B, P, S]`.

        `clips` are normalised, `[B, N, C, L, H, W]`; static blocks may come with L = 1.
        """
        return score(*self.predict(clips))

    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return predicted and true feature vectors, each `[B, P, F, S]`, in float32 at least."""
        B, N, P = clips.shape[0], clips.shape[1], self.pred_step
        repeats = frame_repeats(clips, self.block_shape)
        features = self.backbone(clips.flatten(0, 1), repeats)  # [B*N, F, L_out, D, D]
        features = features.mean(dim=2).unflatten(0, (B, N))  # [B, N, F, D, D], any sign
        seen = functional.relu(features[:, : N - P])  # [B, N-P, F, D, D]
        targets = features[:, N - P :]  # [B, P, F, D, D]

        hidden = self.agg(seen)  # [B, F, D, D], the context
        predictions = []
        for _ in range(P):
            predictions.append(self.network_pred(hidden))  # [B, F, D, D]
            step = functional.relu(predictions[-1]).unsqueeze(1)  # [B, 1, F, D, D]
            hidden = self.agg(step, hidden)  # [B, F, D, D]
        predicted = torch.stack(predictions, dim=1)  # [B, P, F, D, D]
        with full_precision(predicted, targets) as (predicted, targets):
            return predicted.flatten(3), targets.flatten(3)  # [B, P, F, S]


def score(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the dot products of vectors `[B, P, F, S]` and `[B', P, F, S]` along F.

    They are `[B, P, S, B', P, S]`, in float32 at least.
    """
    with full_precision(predicted, targets) as (predicted, targets):
        return torch.einsum("bpfs,cqfr->bpscqr", predicted, targets)  # [B, P, S, B', P, S]


def frame_repeats(clips: Tensor, block_shape: tuple[int, int, int, int, int]) -> int:
    """Return how often each given frame is shown: seq_len for static blocks with L = 1, else once.

    Raises ValueError if the clips are not `[B, *block_shape]`.
    """
    N, C, seq_len, *sides = block_shape
    if tuple(clips.shape[1:]) == block_shape:
        return 1
    if tuple(clips.shape[1:]) == (N, C, 1, *sides):
        return seq_len
    raise ValueError(f"clips are {tuple(clips.shape)}, the model takes [B, {block_shape}]")
