"""Whole runs on clips that are decoded from the videos, without a folder of frames."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from run_records import only, records
from small_runs import narrow, run, video_flags
from video_data import Prepared, prepare
from video_files import with_videos

small = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    made = prepare(tmp_path_factory.mktemp("ucf"), lengths=(24, 30, 27), test_lengths=(26, 41))
    return with_videos(made)


def pretrain_finetune_test(csv_root: Path, output: Path, *flags: object) -> dict[str, Path]:
    """Run the three, and return their folders."""
    usual = [*video_flags(csv_root), "--output_dir", output, "--num_epochs", 1, *flags]
    assert run(*usual, "--pred_step", 1) == 0
    dpc = only(output)
    weights = dpc / "model/epoch1.pth.tar"
    assert run(*usual, "--model", "lc-rnn", "--train_what", "ft", "--pretrained", weights) == 0
    (lc,) = (path for path in output.iterdir() if path != dpc)
    assert run("--test", lc / "model/epoch1.pth.tar", "--data_path_dir", csv_root, *flags) == 0
    return {"dpc": dpc, "lc": lc, "test": lc / "test_epoch1"}


@pytest.fixture(scope="module")
def of_frames(prepared, tmp_path_factory) -> dict[str, Path]:
    """Folders of runs on lossless frames. Not to be changed."""
    with narrow():
        return pretrain_finetune_test(prepared.csv_root, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def videos(prepared, tmp_path) -> Prepared:
    """The same data set without its frames, in a folder that may be changed."""
    root = tmp_path / "UCF101"
    shutil.copytree(prepared.root / "videos", root / "videos")
    csv_root = tmp_path / "data"
    shutil.copytree(prepared.csv_root, csv_root)
    (csv_root / "UCF101" / "root.txt").write_text(f"{root}\n")
    return Prepared(csv_root, root)


@small
def test_runs_on_videos_equal_those_on_lossless_frames(videos, of_frames, tmp_path):
    runs = pretrain_finetune_test(videos.csv_root, tmp_path / "out", "--num_workers", 2)
    for name, folder in of_frames.items():
        assert records(runs[name]) == records(folder)
        for run_folder, decodes in ((runs[name], True), (folder, False)):
            told = (run_folder / "log.txt").read_text()
            assert ("clips are decoded from the video files" in told) == decodes
    assert (runs["test"] / "windows.csv").read_bytes() == (
        of_frames["test"] / "windows.csv"
    ).read_bytes()


@small
def test_broken_videos_are_replaced_in_training_and_left_out_in_validation(videos, tmp_path):
    train, test = (
        videos.root / videos.rows(name)[row].partition(",")[0].replace("frames/", "videos/")
        for name, row in (("train_split01", 4), ("test_split01", 2))
    )
    for folder in (train, test):
        file = only(folder)
        file.write_bytes(file.read_bytes()[:2000])
    flags = [*video_flags(videos.csv_root), "--output_dir", tmp_path / "out", "--num_workers", 1]
    flags += ["--model", "lc-rnn", "--batch_size", 3, "--num_epochs", 1]
    assert run(*flags) == 0
    folder = only(tmp_path / "out")
    epochs = pd.read_csv(folder / "epochs.csv")
    assert epochs["evaluated"].tolist() == [9, 5] * 2
    faults = pd.read_csv(folder / "faults.csv")
    assert set(faults["path"]) == {str(only(train)), str(only(test))}
    assert {(row.mode, row.item) for row in faults.itertuples()} == {("train", 4), ("val", 2)}
    assert run(*flags, "--strict_data", "--overwrite") == 1


@small
def test_a_missing_video_ends_a_run_before_it_starts(videos, tmp_path, capsys):
    shutil.rmtree(videos.root / "videos" / "Dive")
    flags = [*video_flags(videos.csv_root), "--pred_step", 1, "--output_dir", tmp_path / "out"]
    assert run(*flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "videos/Dive/v_Dive_train_0/a, b.avi does not exist; if the videos were moved" in last
    assert not (tmp_path / "out").exists()
