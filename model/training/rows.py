"""From a pass's predictions to the rows of the records, and to the lines of the log."""

from pathlib import Path

from model.metrics import TOP
from model.training.meter import Summary
from utils.config.flags import CROPS
from utils.logs import duration
from utils.runs.positions import BatchPredictions, Predictions
from utils.runs.records import ACCURACIES, AccuracyRow, EpochRow, PredictionRow, append_rows
from utils.samples import ClassInfo, Samples

ALL = "all classes"
VIDEO, CLIP = "video", "clip"


def prediction_rows(
    epoch: int, mode: str, samples: Samples, batches: list[BatchPredictions]
) -> list[PredictionRow]:
    """Return a row for each prediction."""
    rows = []
    for number, items, (labels, predicted, loss, rank) in batches:
        for b, item in enumerate(items.tolist()):
            name = samples.item_name(item) if mode == "test" else ""
            for step, (target, is_unexpected) in enumerate(labels[b].tolist()):
                info = samples.classes[target]
                rows.append(
                    PredictionRow(
                        epoch=epoch,
                        mode=mode,
                        batch=number,
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


def record_accuracies(folder: Path, samples: Samples, summary: Summary) -> list[AccuracyRow]:
    """Record a test's accuracies, over all classes and for each one; return those over all.

    Whole videos come first, by each number of crops, then the windows of the centre crop.
    """
    classes, totals = samples.classes, samples.class_totals
    if samples.whole_videos:
        rows = []
        for place, crops in enumerate(numbers_of_crops(summary.crops)):
            level = f"{VIDEO}, {crops} crops" if crops > 1 else VIDEO
            rows += accuracy_rows(level, classes, totals, at_place(summary.crops, place))
        rows += accuracy_rows(CLIP, classes, None, summary.windows)
    else:
        rows = accuracy_rows(CLIP, classes, totals, summary.predictions)
    append_rows(folder, ACCURACIES, rows)
    return [row for row in rows if row.name == ALL]


def numbers_of_crops(batches: list[BatchPredictions]) -> tuple[int, ...]:
    """Return the numbers of crops of which there are predictions: 1; 1 and 5; or 1, 5 and 10."""
    return CROPS[: batches[0].predictions.rank.shape[1]] if batches else ()


def at_place(batches: list[BatchPredictions], place: int) -> list[BatchPredictions]:
    """Return the predictions that have this place among those of each item."""
    return [
        batch._replace(
            predictions=Predictions(*(part[:, place : place + 1] for part in batch.predictions))
        )
        for batch in batches
    ]


def accuracy_rows(
    level: str,
    classes: tuple[ClassInfo, ...],
    totals: list[int] | None,
    batches: list[BatchPredictions],
) -> list[AccuracyRow]:
    """Return the accuracies over all classes and of each one.

    `totals` holds the number of items of each class, read or not; None where it is unknown.
    """
    ranks: list[list[int]] = [[] for _ in classes]
    for _, _, (labels, _, _, rank) in batches:
        targets = labels[..., 0].flatten().tolist()
        for target, place in zip(targets, rank.flatten().tolist(), strict=True):
            ranks[target].append(place)

    def row(name: str, places: list[int], total: int | None) -> AccuracyRow:
        top1, top3, top5 = (
            sum(place <= k for place in places) / len(places)
            if places and k < len(classes)
            else None
            for k in TOP
        )
        return AccuracyRow(level, name, top1, top3, top5, evaluated=len(places), total=total)

    everything = [place for places in ranks for place in places]
    rows = [row(ALL, everything, sum(totals) if totals else None)]
    for c, info in enumerate(classes):
        rows.append(row(info.name, ranks[c], totals[c] if totals else None))
    return rows


def epoch_line(rows: list[EpochRow], last: int, is_best: bool, left: float) -> str:
    """Return a line such as `epoch 3/16: train loss … | val loss … (best so far), chance …`."""
    parts = [f"epoch {rows[0].epoch}/{last}: " + " | ".join(map(_row_text, rows))]
    if is_best:
        parts[0] += " (best so far)"
    parts.append(f"chance {rows[0].chance:.1%}")
    if rows[0].phase == "unexpected":
        parts.append("with U")
    if left:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def _row_text(row: EpochRow) -> str:
    text = f"{row.mode} loss {row.loss:.3f}"
    return text if row.top1 is None else f"{text}, top-1 {row.top1:.1%}"


def accuracy_text(row: AccuracyRow) -> str:
    """Return a text such as `video top-1/3/5 68.2/80.1/– %, 3780 of 3783 evaluated`."""
    shares = (row.top1, row.top3, row.top5)
    top = "/".join("–" if share is None else f"{share:.1%}"[:-1] for share in shares)
    count = f"{row.evaluated}" if row.total is None else f"{row.evaluated} of {row.total}"
    return f"{row.level} top-1/3/5 {top} %, {count} evaluated"
