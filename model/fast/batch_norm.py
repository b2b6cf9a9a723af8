"""Batch norm of frames that stand for several equal ones, at once or in parts."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class BatchNorm3d(nn.BatchNorm3d):
    """Batch norm for which each frame of the input may stand for `frame_repeats` equal frames.

    Repeating every frame changes neither the mean nor the biased variance, so the output is that of
    `nn.BatchNorm3d`. Only the running variance, which is unbiased, counts the repeated frames.
    """

    def forward(self, x: Tensor, frame_repeats: int = 1) -> Tensor:
        """Normalise `[B*N, C, L, H, W]`."""
        if frame_repeats == 1 or not self.training or self.running_var is None:
            return super().forward(x)
        momentum = self.next_momentum()
        kept = (1 - momentum) * self.running_var
        var = self.running_var.clone()
        y = functional.batch_norm(
            x, self.running_mean, var, self.weight, self.bias, True, momentum, self.eps
        )
        n = x.numel() // x.shape[1]
        # torch added momentum * variance * n / (n - 1)
        self.running_var.copy_(kept + (var - kept) * ((n - 1) / n * unbiased(n * frame_repeats)))
        return y

    def next_momentum(self) -> float:
        """Count a batch; return its share in the running statistics."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        if self.momentum is None:  # a cumulative average
            return 1 / self.num_batches_tracked.item()
        return self.momentum

    # ---- the same in parts, for a large input ----

    def moments(self, part: Tensor) -> tuple[Tensor, ...]:
        """Return the biased variance and the mean of each channel, in float32 at least."""
        wide = part.to(torch.promote_types(part.dtype, torch.float32))
        return torch.var_mean(wide, dim=(0, 2, 3, 4), correction=0)

    def merge(
        self, moments: list[tuple[Tensor, ...]], n: list[int], frame_repeats: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return the variance and the mean to normalise by, from those of parts with n values each.

        In training the running statistics are updated.
        """
        if not self.training and self.running_var is not None and self.running_mean is not None:
            return self.running_var, self.running_mean
        shares = [k / sum(n) for k in n]
        zero = moments[0][0].new_zeros(())
        mean = sum((m * k for (_, m), k in zip(moments, shares, strict=True)), start=zero)
        within = ((v + (m - mean) ** 2) * k for (v, m), k in zip(moments, shares, strict=True))
        var = sum(within, start=zero)
        if self.running_var is not None and self.running_mean is not None:
            momentum = self.next_momentum()
            with torch.no_grad():
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(var * unbiased(sum(n) * frame_repeats), momentum)
        return var, mean

    def normalise(self, part: Tensor, var: Tensor, mean: Tensor) -> Tensor:
        """Normalise a part by the moments of the whole."""
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (part * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1)).to(part.dtype)


def unbiased(n: int) -> float:
    """Return the factor from the biased to the unbiased variance of n values."""
    return n / (n - 1)


def normalise_repeated(norm: nn.Module, x: Tensor, frame_repeats: int) -> Tensor:
    """Apply a batch norm to frames that each stand for `frame_repeats` equal ones.

    torch's batch norm over several processes, which may replace ours, counts each frame once.
    """
    return norm(x, frame_repeats) if isinstance(norm, BatchNorm3d) else norm(x)
