"""From the records in a folder of a run, a test or a retrieval to the pictures and the report."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from utils.errors import RunError, UsageError
from utils.files import reason
from utils.plots import breakdowns, confusion_matrices, curves, figures, retrieval, scores
from utils.plots.breakdowns import Shown
from utils.plots.report import write_report
from utils.plots.tables import Records, read_records

Picture = tuple[str, Callable[[], Figure]]  # its name, and what makes it
MOST_CLASSES = 1000  # of a confusion matrix, which takes their square of cells


def draw_all(folder: Path, backend: str | None = None) -> list[Path]:
    """Draw every picture that the folder's records allow, and write the report that shows them.

    Returns the pictures' paths and, last, the report's. Raises UsageError where there are no
    records, RunError where the disk fails.
    """
    if retrieval.is_retrieval(folder):
        make = partial(
            retrieval.draw_retrieval, retrieval.read_shown(folder), retrieval.read_title(folder)
        )
        drawn = draw([(retrieval.NAME, make)], folder, backend)
        return [*drawn, write_report(folder, None, drawn)]
    records = read_records(folder)
    drawn = draw(list_pictures(records), folder, backend)
    return [*drawn, write_report(folder, records, drawn)]


def draw_epoch(
    folder: Path, epoch: int | None, mode: str | None, backend: str | None = None
) -> list[Path]:
    """Draw the confusion matrices of one epoch, by default the last one; return their paths.

    Raises UsageError where there are no records of it, RunError where the disk fails.
    """
    records = read_records(folder)
    every = breakdowns.recorded(records.epochs, records.predictions)
    found = [one for one in every if mode in (None, one.mode) and epoch in (None, one.epoch)]
    if not found:
        asked = " ".join(
            f"--{name} {value}"
            for name, value in (("epoch", epoch), ("mode", mode))
            if value is not None
        )
        raise UsageError(f"{asked}: no predictions in {folder}; {breakdowns.list_epochs(every)}")
    if len(records.classes) > MOST_CLASSES:
        raise UsageError(f"{folder}: {len(records.classes)} classes are too many for a matrix")
    last = max((one for one in found if one.mode == found[0].mode), key=lambda one: one.epoch)
    pictures = [
        (f"{name}_{last.mode}_epoch{last.epoch}", make)
        for name, make in list_matrices(records, [last], [last])
    ]
    return draw(pictures, folder, backend)


def draw(pictures: list[Picture], folder: Path, backend: str | None) -> list[Path]:
    """Draw pictures into a folder; return their paths. Raises RunError where the disk fails."""
    written = []
    with matplotlib.rc_context(figures.STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a class's name
        for name, make in pictures:
            path = folder / f"{name}.png"
            try:
                figures.save(make(), path, backend)
            except OSError as error:
                raise RunError(f"can't write {path}: {reason(error)}") from error
            written.append(path)
    return written


def list_pictures(records: Records) -> list[Picture]:
    """Return the pictures that the records allow; those that lack records are left out."""
    epochs, predictions, classes = records
    tests = epochs[epochs["mode"] == "test"]
    pictures: list[Picture] = []
    if len(tests):
        pictures.append(("loss_and_accuracy", partial(curves.draw_test, tests.iloc[-1])))
    elif len(epochs):
        pictures.append(("loss_and_accuracy", partial(curves.draw_epochs, epochs)))
    if scores.has_scores(epochs):
        pictures.append(("scores", partial(scores.draw_scores, epochs)))
    shown = breakdowns.recorded(epochs, predictions)
    if not shown or len(classes) > MOST_CLASSES:
        return pictures
    if records.are_gabors:
        table = breakdowns.judged(predictions, classes)
        make = curves.draw_test_breakdown if len(tests) else curves.draw_breakdown
        for name, by in (("gabor_types", "image"), ("gabor_orientations", "orientation")):
            pictures.append((name, partial(make, table, by, epochs)))
        batches = breakdowns.by_batch(predictions)
        if len(batches):
            first = breakdowns.first_unexpected(epochs)
            pictures.append(("loss_by_batch", partial(curves.draw_batches, batches, first)))
    kept = breakdowns.kept_shown(shown, epochs)
    pictures += list_matrices(records, breakdowns.last_shown(shown), kept)
    if not len(tests):
        by_epoch = partial(confusion_matrices.draw_kept, predictions, classes, kept)
        pictures.append(("confusion_by_epoch", by_epoch))
    return pictures


def list_matrices(records: Records, shown: list[Shown], kept: list[Shown]) -> list[Picture]:
    """Return the confusion matrices of the epochs `shown`, and those of U images in `kept` ones.

    Named classes have one matrix, of the last epoch shown.
    """
    epochs, predictions, classes = records
    if not records.are_gabors:
        named = partial(confusion_matrices.draw_named, predictions, classes, shown[-1])
        return [("confusion", named)]
    pictures: list[Picture] = []
    for name, outer in (("by_type", "image"), ("by_orientation", "orientation")):
        nested = partial(confusion_matrices.draw_nested, predictions, classes, shown, outer)
        pictures.append((f"confusion_{name}", nested))
    of_U = predictions[predictions["is_U"] == 1]
    if with_U := [one for one in breakdowns.recorded(epochs, of_U) if one in kept]:
        alone = partial(confusion_matrices.draw_unexpected, of_U, classes, with_U)
        pictures.append(("confusion_of_U", alone))
    return pictures
