"""Tables from the rows of predictions.csv: by image type, orientation, batch and class.

Columns of `predictions` as in predictions.csv; losses in nats, accuracies and shares in 0..1.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

TYPE_ORDER = ("A", "B", "C", "D", "D/U", "U", "G")


def breakdown(predictions: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the mean loss, accuracy and number of rows by mode, epoch and column `by`.

    A missing value of `by` (the orientation of G) is a group of its own.
    """
    rows = predictions[["mode", "epoch", by, "loss"]].assign(
        accuracy=predictions["predicted"] == predictions["target"]
    )
    groups = rows.groupby(["mode", "epoch", by], observed=True, dropna=False)
    table = groups.agg(
        loss=("loss", "mean"), accuracy=("accuracy", "mean"), count=("accuracy", "size")
    )
    return table.reset_index()


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
    cells = predictions["target"].to_numpy() * num_classes + predictions["predicted"].to_numpy()
    counts = np.bincount(cells.astype(np.int64), minlength=num_classes**2)
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


def last_shown(epochs: pd.DataFrame, predictions: pd.DataFrame) -> list[Shown]:
    """Return the last epoch with predictions of each phase, in test, else val, else train.

    Predictions of data that were not trained on say more.
    """
    present = predictions[["mode", "epoch"]].drop_duplicates()
    rows = epochs[["mode", "epoch", "phase"]].merge(present, on=["mode", "epoch"])
    for mode in ("test", "val", "train"):
        found = rows[rows["mode"] == mode].sort_values("epoch")
        if len(found):
            last = found.drop_duplicates("phase", keep="last")
            return [Shown(mode, int(r["epoch"]), r["phase"]) for r in last.to_dict("records")]
    return []


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
