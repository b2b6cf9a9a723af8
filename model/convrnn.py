"""The convolutional GRU that aggregates block features (Ballas et al. 2016; Han et al. 2019)."""

import torch
from torch import Tensor, nn


def start_orthogonal(layer: nn.Conv2d | nn.Linear) -> None:
    """Set a layer's weights to an orthogonal matrix and its biases to 0."""
    nn.init.orthogonal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ConvGRUCell(nn.Module):
    """One step of a GRU whose gates are 1×1 convolutions."""

    def __init__(self, size: int):
        super().__init__()

        def gate() -> nn.Conv2d:
            conv = nn.Conv2d(2 * size, size, kernel_size=1)
            start_orthogonal(conv)
            return conv

        self.reset_gate = gate()
        self.update_gate = gate()
        self.out_gate = gate()

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return the new hidden state; all states and inputs are `[B, F, D, D]`."""
        both = torch.cat([x, hidden], dim=1)  # [B, 2*F, D, D]
        update = torch.sigmoid(self.update_gate(both))  # [B, F, D, D]
        reset = torch.sigmoid(self.reset_gate(both))  # [B, F, D, D]
        both = torch.cat([x, hidden * reset], dim=1)  # [B, 2*F, D, D]
        candidate = torch.tanh(self.out_gate(both))  # [B, F, D, D]
        return hidden * (1 - update) + candidate * update


class ConvGRU(nn.Module):
    """A GRU of one layer. Dropout is applied to each new hidden state before it is carried on."""

    def __init__(self, size: int, dropout: float = 0.1):
        super().__init__()
        self.ConvGRUCell_00 = ConvGRUCell(size)
        # published checkpoints list the cell under this name as well
        self.cell_list = nn.ModuleList([self.ConvGRUCell_00])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the hidden state `[B, F, D, D]` after the N steps of `x` `[B, N, F, D, D]`.

        It starts from `hidden`, or from 0.
        """
        if hidden is None:
            hidden = x.new_zeros(x[:, 0].shape)  # [B, F, D, D]
        for step in x.unbind(1):
            hidden = self.dropout(self.ConvGRUCell_00(step, hidden))
        return hidden
