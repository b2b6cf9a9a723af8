"""The probabilities that a test gives each class, kept for use outside the program."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.training.meter import Summary
from utils.arrays import write_arrays
from utils.config.flags import CROPS
from utils.samples import Samples

PROBABILITIES = "probabilities.npz"


def write_probabilities(folder: Path, samples: Samples, summary: Summary) -> None:
    """Write the probabilities of each video, or clip, that was evaluated; raises RunError.

    `probabilities_1` `[videos, classes]` are those of one crop, `probabilities_5` and
    `probabilities_10` those of more. `items` `[videos]` are indices into the data set, `labels`
    `[videos]` the true classes, as indices into `classes`; generated clips have empty `names`.
    """
    shares = torch.cat([batch.shares for batch in summary.probabilities])  # [videos, V, classes]
    items = torch.cat([batch.item for batch in summary.probabilities])  # [videos]
    labels = torch.cat([batch.predictions.labels[:, 0, 0] for batch in summary.predictions])
    arrays: dict[str, Any] = {
        f"probabilities_{crops}": of_crops.numpy()
        for crops, of_crops in zip(CROPS, shares.unbind(1), strict=False)
    }
    arrays |= {
        "items": items.numpy(),
        "names": np.array([samples.item_name(item) for item in items.tolist()]),
        "labels": labels.numpy(),
        "classes": np.array([info.name for info in samples.classes]),
    }
    write_arrays(folder / PROBABILITIES, arrays)
