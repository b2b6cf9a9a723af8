"""Convolutions over time, with the gradient of their weights computed in another way where that is
quicker or, in bfloat16, where oneDNN's is wrong."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

# Positions of an output block up to which the products below beat oneDNN, whose time goes into
# reading and writing the weights for every block: stage 4 up to 128 pixels; in a lower precision
# stage 3 up to 64, too
FEW_POSITIONS, FEW_IN_LOWER_PRECISION = 32, 48


class Conv3d(nn.Conv3d):
    """torch's without bias, but for the weights' gradient on CPUs."""

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size[0] == 1:
            return super().forward(x)
        return convolve(x, self.weight, self.stride, self.padding)

    def of_equal_frames(self, x: Tensor, frames: int) -> Tensor:
        """Of a single frame `[B, C, 1, H, W]`, shown so many times: each frame of the output is a
        convolution over space, by the sum of the weights that meet a frame and not the padding."""
        stride, *strides = self.stride
        padding, *paddings = self.padding
        outputs = (frames + 2 * padding - self.kernel_size[0]) // stride + 1
        starts = [o * stride - padding for o in range(outputs)]  # the frames that tap 0 meets
        sums = [
            self.weight[:, :, max(0, -start) : frames - start].sum(dim=2, keepdim=True)
            for start in starts
        ]
        y = convolve(x, torch.cat(sums), (1, *strides), (0, *paddings))  # [B, L'*F, 1, H', W']
        y = y.unflatten(1, (outputs, -1)).squeeze(3).transpose(1, 2)
        last = self.weight.is_contiguous(memory_format=torch.channels_last_3d)
        layout = torch.channels_last_3d if last else torch.contiguous_format
        return y.contiguous(memory_format=layout)


def convolve(x: Tensor, weight: Tensor, stride: tuple, padding: tuple) -> Tensor:
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return functional.conv3d(x, weight, None, stride, padding)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
    positions = 1
    for size, kernel, pad, step in zip(x.shape[2:], weight.shape[2:], padding, stride, strict=True):
        positions *= (size + 2 * pad - kernel) // step + 1
    lower = weight.dtype.itemsize < 4
    few = FEW_IN_LOWER_PRECISION if lower else FEW_POSITIONS
    # in bfloat16 oneDNN never computes the gradient of weights that reach over 3 frames when
    # there are 2 of them (seen in torch 2.14)
    left_out = lower and x.shape[2] == 2
    if positions > few and not left_out:
        return functional.conv3d(x, weight, None, stride, padding)
    return Convolution.apply(x, weight, stride, padding)


class Convolution(torch.autograd.Function):
    """`x` `[B, C, L, H, W]` and `weight` `[F, C, k, k, k]` → `[B, F, L', H', W']`."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: tuple, padding: tuple) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv3d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = nn.grad.conv3d_input(x.shape, weight, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, gradient, weight.shape, ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def weight_gradient(
    x: Tensor, gradient: Tensor, shape: torch.Size, stride: tuple, padding: tuple
) -> Tensor:
    """Of a convolution's weights `[F, C, k, k, k]`, from its input `[B, C, L, H, W]` and its
    output's gradient `[B, F, L', H', W']`: one product of matrices for each of the kernel's taps,
    over the positions at which it meets the input rather than the padding."""
    F, C, *kernel = shape
    result = x.new_zeros(F, *kernel, C)
    x, gradient = x.movedim(1, -1), gradient.movedim(1, -1)  # channels last
    reach = [
        [met(tap, x.shape[d], gradient.shape[d], stride[d - 1], padding[d - 1]) for tap in range(k)]
        for d, k in enumerate(kernel, start=1)
    ]
    for taps in product(*map(range, kernel)):
        inputs, outputs = zip(*(reach[d][tap] for d, tap in enumerate(taps)), strict=True)
        seen = x[(slice(None), *inputs)].reshape(-1, C)
        learned_from = gradient[(slice(None), *outputs)].reshape(-1, F)
        torch.mm(learned_from.T, seen, out=result[(slice(None), *taps)])
    return result.movedim(-1, 1)  # [F, C, k, k, k], channels last


def met(tap: int, inputs: int, outputs: int, stride: int, padding: int) -> tuple[slice, slice]:
    """→ (the inputs that a tap of the kernel meets along one dimension, the outputs it serves)."""
    offset = tap - padding  # output o meets input o·stride + offset
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (inputs - 1 - offset) // stride)
    start = first * stride + offset
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(start, last * stride + offset + 1, stride), slice(first, last + 1)
