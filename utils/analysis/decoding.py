"""What a linear classifier reads from the responses to single blocks: orientation and image."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from utils.analysis import loading
from utils.analysis.recorded import MODULES, Recorded
from utils.streams import stream

KIND = "activation"  # the kind of response that is decoded
ORIENTATION, IMAGE = "orientation", "image"
SPLITS = 10
TEST_SHARE = 0.25
FEWEST = 4  # blocks of a class: one of them is for the test
MOST_BLOCKS = 1000
INVERSE_PENALTY = 0.01  # scikit-learn's C: strong, as there are hardly more blocks than channels
MOST_STEPS = 1000  # of the classifier's optimizer; some 10 are usual


class DecodingRow(NamedTuple):
    """A row of decoding.csv."""

    epoch: int
    when: str
    module: str
    kind: str
    target: str
    accuracy: float
    sd: float
    shuffled: float
    shuffled_sd: float
    classes: int
    left_out: int
    blocks: int
    splits: int


class Labels(NamedTuple):
    """The rows of the blocks to decode from, the class of each, and classes that are too small."""

    rows: np.ndarray
    classes: np.ndarray
    left_out: list[str]


def measure(recorded: Recorded) -> list[DecodingRow]:
    """Decode each target from the vectors of each module of a pass.

    All modules are given the same blocks and splits. A target with fewer than two classes of at
    least four blocks is left out.
    """
    names = [m for m in MODULES if f"{m}_{KIND}" in recorded.vectors]
    targets = {target: choose_labels(recorded, target) for target in (ORIENTATION, IMAGE)}
    rows = []
    for module in names:
        vectors = recorded.vectors[f"{module}_{KIND}"].astype(np.float64)
        for target, (chosen, classes, left_out) in targets.items():
            number = len(np.unique(classes))
            if number < 2:
                continue
            rng = stream(loading.seed_of(recorded), "splits", loading.clips_epoch(recorded), target)
            found = decode(vectors[chosen], classes, rng)  # [splits, 2]
            (accuracy, shuffled), (sd, shuffled_sd) = found.mean(0), found.std(0)
            values = (accuracy, sd, shuffled, shuffled_sd)
            sizes = (number, len(left_out), len(chosen), SPLITS)
            rows.append(DecodingRow(*recorded.of, module, KIND, target, *values, *sizes))
    return rows


def choose_labels(recorded: Recorded, target: str) -> Labels:
    """Choose the blocks to decode a target from: at most 1,000, of classes of at least four.

    Of each clip one block is used, since a classifier that was fitted to one block of a clip
    knows its others. Of the image D as many blocks are used as there are of U. Blocks without an
    orientation are no class of the target orientation.
    """
    clips = loading.clips_epoch(recorded)  # pre and post are given the same blocks and splits
    rng = stream(loading.seed_of(recorded), "decoded blocks", clips, target)
    shown = recorded.blocks[target]
    rows = _one_of_each_clip(recorded, np.flatnonzero(shown.notna()))
    labels = shown.astype(str).to_numpy()
    if target == IMAGE:
        D, U = (rows[labels[rows] == image] for image in "DU")
        if 0 < len(U) < len(D):
            rows = np.setdiff1d(rows, rng.permutation(D)[len(U) :])
    rows = rows[loading.choose_rows(labels[rows], MOST_BLOCKS, rng)]
    names, classes, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    kept = counts[classes] >= FEWEST
    return Labels(rows[kept], classes[kept], [str(name) for name in names[counts < FEWEST]])


def _one_of_each_clip(recorded: Recorded, rows: np.ndarray) -> np.ndarray:
    """Return one of the rows of each clip at random; that of U, which is rare, if there is one."""
    clips = loading.clips_epoch(recorded)
    rng = stream(loading.seed_of(recorded), "a block of each clip", clips)
    rows = rng.permutation(rows)
    is_U = recorded.blocks["is_U"].to_numpy()[rows]
    rows = rows[np.argsort(-is_U, kind="stable")]
    items = recorded.blocks["item"].to_numpy()[rows]
    return np.sort(rows[np.unique(items, return_index=True)[1]])


def decode(vectors: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the balanced accuracy on the test blocks of each split, `[splits, 2]`.

    The second is that with shuffled labels. Each feature is standardised by its mean and sd over
    the training blocks; those without variance are left at 0. The classifier is multinomial
    logistic regression, in which all classes have the same weight.
    """
    found = []
    for _ in range(SPLITS):
        pair = [classes, rng.permutation(classes)]
        found.append([_score(vectors, labels, *split(labels, rng)) for labels in pair])
    return np.array(found)


def split(classes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows for training and those for the test, which are 25 % of each class."""
    test = np.concatenate(list(_tested(classes, rng)))
    return np.setdiff1d(np.arange(len(classes)), test), np.sort(test)


def _tested(classes: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for one in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == one))
        yield rows[: max(1, round(TEST_SHARE * len(rows)))]


def _score(vectors: np.ndarray, classes: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    mean, sd = vectors[train].mean(0), vectors[train].std(0)
    scaled = (vectors - mean) / np.where(sd > 0, sd, 1)
    classifier = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=MOST_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions, and of a tolerance that is not met
        classifier.fit(scaled[train], classes[train])
    return balanced_accuracy(classes[test], classifier.predict(scaled[test]))


def balanced_accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over classes of the share of their blocks that is predicted right."""
    return float(np.mean([(predicted[true == one] == one).mean() for one in np.unique(true)]))
