"""Records that a kill, a user or another program has spoilt, and the flags that redraw them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from forked import ROOT
from picture_records import gabor_classes, video_classes, write_run
from utils.errors import PREEMPTED, UsageError
from utils.plots import breakdowns, confusion_matrices, figures
from utils.plots.__main__ import main
from utils.plots.draw import draw, draw_all
from utils.plots.tables import read_records
from utils.runtime.interrupts import STOPPING


def test_rows_cut_by_a_kill_are_left_out(tmp_path):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]})
    whole = read_records(tmp_path)
    with (tmp_path / "predictions.csv").open("a") as file:
        file.write("2,train,0,0,0,6,D,0.0,0,6,1.5,,\n2,train,0,1,0,7")
    with (tmp_path / "epochs.csv").open("a") as file:
        file.write("2,tra")
    cut = read_records(tmp_path)
    assert len(cut.epochs) == len(whole.epochs)
    assert len(cut.predictions) == len(whole.predictions)


def test_lines_without_an_end_count_if_they_are_whole(tmp_path):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]})
    whole = read_records(tmp_path)
    for name in ("epochs.csv", "predictions.csv", "classes.csv"):
        path = tmp_path / name
        path.write_text(path.read_text().rstrip("\n"))
    for table, same in zip(whole, read_records(tmp_path), strict=True):
        pd.testing.assert_frame_equal(table, same)


@pytest.mark.parametrize("column", ["epoch", "loss", "chance"])
@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "1e400", "1e31"])
def test_rows_without_a_number_that_can_be_drawn_are_left_out(tmp_path, column, value):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]})
    whole = len(read_records(tmp_path).epochs)
    change(tmp_path / "epochs.csv", column, value)
    assert len(read_records(tmp_path).epochs) == whole - 1


def change(path: Path, column: str, value: str) -> None:
    """Write a value into a column of the third row."""
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    table.loc[2, column] = value
    table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        *(("epochs.csv", "epoch", value) for value in ("-1", "1.5", "4294967296", "one")),
        *(("epochs.csv", "chance", value) for value in ("0", "-0.1", "2")),
        ("epochs.csv", "mode", "tra"),
        ("epochs.csv", "phase", "\x1b[2J"),
        *(("predictions.csv", "epoch", value) for value in ("-1", "1e20")),
        *(("predictions.csv", "batch", value) for value in ("-1", "0.5", "9" * 20)),
        *(("predictions.csv", "target", value) for value in ("-1", "11", "1e9", "1.5", "D 0°")),
        *(("predictions.csv", "predicted", value) for value in ("-2147483649", "11")),
        *(("classes.csv", "index", value) for value in ("-1", "1", "7.5", "1e20")),
        ("classes.csv", "image", "E"),
    ],
)
def test_values_that_no_run_writes_are_one_line(tmp_path, name, column, value):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]})
    change(tmp_path / name, column, value)
    with pytest.raises(UsageError, match=name) as error:
        read_records(tmp_path)
    assert str(error.value).isprintable()


def as_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_an_endless_file(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def as_a_broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def as_terabytes(path: Path) -> None:
    os.truncate(path, 2**40)


def without_a_column(path: Path) -> None:
    path.write_text(path.read_text().replace("epoch", "e", 1).replace("index", "i", 1))


def as_no_text(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(100_000))


def as_another_table(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


def as_nothing(path: Path) -> None:
    path.write_bytes(b"")


def with_a_long_line(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000 + b"\n" + path.read_bytes())


def with_an_open_quote(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b'1,"train\n2,\n')


SPOILT = [
    *(as_a_pipe, as_a_folder, as_an_endless_file, as_a_broken_link, as_terabytes, as_no_text),
    *(as_another_table, as_nothing, without_a_column),
    *(with_a_long_line, with_an_open_quote),
]


@pytest.mark.parametrize("name", ["epochs.csv", "predictions.csv", "classes.csv"])
@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_files_that_are_no_records_are_one_line(tmp_path, name, spoil):
    write_run(tmp_path, gabor_classes(), {"train": [0, 1], "val": [0, 1]})
    spoil(tmp_path / name)
    with pytest.raises(UsageError, match=name) as error:
        read_records(tmp_path)
    assert str(error.value).isprintable()


ODD_NAMES = [
    *("$", "$x$", r"$\frac{", "a$b", "{a}", "None", "NA", "nan", "null", "", "N/A", " ", "#1", "%"),
    *("a,b", 'say "a"', "العربية", "日本語", "D/U", r"\n"),
]


def test_odd_class_names_are_shown_as_they_are(tmp_path):
    classes = video_classes(len(ODD_NAMES) + 3)
    classes["name"] = classes["image"] = [*ODD_NAMES, "two\nlines", "\x1b[31m", "x" * 300]
    write_run(tmp_path, classes, {"val": [3]})
    records = read_records(tmp_path)
    assert not records.are_gabors
    pd.testing.assert_series_equal(records.classes["name"], classes["name"], check_dtype=False)
    shown = breakdowns.recorded(records.epochs, records.predictions)
    figure = confusion_matrices.draw_named(records.predictions, records.classes, shown[0])
    assert draw([("odd", lambda: figure)], tmp_path, None) == [tmp_path / "odd.png"]
    texts = figure.axes[0].texts[: len(classes)]
    expected = [*ODD_NAMES, "two lines", " [31m", "x" * 39 + "…"]
    assert [text.get_text() for text in texts] == expected
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize(
    ("flags", "where"),
    [
        (["--epoch", "1", "--mode", "train"], "train_epoch1"),
        (["--epoch", "2"], "val_epoch2"),
        (["--epoch", "3"], "train_epoch3"),
        (["--mode", "train"], "train_epoch3"),
    ],
)
def test_any_epoch_is_redrawn(tmp_path, capsys, monkeypatch, flags, where):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(figures, "save", lambda _, path, __: path.touch())
    write_run(tmp_path, gabor_classes(), {"train": [0, 1, 2, 3], "val": [0, 1, 2]}, 1)
    assert main([str(tmp_path), *flags]) == 0
    names = [f"confusion_{name}_{where}.png" for name in ("by_type", "by_orientation", "of_U")]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in names]
    assert {path.name for path in tmp_path.glob("*.png")} == set(names)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--epoch", "3"], "--epoch 3: no predictions in"),
        (["--epoch", "0", "--mode", "test"], "--epoch 0 --mode test: no predictions in"),
        (["--mode", "test"], "val epochs 0-1, 5; train epoch 2"),
        (["--epoch", "-1"], "val epochs 0-1, 5; train epoch 2"),
        (["--epoch", "x"], "argument --epoch: invalid int value: 'x'"),
        (["--mode", "tset"], "argument --mode: invalid choice"),
        (["--backend", "pdf"], "argument --backend: invalid choice"),
        (["--epoch"], "expected one argument"),
    ],
)
def test_an_epoch_without_predictions_is_one_line_and_status_2(
    tmp_path, capsys, monkeypatch, flags, told
):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    write_run(tmp_path, gabor_classes(), {"train": [2], "val": [0, 1, 5]})
    assert main([str(tmp_path), *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert told in err


def test_a_drawing_stopped_by_a_signal_leaves_no_half_picture(tmp_path, capsys, monkeypatch):
    def savefig(_, path, **__):
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGTERM)

    write_run(tmp_path, gabor_classes(), {"train": [0], "val": [0]})
    monkeypatch.setattr(Figure, "savefig", savefig)
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    try:
        assert main([str(tmp_path)]) == PREEMPTED
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "stopped by SIGTERM" in capsys.readouterr().err
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}


def test_folder_without_records_is_one_line_and_status_2(tmp_path):
    with pytest.raises(UsageError, match=r"epochs\.csv"):
        draw_all(tmp_path / "missing")
    command = [sys.executable, "-m", "utils.plots", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path) in done.stderr
    assert "epochs.csv" in done.stderr
