"""Convolutions over time whose weights' gradient is computed in another way on CPUs.

That is done where it is quicker, and in bfloat16 where oneDNN's gradient is wrong.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv3d_input

Triple = tuple[int, ...]  # of the three axes: time, height, width

# Output positions of a block up to which the products below are faster than oneDNN, which reads and
# writes the weights for every block. That is stage 4 up to 128 pixels; in a lower precision stage 3
# up to 64 pixels, too.
FEW_POSITIONS, FEW_IN_LOWER_PRECISION = 32, 48


class Conv3d(nn.Conv3d):
    """torch's convolution without bias, with another way to its weights' gradient."""

    padding: Triple

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `[B, C, L, H, W]`."""
        if self.kernel_size[0] == 1:
            return super().forward(x)
        return convolve(x, self.weight, self.stride, self.padding)

    def of_equal_frames(self, x: Tensor, frames: int) -> Tensor:
        """Convolve one repeated frame over time, with kernels summed over the taps that meet it.

        `x` is `[B, C, 1, H, W]`, shown `frames` times. Each output frame is a convolution over
        space by the sum of the weights that meet a frame and not the padding.
        """
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


def convolve(x: Tensor, weight: Tensor, stride: Triple, padding: Triple) -> Tensor:
    """Convolve, with the weights' gradient by products where that is faster or needed."""
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
    # in bfloat16 oneDNN leaves the gradient of weights that reach over 3 frames uninitialised when
    # there are 2 frames (seen in torch 2.14)
    wrong = lower and x.shape[2] == 2
    if positions > few and not wrong:
        return functional.conv3d(x, weight, None, stride, padding)
    return Convolution.apply(x, weight, stride, padding)


class Convolution(torch.autograd.Function):
    """A convolution of `[B, C, L, H, W]` by weights `[F, C, k, k, k]` to `[B, F, L', H', W']`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Triple, padding: Triple) -> Tensor:
        """Convolve as torch does."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv3d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Return the gradients of the input, as torch does, and of the weights, by products."""
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = conv3d_input(x.shape, weight, gradient, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(x, gradient, weight.shape, ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def weight_gradient(
    x: Tensor, gradient: Tensor, shape: torch.Size, stride: Triple, padding: Triple
) -> Tensor:
    """Return the gradient `[F, C, k, k, k]` of a convolution's weights.

    It follows from the input `[B, C, L, H, W]` and the output's gradient `[B, F, L', H', W']`, by
    one product of matrices for each tap of the kernel, over the positions at which the tap meets
    the input rather than the padding.
    """
    F, C, *kernel = shape
    result = x.new_zeros(F, *kernel, C)
    x, gradient = x.movedim(1, -1), gradient.movedim(1, -1)  # channels last
    reach = [
        [
            tap_slices(tap, x.shape[d], gradient.shape[d], stride[d - 1], padding[d - 1])
            for tap in range(k)
        ]
        for d, k in enumerate(kernel, start=1)
    ]
    for taps in product(*map(range, kernel)):
        slices = [reach[d][tap] for d, tap in enumerate(taps)]
        seen = x[(slice(None), *(inputs for inputs, _ in slices))].reshape(-1, C)
        learned_from = gradient[(slice(None), *(outputs for _, outputs in slices))].reshape(-1, F)
        result[:, taps[0], taps[1], taps[2]] = learned_from.T @ seen
    return result.movedim(-1, 1)  # [F, C, k, k, k], channels last


def tap_slices(
    tap: int, inputs: int, outputs: int, stride: int, padding: int
) -> tuple[slice, slice]:
    """Return the input and output slices that one kernel tap connects along an axis."""
    offset = tap - padding  # output o meets input o * stride + offset
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (inputs - 1 - offset) // stride)
    start = first * stride + offset
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(start, last * stride + offset + 1, stride), slice(first, last + 1)
