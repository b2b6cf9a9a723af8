"""The weights' gradient of convolutions over time, and memory that is kept on a CPU."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from model.fast import convolution
from model.fast.convolution import Conv3d, weight_gradient
from utils.config.flags import Config
from utils.runtime import allocator, device
from utils.runtime.processes import ALONE


@pytest.mark.parametrize("kernel", [1, 3, (3, 1, 1), 5])
@pytest.mark.parametrize("stride", [1, 2, (1, 2, 3)])
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (2, 4, 4), (3, 5, 4), (5, 1, 2)])
def test_products_of_matrices_give_the_gradient(kernel, stride, size):
    torch.manual_seed(0)
    conv = torch.nn.Conv3d(4, 5, kernel, stride, bias=False).double()
    padding = tuple(k // 2 for k in conv.kernel_size)
    x = torch.randn(3, 4, *size, dtype=torch.float64)
    y = functional.conv3d(x, conv.weight, None, conv.stride, padding)
    gradient = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, conv.weight, gradient)
    got = weight_gradient(x, gradient, conv.weight.shape, conv.stride, padding)
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize(
    ("dtype", "few", "tolerance"),
    [
        (torch.float64, "FEW_POSITIONS", 1e-12),
        # bfloat16 has 8 bits: what is summed is rounded by up to 0.4 %, in another order
        (torch.bfloat16, "FEW_IN_LOWER_PRECISION", 0.02),
    ],
)
def test_a_layer_has_torchs_output_and_gradients(
    stride, memory_format, dtype, few, tolerance, monkeypatch
):
    torch.manual_seed(0)
    lower = dtype == torch.bfloat16
    given = torch.float32 if lower else dtype
    ours = Conv3d(6, 8, 3, stride=stride, padding=1, bias=False, dtype=given)
    ours.to(memory_format=memory_format)
    x = torch.randn(2, 6, 3, 4, 4, dtype=given).contiguous(memory_format=memory_format)
    x.requires_grad_()
    results = []
    for positions in (0, 10**6):  # torch's, and ours
        monkeypatch.setattr(convolution, few, positions)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lower):
            y = ours(x)
        assert y.dtype == dtype
        assert isinstance(y.grad_fn, convolution.Convolution._backward_cls) == (positions > 0)
        results.append([y, *torch.autograd.grad(y.to(given).square().sum(), (x, ours.weight))])
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() <= tolerance * other.norm()


@pytest.mark.parametrize("stride", [1, 2, (1, 2, 2)])
@pytest.mark.parametrize("frames", [2, 3, 5, 8])
@pytest.mark.parametrize("kernel", [3, (5, 3, 3)])
def test_equal_frames_are_convolved_as_one(kernel, frames, stride):
    torch.manual_seed(0)
    padding = tuple(k // 2 for k in torch.nn.Conv3d(1, 1, kernel).kernel_size)
    conv = Conv3d(6, 8, kernel, stride=stride, padding=padding, bias=False).double()
    x = torch.randn(2, 6, 1, 9, 7, dtype=torch.float64, requires_grad=True)
    results = []
    for y in (conv(x.repeat_interleave(frames, dim=2)), conv.of_equal_frames(x, frames)):
        weighted = (y * torch.arange(y.numel()).view(y.shape)).sum()
        results.append([y, *torch.autograd.grad(weighted, (x, conv.weight))])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-10)


def test_memory_is_kept_or_returned(monkeypatch):
    called = []
    monkeypatch.setattr(device, "keep_freed_memory", lambda: called.append("keep"))
    monkeypatch.setattr(device, "return_freed_memory", lambda: called.append("return"))
    device.start_runtime(Config(cpu_only=True), ALONE)
    device.start_runtime(Config(cpu_only=True, low_memory=True), ALONE)
    assert called == ["keep", "return"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own")
@pytest.mark.parametrize(("mode", "kept"), [("keep", True), ("return", False)])
def test_freed_blocks_stay_or_go(mode, kept):
    """64 blocks of 2 MiB, of which the process's memory holds most or few once they are freed."""
    code = (
        "import resource\n"
        "import numpy as np\n"
        f"from utils.runtime.allocator import {mode}_freed_memory as choose\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "choose()\n"
        "before = resident()\n"
        "blocks = [np.ones(2**18) for _ in range(64)]\n"
        "del blocks\n"
        "print(resident() - before)"
    )
    root = Path(allocator.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (int(done.stdout) > 64 * 2**20) == kept, done.stderr
