"""Split files from the published splits and the frames that are there."""

import errno
import os
import re
from pathlib import Path

import pytest

import write_csvs
from dataset.split_files import (
    Row,
    read_classes,
    read_root,
    read_rows,
    write_classes,
    write_rows,
)
from utils.errors import RunError, UsageError


def frames(folder: Path, count: int) -> None:
    """Empty files: writing split files reads names alone."""
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / f"image_{number:05}.jpg").touch()


def write(root: Path, *flags: str) -> tuple[int, Path]:
    """The exit status, and where split files went."""
    csv_root = root.parent / "data"
    arguments = ["--d_root", root.parent, "--dataset", root.name, "--csv_root", csv_root, *flags]
    status = write_csvs.main([str(argument) for argument in arguments])
    return status, csv_root


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.fixture
def ucf101(tmp_path) -> Path:
    root = tmp_path / "UCF101"
    (root / "splits").mkdir(parents=True)
    (root / "splits/trainlist01.txt").write_text("Run/v_b.avi 2\nDive/v_a,x.avi 1\nRun/v_c.avi 2\n")
    (root / "splits/testlist01.txt").write_text("Dive/v_d.avi\nRun/v_e.avi\n")
    for count, video in enumerate(("Run/v_b", "Dive/v_a,x", "Run/v_c", "Dive/v_d", "Run/v_e"), 3):
        frames(root / "frames" / video, count)
    return root


# ------------------------------------------------------------------ each dataset


def test_ucf101(ucf101):
    status, csv_root = write(ucf101)
    assert status == 0
    folder = csv_root / "UCF101"
    assert {path.name for path in folder.iterdir()} == {
        *("train_split01.csv", "test_split01.csv", "classInd.txt", "root.txt", "dataset.json")
    }
    assert (folder / "train_split01.csv").read_text() == (
        "frames/Run/v_b,3\nframes/Dive/v_a,x,4\nframes/Run/v_c,5\n"
    )
    assert lines(folder / "test_split01.csv") == ["frames/Dive/v_d,6", "frames/Run/v_e,7"]
    assert (folder / "classInd.txt").read_text() == "0 Dive\n1 Run\n"
    assert (folder / "root.txt").read_text() == f"{ucf101}\n"


def test_hmdb51(tmp_path):
    root = tmp_path / "HMDB51"
    (root / "splits").mkdir(parents=True)
    for name in ("cartwheel", "brush_hair"):
        uses = {"a b": 1, "c": 2, "unused": 0}
        for video in uses:
            frames(root / "frames" / name / video, 4)
        for number in (1, 2):
            text = "".join(f"{video}.avi {use} \n" for video, use in uses.items())
            (root / f"splits/{name}_test_split{number}.txt").write_text(text)
    status, csv_root = write(root)
    assert status == 0
    for number in (1, 2):
        assert lines(csv_root / f"HMDB51/train_split0{number}.csv") == [
            "frames/brush_hair/a b,4",
            "frames/cartwheel/a b,4",
        ]
        assert lines(csv_root / f"HMDB51/test_split0{number}.csv") == [
            "frames/brush_hair/c,4",
            "frames/cartwheel/c,4",
        ]
    assert not (csv_root / "HMDB51/train_split03.csv").exists()


@pytest.mark.parametrize("ending", ["", "_split"])
def test_kinetics400(tmp_path, ending):
    root = tmp_path / "Kinetics400"
    (root / "annotations").mkdir(parents=True)
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    (root / f"annotations/train{ending}.csv").write_text(
        header + '"playing guitar (solo)",-a_1,7,17,train,0\nabseiling,b2,123,133,train,0\n'
    )
    (root / f"annotations/val{ending}.csv").write_text(header + "abseiling,c,0,10,val,0\n")
    for folder in ("frames", "frames_256"):
        frames(root / folder / "playing_guitar_solo/-a_1_000007_000017", 6)
        frames(root / folder / "abseiling/b2_000123_000133", 7)
        frames(root / folder / "abseiling/c_000000_000010", 8)
    for folder, flags in (("frames", ()), ("frames_256", ("--k400_big",))):
        status, csv_root = write(root, *flags)
        assert status == 0
        made = csv_root / folder.replace("frames", "Kinetics400")
        assert lines(made / "train_split.csv") == [
            f"{folder}/playing_guitar_solo/-a_1_000007_000017,6",
            f"{folder}/abseiling/b2_000123_000133,7",
        ]
        assert lines(made / "val_split.csv") == [f"{folder}/abseiling/c_000000_000010,8"]
        assert not (made / "test_split.csv").exists()
        assert lines(made / "classInd.txt") == ["0 abseiling", "1 playing_guitar_solo"]


def test_mousesim_is_split_in_each_class_and_for_all_eyes_alike(tmp_path):
    root = tmp_path / "MouseSim"
    names = [f"{kind}/v_{number:02}" for kind in ("fly", "run") for number in range(10)]
    for name in names:
        (root / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"videos/{name}.mov").touch()
        frames(root / "frames_right" / name, 2)
        if name != "fly/v_00":  # as if its extraction had failed
            frames(root / "frames_left" / name, 2)
    rows = {}
    for eye in ("left", "right"):
        status, csv_root = write(root, "--eye", eye)
        assert status == 0
        for mode in ("train", "test"):
            paths = lines(csv_root / f"MouseSim_{eye}/{mode}_split.csv")
            rows[eye, mode] = {path.removeprefix(f"frames_{eye}/")[:-2] for path in paths}
    train, test = rows["right", "train"], rows["right", "test"]
    assert train | test == set(names)
    assert not train & test
    assert [sum(name.startswith(kind) for name in test) for kind in ("fly", "run")] == [2, 2]
    assert {name[4:] for name in test if name < "run"} != {
        name[4:] for name in test if name > "run"
    }
    assert rows["left", "train"] == train - {"fly/v_00"}
    assert rows["left", "test"] == test - {"fly/v_00"}


def test_mousesim_without_videos_is_split_by_its_frames(tmp_path):
    root = tmp_path / "MouseSim"
    for number in range(5):
        frames(root / f"frames/fly/v_{number}", 2)
        (root / "videos/fly").mkdir(parents=True, exist_ok=True)
        (root / f"videos/fly/v_{number}.mov").touch()
    _, csv_root = write(root, "--eye", "both")
    before = (csv_root / "MouseSim/train_split.csv").read_text()
    for video in root.glob("videos/fly/*"):
        video.unlink()
    assert write(root, "--eye", "both")[0] == 0
    assert (csv_root / "MouseSim/train_split.csv").read_text() == before
    assert len(before.splitlines()) == 4


# ------------------------------------------------------------------ what is not there


def test_written_again_the_files_are_the_same(ucf101):
    folder = write(ucf101)[1] / "UCF101"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert write(ucf101)[0] == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_subset_is_a_warning_that_names_the_difference(ucf101, caplog):
    for image in (ucf101 / "frames/Run/v_c").iterdir():
        image.unlink()
    (ucf101 / "splits/trainlist01.txt").open("a").write("Swim/v_s.avi 3\n")
    status, csv_root = write(ucf101)
    assert status == 0
    assert len(lines(csv_root / "UCF101/train_split01.csv")) == 2
    assert "2 classes, the published data set has 101" in caplog.text
    assert "1 classes have no frames: Swim" in caplog.text
    assert "train_split01: 2 of its 4 videos have no frames" in caplog.text
    assert "Run/v_c, Swim/v_s" in caplog.text
    assert "train_split01: lists 4 videos, the published one 9537" in caplog.text


def test_frames_with_a_hole_are_left_out(ucf101, caplog):
    (ucf101 / "frames/Run/v_c/image_00002.jpg").unlink()
    _, csv_root = write(ucf101)
    assert not any("v_c" in line for line in lines(csv_root / "UCF101/train_split01.csv"))
    assert re.search(r"v_c: left out, .*image_00002\.jpg", caplog.text)


def test_a_video_that_is_being_made_is_not_there(ucf101):
    (ucf101 / "frames/Run/v_c").rename(ucf101 / "frames/Run/.v_c.1.tmp")
    _, csv_root = write(ucf101)
    assert len(lines(csv_root / "UCF101/train_split01.csv")) == 2


def test_a_split_without_any_video_is_an_error(ucf101):
    _, csv_root = write(ucf101)
    (ucf101 / "splits/testlist01.txt").write_text("Swim/v_1.avi\n")
    with pytest.raises(RunError, match="none of its videos has frames: test_split01"):
        write(ucf101)
    assert not (csv_root / "UCF101/test_split01.csv").exists()  # the older one is not true now
    assert len(lines(csv_root / "UCF101/train_split01.csv")) == 3


def test_a_full_disk_is_told_with_the_file_and_leaves_the_old_ones(ucf101, monkeypatch):
    _, csv_root = write(ucf101)
    before = {path.name: path.read_bytes() for path in (csv_root / "UCF101").iterdir()}
    frames(ucf101 / "frames/Swim/v_f", 3)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write: without a name

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=r"can't write .*UCF101/classInd\.txt: No space left"):
        write(ucf101)
    assert {path.name: path.read_bytes() for path in (csv_root / "UCF101").iterdir()} == before


@pytest.mark.parametrize(
    ("missing", "script"), [("frames", "extract_frames"), ("splits", "download_data")]
)
def test_what_is_missing_names_the_script_that_makes_it(ucf101, missing, script):
    (ucf101 / missing).rename(ucf101 / "elsewhere")
    with pytest.raises(UsageError, match=rf"process_data/{script}\.py"):
        write(ucf101)
    assert not (ucf101.parent / "data").exists()


def test_annotations_without_their_columns_are_refused(tmp_path):
    root = tmp_path / "Kinetics400"
    frames(root / "frames/fly/a_000001_000002", 2)
    (root / "annotations").mkdir()
    (root / "annotations/train.csv").write_text("label,youtube_id\nfly,a\n")
    with pytest.raises(UsageError, match=r"train\.csv, line 1: has no .*time_start"):
        write(root)


# ------------------------------------------------------------------ reading and writing


@pytest.mark.parametrize("text", ["0 Dive\n1 Long Jump\n", "1 Dive\n2 Long Jump\n\n"])
@pytest.mark.parametrize("separator", [" ", ","])
def test_class_lists_in_all_conventions(tmp_path, text, separator):
    rows = [line.replace(" ", separator, 1) for line in text.split("\n")]
    (tmp_path / "classInd.txt").write_text("\n".join(rows))
    assert read_classes(tmp_path / "classInd.txt") == ("Dive", "Long Jump")


@pytest.mark.parametrize(
    "text", ["2 Dive\n3 Run\n", "0 Dive\n2 Run\n", "0 Dive\n0 Run\n", "Dive\n"]
)
def test_other_class_lists_are_refused(tmp_path, text):
    (tmp_path / "classInd.txt").write_text(text)
    with pytest.raises(UsageError, match=r"classInd\.txt"):
        read_classes(tmp_path / "classInd.txt")


def test_what_is_written_is_read(tmp_path):
    rows = [Row("frames/Run/v, 1", 3), Row("/elsewhere/frames/Dive/é", 12)]
    write_rows(tmp_path / "train_split.csv", rows)
    assert read_rows(tmp_path / "train_split.csv") == rows
    write_classes(tmp_path, ["b c", "a"])
    assert read_classes(tmp_path / "classInd.txt") == ("b c", "a")
    assert read_root(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classInd.txt", "train_split.csv"]


@pytest.mark.parametrize("line", ["frames/Run/v_1", "frames/Run/v_1,many", "v_1,3"])
def test_a_row_that_is_none_is_named(tmp_path, line):
    (tmp_path / "train_split.csv").write_text(f"frames/Run/v_0,3\n{line}\n")
    with pytest.raises(UsageError, match=r"train_split\.csv, line 2: is not 'path"):
        read_rows(tmp_path / "train_split.csv")
