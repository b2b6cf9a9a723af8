"""Split files and class lists: what is read, where frames are looked for, and what is refused."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataset import video_list
from dataset.split_files import Row, read_classes, read_rows
from dataset.video_list import check_there, locator, read_videos
from dataset.video_splits import read_split, video_dataset
from tests.video_data import Prepared, pack, prepare
from utils.config.flags import Config
from utils.errors import UsageError


def config(prepared: Prepared, **options) -> Config:
    small = {"dataset": prepared.root.name, "data_path_dir": str(prepared.csv_root), "seed": 1}
    small |= {"img_dim": 32, "num_seq_in": 2, "pred_step": 1, "seq_len": 3, "ucf_hmdb_ms_ds": 2}
    return Config(**{**small, **options})


def text_file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def videos_of(tmp_path: Path, *rows: str, classes=("Dive", "Jump"), locate=Path):
    return read_videos(text_file(tmp_path / "s.csv", "\n".join(rows)), classes, locate)


def refusal(call, *arguments) -> str:
    with pytest.raises(UsageError) as e:
        call(*arguments)
    message = str(e.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------ class lists


@pytest.mark.parametrize(
    "text",
    [
        "0 Dive\n1 Jump\n2 Run\n",
        "1 Dive\n2 Jump\n3 Run\n",
        "0,Dive\n1,Jump\n2,Run\n",
        "1,Dive\n2,Jump\n3,Run",
        "1 Dive\r\n2 Jump\r\n3 Run\r\n",  # as UCF101 is published
        "3 Run\n1 Dive\n2 Jump\n\n",
        "0, Dive\n1, Jump\n2, Run\n",
        # as spreadsheets save them
        "0;Dive\r1;Jump\r2;Run\r",
        '"0","Dive",,\n1.0,"Jump",,\n2,Run,,\n',
    ],
)
def test_class_lists_are_read_in_both_conventions(tmp_path, text):
    assert read_classes(text_file(tmp_path / "classInd.txt", text)) == ("Dive", "Jump", "Run")


def test_a_class_name_is_everything_after_the_first_separator(tmp_path):
    names = ("playing guitar", "cut, chop", "chef's hat (tall)", "a,b", "zoo 12")
    for separator in " ,":
        text = "".join(f"{i}{separator}{name}\n" for i, name in enumerate(names))
        assert read_classes(text_file(tmp_path / "classInd.txt", text)) == names


def test_more_than_nine_classes_are_in_the_order_of_their_numbers(tmp_path):
    text = "".join(f"{i} c{i}\n" for i in sorted(range(1, 13), key=str))
    names = tuple(f"c{i}" for i in range(1, 13))
    assert read_classes(text_file(tmp_path / "classInd.txt", text)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 Dive\nJump\n", "line 2"),
        ("0 Dive\none Jump\n", "line 2"),
        ("0 Dive\n1\n", "line 2"),
        ("0 Dive\n-1 Jump\n", "line 2"),
        ("0 Dive\n2 Jump\n", "one by one"),
        ("2 Dive\n3 Jump\n", "one by one"),
        ("0 Dive\n0 Run\n1 Jump\n", ""),  # Dive would be lost
        ("0 Dive\n1 Jump\n2 Dive\n", ""),  # which of the two is meant?
    ],
)
def test_broken_class_lists_are_refused(tmp_path, text, names):
    path = text_file(tmp_path / "classInd.txt", text)
    assert str(path) in (message := refusal(read_classes, path))
    assert names in message


# ------------------------------------------------------------------ rows


def test_rows_give_path_frames_and_class(tmp_path):
    videos = videos_of(
        tmp_path, "frames/Jump/v1,12", "/data/UCF101/frames/Dive/v2/,345", "", "Jump/v3,0"
    )
    assert len(videos) == 3
    assert videos.frames.tolist() == [12, 345, 0]
    assert videos.labels.tolist() == [1, 0, 1]
    names = [videos.name(v) for v in range(3)]
    assert names == ["frames/Jump/v1", "/data/UCF101/frames/Dive/v2", "Jump/v3"]


ROWS = "frames/Dive/v1,12\nframes/Jump/a,b,5\n"


@pytest.mark.parametrize(
    "saved",
    [
        ROWS.encode("utf-8-sig"),
        ROWS.encode("utf-16"),
        ROWS.replace("\n", "\r\n").encode(),
        ROWS.replace("\n", "\r").encode(),
        ROWS.replace("12", "12.0").encode(),
        ROWS.replace(",12", ";12").replace(",5", "\t5").encode(),
        ROWS.replace("\n", ",,\n\n").encode(),
        b'"frames/Dive/v1","12"\n"frames/Jump/a,b",5\n',
        ROWS.replace("/", "\\").encode(),
    ],
)
def test_rows_are_read_however_a_spreadsheet_saved_them(tmp_path, saved):
    (tmp_path / "s.csv").write_bytes(saved)
    assert read_rows(tmp_path / "s.csv") == [Row("frames/Dive/v1", 12), Row("frames/Jump/a,b", 5)]


def test_names_may_hold_spaces_commas_and_other_letters(tmp_path):
    names = ["frames/cut, chop/a b, c (1)", "frames/cut, chop/Füße,7", "frames/Dive/ v"]
    videos = videos_of(tmp_path, *(f"{name},9" for name in names), classes=("Dive", "cut, chop"))
    assert [videos.name(v) for v in range(3)] == names
    assert videos.labels.tolist() == [1, 1, 0]
    assert videos.frames.tolist() == [9] * 3


def test_a_class_is_found_by_the_name_of_its_folder(tmp_path):
    classes = ("playing guitar", "swing dance (solo)", "zumba")
    rows = ["f/swing_dance_solo/v1,9", "f/playing_guitar/v2,9", "f/playing guitar/v3,9"]
    assert videos_of(tmp_path, *rows, classes=classes).labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "row", ["frames/Dive/v1", "frames/Dive/v1,", "frames/Dive/v1,many", "frames/Dive/v1,-3", "v1,3"]
)
def test_rows_that_are_none_are_named_by_line(tmp_path, row):
    message = refusal(videos_of, tmp_path, "frames/Dive/v0,3", row)
    assert f"{tmp_path / 's.csv'}, line 2" in message


def test_an_unknown_class_is_refused_by_name_and_with_the_script(tmp_path):
    message = refusal(videos_of, tmp_path, "frames/Dive/v0,3", "frames/Fly/v1,3")
    for part in ("line 2", "Fly", "classInd.txt", "process_data/write_csvs.py"):
        assert part in message


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00broken")
    assert "s.csv" in refusal(read_videos, tmp_path / "s.csv", ("Dive",), Path)


# ------------------------------------------------------------------ where frames lie


def test_relative_rows_start_at_the_root_and_absolute_ones_stay(tmp_path):
    text_file(tmp_path / "csv" / "root.txt", "/disk/UCF101\n")
    locate = locator(tmp_path / "csv", "UCF101", "")
    assert locate("frames/Dive/v1") == Path("/disk/UCF101/frames/Dive/v1")
    assert locate("/old/UCF101/frames/Dive/v1") == Path("/old/UCF101/frames/Dive/v1")


def test_without_a_root_relative_rows_start_at_the_working_folder(tmp_path):
    locate = locator(tmp_path, "UCF101", "")
    assert locate("frames/Dive/v1") == Path("frames/Dive/v1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n", "is empty"),
        ("\0" * 4096, r"control character '\x00'"),
        ("a" * 3_000_000, "the name is too long for the disk"),
        ("/data\x1b[31m/UCF101", r"control character '\x1b'"),
        ("~nobody_here/UCF101", "unknown user"),
    ],
    ids=["empty", "zeros", "no end", "colours", "unknown user"],
)
def test_a_root_file_that_names_no_folder_is_refused_in_short(tmp_path, text, told):
    text_file(tmp_path / "root.txt", text)
    refused = refusal(locator, tmp_path, "UCF101", "")
    assert refused.startswith(f"{tmp_path}/root.txt: ")
    assert told in refused
    assert len(refused) < 700


@pytest.mark.parametrize("line", ["a" * 3_000_000, f"{'a' * 3_000_000}/Run/v,5", "\0" * 3_000_000])
def test_a_line_without_end_is_quoted_by_its_start_and_end(tmp_path, line):
    text_file(tmp_path / "s.csv", line)
    assert len(refusal(read_videos, tmp_path / "s.csv", ("Dive",), Path)) < 700


@pytest.mark.parametrize(
    ("dataset", "row", "kept"),
    [
        ("UCF101", "frames/Dive/v1", "frames/Dive/v1"),
        ("UCF101", "/a/b/UCF101/frames/Dive/v1", "frames/Dive/v1"),
        ("UCF101", "UCF101/frames/Dive/v1", "frames/Dive/v1"),
        ("UCF101", "/data/UCF101/old/UCF101/frames/Dive/v1", "frames/Dive/v1"),
        ("UCF101", "/data/UCF101_old/UCF101/frames/Dive/v1", "frames/Dive/v1"),
        ("Kinetics400", "/k/Kinetics400/frames_256/a b/v1", "frames_256/a b/v1"),
        ("MouseSim", "/k/MouseSim/frames_left/m/v1", "frames_left/m/v1"),
        ("Dive", "frames/Dive/v1", "frames/Dive/v1"),  # a class of the data set's name
        ("frames", "/k/frames/frames/frames/frames", "frames/frames/frames"),
        # of a folder with another name the place of the frames is kept, never the old disk
        ("UCF101", "/data/ucf/frames/Dive/v1", "frames/Dive/v1"),
    ],
)
def test_temp_data_dir_keeps_the_path_from_the_datasets_folder_on(tmp_path, dataset, row, kept):
    root = tmp_path / "local" / dataset
    root.mkdir(parents=True)
    text_file(tmp_path / "csv" / "root.txt", f"/disk/{dataset}\n")
    locate = locator(tmp_path / "csv", dataset, str(tmp_path / "local"))
    assert locate(row) == root / kept


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_frames_are_read_from_the_temp_data_dir(tmp_path, packed, absolute):
    prepared = prepare(tmp_path, lengths=(20,))
    usual = video_dataset(config(prepared), "train")[0, 1].clip
    if absolute:
        rows = [f"{prepared.root}/{row}" for row in prepared.rows()]
        text_file(prepared.split(), "\n".join(rows))
    if packed:
        pack(prepared.root)
        shutil.rmtree(prepared.root / "frames")
    shutil.move(prepared.root, tmp_path / "local" / "UCF101")
    moved = config(prepared, temp_data_dir=str(tmp_path / "local"))
    assert video_dataset(moved, "train")[0, 1].clip.equal(usual)
    assert "does not exist" in refusal(video_dataset, config(prepared), "train")


def test_a_temp_data_dir_without_the_dataset_is_refused(tmp_path):
    prepared = prepare(tmp_path, lengths=(20,))
    (tmp_path / "local" / "HMDB51").mkdir(parents=True)
    moved = config(prepared, temp_data_dir=str(tmp_path / "local"))
    message = refusal(video_dataset, moved, "train")
    assert "--temp_data_dir" in message
    assert "UCF101" in message


# ------------------------------------------------------------------ what is checked at the start


@pytest.mark.parametrize(("rows", "checked"), [(1, 1), (99, 99), (100, 100), (5000, 100)])
def test_a_hundred_rows_spread_over_the_file_are_looked_for(tmp_path, rows, checked, monkeypatch):
    videos = videos_of(tmp_path, *(f"/f/Dive/v{i},9" for i in range(rows)))
    asked = []
    monkeypatch.setattr(video_list, "why_missing", lambda folder: asked.append(folder) or "")
    check_there(tmp_path / "s.csv", videos)
    numbers = [int(folder.name[1:]) for folder in asked]
    assert all(folder.parent == Path("/f/Dive") for folder in asked)
    assert len(set(numbers)) == checked
    assert (min(numbers), max(numbers)) == (0, rows - 1)
    assert np.diff(sorted(numbers)).max(initial=0) <= rows // checked + 1


def test_a_missing_path_is_named_with_its_line(tmp_path):
    prepared = prepare(tmp_path, lengths=(20,))
    gone = prepared.root / "frames" / "Jump" / "v_Jump_train_0"
    shutil.rmtree(gone)
    message = refusal(video_dataset, config(prepared), "train")
    assert "line 2" in message
    assert str(gone) in message


def test_a_missing_path_in_a_packed_dataset_is_noticed(tmp_path):
    prepared = prepare(tmp_path, lengths=(20,))
    pack(prepared.root)
    text_file(prepared.split(), "frames/Dive/v_Dive_train_0,20\nframes/Dive/other,20\n")
    assert "line 2" in refusal(video_dataset, config(prepared), "train")


def test_rows_with_nothing_above_the_class_are_looked_for_too(tmp_path, monkeypatch):
    prepared = prepare(tmp_path, lengths=(20,))
    (prepared.split_folder / "root.txt").unlink()
    text_file(prepared.split(), "Dive/v_Dive_train_0,20\n")
    monkeypatch.chdir(tmp_path)
    assert "does not exist" in refusal(video_dataset, config(prepared), "train")
    monkeypatch.chdir(prepared.root / "frames")
    assert len(video_dataset(config(prepared), "train")) == 1


def test_the_list_holds_few_objects_however_many_videos(tmp_path):
    # workers would come to own a copy of each object they touch
    videos = videos_of(tmp_path, *(f"/f/Dive/v{i},9" for i in range(2000)))
    paths = videos.paths
    assert isinstance(paths.joined, bytes)
    assert all(isinstance(a, np.ndarray) for a in (paths.ends, videos.frames, videos.labels))
    assert videos.name(1999) == "/f/Dive/v1999"


# ------------------------------------------------------------------ which split is read


def rows_of(split) -> list[str]:
    return [split.videos.name(v) for v in range(len(split.videos))]


@pytest.mark.parametrize("dataset", ["UCF101", "HMDB51"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_split_is_picked_by_its_number(tmp_path, dataset, number):
    prepared = prepare(tmp_path, dataset, lengths=(2,), size=(8, 8))
    for n in (1, 2, 3):
        text_file(prepared.split(f"train_split0{n}"), f"frames/Dive/v_Dive_train_0,{n}\n")
    split = read_split(config(prepared, split=number), "train")
    assert split.videos.frames.tolist() == [number]


def test_each_mode_reads_its_own_file(tmp_path):
    prepared = prepare(tmp_path, "Kinetics400", lengths=(2,), test_lengths=(2,), size=(8, 8))
    train, test = prepared.rows("train_split"), prepared.rows("test_split")
    text_file(prepared.split("val_split"), train[1])
    for mode, rows in (("train", train), ("val", train[1:2]), ("test", test)):
        split = read_split(config(prepared), mode)
        assert rows_of(split) == [row.rpartition(",")[0] for row in rows]


@pytest.mark.parametrize("dataset", ["UCF101", "MouseSim", "Kinetics400"])
def test_without_a_validation_split_the_test_split_is_taken_with_a_warning(
    tmp_path, caplog, dataset
):
    prepared = prepare(tmp_path, dataset, lengths=(2,), test_lengths=(2,), size=(8, 8))
    name = next(prepared.split_folder.glob("test_split*")).stem
    with caplog.at_level(logging.WARNING):
        split = read_split(config(prepared, eye="both"), "val")
    assert rows_of(split) == [row.rpartition(",")[0] for row in prepared.rows(name)]
    (record,) = caplog.records
    assert "test data" in record.getMessage()
    assert "'best'" in record.getMessage()


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_a_missing_split_names_the_script_that_makes_it(tmp_path, mode):
    prepared = prepare(tmp_path, lengths=(2,), size=(8, 8))
    message = refusal(read_split, config(prepared, split=2), mode)
    assert f"{mode}_split02.csv" in message
    assert "process_data/write_csvs.py" in message
    assert "--dataset UCF101" in message


@pytest.mark.parametrize(
    ("dataset", "options", "flags"),
    [
        ("Kinetics400", {"img_dim": 224}, "--dataset Kinetics400 --k400_big"),
        ("Kinetics400", {"img_dim": 128}, "--dataset Kinetics400"),
        ("MouseSim", {"eye": "left"}, "--dataset MouseSim --eye left"),
        ("MouseSim", {"eye": "both"}, "--dataset MouseSim --eye both"),
    ],
)
def test_the_script_is_named_with_the_flags_it_needs(tmp_path, dataset, options, flags):
    options = Config(dataset=dataset, data_path_dir=str(tmp_path), **options)
    assert refusal(read_split, options, "train").endswith(flags)


def test_a_relative_folder_is_told_from_the_root_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refusal(read_split, Config(dataset="UCF101", data_path_dir="lists"), "train")
    assert told.startswith(f"{tmp_path}/lists/UCF101/train_split01.csv: no such split file")


def test_a_missing_class_list_names_the_script(tmp_path):
    prepared = prepare(tmp_path, lengths=(2,), size=(8, 8))
    (prepared.split_folder / "classInd.txt").unlink()
    message = refusal(read_split, config(prepared), "train")
    assert "classInd.txt" in message
    assert "process_data/write_csvs.py" in message


@pytest.mark.parametrize(
    ("img_dim", "suffix"), [(128, ""), (140, ""), (141, "_256"), (224, "_256")]
)
@pytest.mark.parametrize("plain_class_list", [False, True])
def test_kinetics_above_140_pixels_uses_its_larger_frames(
    tmp_path, img_dim, suffix, plain_class_list
):
    small = prepare(tmp_path, "Kinetics400", lengths=(2,), size=(8, 8))
    big = prepare(tmp_path, "Kinetics400", lengths=(3,), size=(8, 8), suffix="_256")
    if plain_class_list:
        (big.split_folder / "classInd.txt").unlink()
    split = read_split(config(small, img_dim=img_dim), "train")
    assert split.path.parent.name == f"Kinetics400{suffix}"
    assert rows_of(split)[0] == f"frames{suffix}/Dive/v_Dive_train_0"
    assert split.classes == ("Dive", "Jump", "Run")
    assert split.videos.place(0) == small.root / f"frames{suffix}/Dive/v_Dive_train_0"


def test_a_split_folders_own_class_list_comes_first(tmp_path):
    small = prepare(tmp_path, "Kinetics400", lengths=(2,), size=(8, 8))
    prepare(tmp_path, "Kinetics400", lengths=(2,), size=(8, 8), suffix="_256", classes=("A", "B"))
    assert read_split(config(small, img_dim=224), "train").classes == ("A", "B")


@pytest.mark.parametrize(("eye", "suffix"), [("left", "_left"), ("right", "_right"), ("both", "")])
def test_each_eye_has_its_split_files_and_frames(tmp_path, eye, suffix):
    for count, other in enumerate(("", "_left", "_right"), 20):
        prepared = prepare(
            tmp_path, "MouseSim", lengths=(count,), size=(8, 8), suffix=other, classes=("m", "n")
        )
    split = read_split(config(prepared, eye=eye), "train")
    assert split.path.parent.name == f"MouseSim{suffix}"
    assert rows_of(split) == [f"frames{suffix}/{c}/v_{c}_train_0" for c in "mn"]
    assert split.videos.frames.tolist() == [20 + ["", "_left", "_right"].index(suffix)] * 2
    assert video_dataset(config(prepared, eye=eye, no_augm=True), "train")[0, 0].clip is not None


def test_an_empty_set_is_refused(tmp_path):
    prepared = prepare(tmp_path, lengths=(18,), size=(8, 8))  # a clip spans 18 and needs 19
    message = refusal(video_dataset, config(prepared), "train")
    for part in (str(prepared.split()), "18", "--num_seq_in", "--pad_short"):
        assert part in message
    prepared.split().write_text("\n")
    assert str(prepared.split()) in refusal(video_dataset, config(prepared), "train")
