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
from dataset.split_files import read_rows
from dataset.video_list import read_video_files
from small_runs import run
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
    with open(root / counting.COUNTED, "a") as file:
        file.write("videos/Dive/v_a.avi,12")  # cut by a kill
    write_video(root / "videos/Dive/v_b.avi", 40)
    write_video(root / "videos/Dive/v_new.avi", 25)
    decoded = []
    count_frames = counting.count_frames
    monkeypatch.setattr(
        counting, "count_frames", lambda video: decoded.append(video.name) or count_frames(video)
    )
    assert write_csvs.main(arguments(root)) == 0
    assert sorted(decoded) == ["v_b.avi", "v_new.avi"]
    assert rows(root)["frames/Dive/v_b"] == 40
    assert rows(root)["frames/Dive/v_new"] == 25


def test_broken_videos_are_left_out_and_listed(root):
    (root / "videos/Run/v_f.avi").write_bytes(b"no video" * 99)
    assert write_csvs.main(arguments(root)) == 1
    assert "frames/Run/v_f" not in rows(root)
    assert pd.read_csv(root / "frames_failures.csv")["video"].tolist() == ["Run/v_f.avi"]


def test_verifying_decodes_the_video_files(root, capsys):
    assert write_csvs.main(arguments(root)) == 0
    assert verify.main(arguments(root)) == 0
    write_video(root / "videos/Dive/v_a.avi", 12)
    (root / "videos/Dive/v_b.avi").unlink()
    assert verify.main(arguments(root)) == 1
    told = capsys.readouterr().out
    assert re.search(r"frames missing: 1 \(Dive/v_a\)", told)
    assert re.search(r"frames unreadable: 1 \(Dive/v_b\)", told)


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
