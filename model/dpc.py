"""DPC-RNN: predict the features of a clip's last blocks from its first ones (Han et al. 2019,
section 3).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.convrnn import ConvGRU
from model.resnet_2d3d import ResNet2d3d
from utils.runtime.device import full_precision


class DPC_RNN(nn.Module):  # noqa: N801  (the published name)
    """Score of every predicted feature vector against every true one of the batch.

    `forward` takes normalised clips `[B, N, C, L, H, W]` of N = num_seq_in + pred_step blocks, or
    static blocks with L = 1, and returns `[B, P, S, B, P, S]`: dot products, predicted × true.
    """

    def __init__(
        self,
        net: str,
        img_dim: int,
        num_seq_in: int,
        seq_len: int,
        pred_step: int,
        track_bn: bool = False,
        grad_checkpoint: bool = False,
    ):
        super().__init__()
        self.block_shape = (num_seq_in + pred_step, 3, seq_len, img_dim, img_dim)
        self.pred_step = pred_step
        self.backbone = ResNet2d3d(net, track_bn, grad_checkpoint)
        size = self.backbone.feature_size
        self.agg = ConvGRU(size, size)
        self.network_pred = nn.Sequential(
            nn.Conv2d(size, size, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(size, size, kernel_size=1),
        )
        for layer in (self.network_pred[0], self.network_pred[2]):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, clips: Tensor) -> Tensor:
        return score(*self.predict(clips))

    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """→ (predicted, true) feature vectors, each `[B, P, F, S]`, in float32 at least."""
        B, N, P = clips.shape[0], clips.shape[1], self.pred_step
        repeats = frame_repeats(clips, self.block_shape)
        features = self.backbone(clips.flatten(0, 1), repeats)  # [B*N, F, L_out, D, D]
        features = features.mean(dim=2).unflatten(0, (B, N))  # [B, N, F, D, D], any sign
        seen, targets = features[:, : N - P], features[:, N - P :]

        _, hidden = self.agg(functional.relu(seen))  # context: [B, F, D, D], one per layer
        predictions = []
        for _ in range(P):
            predictions.append(self.network_pred(hidden[-1]))  # [B, F, D, D]
            _, hidden = self.agg(functional.relu(predictions[-1]).unsqueeze(1), hidden)
        with full_precision(torch.stack(predictions, dim=1), targets) as vectors:
            predicted, targets = vectors  # [B, P, F, D, D]
            return predicted.flatten(3), targets.flatten(3)


def score(predicted: Tensor, targets: Tensor) -> Tensor:
    """Dot products of vectors `[B, P, F, S]` and `[B', P, F, S]` along F, `[B, P, S, B', P, S]`, in
    their own precision."""
    with full_precision(predicted, targets) as (predicted, targets):
        return torch.einsum("bpfs,cqfr->bpscqr", predicted, targets)


def frame_repeats(clips: Tensor, block_shape: tuple[int, int, int, int, int]) -> int:
    """How often each frame given is shown: 1, or seq_len for static blocks handed over with L = 1.

    Raises ValueError if the clips are not `[B, *block_shape]`.
    """
    seq_len = block_shape[2]
    static_shape = (*block_shape[:2], 1, *block_shape[3:])
    if tuple(clips.shape[1:]) == block_shape:
        return 1
    if tuple(clips.shape[1:]) == static_shape:
        return seq_len
    raise ValueError(f"clips are {tuple(clips.shape)}, the model takes [B, {block_shape}]")
