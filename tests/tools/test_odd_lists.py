"""Lists as spreadsheets save them, and lists with rows that can't be."""

import logging
import os
from pathlib import Path

import pytest

import write_csvs
from dataset.split_files import read_classes, read_rows
from published_splits import read_annotations
from utils.errors import UsageError

TRAIN = "Hammering/v_a.avi 1\nHammerThrow/v_b,1.avi 2\nHammering/v_c.avi 1\n"
ROWS = ["frames/Hammering/v_a", "frames/HammerThrow/v_b,1", "frames/Hammering/v_c"]
ANNOTATIONS = (
    "label,youtube_id,time_start,time_end,split\nplaying guitar,-a_1,7,17,train\nfly,b,0,10,train\n"
)
VIDEOS = {"-a_1_000007_000017": "playing_guitar", "b_000000_000010": "fly"}


SAVED = {
    "a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16be"),
    "empty lines": lambda text: ("\n\n" + text.replace("\n", "\n\n , ,\n")).encode(),
    "empty columns": lambda text: text.replace("\n", ",,,\n").encode(),
    "no last line end": lambda text: text.strip().encode(),
}


def frames(folder: Path, count: int = 2) -> None:
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / f"image_{number:05}.jpg").touch()


@pytest.fixture
def ucf101(tmp_path) -> Path:
    root = tmp_path / "UCF101"
    (root / "splits").mkdir(parents=True)
    (root / "splits/trainlist01.txt").write_text(TRAIN)
    (root / "splits/testlist01.txt").write_text("HammerThrow/v_d.avi\n")
    (root / "splits/classInd.txt").write_text("1 Hammering\n2 HammerThrow\n")
    for name in (*ROWS, "frames/HammerThrow/v_d"):
        frames(root / name)
    return root


def write(root: Path) -> Path:
    """The folder of split files, which must have been written."""
    csv_root = root.parent / "data"
    arguments = ["--d_root", root.parent, "--dataset", root.name, "--csv_root", csv_root]
    assert write_csvs.main([str(argument) for argument in arguments]) == 0
    return csv_root / root.name


def trained(root: Path) -> list[str]:
    return [row.path for row in read_rows(write(root) / "train_split01.csv")]


# ------------------------------------------------------------------ saved by a spreadsheet


@pytest.mark.parametrize("saved", SAVED)
def test_each_kind_of_list_is_read_however_it_was_saved(saved, ucf101, tmp_path):
    for path in (ucf101 / "splits").iterdir():
        path.write_bytes(SAVED[saved](path.read_text()))
    assert trained(ucf101) == ROWS
    assert read_classes(tmp_path / "data/UCF101/classInd.txt") == ("Hammering", "HammerThrow")
    (tmp_path / "train.csv").write_bytes(SAVED[saved](ANNOTATIONS))
    assert read_annotations(tmp_path / "train.csv") == VIDEOS


@pytest.mark.parametrize(
    "text",
    [
        TRAIN.replace(" 1", " 1.0").replace(" 2", " 2.0"),
        TRAIN.replace(" ", ";").replace(";1", ";1,0"),
        TRAIN.replace(" ", "\t"),
        TRAIN.replace("Hammer", '"Hammer').replace(".avi ", '.avi",'),
        TRAIN.replace("Hammer", '"Hammer').replace("\n", '"\n'),
        TRAIN.replace("Hammer", '"Hammer').replace(".avi ", '.avi","').replace("\n", '"\n'),
        TRAIN.replace("Hammer", "UCF-101\\Hammer").replace("ing/", "ing\\"),
        TRAIN.replace(" ", "   ").replace("\n", "  \n\t"),
    ],
)
def test_fields_of_a_split_list(text, ucf101):
    (ucf101 / "splits/trainlist01.txt").write_text(text)
    assert trained(ucf101) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        ANNOTATIONS.replace(",7,17", ",7.0,17.00"),
        ANNOTATIONS.replace(",", ";").replace(";7;17", ";7,0;17,0"),
        ANNOTATIONS.replace(",", "\t"),
        ANNOTATIONS.replace("label,youtube_id,time_start", " Label , YouTube ID,Time_Start"),
        ANNOTATIONS.replace("fly,b", '" fly ", "b"'),
    ],
)
def test_fields_of_annotations(text, tmp_path):
    (tmp_path / "train.csv").write_text(text)
    assert read_annotations(tmp_path / "train.csv") == VIDEOS


# ------------------------------------------------------------------ rows that can't be


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("/data/Run/v.avi 1", "must be a path such as Class/NAME.avi"),
        ("C:\\Run\\v.avi 1", "must be a path such as Class/NAME.avi"),
        ("../Run/v.avi 1", "must be a path such as Class/NAME.avi"),
        ("v.avi 1", "must be a path such as Class/NAME.avi"),
        ("<html>", "must be a path such as Class/NAME.avi"),
        ("(..)/v.avi 1", "the name '..' is no name"),
        (f"{'R' * 256}/v.avi 1", "is too long"),
        ("R\0u\0n\0/\0v\0 1", "holds a zero byte; save the list as UTF-8"),
    ],
)
def test_a_row_that_leads_elsewhere_is_named(row, told, ucf101):
    path = ucf101 / "splits/trainlist01.txt"
    path.write_text(f"{TRAIN}{row}\n")
    with pytest.raises(UsageError) as caught:
        write(ucf101)
    assert str(caught.value).startswith(f"{path}, line 4: ")
    assert told in str(caught.value)
    assert not (ucf101.parent / "data").exists()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a/b,c,1,11", "the name 'a/b' holds a slash"),
        ("..,c,1,11", "the name '..' is no name"),
        ("/etc,c,1,11", "the name '/etc' holds a slash"),
        ("fly,../../c,1,11", "holds a slash"),
        ("fly,c", "has no label, youtube_id, time_start, time_end"),
        ("fly,c,soon,11", "has no time_start and time_end in seconds"),
        ("fly,c,inf,nan", "has no time_start and time_end in seconds"),
        ('"fly,c,1,11', "has no label, youtube_id, time_start, time_end"),
        ("x" * 200000, "has no label, youtube_id, time_start, time_end"),
    ],
)
def test_a_row_of_annotations_that_cannot_be_is_named(row, told, tmp_path):
    (tmp_path / "train.csv").write_text(f"{ANNOTATIONS}{row}\n")
    with pytest.raises(UsageError) as caught:
        read_annotations(tmp_path / "train.csv")
    assert str(caught.value).startswith(f"{tmp_path / 'train.csv'}, line 4: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_utf8_costs_only_its_row(ucf101, tmp_path, caplog):
    path = ucf101 / "splits/trainlist01.txt"
    path.write_bytes(TRAIN.encode() + b"Hammering/caf\xe9.avi 1\nCaf\xe9/v.avi 1\n")
    frames(ucf101 / "frames/Hammering/caf\udce9")
    frames(ucf101 / "frames/Hammering/two\nlines")
    assert trained(ucf101) == ROWS
    assert f"{path}: left out 2 rows whose names aren't UTF-8" in caplog.text
    assert "left out 2 videos whose names aren't UTF-8" in caplog.text
    (tmp_path / "train.csv").write_bytes(ANNOTATIONS.encode() + b"caf\xe9,c,1,11,train\n")
    assert read_annotations(tmp_path / "train.csv") == VIDEOS


def test_repeated_rows_count_once_and_overlaps_are_told(ucf101, caplog):
    (ucf101 / "splits/trainlist01.txt").write_text(TRAIN + TRAIN)
    (ucf101 / "splits/testlist01.txt").write_text("HammerThrow/v_d.avi\nHammering/v_a.avi\n")
    assert trained(ucf101) == ROWS
    assert "3 rows repeat earlier ones" in caplog.text
    assert "1 videos are both in train_split01 and in test_split01: Hammering/v_a" in caplog.text


def test_annotations_without_labels_or_with_two(tmp_path, caplog):
    text = f"{ANNOTATIONS},c,1,11,train\nrun,b,0,10,train\n"
    (tmp_path / "train.csv").write_text(text)
    assert read_annotations(tmp_path / "train.csv") == VIDEOS | {"b_000000_000010": "run"}
    assert "left out 1 rows without a label" in caplog.text
    assert "1 videos have rows of several classes" in caplog.text


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Path.touch, "is empty"),
        (lambda path: path.write_text("\n \r\n,,\n"), "is empty"),
        (os.mkfifo, "can't be read (is no regular file)"),
        (Path.mkdir, "can't be read (is a folder)"),
        (lambda path: path.symlink_to("nowhere"), "can't be read (No such file or directory)"),
    ],
)
@pytest.mark.parametrize("name", ["trainlist01.txt", "classInd.txt"])
def test_a_list_without_lines(make, told, name, ucf101):
    path = ucf101 / "splits" / name
    path.unlink()
    make(path)
    with pytest.raises(UsageError) as caught:
        write(ucf101)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_lists_that_lie_in_the_folder_of_their_archive(ucf101):
    folder = ucf101 / "splits/ucfTrainTestlist"
    folder.mkdir()
    for name in ("trainlist01.txt", "testlist01.txt"):
        (ucf101 / "splits" / name).rename(folder / name)
    (folder / "._trainlist01.txt").write_bytes(b"\0\5\26\7")
    assert trained(ucf101) == ROWS


def test_what_no_list_names_is_told(ucf101, tmp_path, caplog):
    (ucf101 / "splits/testlist01.txt").unlink()
    frames(ucf101 / "frames/extracted/v")
    write(ucf101)
    assert "1 classes have frames, and are in no list: extracted" in caplog.text
    assert "1 split files are not written, as they have no list: test_split01" in caplog.text
    root = tmp_path / "Kinetics400"
    (root / "annotations").mkdir(parents=True)
    for name in ("train", "validate"):
        (root / f"annotations/{name}.csv").write_text(ANNOTATIONS)
    frames(root / "frames/fly/b_000000_000010")
    write(root)
    assert f"not read: {root}/annotations/validate.csv" in caplog.text
    assert "2 split files are not written, as they have no list: test_split, val" in caplog.text


# ------------------------------------------------------------------ names and the classes' order


def test_the_class_list_gives_the_order(ucf101, caplog):
    (ucf101 / "splits/classInd.txt").write_text("1 Archery\n2 Hammering\n3 HammerThrow\n")
    frames(ucf101 / "frames/Unlisted/v_x")
    assert read_classes(write(ucf101) / "classInd.txt") == ("Hammering", "HammerThrow", "Unlisted")
    assert "lacks 1 classes that have frames, which come last: Unlisted" in caplog.text
    (ucf101 / "splits/classInd.txt").unlink()
    assert read_classes(write(ucf101) / "classInd.txt") == ("HammerThrow", "Hammering", "Unlisted")
    assert "classInd.txt: no such file; the classes are ordered by name" in caplog.text


@pytest.mark.parametrize("older", ["0 HammerThrow\n1 Hammering\n", "no list"])
def test_another_order_than_before_is_told(older, ucf101, caplog):
    path = ucf101.parent / "data/UCF101/classInd.txt"
    path.parent.mkdir(parents=True)
    path.write_text(older)
    write(ucf101)
    assert read_classes(path) == ("Hammering", "HammerThrow")
    assert f"{path}" in caplog.text
    assert "written anew" in caplog.text
    caplog.clear()
    write(ucf101)
    assert "written anew" not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "1 Hammering\n1 HammerThrow\n",
        "1 Hammering\n2 Hammering\n",
        "Hammering\n",
        "id name\n1 Run\n",
    ],
)
def test_a_class_list_that_is_none(text, ucf101):
    (ucf101 / "splits/classInd.txt").write_text(text)
    with pytest.raises(
        UsageError, match=r"classInd\.txt, line \d: is (not 'index name'|there twice)"
    ):
        write(ucf101)


def test_names_that_look_like_values_are_names(tmp_path):
    classes = ["NA", "None", "nan", "null", "1e5", "007", "$x", "it's", '"q"', "a,b", "x;y", "#1"]
    videos = ["None", "1e5", " v ", "a,1", "b;2", '"c"', "$HOME", "é"]
    root = tmp_path / "MouseSim"
    for name in classes:
        for video in videos:
            frames(root / "frames_right" / name / video)
    folder = write(root).with_name("MouseSim_right")
    rows = read_rows(folder / "train_split.csv") + read_rows(folder / "test_split.csv")
    assert {row.label for row in rows} == {f"{c}/{v}" for c in classes for v in videos}
    assert read_classes(folder / "classInd.txt") == tuple(sorted(classes))


def test_folders_of_classes_with_blanks_match_the_annotations(tmp_path):
    root = tmp_path / "Kinetics400"
    (root / "annotations").mkdir(parents=True)
    (root / "annotations/train.csv").write_text(ANNOTATIONS)
    frames(root / "frames/playing guitar/-a_1_000007_000017")
    assert [row.path for row in read_rows(write(root) / "train_split.csv")] == [
        "frames/playing guitar/-a_1_000007_000017"
    ]


def test_paths_are_logged_from_the_root_on(ucf101, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(ucf101.parent)
    arguments = ["--d_root", ".", "--dataset", "UCF101", "--csv_root", "lists"]
    assert write_csvs.main(arguments) == 0
    assert f"{ucf101.parent}/lists/UCF101/train_split01.csv: 3 videos" in caplog.text
