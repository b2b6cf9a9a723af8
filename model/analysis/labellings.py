"""The labels D and U of a pass's blocks, true and permuted, as its batches come."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from model.analysis.groups import EXPECTED, UNEXPECTED, Grouping
from model.analysis.hooks import Steps
from model.analysis.permutations import PERMUTATIONS, relabelled
from utils.samples import Labelled
from utils.streams import stream


class Labellings:
    """Labellings of the blocks D and U of a pass, of all its steps, `[1 + 1000, n]`.

    The first is the true one. The others follow from the seed and the epoch of the clips alone, so
    that passes over the same clips have the same ones. `batches` holds the indices of the clips of
    each batch.
    """

    def __init__(
        self,
        samples: Labelled,
        grouping: Grouping,
        steps: Steps,
        batches: list[list[int]],
        *,
        epoch: int,
        seed: int,
        device: torch.device,
    ):
        images = [cell.image for cell in grouping.cells]
        self.compared = torch.tensor([image in (EXPECTED, UNEXPECTED) for image in images])
        self.unexpected = torch.tensor([image == UNEXPECTED for image in images])

        def unexpected_in_batches() -> Iterator[np.ndarray]:
            for clips in batches:
                labels = [samples.labels(epoch, clip)[-steps.P :, steps.frame] for clip in clips]
                cells = grouping.cells_of(torch.from_numpy(np.stack(labels)).flatten(0, 1))
                yield self.unexpected[cells[self.compared[cells]]].numpy()

        is_U = list(unexpected_in_batches())
        self.ends = np.cumsum([0, *map(len, is_U)])
        rows = relabelled(np.concatenate(is_U), stream(seed, "permutations", epoch), PERMUTATIONS)
        self.rows = torch.from_numpy(rows).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def of_batch(self, number: int, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return which blocks of a batch are D or U, bool `[R]`, and their labels.

        `cells` `[R]` are those of its blocks; the labels are bool `[1 + 1000, D and U blocks]`.
        """
        chosen = self.compared[cells]
        labels = self.rows[:, self.ends[number] : self.ends[number + 1]]
        # the clips are those whose labels were told before
        assert torch.equal(labels[0].cpu(), self.unexpected[cells[chosen]])
        return chosen.to(self.rows.device), labels
