"""Small records to draw pictures of, and the names of the pictures."""

from pathlib import Path

import numpy as np
import pandas as pd

CURVES = ["loss_and_accuracy.png", "gabor_types.png", "gabor_orientations.png"]
MATRICES = ["confusion_by_type.png", "confusion_by_orientation.png"]
REPORT = "report.html"
OF_U, BY_EPOCH = "confusion_of_U.png", "confusion_by_epoch.png"


def gabor_classes() -> pd.DataFrame:
    """A to D and U at 0° and 90°, then G: 11 classes."""
    classes = [(image, angle) for image in "ABCDU" for angle in (0, 90)] + [("G", np.nan)]
    names = [image if image == "G" else f"{image} {angle}°" for image, angle in classes]
    images, angles = zip(*classes, strict=True)
    return pd.DataFrame({"index": range(11), "name": names, "image": images, "orientation": angles})


def video_classes(number: int) -> pd.DataFrame:
    names = [f"class {i}" for i in range(number)]
    return pd.DataFrame(
        {"index": range(number), "name": names, "image": names, "orientation": np.nan}
    )


def write_run(
    folder: Path,
    classes: pd.DataFrame,
    predicted_modes: dict[str, list[int]],
    unexpected_from: float = np.inf,
    epoch_modes: tuple[str, ...] = ("train", "val"),
) -> Path:
    """Records with 2 batches of 4 predictions for each mode and epoch of `predicted_modes`."""
    rng = np.random.default_rng(0)
    epochs = sorted({epoch for epochs in predicted_modes.values() for epoch in epochs} | {0})
    if "test" in predicted_modes:
        epochs = predicted_modes["test"]
    rows = [
        (
            *(e, mode, "unexpected" if e >= unexpected_from else "expected", 2 - 0.1 * e),
            *(0.2, 0.4, np.nan, 1 / 11, 1e-3, 1.5, 0.1),
        )
        for e in epochs
        for mode in epoch_modes
    ]
    names = [
        "epoch",
        "mode",
        "phase",
        "loss",
        "top1",
        "top3",
        "top5",
        "chance",
        "lr",
        "seconds",
        "data_seconds",
    ]
    pd.DataFrame(rows, columns=names).to_csv(folder / "epochs.csv", index=False)
    classes.to_csv(folder / "classes.csv", index=False)
    rows = []
    for mode, mode_epochs in predicted_modes.items():
        for epoch in mode_epochs:
            for item in range(8):
                target = int(rng.integers(len(classes)))
                _, _, image, angle = classes.iloc[target]
                if image == "U" and epoch < unexpected_from:
                    target, image = target - 2, "D"
                where = (epoch, mode, item // 4, item, 0, target, image, angle, int(image == "U"))
                rows.append((*where, int(rng.integers(len(classes))), 1.0 + item / 10, None, ""))
    names = [
        "epoch",
        "mode",
        "batch",
        "item",
        "step",
        "target",
        "image",
        "orientation",
        "is_U",
        "predicted",
        "loss",
        "rank",
        "name",
    ]
    if rows:
        pd.DataFrame(rows, columns=names).to_csv(folder / "predictions.csv", index=False)
    return folder
