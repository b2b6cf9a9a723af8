"""What a pass leaves in the records, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import Dataset

from model.metrics import TOP
from model.training.passes import BatchPredictions, Result
from model.training.tasks import Predictions
from utils.logs import duration
from utils.runs.records import (
    ACCURACIES,
    EPOCHS,
    PREDICTIONS,
    WINDOWS,
    AccuracyRow,
    EpochRow,
    PredictionRow,
    append_rows,
)
from utils.samples import ClassInfo

ALL = "all classes"


def record(
    folder: Path, dataset: Dataset, epoch: int, mode: str, lr: float, result: Result
) -> EpochRow:
    """Appends a pass's rows to the records; returns the epoch's."""
    row = epoch_row(dataset, epoch, mode, lr, result)
    if dataset.records_predictions:
        for name, rows in (
            (PREDICTIONS, prediction_rows(epoch, mode, dataset, videos_or_clips(result))),
            (WINDOWS, prediction_rows(epoch, mode, dataset, windows(result))),
        ):
            append_rows(folder, name, rows)
    append_rows(folder, EPOCHS, [row])
    return row


def epoch_row(dataset: Dataset, epoch: int, mode: str, lr: float, result: Result) -> EpochRow:
    seconds, data, network = result.times
    return EpochRow(
        epoch,
        mode,
        dataset.phase(epoch),
        *result.means,
        lr,
        round(seconds, 3),
        round(data, 3),
        round(network, 3),
        round(max(0.0, seconds - data - network), 3),
        round(result.evaluated / seconds, 2),
        result.device_memory,
        result.host_memory,
        result.evaluated,
        dataset.total,
    )


Items = Iterator[tuple[BatchPredictions, Predictions]]


def videos_or_clips(result: Result) -> Items:
    return ((batch, batch.predictions) for batch in result.predictions)


def windows(result: Result) -> Items:
    return ((batch, batch.windows) for batch in result.predictions if batch.windows is not None)


def prediction_rows(
    epoch: int, mode: str, dataset: Dataset, predictions: Items
) -> list[PredictionRow]:
    rows = []
    for batch, (labels, predicted, loss, rank) in predictions:
        for b, item in enumerate(batch.item.tolist()):
            name = dataset.item_name(item) if mode == "test" else ""
            for step, (target, is_unexpected) in enumerate(labels[b].tolist()):
                info = dataset.classes[target]
                rows.append(
                    PredictionRow(
                        epoch=epoch,
                        mode=mode,
                        batch=batch.number,
                        item=item,
                        step=step,
                        target=target,
                        image=info.shown(bool(is_unexpected)),
                        orientation=info.orientation,
                        is_U=is_unexpected,
                        predicted=int(predicted[b, step]),
                        loss=float(loss[b, step]),
                        rank=int(rank[b, step]) or None,
                        name=name,
                    )
                )
    return rows


def record_accuracies(folder: Path, dataset: Dataset, result: Result) -> list[AccuracyRow]:
    """Of a test, over all classes and for each; of whole videos first, then of their windows."""
    classes, totals = dataset.classes, dataset.class_totals
    if dataset.whole_videos:
        rows = accuracy_rows("video", classes, totals, videos_or_clips(result))
        rows += accuracy_rows("clip", classes, None, windows(result))
    else:
        rows = accuracy_rows("clip", classes, totals, videos_or_clips(result))
    append_rows(folder, ACCURACIES, rows)
    return [row for row in rows if row.name == ALL]


def accuracy_rows(
    level: str, classes: tuple[ClassInfo, ...], totals: list[int] | None, predictions: Items
) -> list[AccuracyRow]:
    """`totals`: how many there are of each class, read or not; None where that is not known."""
    ranks: list[list[int]] = [[] for _ in classes]
    for _, (labels, _, _, rank) in predictions:
        for target, place in zip(
            labels[..., 0].flatten().tolist(), rank.flatten().tolist(), strict=True
        ):
            ranks[target].append(place)

    def row(name: str, places: list[int], total: int | None) -> AccuracyRow:
        top = [
            sum(place <= k for place in places) / len(places)
            if places and k < len(classes)
            else None
            for k in TOP
        ]
        return AccuracyRow(level, name, *top, evaluated=len(places), total=total)

    everything = [place for places in ranks for place in places]
    rows = [row(ALL, everything, sum(totals) if totals else None)]
    for c, info in enumerate(classes):
        rows.append(row(info.name, ranks[c], totals[c] if totals else None))
    return rows


def epoch_line(rows: list[EpochRow], last: int, is_best: bool, left: float) -> str:
    """Such as `epoch 3/16: train loss … | val loss … (best so far), chance …, about 9 s left`."""
    parts = [f"epoch {rows[0].epoch}/{last}: " + " | ".join(row_text(row) for row in rows)]
    if is_best:
        parts[0] += " (best so far)"
    parts.append(f"chance {rows[0].chance:.1%}")
    if rows[0].phase == "unexpected":
        parts.append("with U")
    if left:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def row_text(row: EpochRow) -> str:
    text = f"{row.mode} loss {row.loss:.3f}"
    return text if row.top1 is None else f"{text}, top-1 {row.top1:.1%}"


def accuracy_text(row: AccuracyRow) -> str:
    """Such as `video top-1/3/5 68.2/80.1/– %, 3780 of 3783 evaluated`."""
    top = "/".join("–" if share is None else f"{share:.1%}"[:-1] for share in row[2:5])
    count = f"{row.evaluated}" if row.total is None else f"{row.evaluated} of {row.total}"
    return f"{row.level} top-1/3/5 {top} %, {count} evaluated"
