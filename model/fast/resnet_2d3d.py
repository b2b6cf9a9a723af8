"""The backbone of model/resnet_2d3d.py, faster on CPUs and with static blocks or in less memory."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.fast.batch_norm import BatchNorm3d, normalise_repeated
from model.fast.convolution import Conv3d
from model.fast.recomputing import recompute_in_backward
from model.resnet_2d3d import Block, ResNet2d3d

STEM_PARTS = 8  # of a batch, with grad_checkpoint


class FastBlock(Block):
    """A residual block that computes equal frames once."""

    conv = Conv3d
    norm = BatchNorm3d

    def forward(self, x: Tensor, frame_repeats: int = 1) -> Tensor:
        """Apply the block. Before the first temporal convolution, equal frames are computed once.

        With `frame_repeats` > 1, L is 1 until then.
        """
        shortcut = x
        if self.downsample is not None:
            conv, norm = self.downsample
            assert isinstance(conv, nn.Conv3d)
            repeats = -(-frame_repeats // conv.stride[0])
            shortcut = normalise_repeated(norm, conv(x), repeats)
        for i, (conv, norm) in enumerate(self.layers(), start=1):
            if frame_repeats > 1 and conv.kernel_size[0] > 1:
                assert isinstance(conv, Conv3d)
                x = conv.of_equal_frames(x, frame_repeats)
                frame_repeats = 1
            else:
                x = conv(x)
            x = normalise_repeated(norm, x, frame_repeats)
            if i < self.depth:
                x = functional.relu(x, inplace=True)
        x = x + shortcut  # [B*N, planes_out, L/2, H/2, W/2] with stride 2
        return functional.relu(x, inplace=True) if self.final_relu else x


class FastResNet2d3d(ResNet2d3d):
    """The same backbone, with the same names of weights.

    Static blocks are computed once as far as their frames are equal. On CPUs the weights' gradients
    of small convolutions over time are computed in another way. With `grad_checkpoint` only the
    blocks' inputs are kept for backward.
    """

    block = FastBlock

    def __init__(self, net: str, track_bn: bool, grad_checkpoint: bool = False):
        super().__init__(net, track_bn)
        self.grad_checkpoint = grad_checkpoint

    def forward(self, x: Tensor, frame_repeats: int = 1) -> Tensor:
        """Map blocks `[B*N, 3, L, H, W]` to features `[B*N, F, L_out, D, D]`.

        With `frame_repeats` > 1 the stem, stages 1 and 2 and the beginning of stage 3 compute a
        single frame. The result equals the plain backbone's up to the order of summation.
        """
        recomputes = self.grad_checkpoint and torch.is_grad_enabled()
        stem = self.stem_in_parts if recomputes else self.stem
        x = stem(x, frame_repeats)  # [B*N, 64, L, H/4, W/4]
        for blocks in (
            self.layer1,
            self.layer2,  # [B*N, 128, L, H/8, W/8]
            self.layer3,  # [B*N, 256, L/2, H/16, W/16]
            self.layer4,  # [B*N, F, L_out, D, D]
        ):
            for block in blocks:
                assert isinstance(block, FastBlock)
                if recomputes:
                    x = recompute_in_backward(block, x, frame_repeats, within=block)
                else:
                    x = block(x, frame_repeats)
                if block.is_3d:
                    frame_repeats = 1
        return x

    def stem(self, x: Tensor, frame_repeats: int) -> Tensor:
        """Map frames `[B*N, 3, L, H, W]` to the stem's features `[B*N, 64, L, H/4, W/4]`."""
        x = normalise_repeated(self.bn1, self.conv1(x), frame_repeats)  # [B*N, 64, L, H/2, W/2]
        return self.pool(functional.relu(x, inplace=True))  # [B*N, 64, L, H/4, W/4]

    def pool(self, x: Tensor) -> Tensor:
        """Pool in the features' precision.

        On CPUs autocast would cast them to float32, and with them all of stage 1's sums.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self.maxpool(x)

    def stem_in_parts(self, x: Tensor, frame_repeats: int) -> Tensor:
        """Run the stem in 8 checkpointed chunks: first the batch-norm moments, then normalise.

        The stem's features are the largest of all; no more than a chunk of them is ever in memory,
        in forward or backward. Batch norm over several processes is not computed in chunks.
        """
        norm = self.bn1
        if not isinstance(norm, BatchNorm3d):
            return recompute_in_backward(self.stem, x, frame_repeats, within=norm)

        def moments(part: Tensor) -> tuple[Tensor, ...]:
            return norm.moments(self.conv1(part))

        def rest(part: Tensor, var: Tensor, mean: Tensor) -> Tensor:
            features = norm.normalise(self.conv1(part), var, mean)
            return self.pool(functional.relu(features, inplace=True))

        parts = x.chunk(STEM_PARTS)
        height, width = (-(-side // 2) for side in x.shape[3:])  # after conv1
        values = [len(part) * x.shape[2] * height * width for part in parts]
        found = [recompute_in_backward(moments, part, within=self.conv1) for part in parts]
        var, mean = norm.merge(found, values, frame_repeats)
        return torch.cat(
            [recompute_in_backward(rest, part, var, mean, within=self.conv1) for part in parts]
        )  # [B*N, 64, L, H/4, W/4]
