"""How exactly torch computes: threads, float32 sums, deterministic algorithms."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from utils.logs import log


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute with one thread, so that sums don't depend on the number of threads."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def full_precision(*tensors: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Switch autocast off, and give the tensors as float32 (float64 ones as they are)."""
    with torch.autocast(tensors[0].device.type, enabled=False):
        yield [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in tensors]


def use_deterministic_algorithms() -> None:
    """Use deterministic algorithms from now on; warn once of each operation that has none."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    show_others = warnings.showwarning
    named: set[str] = set()

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        text = str(message)
        if "deterministic" not in text:
            show_others(message, *where, **more)
        elif (operation := text.split()[0]) not in named:
            named.add(operation)
            log.warning("--deterministic: there is no such algorithm for %s", operation)

    warnings.showwarning = show
    warnings.filterwarnings("always", message=".*deterministic")
