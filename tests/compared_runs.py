"""Run folders with made-up records, as `python -m utils.compare` reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from picture_records import gabor_classes, video_classes
from utils.config.flags import FIELDS, Config
from utils.runs.folder import run_name, write_config

GABORS = Config(
    dataset="Gabors", img_dim=64, num_seq_in=3, pred_step=1, unexp_epoch=3, batch_size=8
)
CLASSIFIER = Config(model="lc-rnn", dataset="UCF101", train_what="ft")
PREDICTION = {"batch": 0, "item": 0, "step": 0, "is_U": 0, "loss": 1.0, "rank": None, "name": ""}
D_0, D_90, U_0, U_90 = 6, 7, 8, 9  # classes of `gabor_classes`


def make_run(
    parent: Path,
    config: Config,
    losses: Sequence[float],
    top1: Sequence[float] | None = None,
    name: str = "",
    **more: Any,
) -> Path:
    """Make a run whose training and validation losses, by epoch, are these.

    `more` are further columns of epochs.csv.
    """
    folder = parent / (name or run_name(config, seed_typed=True))
    write_folder(folder, config)
    is_gabor = config.dataset == "Gabors"
    rows = [
        {
            **{"epoch": epoch, "mode": mode, "loss": loss + 0.5 * (mode == "val")},
            "phase": "unexpected" if is_gabor and epoch >= config.unexp_epoch else "expected",
            "top1": 0.1 * epoch if top1 is None else top1[epoch],
            **{"top3": None, "top5": None, "chance": 1 / 32, **more},
        }
        for epoch, loss in enumerate(losses)
        for mode in ("train", "val")
    ]
    pd.DataFrame(rows).to_csv(folder / "epochs.csv", index=False)
    classes = gabor_classes() if is_gabor else video_classes(4)
    classes.to_csv(folder / "classes.csv", index=False)
    return folder


def write_folder(folder: Path, config: Config) -> None:
    """Make a run's folder, as if all flags that differ from their defaults had been typed."""
    folder.mkdir(parents=True)
    typed = {name: value for name, value in vars(config).items() if value != FIELDS[name].default}
    write_config(folder, config, typed, {})


def predict(folder: Path, epoch: int, mode: str, pairs: Sequence[tuple[int, int]]) -> None:
    """Append predictions, each of a target class and the class that was predicted."""
    path = folder / "predictions.csv"
    rows = [
        PREDICTION | {"epoch": epoch, "mode": mode, "target": target, "predicted": predicted}
        for target, predicted in pairs
    ]
    pd.DataFrame(rows).to_csv(path, index=False, mode="a", header=not path.exists())


def make_test(
    run: Path,
    config: Config,
    checkpoint: str,
    video: Sequence[float],
    clip: Sequence[float] = (),
    name: str = "",
    **changes: Any,
) -> Path:
    """Make the test of a checkpoint in a run folder, with top-1, 3 and 5 of videos and of clips."""
    path = run / "model" / f"{checkpoint}.pth.tar"
    folder = run / (name or f"test_{checkpoint}")
    write_folder(folder, replace(config, test=str(path), unexp_epoch=1, pretrained="", **changes))
    row = {"epoch": 0, "mode": "test", "phase": "expected", "loss": 2.0, "chance": 0.25}
    row |= dict(zip(("top1", "top3", "top5"), video, strict=True))
    pd.DataFrame([row]).to_csv(folder / "epochs.csv", index=False)
    video_classes(4).to_csv(folder / "classes.csv", index=False)
    rows = []
    for level, tops in (("video", video), ("clip", clip)):
        for called in ("all classes", "class 0") if tops else ():
            shares = dict(zip(("top1", "top3", "top5"), tops, strict=True))
            rows.append({"level": level, "name": called, **shares, "evaluated": 8, "total": 8})
    pd.DataFrame(rows).to_csv(folder / "accuracies.csv", index=False)
    return folder


def make_retrieval(
    parent: Path,
    config: Config,
    checkpoint: str,
    values: Mapping[str, float],
    name: str = "",
    **changes: Any,
) -> Path:
    """Make the retrieval of a checkpoint's path, or of `random`, with the values of its measures.

    The chance of each is a tenth of its value.
    """
    stem = Path(checkpoint).name.removesuffix(".pth.tar")
    folder = parent / (name or f"retrieve_{stem}")
    write_folder(folder, replace(config, retrieve=checkpoint, unexp_epoch=1, **changes))
    rows = [
        {"measure": measure, "value": value, "chance": value / 10, "evaluated": 8, "gallery": 24}
        for measure, value in values.items()
    ]
    pd.DataFrame(rows).to_csv(folder / "evaluations.csv", index=False)
    return folder


def analyse(run: Path, values: Mapping[tuple[int, str, str, str], float]) -> None:
    """Make a run's usi.csv: mean USI by epoch, when, module and kind; |USI| is half more.

    Each pass has 230 blocks of D and 20 of U.
    """
    keys = ("epoch", "when", "module", "kind")
    rows = []
    for key, value in values.items():
        row = dict(zip(keys, key, strict=True)) | {"mean": value, "mean_abs": abs(value) + 0.5}
        row |= {"blocks_D": 230, "blocks_U": 20}
        rows.append(row | {"over": "all", "significant": 0.2, "sd": 1.0})
        rows.append(row | {"over": "shared", "mean": 100, "significant": None, "sd": 1.0})
    (run / "analysis").mkdir()
    pd.DataFrame(rows).to_csv(run / "analysis" / "usi.csv", index=False)
