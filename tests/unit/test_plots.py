"""The pictures of a run and the tables they show, from small records written here."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forked import ROOT
from picture_records import (
    BY_EPOCH,
    CURVES,
    MATRICES,
    OF_U,
    REPORT,
    gabor_classes,
    video_classes,
    write_run,
)
from utils.errors import UsageError
from utils.plots import breakdowns, confusion_matrices, curves, figures
from utils.plots.draw import MOST_CLASSES, draw_all, draw_epoch, list_pictures
from utils.plots.tables import read_records

pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # of a layout that finds no room


def small_predictions() -> pd.DataFrame:
    """Of dpc-rnn; the classes 6 to 10 are D 0°, D 90°, U 0°, U 90°, G."""
    rows = [
        # epoch, mode, batch, target, is_U, predicted, loss
        (0, "train", 0, 6, 0, 6, 9.0),
        (1, "train", 0, 6, 0, 6, 1.0),
        (1, "train", 0, 7, 0, 6, 2.0),
        (1, "train", 1, 6, 0, 7, 3.0),
        (1, "train", 1, 9, 1, 9, 6.0),
        (2, "train", 0, 10, 0, 10, 0.5),
        (2, "train", 0, 9, 1, 6, 1.5),
        (2, "train", 0, 9, 1, 7, 1.5),
        (2, "train", 0, 7, 0, 10, 2.5),
        (1, "val", 0, 7, 0, 7, 4.0),
    ]
    names = ["epoch", "mode", "batch", "target", "is_U", "predicted", "loss"]
    return pd.DataFrame(rows, columns=names).assign(rank=np.nan)


def shared_classes() -> pd.DataFrame:
    """A to C, then D/U, at 0° and 90°, and G: 9 classes."""
    names = [image for image in ("A", "B", "C", "D/U") for _ in range(2)]
    return pd.DataFrame(
        {"index": range(9), "image": [*names, "G"], "orientation": [0.0, 90.0] * 4 + [np.nan]}
    )


def test_type_and_orientation_are_judged_apart():
    rows = breakdowns.judged(small_predictions(), gabor_classes())
    rows = rows[(rows["mode"] == "train") & (rows["epoch"] == 2)]
    # G as G, U 90° as D 0°, U 90° as D 90°, D 90° as G
    assert rows["image"].tolist() == ["G", "U", "U", "D"]
    assert rows["class_hit"].tolist() == [True, False, False, False]
    assert rows["type_hit"].tolist() == [True, False, False, False]
    assert rows["orientation_hit"].tolist() == [True, False, True, False]
    # of the batch's four blocks one is G, two are U 90°, one is D 90°
    assert rows["class_chance"].tolist() == [1 / 4, 2 / 4, 2 / 4, 1 / 4]
    assert rows["type_chance"].tolist() == [1 / 4, 2 / 4, 2 / 4, 1 / 4]
    assert rows["orientation_chance"].tolist() == [1 / 4, 3 / 4, 3 / 4, 3 / 4]


def test_the_shared_class_is_one_type_and_a_classifier_chooses_among_classes():
    rows = pd.DataFrame(
        # D 0° as D/U 90°, U 90° as D/U 90°, U 90° as A 90°, G as G
        {"target": [6, 7, 7, 8], "predicted": [7, 7, 1, 8], "is_U": [0, 1, 1, 0]}
    ).assign(mode="val", epoch=1, batch=0, loss=1.0, rank=[2, 1, 3, 1])
    judged = breakdowns.judged(rows, shared_classes())
    assert judged["image"].tolist() == ["D", "U", "U", "G"]
    assert judged["class_hit"].tolist() == [False, True, False, True]
    assert judged["type_hit"].tolist() == [True, True, False, True]
    assert judged["orientation_hit"].tolist() == [False, True, True, True]
    assert judged["class_chance"].tolist() == [1 / 9] * 4
    assert judged["type_chance"].tolist() == [2 / 9, 2 / 9, 2 / 9, 1 / 9]
    assert judged["orientation_chance"].tolist() == [4 / 9, 4 / 9, 4 / 9, 1 / 9]


@pytest.mark.parametrize("classes", [gabor_classes(), shared_classes()], ids=["own", "shared"])
@pytest.mark.parametrize("is_classified", [False, True])
def test_hits_and_chance_equal_a_slow_loop(classes, is_classified):
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.integers(len(classes), size=(60, 2)), columns=["target", "predicted"])
    rows = rows.assign(mode="val", epoch=1, batch=rng.integers(4, size=60), is_U=0, loss=1.0)
    rows = rows.assign(rank=1.0 if is_classified else np.nan)
    judged = breakdowns.judged(rows, classes)
    columns = {"type": "image", "orientation": "orientation"}

    def kind(aspect: str, c: int) -> str:
        return str(classes[columns[aspect]][c]) if aspect in columns else str(c)

    for aspect in breakdowns.ASPECTS:
        for row, (_, one) in zip(judged.to_dict("records"), rows.iterrows(), strict=True):
            own = kind(aspect, one["target"])
            options = list(rows["target"][rows["batch"] == one["batch"]])
            options = range(len(classes)) if is_classified else options
            share = sum(kind(aspect, option) == own for option in options) / len(options)
            assert row[f"{aspect}_hit"] == (kind(aspect, one["predicted"]) == own)
            assert row[f"{aspect}_chance"] == pytest.approx(share)


@pytest.mark.parametrize("by", ["image", "orientation"])
def test_breakdown_equals_a_slow_loop(by):
    rows = breakdowns.judged(small_predictions(), gabor_classes())
    table = breakdowns.breakdown(rows, [by])
    columns = ["loss", "class_hit", "type_hit", "orientation_chance"]
    found = {
        (r["mode"], r["epoch"], str(r[by])): (*r[columns], r["count"]) for _, r in table.iterrows()
    }
    groups: dict[tuple, list] = {}
    for _, r in rows.iterrows():
        groups.setdefault((r["mode"], r["epoch"], str(r[by])), []).append(tuple(r[columns]))
    assert found.keys() == groups.keys()
    for key, members in groups.items():
        means = [sum(values) / len(members) for values in zip(*members, strict=True)]
        assert found[key] == pytest.approx((*means, len(members)))
    whole = breakdowns.breakdown(rows, [])
    assert whole["count"].tolist() == [1, 4, 4, 1]


def test_breakdown_keeps_gray_apart():
    rows = breakdowns.judged(small_predictions(), gabor_classes())
    table = breakdowns.breakdown(rows, ["orientation"])
    gray = table[table["orientation"].isna()]
    assert gray[["mode", "epoch", "loss", "count"]].values.tolist() == [["train", 2, 0.5, 1]]


def test_batches_count_through_training_without_epoch_0():
    table = breakdowns.by_batch(small_predictions())
    assert table.index.tolist() == [1, 2, 3]
    assert table["epoch"].tolist() == [1, 1, 2]
    assert table["loss"].tolist() == [1.5, 4.5, 1.5]
    assert table["U_share"].tolist() == [0, 0.5, 0.5]


def test_confusion_rows_are_targets():
    rows = small_predictions()
    counts = breakdowns.confusion(rows, 11)
    slow = np.zeros((11, 11), dtype=int)
    for target, predicted in zip(rows["target"], rows["predicted"], strict=True):
        slow[target, predicted] += 1
    np.testing.assert_array_equal(counts, slow)
    shares = breakdowns.row_shares(counts)
    np.testing.assert_allclose(shares[6, [6, 7]], [2 / 3, 1 / 3])
    assert np.isnan(shares[0]).all()
    assert shares[9, [6, 7, 9]].tolist() == [1 / 3, 1 / 3, 1 / 3]


def test_classes_nest_either_way():
    images = {"D", "U", "G"}
    by_type = breakdowns.nested_classes(gabor_classes(), "image", images)
    assert by_type.index.tolist() == [6, 7, 8, 9, 10]
    assert by_type["group"].tolist() == ["D", "D", "U", "U", "G"]
    assert by_type["inner"].tolist() == ["0°", "90°", "0°", "90°", ""]
    by_angle = breakdowns.nested_classes(gabor_classes(), "orientation", images)
    assert by_angle.index.tolist() == [6, 8, 7, 9, 10]
    assert by_angle["group"].tolist() == ["0°", "0°", "90°", "90°", "G"]
    assert by_angle["inner"].tolist() == ["D", "U", "D", "U", ""]


def test_best_epoch_is_the_first_of_equals_in_each_phase():
    tops = [0.1, 0.4, 0.4, 0.3, 0.35, 0.2]
    phases = ["expected"] * 3 + ["unexpected"] * 3
    epochs = pd.DataFrame({"epoch": range(6), "mode": "val", "phase": phases, "top1": tops})
    assert breakdowns.best_epochs(epochs)["epoch"].tolist() == [1, 4]
    assert breakdowns.first_unexpected(epochs) == 3
    assert breakdowns.first_unexpected(epochs[:3]) is None


def test_last_epoch_of_each_phase_is_shown(tmp_path):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1, 2, 3], "val": [0, 1, 2]}, 2)
    epochs, predictions, _ = read_records(tmp_path)
    shown = breakdowns.recorded(epochs, predictions)
    assert [one[:2] for one in shown] == [
        *(("val", epoch) for epoch in range(3)),
        *(("train", epoch) for epoch in range(4)),
    ]
    last = breakdowns.last_shown(shown)
    assert last == [("val", 1, "expected"), ("val", 2, "unexpected")]
    assert breakdowns.last_shown(shown[3:])[-1] == ("train", 3, "unexpected")
    assert breakdowns.last_shown([]) == []


def test_epochs_whose_checkpoints_are_kept_are_shown():
    tops = [0.1, 0.4, 0.2] + [0.2] * 7 + [0.1, 0.1, 0.3, *[0.2] * 7]
    phases = ["expected"] * 8 + ["unexpected"] * 12
    epochs = pd.DataFrame({"epoch": range(20), "mode": "val", "phase": phases, "top1": tops})
    every = breakdowns.recorded(epochs, epochs)
    kept = breakdowns.kept_shown(every, epochs)
    assert [one.epoch for one in kept] == [0, 1, 4, 5, 6, 7, 8, 9, 10, 12, 18, 19]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ({"train": [0], "val": [0]}, [*CURVES, *MATRICES, BY_EPOCH]),
        (
            {"train": [0, 1, 2], "val": [0, 1, 2]},
            [*CURVES, "loss_by_batch.png", *MATRICES, OF_U, BY_EPOCH],
        ),
        ({"train": [0, 1]}, [*CURVES, "loss_by_batch.png", *MATRICES, BY_EPOCH]),
        ({}, CURVES[:1]),
    ],
    ids=["epoch 0 only", "unexpected", "--not_save_best", "no predictions"],
)
def test_gabor_run_draws(tmp_path, modes, expected):
    write_run(tmp_path, gabor_classes(), modes, 2, tuple(modes) or ("train", "val"))
    assert [path.name for path in draw_all(tmp_path)] == [*expected, REPORT]
    names = {path.name for path in tmp_path.iterdir() if path.suffix != ".csv"}
    assert names == {*expected, REPORT}


@pytest.mark.parametrize("last", [0, 1, 20])
def test_later_losses_are_in_sight(last):
    loss = [12.0, *[2.0] * last]
    tops = {f"top{k}": 0.1 * k for k in (1, 3, 5)}
    epochs = pd.DataFrame({"epoch": range(last + 1), "loss": loss, "mode": "val", **tops})
    figure = curves.draw_epochs(epochs.assign(chance=1 / 64, phase="expected"))
    low, high = figure.axes[0].get_ylim()
    assert low < loss[-1] < high
    assert low < np.log(64) < high
    assert (high < 12) == (last > 0)


@pytest.mark.parametrize("steps", [1, 2])
def test_scores_are_drawn_by_kind_where_they_were_recorded(tmp_path, steps):
    write_run(tmp_path, video_classes(3), {"train": [0, 1, 2], "val": [0, 1, 2]})
    names = [name for name, _ in list_pictures(read_records(tmp_path))]
    assert "scores" not in names  # of a classifier, or of a version that did not record them
    rows = pd.read_csv(tmp_path / "epochs.csv")
    kinds = ("easy", "spatial", "temporal")
    for place, kind in enumerate(kinds):
        none = kind == "temporal" and steps == 1  # which has no such pairs
        rows[f"score_{kind}"] = np.nan if none else place
        rows[f"wrong_{kind}"] = np.nan if none else 0.2 * (1 + place)
    rows.assign(score_positive=7.0).to_csv(tmp_path / "epochs.csv", index=False)
    makers = dict(list_pictures(read_records(tmp_path)))
    figure = makers["scores"]()
    drawn = [{line.get_ydata()[-1] for line in axes.get_lines()} for axes in figure.axes]
    scores, shares = {7.0, 0.0, 1.0, 2.0}, {20.0, 40.0, 60.0}
    if steps == 1:
        scores, shares = scores - {2.0}, shares - {60.0}
    assert [{round(value, 6) for value in values} for values in drawn] == [
        *([scores] * 2), *([shares] * 2)
    ]  # fmt: skip
    (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert len(legend.get_texts()) == 2 + steps


def test_a_run_that_predicts_only_gray_draws(tmp_path):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]})
    rows = pd.read_csv(tmp_path / "predictions.csv")
    rows.assign(target=10, is_U=0).to_csv(tmp_path / "predictions.csv", index=False)
    assert {path.name for path in draw_all(tmp_path)} >= set(CURVES)


def test_gabor_test_draws(tmp_path):
    write_run(tmp_path, gabor_classes(), {"test": [14]}, 0, ("test",))
    assert [path.name for path in draw_all(tmp_path)] == [*CURVES, *MATRICES, OF_U, REPORT]


@pytest.mark.parametrize("mode", ["val", "test"])
def test_video_draws(tmp_path, mode):
    modes = ("test",) if mode == "test" else ("train", "val")
    write_run(tmp_path, video_classes(12), {mode: [3]}, epoch_modes=modes)
    names = [path.name for path in draw_all(tmp_path)]
    by_epoch = [] if mode == "test" else [BY_EPOCH]
    assert names == ["loss_and_accuracy.png", "confusion.png", *by_epoch, REPORT]


@pytest.mark.slow
def test_redraw_from_records_alone(tmp_path):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]}, 1)
    first = {path: path.read_bytes() for path in draw_all(tmp_path)}
    assert len(first) == 9
    for path in first:
        path.unlink()
    command = [sys.executable, "-m", "utils.plots", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(path) for path in first]
    assert {path: path.read_bytes() for path in first} == first


def test_too_many_classes_have_no_matrix(tmp_path):
    write_run(tmp_path, video_classes(MOST_CLASSES + 1), {"val": [0]})
    names = [name for name, _ in list_pictures(read_records(tmp_path))]
    assert names == ["loss_and_accuracy"]
    with pytest.raises(UsageError, match="too many"):
        draw_epoch(tmp_path, 0, None)


def test_each_accuracy_has_its_chance():
    """U is in training alone, so its chance is named there alone."""
    judged = breakdowns.judged(small_predictions(), gabor_classes())
    epochs = pd.DataFrame({"epoch": [0, 1, 2], "phase": "expected"})
    figure = curves.draw_breakdown(judged, "image", epochs)
    train = [axes for axes in figure.axes if axes.get_subplotspec().colspan.start == 0]
    assert [axes.get_ylabel() for axes in train[1:]] == [
        "Correct class (%)", "Correct type (%)", "Correct orientation (%)"
    ]  # fmt: skip
    whole = breakdowns.breakdown(judged, []).query("mode == 'train'")
    of_u = breakdowns.breakdown(judged, ["image"]).query("mode == 'train' and image == 'U'")
    for axes, aspect in zip(train[1:], breakdowns.ASPECTS, strict=True):
        lines = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}
        assert lines[curves.CHANCE] == (100 * whole[f"{aspect}_chance"]).tolist()
        assert lines[curves.CHANCE_OF_U] == (100 * of_u[f"{aspect}_chance"]).tolist()
    (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["D", "U", "G", curves.CHANCE, curves.CHANCE_OF_U]


# ---- matrices ----


def shares_of(axes: Axes) -> np.ndarray:
    """The shares that a panel shows, NaN for gray."""
    return axes.collections[0].get_array().filled(np.nan)


def test_the_matrix_of_unexpected_images_has_no_other_targets():
    rows = small_predictions()
    shown = breakdowns.Shown("train", 2, "unexpected")
    figure = confusion_matrices.draw_unexpected(rows[rows["is_U"] == 1], gabor_classes(), [shown])
    # rows U 0°, U 90°; columns D 0°, D 90°, U 0°, U 90°
    none = [np.nan] * 4
    np.testing.assert_array_equal(shares_of(figure.axes[0]), [none, [50, 50, 0, 0]])
    title = figure.axes[0].get_title()
    assert title == "Training, epoch 2, n = 2\ncorrect class 0%, type 0%, orientation 50%"


def test_of_a_shared_class_only_unexpected_images_count():
    rows = pd.DataFrame({"target": [6, 7, 7], "predicted": [7, 7, 1], "is_U": [0, 1, 1]})
    rows = rows.assign(mode="val", epoch=1)
    shown = breakdowns.Shown("val", 1, "unexpected")
    figure = confusion_matrices.draw_unexpected(rows[rows["is_U"] == 1], shared_classes(), [shown])
    # columns A 0°, A 90°, D/U 0°, D/U 90°
    np.testing.assert_array_equal(shares_of(figure.axes[0]), [[np.nan] * 4, [0, 50, 0, 50]])


def test_each_kept_epoch_has_a_matrix():
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(rng.integers(3, size=(90, 2)), columns=["target", "predicted"])
    rows = rows.assign(mode="val", epoch=np.arange(90) % 5)
    shown = [breakdowns.Shown("val", epoch, "expected") for epoch in range(5)]
    figure = confusion_matrices.draw_kept(rows, video_classes(3), shown)
    for axes, one in zip(figure.axes[:5], shown, strict=True):
        selected = rows[rows["epoch"] == one.epoch]
        slow = np.zeros((3, 3))
        for target, predicted in zip(selected["target"], selected["predicted"], strict=True):
            slow[target, predicted] += 1
        np.testing.assert_allclose(shares_of(axes), 100 * slow / slow.sum(axis=1, keepdims=True))
        assert axes.get_title() == f"Epoch {one.epoch}: {np.trace(slow) / 18:.0%}"


def test_a_failed_save_leaves_the_old_picture(tmp_path):
    class Broken(Figure):
        def savefig(self, path, **_):
            path.write_bytes(b"half")
            raise OSError("disk full")

    picture = tmp_path / "picture.png"
    picture.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        figures.save(Broken(), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    assert picture.read_bytes() == b"old"
