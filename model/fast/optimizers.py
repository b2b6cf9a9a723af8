"""Adam and SGD without torch's compiler."""

from collections.abc import Callable
from inspect import unwrap
from typing import Any

import torch


class _Light(torch.optim.Optimizer):
    """torch's optimizers without the wrappers that import all of its compiler: 2 s and 150 MB."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class Adam(_Light, torch.optim.Adam):
    """torch's Adam."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))


class SGD(_Light, torch.optim.SGD):
    """torch's SGD, whose momentum buffers begin at zero, which gives the same steps.

    torch begins with buffers of whatever the memory held. Where the gradient scaler of fp16 leaves
    the first step out, its fused kernel doesn't fill them, and the next step goes on from that.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters, as torch does."""
        for group in self.param_groups:
            for parameter in group["params"] if group["momentum"] else ():
                if parameter.grad is not None and not self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return unwrap(torch.optim.SGD.step)(self, closure)
