"""The groups of blocks whose responses are averaged, from the classes of a data set."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from utils.analysis.recorded import ANY, Group
from utils.samples import ClassInfo

EXPECTED, UNEXPECTED = "D", "U"  # the images that the USI compares


class Grouping(NamedTuple):
    """Cells, in one of which each block is, and groups that are unions of cells.

    `cells` are the images with their orientations. `cell_of` `[classes, 2]` has the cell of each
    (class, is_U), and `members` the cells of each group.
    """

    cells: tuple[Group, ...]
    cell_of: Tensor
    groups: tuple[Group, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, classes: Sequence[ClassInfo]) -> "Grouping":
        """Return the groups in their order: all, each image, each orientation, and each of both."""
        shown = [[_cell(info, is_U) for is_U in (False, True)] for info in classes]
        found = dict.fromkeys(cell for pair in shown for cell in pair)
        images = list(dict.fromkeys(cell.image for cell in found))
        angles = sorted({cell.orientation for cell in found if not math.isnan(cell.orientation)})
        cells = sorted(found, key=lambda cell: images.index(cell.image))  # D before U, and so on
        groups = [
            Group(ANY, math.nan),
            *(Group(image, math.nan) for image in images),
            *(Group(ANY, angle) for angle in angles),
            *(cell for cell in cells if not math.isnan(cell.orientation)),
        ]
        members = tuple(
            tuple(i for i, cell in enumerate(cells) if group.holds(*cell)) for group in groups
        )
        cell_of = torch.tensor([[cells.index(cell) for cell in pair] for pair in shown])
        return cls(tuple(cells), cell_of, tuple(groups), members)

    @property
    def has_unexpected(self) -> bool:
        """Whether there may be blocks of both D and U, so that the USI compares them."""
        images = {cell.image for cell in self.cells}
        return {EXPECTED, UNEXPECTED} <= images

    def cells_of(self, labels: Tensor) -> Tensor:
        """Return the cells of blocks, on the CPU, from their labels `[..., 2]` (class, is_U)."""
        labels = labels.cpu().long()
        return self.cell_of[labels[..., 0], labels[..., 1]]


def _cell(info: ClassInfo, is_U: bool) -> Group:
    return Group(
        info.shown(is_U), math.nan if info.orientation is None else float(info.orientation)
    )
