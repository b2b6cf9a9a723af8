"""LC-RNN: a linear classifier on the aggregated context of a clip (Han et al. 2019, section 4)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from model.convrnn import ConvGRU, start_orthogonal
from model.dpc import frame_repeats
from model.resnet_2d3d import ResNet2d3d
from utils.runtime.precision import full_precision


class LC_RNN(nn.Module):  # noqa: N801  (the published name)
    """A classifier of clips of N = num_seq_in blocks; `backbone` as in DPC_RNN.

    With `l2_norm` each context is divided by its length before the batch norm, as in the linear
    probe of CoCLR (Han et al. 2020).
    """

    def __init__(
        self,
        net: str,
        img_dim: int,
        num_seq_in: int,
        seq_len: int,
        num_classes: int,
        dropout: float = 0.5,
        backbone: Callable[[str, bool], ResNet2d3d] = ResNet2d3d,
        l2_norm: bool = False,
    ):
        super().__init__()
        self.block_shape = (num_seq_in, 3, seq_len, img_dim, img_dim)
        self.backbone = backbone(net, True)
        size = self.backbone.feature_size
        self.agg = ConvGRU(size)
        self.l2_norm = l2_norm
        self.final_bn = nn.BatchNorm1d(size)
        linear = nn.Linear(size, num_classes)
        self.final_fc = nn.Sequential(nn.Dropout(dropout), linear)
        start_orthogonal(linear)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits `[B, 1, classes]` and the context after the batch norm, `[B, 1, F]`.

        `clips` are normalised, `[B, N, C, L, H, W]`; static blocks may come with L = 1.
        """
        B, N = clips.shape[:2]
        repeats = frame_repeats(clips, self.block_shape)
        features = self.features(clips.flatten(0, 1), repeats)  # [B*N, F, D, D]
        logits, context = self.classify(features.unflatten(0, (B, N)))
        return logits.unsqueeze(1), context.unsqueeze(1)  # [B, 1, classes], [B, 1, F]

    def features(self, blocks: Tensor, repeats: int = 1) -> Tensor:
        """Return the features `[B*N, F, D, D]` of blocks `[B*N, C, L, H, W]`, each on its own."""
        features = self.backbone(blocks, repeats)  # [B*N, F, L_out, D, D], any sign
        return functional.relu(features).mean(dim=2)  # [B*N, F, D, D]

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits `[B, classes]` and context `[B, F]` of features `[B, N, F, D, D]`."""
        hidden = self.agg(features)  # [B, F, D, D]
        with full_precision(hidden) as (hidden,):
            context = hidden.mean(dim=(2, 3))  # [B, F]
            if self.l2_norm:
                context = functional.normalize(context, dim=1)  # [B, F], of length 1
            context = self.final_bn(context)  # [B, F]
            return self.final_fc(context), context  # [B, classes], [B, F]
