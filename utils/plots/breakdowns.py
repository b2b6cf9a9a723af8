"""Tables from the rows of predictions.csv: by image type, orientation, batch and class.

Columns of `predictions` as in predictions.csv; losses in nats, accuracies and shares in 0..1.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

TYPE_ORDER = ("A", "B", "C", "D", "D/U", "U", "G")
ASPECTS = ("class", "type", "orientation")  # that a prediction can be right about
UNEXPECTED = ("U", "D/U")  # types of the classes that U images belong to


def kinds(classes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return, by aspect, a number for each class; classes that are alike share their number.

    The shared class D/U is one type. G has no orientation, which counts as one of its own.
    """
    return {
        "class": np.arange(len(classes)),
        "type": pd.factorize(classes["image"])[0],
        "orientation": pd.factorize(classes["orientation"], use_na_sentinel=False)[0],
    }


def judged(predictions: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Add each target's image type and orientation, and for each aspect its hits and chance.

    A prediction hits the type if the predicted class has the type of the target's class, whatever
    the orientations, and it hits the orientation whatever the types, as in the published figures.
    So a U taken for a D misses the type, unless both belong to the shared class D/U. The column
    `image` tells D and U apart even then.

    Chance is the share of the options that would be hits: for a classifier of all classes, for
    dpc-rnn of all blocks of the batch. (Where processes contrast their own blocks alone, the
    options are fewer than the batch's blocks, and chance is a little higher than given here.)
    """
    target, predicted = (predictions[name].to_numpy(np.int64) for name in ("target", "predicted"))
    is_U = (predictions["is_U"] == 1).to_numpy(np.int64)
    types = [classes["image"].replace("D/U", image).map(TYPE_ORDER.index) for image in "DU"]
    added: dict[str, Any] = {
        "image": pd.Categorical.from_codes(np.stack(types)[is_U, target], pd.Index(TYPE_ORDER)),
        "orientation": classes["orientation"].to_numpy()[target],
    }
    is_classified = predictions["rank"].notna().to_numpy()
    batch = predictions.groupby(["mode", "epoch", "batch"], observed=True).ngroup().to_numpy()
    blocks = np.bincount(batch)[batch]
    for aspect, kind in kinds(classes).items():
        alike = predictions.groupby(batch * len(kind) + kind[target])["target"].transform("size")
        share = np.bincount(kind)[kind] / len(kind)
        added[f"{aspect}_hit"] = kind[target] == kind[predicted]
        added[f"{aspect}_chance"] = np.where(is_classified, share[target], alike / blocks)
    return predictions.assign(**added)


def breakdown(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the mean loss, hits, chances and number of rows of what `judged` returns.

    Rows are grouped by mode, epoch and the columns `by`. A missing value (the orientation of G) is
    a group of its own.
    """
    groups = table.groupby(["mode", "epoch", *by], observed=True, dropna=False)
    means = ["loss", *(f"{aspect}_{what}" for aspect in ASPECTS for what in ("hit", "chance"))]
    return groups[means].mean().assign(count=groups.size()).reset_index()


def by_batch(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the mean loss and the share of U rows of each training batch.

    The index counts the batches trained on, from 1; epoch 0 only measures and is left out.
    """
    rows = predictions[(predictions["mode"] == "train") & (predictions["epoch"] > 0)]
    groups = rows.groupby(["epoch", "batch"])
    table = groups.agg(loss=("loss", "mean"), U_share=("is_U", "mean")).reset_index()
    table.index = pd.RangeIndex(1, len(table) + 1, name="trained")
    return table


def confusion(predictions: pd.DataFrame, num_classes: int) -> np.ndarray:
    """Return counts [target, predicted]."""
    target, predicted = (predictions[name].to_numpy(np.int64) for name in ("target", "predicted"))
    counts = np.bincount(target * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Divide each row by its sum; a row without counts becomes NaN."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)


def first_unexpected(epochs: pd.DataFrame) -> float | None:
    """Return the first epoch in which U images appear, None without one."""
    rows = epochs[epochs["phase"] == "unexpected"]
    return float(rows["epoch"].min()) if len(rows) else None


def best_epochs(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return each phase's validation row of the highest top-1, the earliest of equals."""
    rows = epochs[(epochs["mode"] == "val") & epochs["top1"].notna()].sort_values("epoch")
    return rows.loc[rows.groupby("phase")["top1"].idxmax()]


class Shown(NamedTuple):
    """One mode and epoch to show, and whether U images could appear in it."""

    mode: str
    epoch: int
    phase: str


def recorded(epochs: pd.DataFrame, predictions: pd.DataFrame) -> list[Shown]:
    """Return the modes and epochs that have predictions: test, val, train, each ascending.

    Predictions of data that were not trained on say more, so they come first.
    """
    present = predictions[["mode", "epoch"]].drop_duplicates()
    rows = epochs[["mode", "epoch", "phase"]].drop_duplicates(["mode", "epoch"])
    rows = rows.merge(present, on=["mode", "epoch"]).sort_values("epoch")
    shown = [Shown(r["mode"], int(r["epoch"]), r["phase"]) for r in rows.to_dict("records")]
    return [one for mode in ("test", "val", "train") for one in shown if one.mode == mode]


def list_epochs(shown: list[Shown]) -> str:
    """Return which modes and epochs there are, such as "there are those of val epochs 0-2, 5"."""
    texts = []
    for mode in dict.fromkeys(one.mode for one in shown):
        epochs = pd.Series([one.epoch for one in shown if one.mode == mode])
        spans = epochs.groupby((epochs.diff() != 1).cumsum()).agg(["min", "max"]).to_numpy()
        names = [f"{first}-{last}" if first < last else f"{first}" for first, last in spans]
        texts.append(f"{mode} epoch{'s' * (len(epochs) > 1)} {', '.join(names)}")
    return f"there are those of {'; '.join(texts)}" if texts else "there are none at all"


def last_shown(shown: list[Shown]) -> list[Shown]:
    """Return the last epoch of each phase, of those with the first one's mode."""
    last = {one.phase: one for one in shown if one.mode == shown[0].mode}
    return sorted(last.values(), key=lambda one: one.epoch)


def kept_shown(shown: list[Shown], epochs: pd.DataFrame) -> list[Shown]:
    """Return the epochs whose checkpoints a run keeps, of those with the first one's mode.

    They are epoch 0, those around the first U images, the best of each phase, and the last two.
    """
    first = first_unexpected(epochs)
    around = () if first is None else range(int(first) - 4, int(first) + 3)
    last_two = sorted(set(epochs["epoch"]))[-2:]
    kept = {0, *around, *best_epochs(epochs)["epoch"], *last_two}
    return [one for one in shown if one.mode == shown[0].mode and one.epoch in kept]


def select(predictions: pd.DataFrame, shown: Shown) -> pd.DataFrame:
    """Return the predictions of that mode and epoch."""
    return predictions[(predictions["mode"] == shown.mode) & (predictions["epoch"] == shown.epoch)]


def nested_classes(classes: pd.DataFrame, outer: str, images: set[str]) -> pd.DataFrame:
    """Return the classes of the given image types, sorted by `outer` ('image' or 'orientation').

    Columns: group (the outer name) and inner; the index holds the class indices. G, which has no
    orientation, comes last either way.
    """
    kept = classes[classes["image"].isin(images)].set_index("index")
    angle = kept["orientation"].map(angle_name)
    place = kept["image"].map(TYPE_ORDER.index)
    table = pd.DataFrame({"image": kept["image"], "angle": angle})
    table["group"], table["inner"] = (
        (table["image"], angle) if outer == "image" else (angle, table["image"])
    )
    gray = kept["orientation"].isna()
    table.loc[gray, "group"], table.loc[gray, "inner"] = kept.loc[gray, "image"], ""
    turn = kept["orientation"].fillna(np.inf)
    keys = (turn, place) if outer == "image" else (place, turn)  # lexsort: the last key leads
    return table[["group", "inner"]].iloc[np.lexsort(keys)]


def angle_name(degrees: float) -> str:
    """Return an orientation as text, "none" for a missing one."""
    return "none" if np.isnan(degrees) else f"{degrees:g}°"
