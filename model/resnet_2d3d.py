"""The 2D3D-ResNet backbone of Dense Predictive Coding (Han et al. 2019, section 3 and appendix).

Stages 1 and 2 convolve single frames; stages 3 and 4 convolve over time as well. Stage 4 has 256
planes rather than 512, and its last block has no final ReLU, so features may be negative.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

STEM_PLANES = 64
STAGE_PLANES = (64, 128, 256, 256)


class Design(NamedTuple):
    """What the convolutions of a block look like.

    `strided` is the one that has the stage's stride; the last one gives `expansion` times the
    planes of the others.
    """

    kernels: tuple[int, ...]
    strided: int
    expansion: int


BASIC = Design(kernels=(3, 3), strided=0, expansion=1)
BOTTLENECK = Design(kernels=(1, 3, 1), strided=1, expansion=4)

DEPTHS = {
    "resnet18": (BASIC, (2, 2, 2, 2)),
    "resnet34": (BASIC, (3, 4, 6, 3)),
    "resnet50": (BOTTLENECK, (3, 4, 6, 3)),
    "resnet101": (BOTTLENECK, (3, 4, 23, 3)),
    "resnet152": (BOTTLENECK, (3, 8, 36, 3)),
    "resnet200": (BOTTLENECK, (3, 24, 36, 3)),
}


class Block(nn.Module):
    """A residual block: convolutions, each with a batch norm, and the shortcut around them.

    Subclasses may replace the two kinds of layer by others that compute the same.
    """

    conv: type[nn.Conv3d] = nn.Conv3d
    norm: type[nn.BatchNorm3d] = nn.BatchNorm3d

    def __init__(
        self,
        design: Design,
        planes_in: int,
        planes: int,
        is_3d: bool,
        stride: int,
        track_bn: bool,
        final_relu: bool,
    ):
        super().__init__()
        self.depth = len(design.kernels)
        self.is_3d = is_3d
        self.final_relu = final_relu
        strides = (stride if is_3d else 1, stride, stride)
        planes_out = planes * design.expansion
        sizes = [planes_in, *[planes] * (self.depth - 1), planes_out]
        for i, side in enumerate(design.kernels):
            kernel = (side if is_3d else 1, side, side)
            padding = (kernel[0] // 2, side // 2, side // 2)
            stride_i = strides if i == design.strided else 1
            conv = self.conv(sizes[i], sizes[i + 1], kernel, stride_i, padding, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", self.norm(sizes[i + 1], track_running_stats=track_bn))
        self.downsample: nn.Sequential | None = None
        if stride != 1 or planes_in != planes_out:
            self.downsample = nn.Sequential(
                self.conv(planes_in, planes_out, 1, strides, bias=False),
                self.norm(planes_out, track_running_stats=track_bn),
            )

    def layers(self) -> list[tuple[nn.Conv3d, nn.BatchNorm3d]]:
        """Return the block's convolutions, each with its batch norm."""
        return [
            (getattr(self, f"conv{i}"), getattr(self, f"bn{i}")) for i in range(1, self.depth + 1)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Add the convolved features of `[B*N, planes_in, L, H, W]` to the shortcut's."""
        shortcut = x if self.downsample is None else self.downsample(x)
        *first, (last_conv, last_norm) = self.layers()
        for conv, norm in first:
            x = functional.relu(norm(conv(x)))
        x = last_norm(last_conv(x)) + shortcut  # [B*N, planes_out, L/2, H/2, W/2] with stride 2
        return functional.relu(x) if self.final_relu else x


class ResNet2d3d(nn.Module):
    """The backbone: blocks of frames in, feature maps out.

    `feature_size` is F: 256 for basic blocks, 1024 for bottlenecks. With `track_bn` batch norm
    keeps running statistics and evaluates with them; without, evaluation uses the batch's own.
    """

    block = Block
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, net: str, track_bn: bool):
        super().__init__()
        design, depths = DEPTHS[net]
        self.conv1 = nn.Conv3d(
            3, STEM_PLANES, kernel_size=(1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False
        )
        self.bn1 = self.block.norm(STEM_PLANES, track_running_stats=track_bn)
        self.maxpool = nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        planes_in = STEM_PLANES
        for stage, (planes, depth) in enumerate(zip(STAGE_PLANES, depths, strict=True), start=1):
            blocks = nn.Sequential()
            for i in range(depth):
                stride = 2 if stage > 1 and i == 0 else 1
                relu = stage < 4 or i < depth - 1
                block = self.block(design, planes_in, planes, stage > 2, stride, track_bn, relu)
                blocks.append(block)
                planes_in = planes * design.expansion
            self.add_module(f"layer{stage}", blocks)
        self.feature_size = planes_in
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, frame_repeats: int = 1) -> Tensor:
        """Map blocks `[B*N, 3, L, H, W]` to features `[B*N, F, L_out, D, D]`.

        A static block comes with one frame, which is shown `frame_repeats` times. Bottlenecks give
        4 times the channels that the lines below name.
        """
        if frame_repeats > 1:
            x = x.expand(-1, -1, frame_repeats, -1, -1)  # [B*N, 3, L, H, W]
        x = functional.relu(self.bn1(self.conv1(x)))  # [B*N, 64, L, H/2, W/2]
        x = self.maxpool(x)  # [B*N, 64, L, H/4, W/4]
        x = self.layer1(x)
        x = self.layer2(x)  # [B*N, 128, L, H/8, W/8]
        x = self.layer3(x)  # [B*N, 256, L/2, H/16, W/16]
        return self.layer4(x)  # [B*N, F, L_out, D, D]
