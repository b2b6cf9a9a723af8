"""The files of an evaluation: features with their table, retrieval, measures, the backbone."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from model.evaluation.features import Features
from model.evaluation.neighbours import Neighbours
from model.resnet_2d3d import ResNet2d3d
from model.training.tasks import MEAN, STD
from utils.arrays import write_arrays
from utils.config.flags import Config
from utils.files import csv_text, replacing, write_whole, writing
from utils.samples import Samples

BACKBONE = "backbone.pth.tar"
RETRIEVAL, EVALUATIONS, SHOWN = "retrieval.csv", "evaluations.csv", "retrieval_shown.npz"
VIDEO_COLUMNS = ("name", "class", "first_window", "windows")  # the first's index in the archive


class Measure(NamedTuple):
    """A row of evaluations.csv: shares, with that by chance; empty where there is none."""

    measure: str
    value: float
    chance: float
    evaluated: int
    gallery: int


class FoundRow(NamedTuple):
    """A row of retrieval.csv: the neighbour of a query at a rank from 1."""

    query: str
    query_class: str
    rank: int
    neighbour: str
    neighbour_class: str
    similarity: float
    right: int


def names_of(samples: Samples, features: Features) -> list[str]:
    """Return the videos' names in the split file, or the numbers of generated clips."""
    return [samples.item_name(item) or str(item) for item in features.items.tolist()]


def write_features(folder: Path, stem: str, samples: Samples, features: Features) -> None:
    """Write `features_{stem}.npz` and its table; raises RunError.

    In the archive: `windows` `[W, F]`, `video` `[W]` (the video of each window), `videos` `[V, F]`,
    `names`, `labels`, `items` `[V]`, and `classes`, which the labels count.
    """
    names = names_of(samples, features)
    classes = [info.name for info in samples.classes]
    arrays = {
        "windows": features.windows,
        "video": np.repeat(np.arange(len(features.counts)), features.counts),
        "videos": features.videos,
        "names": np.array(names),
        "labels": features.labels,
        "items": features.items,
        "classes": np.array(classes, dtype=str),
    }
    write_arrays(folder / f"features_{stem}.npz", arrays)
    of_videos = zip(
        names,
        (classes[label] if classes else "" for label in features.labels.tolist()),
        features.firsts.tolist(),
        features.counts.tolist(),
        strict=True,
    )
    write_rows(folder / f"features_{stem}.csv", VIDEO_COLUMNS, of_videos)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file; numbers that there are none of are empty. Raises RunError."""
    shown = (
        ["" if isinstance(value, float) and value != value else value for value in row]
        for row in rows
    )
    write_whole(path, csv_text([columns, *shown]))


def write_retrieval(
    folder: Path,
    queries: tuple[Samples, Features],
    gallery: tuple[Samples, Features],
    found: Neighbours,
) -> None:
    """Write a row for each query and each of its neighbours; raises RunError."""
    (names, labels), (others, other_labels) = (
        (names_of(samples, features), features.labels.tolist())
        for samples, features in (queries, gallery)
    )
    classes = [info.name for info in queries[0].classes]
    rows = (
        FoundRow(
            names[query],
            classes[labels[query]],
            rank,
            others[number],
            classes[other_labels[number]],
            similarity,
            int(labels[query] == other_labels[number]),
        )
        for query in range(len(names))
        for rank, (number, similarity) in enumerate(
            zip(found.numbers[query].tolist(), found.similarity[query].tolist(), strict=True), 1
        )
    )
    write_rows(folder / RETRIEVAL, FoundRow._fields, rows)


def write_backbone(folder: Path, backbone: ResNet2d3d, config: Config, stride: int) -> None:
    """Write the backbone's weights and statistics, and what is needed to use it.

    `torch.load(file, weights_only=True)` reads the file: plain values and tensors. Raises RunError.
    """
    path = folder / BACKBONE
    content = {
        "state_dict": {name: value.cpu() for name, value in backbone.state_dict().items()},
        "net": config.net,
        "feature_size": backbone.feature_size,
        "img_dim": config.img_dim,
        "seq_len": config.seq_len,
        "ds": stride,
        "num_blocks": config.num_blocks,
        "mean": list(MEAN),
        "std": list(STD),
    }
    with writing(path), replacing(path) as temporary:
        torch.save(content, temporary)
