"""One pass: evaluate a network on an epoch's clips, and keep statistics and rows of its answers."""

from collections.abc import Mapping
from functools import reduce
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from model.analysis.blocks import BlockRows, joined, named_responses, rows_of, table_of
from model.analysis.groups import EXPECTED, UNEXPECTED, Grouping
from model.analysis.hooks import Responses, Steps, respond
from model.analysis.labellings import Labellings
from model.analysis.moments import GroupMoments, Moments
from model.analysis.permutations import PermutedSums, merged
from model.training.tasks import Task
from utils.analysis.recorded import Group
from utils.errors import RunError
from utils.runtime.processes import Processes
from utils.samples import Batch, ClassInfo


class Made(NamedTuple):
    """What a pass gives: arrays, groups and the table as utils/analysis/README.md names them."""

    groups: tuple[Group, ...]
    statistics: Mapping[str, np.ndarray]
    blocks: pd.DataFrame
    vectors: Mapping[str, np.ndarray]
    maps: Mapping[str, np.ndarray]


class Share(NamedTuple):
    """A rank's share of the statistics of one module's activations or errors, or of a stage."""

    moments: Moments
    permuted: PermutedSums | None


class Recording:
    """What is kept of a pass: statistics on the device, and rows on the CPU.

    The statistics' size doesn't depend on the number of clips. `labellings` are those of the blocks
    D and U; None where there are none to compare.
    """

    def __init__(
        self, task: Task, grouping: Grouping, labellings: Labellings | None, keep_maps: bool
    ):
        self.task = task
        self.grouping = grouping
        self.labellings = labellings
        self.keep_maps = keep_maps
        self.steps = Steps.of(task.model)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.moments: dict[str, GroupMoments] = {}
        self.permuted: dict[str, PermutedSums] = {}
        self.rows: list[BlockRows] = []
        self.loss = 0.0  # sum over batches

    def add(self, batch: Batch) -> None:
        """Run the task on a batch of at least one clip, and add its responses."""
        responses = respond(self.task, batch)
        labels = responses.output.predictions.labels.flatten(0, 1)  # [B*P, 2]
        cells = self.grouping.cells_of(labels)  # [B*P]
        self._add_moments(responses, cells)
        if self.labellings is not None:
            self._add_permuted(responses, self.labellings, batch.number, cells)
        self.rows.append(rows_of(batch, responses, self.keep_maps))
        self.loss += float(responses.output.loss)

    def _add_moments(self, responses: Responses, cells: Tensor) -> None:
        P, count = self.steps.P, len(self.grouping.cells)
        step = torch.arange(P).repeat(len(cells) // P)  # [B*P]
        for name, values in {**named_responses(responses), **responses.stages}.items():
            nodes = values.flatten(2).flatten(0, 1)  # [B*P, nodes]
            if name not in self.moments:
                self.shapes[name] = tuple(values.shape[2:])
                self.moments[name] = GroupMoments(P * count, nodes.shape[1], nodes.device)
            self.moments[name].add(nodes, (step * count + cells).to(nodes.device))

    def _add_permuted(
        self, responses: Responses, labellings: Labellings, number: int, cells: Tensor
    ) -> None:
        chosen, is_U = labellings.of_batch(number, cells)
        for name, values in named_responses(responses).items():
            nodes = values.flatten(2).flatten(0, 1)  # [B*P, nodes]
            if name not in self.permuted:
                size = (len(labellings), nodes.shape[1])
                self.permuted[name] = PermutedSums(*size, nodes.device)
            self.permuted[name].add(nodes[chosen], is_U)

    def made(self, processes: Processes, classes: tuple[ClassInfo, ...], epoch: int) -> Made | None:
        """Merge all ranks' shares, and return what the pass gives in rank 0, None in the others.

        `epoch` is that of the clips. Raises RunError if no clip could be read.
        """
        # a rank may have had no clip
        self.shapes = max(processes.gather(self.shapes), key=len)
        if not self.shapes:
            raise RunError("no clip could be read, so there is nothing to record")
        statistics: dict[str, np.ndarray] = {}
        for name in self.shapes:
            parts = processes.gather_to_first(self._share(name))
            if processes.leads:
                statistics.update(self._statistics(name, [part for part in parts if part]))
        batches = processes.gather_to_first(self.rows)
        if not processes.leads:
            return None
        rows = sorted(chain.from_iterable(batches), key=lambda one: one.number)
        return Made(
            self.grouping.groups,
            statistics,
            table_of(rows, classes, epoch),
            joined([one.vectors for one in rows]),
            joined([one.maps for one in rows]),
        )

    def _share(self, name: str) -> Share | None:
        if name not in self.moments:
            return None
        device = torch.device("cpu")
        permuted = self.permuted.get(name)
        return Share(self.moments[name].moments.to(device), permuted and permuted.to(device))

    def _statistics(self, name: str, shares: list[Share]) -> dict[str, np.ndarray]:
        """Return the arrays of a module's activations or errors, or of a stage."""
        moments = reduce(Moments.plus, (share.moments for share in shares))
        shape, P, count = self.shapes[name], self.steps.P, len(self.grouping.cells)
        found: dict[str, np.ndarray] = {}
        unions = [
            [moments.union([p * count + cell for cell in cells]) for cells in self.grouping.members]
            for p in range(P)
        ]
        blocks = torch.stack([torch.cat([one.blocks for one in step]) for step in unions])  # [P, K]
        found["count"] = blocks.numpy().astype(np.int64)
        mean = torch.stack([torch.cat([one.mean for one in step]) for step in unions])
        mean[blocks == 0] = torch.nan  # [P, K, nodes]
        sd = torch.stack([torch.cat([one.variance() for one in step]) for step in unions]).sqrt()
        found[f"{name}_mean"] = mean.unflatten(2, shape).numpy()  # [P, K, C, D, D]
        found[f"{name}_sd"] = sd.unflatten(2, shape).numpy()
        permuted = [share.permuted for share in shares if share.permuted is not None]
        if permuted:
            total = torch.zeros(moments.mean.shape[1], dtype=torch.float64)
            for image in (EXPECTED, UNEXPECTED):
                cells = [i for i, cell in enumerate(self.grouping.cells) if cell.image == image]
                union = moments.union([p * count + cell for p in range(P) for cell in cells])
                total += union.variance()[0]
            null = merged(permuted).null(left_out=~(total > 0))  # NaN: no block of D, or of U
            for end, values in null._asdict().items():
                found[f"{name}_usi_{end}"] = values.reshape(shape).numpy()  # [C, D, D]
        return found
