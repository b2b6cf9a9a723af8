"""What the checkpoints of a run take on the disk, before any is written."""

from typing import Any, NamedTuple, get_args

import torch

from model.training.learner import Learner
from model.training.restoring import state_form
from model.training.saving import State, content_of, kept_epochs, random_state
from utils.config.flags import Config
from utils.runs.checkpoints import KEPT_EPOCHS
from utils.runs.structure import plain
from utils.samples import Samples


class Disk(NamedTuple):
    """The checkpoints that a run leaves behind: of these `epochs`, and the best of `phases`.

    `file`: the bytes of one, once the optimizer has stepped; `first`: of that of epoch 0. The best
    of a phase takes no room of its own where it is one of the others. Within an epoch and while a
    checkpoint is written, there is one more.
    """

    epochs: list[int]
    phases: int
    file: int
    first: int

    @property
    def least(self) -> int:
        """The bytes of the epochs' checkpoints."""
        return sum(self.file if epoch else self.first for epoch in self.epochs)

    @property
    def most(self) -> int:
        """The bytes of all, if each phase has its best in an epoch whose own has gone."""
        return self.least + self.phases * self.file


class Counter:
    """A file that counts what is written to it, and keeps nothing."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Count the bytes."""
        self.size += (written := memoryview(data).nbytes)
        return written

    def flush(self) -> None:
        """Do nothing."""


def disk_of(config: Config, learner: Learner, samples: Samples, first: int, phases: int) -> Disk:
    """Return what a run's checkpoints take that keeps those from the epoch `first` on."""
    last = config.num_epochs
    newest = range(last - KEPT_EPOCHS + 1, last + 1)
    kept = kept_epochs(samples.landmark_epochs).union(newest)
    content: dict[str, Any] = dict(content_of(config, learner, samples, State(last), []))
    own = random_state(learner.runtime.device)
    content["random_states"] = [
        {name: state.clone() for name, state in own.items()}
        for _ in range(learner.runtime.processes.count)
    ]
    sizes = []
    for state in ({}, stepped_state(learner)):
        content["optimizer"] = {**content["optimizer"], "state": state}
        counter = Counter()
        torch.save(plain(content), counter)  # type: ignore[arg-type]
        sizes.append(counter.size)
    epochs = sorted(epoch for epoch in kept if first <= epoch <= last)
    return Disk(epochs, phases, file=sizes[1], first=sizes[0])


def stepped_state(learner: Learner) -> dict[int, dict[str, torch.Tensor]]:
    """Return zeros of the form of the optimizer's state, once it has stepped.

    The system gives memory for zeros only when they are changed.
    """
    pairs = [(p, group) for group in learner.optimizer.param_groups for p in group["params"]]
    return {
        index: {
            name: torch.zeros([*form.sizes], dtype=form.dtypes[0])
            for name, kind in state_form(parameter, group).items()
            for form in get_args(kind)[1:]
        }
        for index, (parameter, group) in enumerate(pairs)
    }
