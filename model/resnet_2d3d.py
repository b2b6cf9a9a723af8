"""The 2D3D-ResNet backbone of Dense Predictive Coding (Han et al. 2019, section 3 and appendix).

Stages 1 and 2 convolve single frames; stages 3 and 4 convolve over time as well. Stage 4 has 256
planes rather than 512, and its last block has no final ReLU, so features may be negative.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.fast.convolution import Conv3d
from model.fast.recomputing import computed_twice

STEM_PLANES = 64
STAGE_PLANES = (64, 128, 256, 256)
STEM_PARTS = 8  # of a batch, with grad_checkpoint


class BatchNorm3d(nn.BatchNorm3d):
    """Batch norm for which each frame of the input may stand for `frame_repeats` equal frames.

    Repeating every frame changes neither the mean nor the biased variance, so the output is that of
    `nn.BatchNorm3d`. Only the running variance, which is unbiased, counts the repeated frames.
    """

    frame_repeats = 1

    def forward(self, x: Tensor) -> Tensor:
        if self.frame_repeats == 1 or not (self.training and self.track_running_stats):
            return super().forward(x)
        momentum = self.next_momentum()
        kept = (1 - momentum) * self.running_var
        var = self.running_var.clone()
        y = functional.batch_norm(
            x, self.running_mean, var, self.weight, self.bias, True, momentum, self.eps
        )
        n = x.numel() // x.shape[1]
        # the batch added var·n/(n-1)
        self.running_var.copy_(kept + (var - kept) * ((n - 1) / n * self.unbiased(n)))
        return y

    def next_momentum(self) -> float:
        self.num_batches_tracked.add_(1)
        if self.momentum is None:  # a cumulative average
            return 1 / self.num_batches_tracked.item()
        return self.momentum

    def unbiased(self, n: int) -> float:
        """What the variance of n values of a channel is to be multiplied by."""
        return n * self.frame_repeats / (n * self.frame_repeats - 1)

    # ---- the same in parts, for a large input (recomputing.py) ----

    def moments(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """→ (biased variance, mean) of each channel."""
        wide = part.to(torch.promote_types(part.dtype, torch.float32))
        return torch.var_mean(wide, dim=(0, 2, 3, 4), correction=0)

    def merge(self, moments: list[tuple[Tensor, Tensor]], n: list[int]) -> tuple[Tensor, Tensor]:
        """→ (variance, mean) to normalise by, from those of parts with n values each; counted in
        the running statistics."""
        if not self.training and self.track_running_stats:
            return self.running_var, self.running_mean
        total = sum(n)
        mean = sum(m * (k / total) for (_, m), k in zip(moments, n, strict=True))
        var = sum((v + (m - mean) ** 2) * (k / total) for (v, m), k in zip(moments, n, strict=True))
        if self.track_running_stats:
            momentum = self.next_momentum()
            with torch.no_grad():
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(var * self.unbiased(total), momentum)
        return var, mean

    def normalise(self, part: Tensor, var: Tensor, mean: Tensor) -> Tensor:
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (part * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1)).to(part.dtype)


class Block(nn.Module):
    """A residual block: its convolutions, each with a norm, and the shortcut around them.

    `convolutions` is a list of (planes in, planes out, kernel size, carries the stage's stride).
    """

    def __init__(self, convolutions, *, is_3d: bool, stride: int, track_bn: bool, final_relu: bool):
        super().__init__()
        strides = (stride if is_3d else 1, stride, stride)
        self.depth = len(convolutions)
        self.is_3d = is_3d
        self.final_relu = final_relu
        for i, (planes_in, planes_out, kernel, strided) in enumerate(convolutions, start=1):
            time_kernel = kernel if is_3d else 1
            conv = Conv3d(
                planes_in,
                planes_out,
                kernel_size=(time_kernel, kernel, kernel),
                stride=strides if strided else 1,
                padding=(time_kernel // 2, kernel // 2, kernel // 2),
                bias=False,
            )
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", BatchNorm3d(planes_out, track_running_stats=track_bn))
        planes_in, planes_out = convolutions[0][0], convolutions[-1][1]
        self.downsample = None
        if stride != 1 or planes_in != planes_out:
            self.downsample = nn.Sequential(
                nn.Conv3d(planes_in, planes_out, kernel_size=1, stride=strides, bias=False),
                BatchNorm3d(planes_out, track_running_stats=track_bn),
            )

    def forward(self, x: Tensor, frame_repeats: int = 1) -> Tensor:
        """`frame_repeats`: see ResNet2d3d. A block that convolves over time gives all frames out;
        until it does, and around, there is one to compute."""
        shortcut = x
        if self.downsample is not None:
            conv, norm = self.downsample
            norm.frame_repeats = -(-frame_repeats // conv.stride[0])
            shortcut = norm(conv(x))
        for i in range(1, self.depth + 1):
            conv, norm = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
            if frame_repeats > 1 and conv.kernel_size[0] > 1:
                x = conv.of_equal_frames(x, frame_repeats)
                frame_repeats = 1
            else:
                x = conv(x)
            norm.frame_repeats = frame_repeats
            x = norm(x)
            if i < self.depth:
                x = functional.relu(x, inplace=True)
        x = x + shortcut
        return functional.relu(x, inplace=True) if self.final_relu else x


class BasicBlock(Block):
    expansion = 1

    def __init__(self, planes_in: int, planes: int, **options):
        super().__init__([(planes_in, planes, 3, True), (planes, planes, 3, False)], **options)


class Bottleneck(Block):
    expansion = 4

    def __init__(self, planes_in: int, planes: int, **options):
        convolutions = [
            (planes_in, planes, 1, False),
            (planes, planes, 3, True),
            (planes, planes * self.expansion, 1, False),
        ]
        super().__init__(convolutions, **options)


DEPTHS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
    "resnet200": (Bottleneck, (3, 24, 36, 3)),
}


class ResNet2d3d(nn.Module):
    """Frames to feature maps, `[B*N, 3, L, H, W]` → `[B*N, F, L_out, D, D]`.

    `feature_size` is F: 256 for basic blocks, 1024 for bottlenecks. With `track_bn` batch norm
    keeps running statistics and evaluates with them; without, evaluation uses the batch's own.
    With `grad_checkpoint` only the blocks' inputs are kept for backward.
    """

    def __init__(self, net: str, track_bn: bool, grad_checkpoint: bool = False):
        super().__init__()
        self.grad_checkpoint = grad_checkpoint
        block, depths = DEPTHS[net]
        self.conv1 = nn.Conv3d(
            3, STEM_PLANES, kernel_size=(1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False
        )
        self.bn1 = BatchNorm3d(STEM_PLANES, track_running_stats=track_bn)
        self.maxpool = nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        planes_in = STEM_PLANES
        for stage, (planes, depth) in enumerate(zip(STAGE_PLANES, depths, strict=True), start=1):
            blocks = []
            for i in range(depth):
                blocks.append(
                    block(
                        planes_in,
                        planes,
                        is_3d=stage > 2,
                        stride=2 if stage > 1 and i == 0 else 1,
                        track_bn=track_bn,
                        final_relu=not (stage == 4 and i == depth - 1),
                    )
                )
                planes_in = planes * block.expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.feature_size = planes_in
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, frame_repeats: int = 1) -> Tensor:
        """With `frame_repeats` > 1 `x` has L = 1 frame, which is shown that many times in a row.

        The stem and the 2D stages treat frames one by one, and compute it once; stage 3 begins with
        what is the same for all frames, too. The result is equal up to the order of summation.
        """
        twice = self.grad_checkpoint and torch.is_grad_enabled()
        self.bn1.frame_repeats = frame_repeats
        x = self.stem_in_parts(x) if twice else self.stem(x)  # [B*N, 64, L, H/4, W/4]
        for blocks in (
            self.layer1,  # [B*N, 64, L, H/4, W/4]
            self.layer2,  # [B*N, 128, L, H/8, W/8]
            self.layer3,  # [B*N, 256, L/2, H/16, W/16]
            self.layer4,  # [B*N, F, L_out, D, D]
        ):
            for block in blocks:
                if twice:
                    x = computed_twice(block, x, frame_repeats, within=block)
                else:
                    x = block(x, frame_repeats)
                if block.is_3d:
                    frame_repeats = 1
        return x

    def stem(self, x: Tensor) -> Tensor:
        return self.pool(functional.relu(self.bn1(self.conv1(x)), inplace=True))

    def pool(self, x: Tensor) -> Tensor:
        """In the features' precision: on CPUs autocast would cast them to float32, and all of stage
        1's sums with them."""
        with torch.autocast(x.device.type, enabled=False):
            return self.maxpool(x)

    def stem_in_parts(self, x: Tensor) -> Tensor:
        """Its features are the largest, so no more than a part of them is ever there, in forward
        or backward: first for their moments, then for the rest."""
        if not isinstance(self.bn1, BatchNorm3d):  # over several processes
            return computed_twice(self.stem, x, within=self.bn1)

        def moments(part: Tensor) -> tuple[Tensor, Tensor]:
            return self.bn1.moments(self.conv1(part))

        def rest(part: Tensor, var: Tensor, mean: Tensor) -> Tensor:
            features = self.bn1.normalise(self.conv1(part), var, mean)
            return self.pool(functional.relu(features, inplace=True))

        parts = x.chunk(STEM_PARTS)
        height, width = (-(-side // 2) for side in x.shape[3:])  # after conv1
        values = [len(part) * x.shape[2] * height * width for part in parts]
        found = [computed_twice(moments, part, within=self.conv1) for part in parts]
        var, mean = self.bn1.merge(found, values)
        return torch.cat(
            [computed_twice(rest, part, var, mean, within=self.conv1) for part in parts]
        )
