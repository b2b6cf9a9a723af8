"""The convolutional GRU that aggregates block features over time (Ballas et al. 2016; Han et al.
2019).
"""

import torch
from torch import Tensor, nn


class ConvGRUCell(nn.Module):
    """One step: input `[B, F_in, D, D]` and hidden `[B, F, D, D]` → new hidden `[B, F, D, D]`."""

    def __init__(self, input_size: int, hidden_size: int, kernel_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        for gate in ("reset_gate", "update_gate", "out_gate"):
            conv = nn.Conv2d(
                input_size + hidden_size, hidden_size, kernel_size, padding=kernel_size // 2
            )
            nn.init.orthogonal_(conv.weight)
            nn.init.zeros_(conv.bias)
            self.add_module(gate, conv)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        both = torch.cat([x, hidden], dim=1)
        update = torch.sigmoid(self.update_gate(both))
        reset = torch.sigmoid(self.reset_gate(both))
        candidate = torch.tanh(self.out_gate(torch.cat([x, hidden * reset], dim=1)))
        return hidden * (1 - update) + candidate * update


class ConvGRU(nn.Module):
    """Layers of `ConvGRUCell`, with dropout on each new hidden state; the dropped-out one is
    carried on.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kernel_size: int = 1,
        num_layers: int = 1,
        dropout: float = 0.1,
    ):
        super().__init__()
        cells = []
        for layer in range(num_layers):
            cell = ConvGRUCell(hidden_size if layer else input_size, hidden_size, kernel_size)
            # published checkpoints list each cell under this name as well as in cell_list
            self.add_module(f"ConvGRUCell_{layer:02d}", cell)
            cells.append(cell)
        self.cell_list = nn.ModuleList(cells)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, hidden: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """`x` `[B, N, F_in, D, D]` → (the last layer's states `[B, N, F, D, D]`, each layer's last
        state).

        `hidden` holds each layer's state `[B, F, D, D]` to start from; without it they are 0.
        """
        last = []
        for layer, cell in enumerate(self.cell_list):
            if hidden is None:
                state = x.new_zeros(x.shape[0], cell.hidden_size, *x.shape[3:])
            else:
                state = hidden[layer]
            states = []
            for step in x.unbind(1):
                state = self.dropout(cell(step, state))
                states.append(state)
            x = torch.stack(states, dim=1)
            last.append(state)
        return x, last
