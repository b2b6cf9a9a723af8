"""Activations that are computed again in backward, to save memory (Chen et al. 2016)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result", Tensor, tuple[Tensor, ...])


def recompute_in_backward(
    forward: Callable[..., Result], *inputs: Tensor | int, within: nn.Module
) -> Result:
    """Return `forward(*inputs)`, of which only the inputs are kept for backward.

    `forward` must not draw random numbers. The running statistics of the batch norms in the module
    `within` are updated once.
    """
    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), without_statistics(within)),
    )


@contextmanager
def without_statistics(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of the module's batch norms as they are."""
    before = []
    for norm in module.modules():
        if isinstance(norm, _BatchNorm) and norm.training and norm.num_batches_tracked is not None:
            count = norm.num_batches_tracked
            before.append((norm, norm.momentum, count, count.clone()))
            norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count, batches in before:
            norm.momentum = momentum
            count.copy_(batches)
