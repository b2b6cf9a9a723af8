"""Data sets without frames: their videos are counted, verified and trained on."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

import counting
import extract_frames
import verify
import write_csvs
from dataset.build import build_dataset
from dataset.split_files import read_rows
from dataset.video_list import read_video_files
from small_runs import run
from utils.config.flags import Config
from utils.errors import UsageError
from video_files import write_video

VIDEOS = {"Dive/v_a": 20, "Dive/v_b": 24, "Dive/v_c": 21, "Run/v_d": 30, "Run/v, e": 22}
VIDEOS |= {"Run/v_f": 23}


@pytest.fixture
def root(tmp_path) -> Path:
    for seed, (name, frames) in enumerate(VIDEOS.items()):
        write_video(tmp_path / "Tank" / "videos" / f"{name}.avi", frames, seed=seed)
    return tmp_path / "Tank"


def arguments(root: Path, workers: int = 0) -> list[str]:
    asked = ["--d_root", root.parent, "--dataset", root.name, "--num_workers", workers]
    return [*map(str, asked), "--csv_root", str(root.parent / "data")]


def rows(root: Path) -> dict[str, int]:
    folder = root.parent / "data" / root.name
    files = [folder / f"{mode}_split.csv" for mode in ("train", "test")]
    return {row.path: row.frames for file in files for row in read_rows(file)}


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_without_frames_equal_those_of_extracted_ones(root, workers):
    assert write_csvs.main(arguments(root, workers)) == 0
    counted = rows(root)
    assert counted == {f"frames/{name}": frames for name, frames in VIDEOS.items()}
    assert extract_frames.main(arguments(root)[:6]) == 0
    assert write_csvs.main(arguments(root)) == 0
    assert rows(root) == counted
    files = read_video_files(root.parent / "data" / root.name)
    assert files == {f"frames/{name}": f"videos/{name}.avi" for name in VIDEOS}


def test_a_second_run_counts_new_and_changed_videos_alone(root, monkeypatch):
    assert write_csvs.main(arguments(root)) == 0
    kept = root.parent / "data/Tank" / counting.COUNTED
    whole = kept.read_text()
    # a row that was cut in a name in quotes, and one that was cut in its number
    kept.write_text('"videos/Run/v, e\n' + whole + whole.splitlines()[0][:-1])
    write_video(root / "videos/Dive/v_b.avi", 40)
    write_video(root / "videos/Dive/v_new.avi", 25)
    decoded = note_decoded(monkeypatch)
    assert write_csvs.main(arguments(root)) == 0
    assert sorted(decoded) == ["v_b.avi", "v_new.avi"]
    assert rows(root)["frames/Dive/v_b"] == 40
    assert rows(root)["frames/Dive/v_new"] == 25
    assert rows(root)["frames/Run/v_d"] == 30
    assert kept.read_text().startswith('"videos/Run/v, e\n' + whole + "videos/Dive/v_")
    assert write_csvs.main(arguments(root)) == 0
    assert len(decoded) == 2


def note_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that takes the names of the videos that are decoded from now on."""
    decoded = []
    count_video = counting.count_video
    monkeypatch.setattr(
        counting, "count_video", lambda job: decoded.append(job.video.name) or count_video(job)
    )
    return decoded


def test_a_stopped_run_is_gone_on_with(root, monkeypatch):
    taken = []
    count_video = counting.count_video

    def stop(job):
        taken.append(job.video.name)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return count_video(job)

    with monkeypatch.context() as patch:
        patch.setattr(counting, "count_video", stop)
        with pytest.raises(KeyboardInterrupt):
            write_csvs.main(arguments(root))
    assert taken[0] == "v_d.avi"  # the largest first
    decoded = note_decoded(monkeypatch)
    assert write_csvs.main(arguments(root)) == 0
    assert len(decoded) == 3
    assert rows(root) == {f"frames/{name}": frames for name, frames in VIDEOS.items()}


def test_what_extraction_lists_is_listed_without_frames_too(root, caplog):
    """The same videos, reasons and doubts, beside the split files."""
    (root / "videos/Run/v_f.avi").write_bytes(b"no video" * 99)
    (root / "videos/Run/v\\g.avi").write_bytes((root / "videos/Run/v_d.avi").read_bytes())
    content = (root / "videos/Run/v, e.avi").read_bytes()
    (root / "videos/Run/v, e.avi").write_bytes(content[: len(content) // 2])
    write_video(root / "videos/Dive/deep/v_h.avi", 9)
    before = set(root.iterdir())
    assert write_csvs.main(arguments(root)) == 1
    assert set(root.iterdir()) == before  # it may be a folder that can only be read
    assert "3 videos failed" in caplog.text
    assert rows(root).keys() == {f"frames/{name}" for name in VIDEOS} - {"frames/Run/v_f"}
    counted = rows(root)
    folder = root.parent / "data/Tank"
    names = ("frames_failures.csv", "frames_doubtful.csv")
    lists = [(folder / name).read_text() for name in names]
    assert extract_frames.main(arguments(root)[:6]) == 1
    assert [(root / name).read_text() for name in names] == lists
    assert [text.count("\n") for text in lists] == [4, 2]
    assert write_csvs.main(arguments(root)) == 0
    assert rows(root) == counted
    shutil.rmtree(root / "frames")
    (root / "videos/Run/v_f.avi").unlink()
    (root / "videos/Run/v\\g.avi").unlink()
    shutil.rmtree(root / "videos/Dive/deep")
    assert write_csvs.main(arguments(root)) == 0
    assert not (folder / names[0]).exists()
    assert (folder / names[1]).read_text() == lists[1]  # not decoded again, and still doubtful


def test_a_video_too_large_for_frames_is_left_out(root, monkeypatch):
    """As in extraction: before a frame of it is decoded."""
    monkeypatch.setattr("dataset.video_files.MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(UsageError, match="videos: none of its videos can be decoded"):
        write_csvs.main(arguments(root))
    failures = pd.read_csv(root.parent / "data/Tank/frames_failures.csv")
    assert set(failures["reason"]) == {"says that its frames have 64×48 pixels"}


def test_verifying_decodes_the_video_files(root, capsys):
    assert write_csvs.main(arguments(root)) == 0
    assert verify.main(arguments(root)) == 0
    write_video(root / "videos/Dive/v_a.avi", 12)
    (root / "videos/Dive/v_b.avi").unlink()
    doubts = root.parent / "data/Tank/frames_doubtful.csv"
    doubts.write_text("video,reason\nRun/v_d.avi,odd\n")
    assert verify.main(arguments(root)) == 1
    told = capsys.readouterr().out
    for name in ("v_a", "v_b"):
        assert re.search(rf"frames missing: .*Dive/{name}", told)
    assert re.search(r"doubtful when extracted: 1 \(Run/v_d\)", told)


@pytest.mark.usefixtures("small")
def test_a_classifier_is_trained_and_tested_without_any_frames(root):
    assert write_csvs.main(arguments(root)) == 0
    flags = ["--dataset", "Tank", "--data_path_dir", root.parent / "data", "--img_dim", 32]
    flags += ["--seq_len", 2, "--ucf_hmdb_ms_ds", 2, "--batch_size", 2, "--num_workers", 1]
    out = root.parent / "out"
    flags += ["--model", "lc-rnn", "--num_seq_in", 3, "--num_epochs", 1, "--seed", 1]
    assert run(*flags, "--output_dir", out) == 0
    [folder] = out.iterdir()
    assert not (root / "frames").exists()
    weights = folder / "model" / "epoch1.pth.tar"
    assert run("--test", weights, "--num_workers", 0) == 0
    without = pd.read_csv(folder / "test_epoch1" / "predictions.csv")
    assert without["name"].str.startswith("frames/").all()
    # with frames, the names are the same, and --from_videos gives the same numbers
    assert extract_frames.main(arguments(root)[:6]) == 0
    assert run("--test", weights, "--num_workers", 0, "--from_videos") == 0
    again = pd.read_csv(folder / "test_epoch1_001" / "predictions.csv")
    pd.testing.assert_frame_equal(without, again)
    shutil.rmtree(root / "videos")
    assert run("--test", weights, "--num_workers", 0) == 0


def test_a_file_that_changed_and_kept_its_size_is_counted_anew(root):
    file = root / "videos/Dive/v_a.avi"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))  # half copied
    write_csvs.main(arguments(root))
    assert rows(root).get("frames/Dive/v_a", 0) < VIDEOS["Dive/v_a"]
    file.write_bytes(whole)
    assert write_csvs.main(arguments(root)) == 0
    assert rows(root)["frames/Dive/v_a"] == VIDEOS["Dive/v_a"]


def test_an_empty_folder_of_frames_is_none(root, capsys):
    """As extraction leaves it that is stopped at its start."""
    (root / "frames").mkdir()
    (root / "frames" / ".made.json").write_text('{"interpolation": "linear"}')
    assert write_csvs.main(arguments(root)) == 0
    assert verify.main(arguments(root)) == 0
    config = Config(
        model="lc-rnn", dataset=root.name, data_path_dir=str(root.parent / "data"), pad_short=True
    )
    assert build_dataset(config, "test")[0, 0].clip is not None


def test_classes_that_become_one_and_folders_without_a_name_are_told(root, caplog):
    write_video(root / "videos/Big Run/v_g.avi", 20)
    write_video(root / "videos/Big_Run/v_h.avi", 20)
    assert write_csvs.main(arguments(root)) == 0
    assert "Big Run and Big_Run: are one class, Big_Run" in caplog.text


def test_split_files_of_lists_that_are_gone_are_removed(root):
    lists = root / "splits"
    lists.mkdir()
    names = [f"{name}.avi" for name in VIDEOS]
    for number in ("01", "02"):
        (lists / f"trainlist{number}.txt").write_text("\n".join(names[:4]))
        (lists / f"testlist{number}.txt").write_text("\n".join(names[4:]))
    (lists / "vallist01.txt").write_text(names[3])
    folder = root.parent / "data" / root.name
    write_csvs.main(arguments(root))
    assert {path.name for path in folder.glob("*_split*")} == {
        *("train_split01.csv", "test_split01.csv", "train_split02.csv", "test_split02.csv"),
        "val_split01.csv",
    }
    for name in ("trainlist02.txt", "testlist02.txt", "vallist01.txt"):
        (lists / name).unlink()
    write_csvs.main(arguments(root))
    left = {path.name for path in folder.glob("*_split*")}
    assert left == {"train_split01.csv", "test_split01.csv"}
