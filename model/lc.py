"""LC-RNN: a linear classifier on the aggregated context of a clip (Han et al. 2019, section 4)."""

from torch import Tensor, nn
from torch.nn import functional

from model.convrnn import ConvGRU
from model.dpc import frame_repeats
from model.resnet_2d3d import ResNet2d3d
from utils.runtime.device import full_precision


class LC_RNN(nn.Module):  # noqa: N801  (the published name)
    """Classes of clips `[B, N, C, L, H, W]`, N = num_seq_in; static blocks come with L = 1."""

    def __init__(
        self,
        net: str,
        img_dim: int,
        num_seq_in: int,
        seq_len: int,
        num_classes: int,
        dropout: float = 0.5,
        grad_checkpoint: bool = False,
    ):
        super().__init__()
        self.block_shape = (num_seq_in, 3, seq_len, img_dim, img_dim)
        self.backbone = ResNet2d3d(net, True, grad_checkpoint)
        size = self.backbone.feature_size
        self.agg = ConvGRU(size, size)
        self.final_bn = nn.BatchNorm1d(size)
        self.final_fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(size, num_classes))
        nn.init.orthogonal_(self.final_fc[1].weight)
        nn.init.zeros_(self.final_fc[1].bias)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """→ (logits `[B, 1, classes]`, context `[B, 1, F]`, after the batch norm)."""
        B, N = clips.shape[:2]
        repeats = frame_repeats(clips, self.block_shape)
        features = self.features(clips.flatten(0, 1), repeats)  # [B*N, F, D, D]
        logits, context = self.classify(features.unflatten(0, (B, N)))
        return logits.unsqueeze(1), context.unsqueeze(1)

    def features(self, blocks: Tensor, repeats: int = 1) -> Tensor:
        """Blocks `[K, C, L, H, W]` → `[K, F, D, D]`, each on its own."""
        features = self.backbone(blocks, repeats)  # [K, F, L_out, D, D], any sign
        return functional.relu(features).mean(dim=2)  # [K, F, D, D]

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[B, N, F, D, D]` → (logits `[B, classes]`, context `[B, F]`)."""
        _, hidden = self.agg(features)  # [B, F, D, D], one per layer
        with full_precision(hidden[-1]) as (state,):
            context = self.final_bn(state.mean(dim=(2, 3)))  # [B, F]
            return self.final_fc(context), context
