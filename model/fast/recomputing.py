"""Memory for time: what a forward computed is not kept, and computed again in backward (Chen et al.
2016)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def computed_twice(
    forward: Callable[..., Tensor | tuple[Tensor, ...]], *inputs: Tensor | int, within: nn.Module
) -> Tensor | tuple[Tensor, ...]:
    """`forward(*inputs)`, of which only the inputs are kept. It draws nothing at random; batch
    norms `within` count it once."""
    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), without_statistics(within)),
    )


@contextmanager
def without_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms normalise as before, and their running statistics stay as they are."""
    norms = [
        norm
        for norm in module.modules()
        if isinstance(norm, _BatchNorm) and norm.training and norm.track_running_stats
    ]
    before = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(batches)
