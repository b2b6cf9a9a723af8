"""Split files of data sets of the user's own: given lists, or a split that is drawn."""

import json
from pathlib import Path

import pytest

import extract_frames
import verify
import write_csvs
from dataset.split_files import read_classes, read_rows
from utils.config.described import FILE, find_dataset
from utils.errors import UsageError
from video_data import write_frames
from video_files import write_video

NAME = "Haus tiere"


def write(root: Path, name: str = NAME) -> Path:
    """Write the split files of a data set in `root`, and return their folder."""
    csv_root = root / "data"
    arguments = ["--d_root", root, "--dataset", name, "--csv_root", csv_root]
    assert write_csvs.main([*map(str, arguments)]) == 0
    return csv_root / name


def labels(path: Path) -> list[str]:
    return [row.label for row in read_rows(path)]


@pytest.fixture
def pets(tmp_path) -> Path:
    """Frames of three classes, of 10, 5 and 1 videos; returns the folder that holds them."""
    for name, count in (("große Katze", 10), ("犬", 5), ("Einhorn", 1)):
        for video in range(count):
            folder = tmp_path / NAME / "frames" / name.replace(" ", "_") / f"clip {video} é"
            write_frames(folder, video, 1, 12, 20)
    return tmp_path


def test_a_split_is_drawn_in_each_class(pets, caplog):
    folder = write(pets)
    train, test = labels(folder / "train_split.csv"), labels(folder / "test_split.csv")
    classes = read_classes(folder / "classInd.txt")
    assert classes == ("Einhorn", "große_Katze", "犬")
    for split, counts in ((train, [1, 8, 4]), (test, [0, 2, 1])):
        assert [sum(label.startswith(name) for label in split) for name in classes] == counts
    assert not set(train) & set(test)
    assert "1 classes have one video, which is for training; no test has them: Einhorn" in (
        caplog.text
    )
    assert "split files are not written" not in caplog.text  # there need be no validation
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert write(pets) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_lists_that_are_there_are_the_splits(pets):
    lists = pets / NAME / "splits"
    lists.mkdir()
    for number in (1, 2, 11):
        (lists / f"trainlist{number:02}.txt").write_text(
            f"große Katze/clip {number % 10} é.avi 1\nEinhorn/clip 0 é.avi\n"
        )
        (lists / f"testlist{number:02}.txt").write_text("犬/clip 3 é.avi\n")
    (lists / "vallist01.txt").write_text("犬/clip 4 é.avi\n")
    folder = write(pets)
    assert sorted(path.name for path in folder.glob("*_split*.csv")) == [
        *(f"test_split{number}.csv" for number in ("01", "02", "11")),
        *(f"train_split{number}.csv" for number in ("01", "02", "11")),
        "val_split01.csv",
    ]
    assert labels(folder / "train_split02.csv") == ["große_Katze/clip 2 é", "Einhorn/clip 0 é"]
    assert find_dataset(NAME, pets / "data").splits == (1, 2, 11)


def test_splits_of_another_naming_are_removed(pets, caplog):
    folder = write(pets)
    (folder / "notes.csv").touch()
    lists = pets / NAME / "splits"
    lists.mkdir()
    for mode in ("train", "test"):
        (lists / f"{mode}list01.txt").write_text(f"犬/clip {len(mode) - 1} é.avi\n")
    write(pets)
    assert "train_split.csv: removed" in caplog.text
    assert {path.name for path in folder.glob("*.csv")} >= {"train_split01.csv", "notes.csv"}
    assert not list(folder.glob("*_split.csv"))
    for path in lists.iterdir():
        path.unlink()
    write(pets)
    assert not list(folder.glob("*_split01.csv"))
    assert find_dataset(NAME, pets / "data").splits == ()


def test_lists_of_other_names_are_no_reason_to_draw(pets):
    (pets / NAME / "splits").mkdir()
    (pets / NAME / "splits/trainlist1.txt").write_text("犬/clip 0 é.avi\n")
    with pytest.raises(UsageError, match=r"trainlist1\.txt: is no list of a split; name lists"):
        write(pets)
    assert not (pets / "data").exists()


def test_folders_of_splits_are_no_classes(pets):
    for mode in ("train", "test"):
        (pets / NAME / "videos" / mode).mkdir(parents=True)
        (pets / NAME / "videos" / mode / "v.avi").touch()
    with pytest.raises(UsageError, match="its folders are splits, not classes"):
        write(pets)


def test_a_class_of_one_video_alone_has_no_test(tmp_path, caplog):
    write_frames(tmp_path / "Pets/frames/Einhorn/v", 0, 1, 12, 20)
    folder = write(tmp_path, "Pets")
    assert labels(folder / "train_split.csv") == ["Einhorn/v"]
    assert not (folder / "test_split.csv").exists()
    assert "1 split files are not written, as they have no list: test_split" in caplog.text


def test_the_description_tells_how_the_frames_were_made(pets, caplog):
    path = write(pets) / FILE
    assert json.loads(path.read_text()) == {
        **{"stride": None, "short_side": 12, "interpolation": "linear"},
        "augmentation": "fixed crop",
    }
    path.write_text('{"stride": 4, "short_side": 24}\n')
    write(pets)
    assert path.read_text() == '{"stride": 4, "short_side": 24}\n'  # what is there stays
    assert "says short_side 24, and the frames were made with 12" in caplog.text
    path.write_text('{"stride": 0}')
    with pytest.raises(UsageError, match="'stride': 0: must be null"):
        write(pets)


def test_frames_are_made_as_the_description_says_and_flags_win(tmp_path, capsys):
    write_video(tmp_path / "Pets/videos/a b/v.avi", 12)
    write_video(tmp_path / "Pets/videos/c/w.avi", 12)
    (tmp_path / "data/Pets").mkdir(parents=True)
    description = tmp_path / "data/Pets" / FILE
    description.write_text('{"short_side": 24, "interpolation": "area", "stride": 2}')
    flags = ["--d_root", str(tmp_path), "--dataset", "Pets", "--num_workers", "0"]
    flags += ["--csv_root", str(tmp_path / "data")]
    assert extract_frames.main(flags) == 0
    note = tmp_path / "Pets/frames/.made.json"
    assert json.loads(note.read_text()) == {"interpolation": "area"}
    write(tmp_path, "Pets")
    assert verify.main([*flags, "--num_seq_in", "2", "--pred_step", "0", "--seq_len", "3"]) == 0
    shown = capsys.readouterr().out
    assert "area interpolation" in shown
    assert "too short, 12 frames or fewer: 2 (a_b/v, c/w)" in shown  # 2 · 3 · stride 2
    description.unlink()
    assert extract_frames.main([*flags, "--short_side", "36"]) == 0
    assert json.loads((write(tmp_path, "Pets") / FILE).read_text()) == {
        **{"stride": None, "short_side": 36, "interpolation": "area"},
        "augmentation": "fixed crop",
    }


def test_a_name_in_other_letters_is_told(pets):
    with pytest.raises(UsageError, match=f"has no folder haus TIERE; did you mean {NAME}"):
        write(pets, "haus TIERE")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../x", "must be the name of a folder, not a path"),
        ("Pets/", "must be the name of a folder, not a path"),
        ("", "a name has 1 to 60 bytes"),
        (".", "no dot in front"),
        ("gabors", "Gabors are drawn, and have no videos"),
        ("Pets", r"has no folder Pets; put videos in .*Pets/videos/\{class\}/"),
        ("Pe\udcffts", "is no UTF-8 text"),
    ],
)
def test_names_without_a_folder_are_refused(name, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        write(tmp_path, name)
