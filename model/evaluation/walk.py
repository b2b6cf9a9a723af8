"""What --retrieve and --extract do with a network: make features, measure them, write files."""

from functools import partial
from pathlib import Path

import numpy as np

from model.evaluation.features import Features, features_of, network, run_backbone
from model.evaluation.neighbours import (
    VOTERS,
    Neighbours,
    nearest,
    recall,
    recall_by_chance,
    top,
    voted,
)
from model.evaluation.probe import probe_scores
from model.evaluation.stored import (
    EVALUATIONS,
    SHOWN,
    Measure,
    names_of,
    write_backbone,
    write_features,
    write_retrieval,
    write_rows,
)
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.loop import fill_statistics
from utils.arrays import write_arrays
from utils.config.described import info_of, stride_of
from utils.config.flags import Config
from utils.errors import RunError
from utils.logs import Progress, log
from utils.plots.pictures import Pictures
from utils.runs.faults import Faults
from utils.runtime.interrupts import Interrupts
from utils.samples import Loader, Pictured, Samples

RECALLS = (1, 5, 10, 20, 50)
TOPS = (1, 5)
TOLD = {
    **{f"R@{k}": f"R@{k}" for k in RECALLS[:3]},
    **{"knn_top1": "nearest neighbours", "probe_top1": "linear probe"},
}  # in the result line
WRITTEN = max(RECALLS)  # neighbours of a query in retrieval.csv
QUERIES_SHOWN, NEIGHBOURS_SHOWN, SIDE = 6, 5, 112  # of the picture; pixels


class Evaluation:
    """A network whose features are made of data sets, in the folder of an evaluation.

    `loaders` give the whole videos, or clips, of each mode.
    """

    def __init__(
        self,
        config: Config,
        learner: Learner,
        loaders: dict[str, Loader],
        folder: Path,
        interrupts: Interrupts,
    ):
        self.config = config
        self.learner = learner
        self.loaders = loaders
        self.folder = folder
        self.leads = learner.runtime.processes.leads
        self.faults = Faults(folder, config.strict_data, writes=self.leads)
        remedy = f"{folder} is not whole; run the same command again"
        self.guard = Guard(learner, interrupts, remedy, faults=self.faults)

    def run(self, clips: Loader | None) -> str:
        """Evaluate as the flags ask, and return the result in words.

        Batch norms whose statistics the weights don't hold get them from training `clips`, as in
        finetuning.
        """
        if clips is not None:
            self.faults.start_pass(0, "train", len(clips.samples))
            log_freq, forward = self.config.log_freq, partial(run_backbone, self.learner)
            fill_statistics(self.learner, clips, self.guard, log_freq, forward)
        return self.retrieve() if self.config.retrieve else self.extract()

    def features(self, mode: str) -> Features:
        """Make and write the features of a mode's data set; whole in rank 0 alone."""
        loader = self.loaders[mode]
        self.faults.start_pass(0, mode, len(loader.samples))
        at_once = self.config.batch_size * self.config.num_blocks
        with Progress(f"features, {mode}", len(loader), self.config.log_freq) as progress:
            features = features_of(self.learner, loader, self.guard, progress, at_once)
        if self.leads:
            if not len(features.items):
                raise RunError(f"no video of {mode} could be read; faults.csv names them")
            if not np.isfinite(features.windows).all():
                raise RunError(
                    f"features of {mode} are not finite numbers: the weights are at fault"
                )
            write_features(self.folder, mode, loader.samples, features)
            left_out = loader.samples.total - len(features.items)
            told = f"; {left_out} left out, not readable" if left_out else ""
            count = counted(features.windows, "window")
            log.info("%s: features of %s%s", mode, count, told)
        return features

    def extract(self) -> str:
        """Write the features of all data sets, and the backbone; return what was written."""
        told = []
        for mode, loader in self.loaders.items():
            features = self.features(mode)
            unit = "video" if loader.samples.whole_videos else "clip"
            told.append(f"{mode}: {counted(features.items, unit)}")
            if loader.samples.whole_videos:
                told[-1] += f" ({counted(features.windows, 'window')})"
        if self.leads:
            stride = stride_of(self.config, info_of(self.config))
            write_backbone(self.folder, network(self.learner).backbone, self.config, stride)
        return "features of " + "; ".join(told)

    def retrieve(self) -> str:
        """Measure how the test videos find those of their class in the training set.

        Returns the measures in words, in rank 0.
        """
        gallery, queries = self.features("train"), self.features("test")
        if not self.leads:
            return ""
        test = self.loaders["test"].samples
        found = nearest(queries.videos, gallery.videos, max(VOTERS, WRITTEN))
        rows = measures(queries, gallery, found, len(test.classes), self.config.seed)
        write_rows(self.folder / EVALUATIONS, Measure._fields, rows)
        listed = Neighbours(*(part[:, :WRITTEN] for part in found))
        train = self.loaders["train"].samples
        write_retrieval(self.folder, (test, queries), (train, gallery), listed)
        self._write_shown(queries, gallery, found)
        Pictures(self.folder, self.config.plt_bkend).draw(at_once=True)
        return "; ".join(
            f"{TOLD[row.measure]} {row.value:.1%} (chance {row.chance:.1%})"
            for row in rows
            if row.measure in TOLD and row.value == row.value
        )

    def _write_shown(self, queries: Features, gallery: Features, found: Neighbours) -> None:
        """Write the frames of the picture: of some queries, and of their nearest videos."""
        test, train = (self.loaders[mode].samples for mode in ("test", "train"))
        chosen = evenly_chosen(queries.labels, QUERIES_SHOWN)
        numbers = found.numbers[chosen, :NEIGHBOURS_SHOWN]  # [Q, K]
        labels = np.column_stack([queries.labels[chosen], gallery.labels[numbers]])
        query_names, names = (
            np.array(names_of(*pair)) for pair in ((test, queries), (train, gallery))
        )
        frames = [
            [
                frame_of(test, int(queries.items[query])),
                *(frame_of(train, int(item)) for item in gallery.items[near]),
            ]
            for query, near in zip(chosen, numbers, strict=True)
        ]
        arrays = {
            "frames": np.array(frames),
            "names": np.column_stack([query_names[chosen], names[numbers]]),
            "classes": np.array([info.name for info in test.classes])[labels],
            "right": labels[:, 1:] == labels[:, :1],
            "similarity": found.similarity[chosen, :NEIGHBOURS_SHOWN],
        }
        write_arrays(self.folder / SHOWN, arrays)


def measures(
    queries: Features, gallery: Features, found: Neighbours, classes: int, seed: int
) -> list[Measure]:
    """Return the rows of evaluations.csv; `found` are the gallery's nearest of each query."""
    sizes = len(queries.labels), len(gallery.labels)
    right = gallery.labels[found.numbers] == queries.labels[:, None]
    rows = [
        Measure(
            f"R@{k}",
            recall(right, k),
            recall_by_chance(queries.labels, gallery.labels, k),
            *sizes,
        )
        for k in RECALLS
    ]
    scores = {
        "knn": voted(found, gallery.labels, classes),
        "probe": probe_scores(
            gallery.videos, gallery.labels, queries.videos, classes=classes, seed=seed
        ),
    }
    for name, of_classes in scores.items():
        for k in TOPS:
            chance = k / classes if k < classes else np.nan
            rows.append(
                Measure(f"{name}_top{k}", top(of_classes, queries.labels, k), chance, *sizes)
            )
    return rows


def evenly_chosen(labels: np.ndarray, count: int) -> np.ndarray:
    """Return up to `count` of the indices of `labels`, evenly spaced in the order of the labels."""
    count = min(count, len(labels))
    places = ((np.arange(count) + 0.5) * len(labels) / count).astype(int)
    return np.argsort(labels, kind="stable")[places]


def counted(array: np.ndarray, noun: str) -> str:
    """Return the array's length with the noun, such as '3 windows'."""
    return f"{len(array)} {noun}{'' if len(array) == 1 else 's'}"


def frame_of(samples: Samples, item: int) -> np.ndarray:
    """Return a video's middle frame, `[SIDE, SIDE, 3]`; gray if it can't be read."""
    frame = samples.middle_frame(item, SIDE) if isinstance(samples, Pictured) else None
    return np.full((SIDE, SIDE, 3), 128, np.uint8) if frame is None else frame
