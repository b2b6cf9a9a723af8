"""Whole runs on small videos: pretraining, finetuning, tests of whole videos, and broken frames."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dataset.build import build_dataset
from forked import ROOT
from model import resnet_2d3d
from model.training.tasks import Task, WholeVideoTask, build_task
from published import load_file, save_random_weights
from run_records import only, records
from small_runs import narrow, run, video_flags
from utils.config.checks import from_stored
from utils.config.flags import Config
from utils.runs.reading import read_checkpoint
from video_data import CLASSES, Prepared, pack, prepare, prepare_large

small = pytest.mark.usefixtures("small")
LENGTHS, TEST_LENGTHS = (24, 30, 27), (26, 41, 10)


def flags(prepared: Prepared, output: Path) -> list:
    return [
        *video_flags(prepared.csv_root),
        *("--dataset", prepared.root.name, "--output_dir", output),
    ]


def pretraining(prepared: Prepared, output: Path) -> list:
    return [*flags(prepared, output), "--pred_step", 1, "--num_epochs", 1]


def finetuning(prepared: Prepared, output: Path, weights: Path) -> list:
    lc = ["--model", "lc-rnn", "--train_what", "ft", "--num_epochs", 2, "--pretrained", weights]
    return [*flags(prepared, output), *lc]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("ucf"), lengths=LENGTHS, test_lengths=TEST_LENGTHS)


@pytest.fixture(scope="module")
def runs(prepared, tmp_path_factory) -> dict[str, Path]:
    """Folders of a pretraining, a finetuning from it, and the test of that. Not to be changed."""
    output = tmp_path_factory.mktemp("runs")
    with narrow():
        assert run(*pretraining(prepared, output)) == 0
        (dpc,) = output.iterdir()
        assert run(*finetuning(prepared, output, dpc / "model/epoch1.pth.tar")) == 0
        (lc,) = (path for path in output.iterdir() if path != dpc)
        assert run("--test", lc / "model/epoch2.pth.tar") == 0
    return {"dpc": dpc, "lc": lc, "test": lc / "test_epoch2"}


def test_runs_on_videos_are_named_after_their_stride(runs):
    assert (
        runs["dpc"].name == "ucf101-32_r18_dpc-rnn_bs4_lr0.001_nseq3_pred1_len2_ds2_train-all_seed1"
    )
    assert runs["lc"].name.endswith("_nseq3_len2_ds2_train-ft_seed1_pt-epoch1")


def test_only_classifiers_record_predictions_of_videos(runs):
    assert len(pd.read_csv(runs["dpc"] / "predictions.csv")) == 0
    predictions = pd.read_csv(runs["lc"] / "predictions.csv")
    assert set(predictions["mode"]) == {"val"}
    assert predictions.groupby("epoch").size().tolist() == [6, 6, 6]  # two of three are long enough
    epochs = pd.read_csv(runs["lc"] / "epochs.csv").set_index(["epoch", "mode"])
    assert epochs.loc[(1, "val"), ["evaluated", "total"]].tolist() == [6, 9]
    assert epochs.loc[(1, "train"), ["evaluated", "total"]].tolist() == [8, 9]  # whole batches
    means = predictions.groupby("epoch")["loss"].mean()
    assert epochs.xs("val", level="mode")["loss"].tolist() == pytest.approx(means.tolist())
    correct = (predictions["rank"] == 1) == (predictions["predicted"] == predictions["target"])
    assert correct.all()


def test_validation_on_test_data_is_said(runs):
    assert "'best' is chosen on test_split01.csv" in (runs["lc"] / "log.txt").read_text()


def test_a_test_has_a_row_for_each_video_and_each_window(runs):
    videos = pd.read_csv(runs["test"] / "predictions.csv")
    assert videos["name"].tolist() == [
        f"frames/{name}/v_{name}_test_{v}" for name in CLASSES for v in (0, 1)
    ]
    assert videos["item"].tolist() == [0, 1, 3, 4, 6, 7]  # rows of the split file
    assert [CLASSES[target] for target in videos["target"]] == [n for n in CLASSES for _ in "ab"]
    windows = pd.read_csv(runs["test"] / "windows.csv")
    # 26 frames: 13 at stride 2, 6 blocks, windows from 0 to 3; 41 frames: 21, 10 blocks
    assert windows.groupby("item").size().tolist() == [4, 8] * 3
    assert windows["step"].tolist() == [*range(4), *range(8)] * 3
    (epoch,) = pd.read_csv(runs["test"] / "epochs.csv").to_dict("records")
    assert (epoch["mode"], epoch["evaluated"], epoch["total"]) == ("test", 6, 9)
    assert epoch["loss"] == pytest.approx(videos["loss"].mean())
    assert epoch["top1"] == pytest.approx((videos["rank"] == 1).mean())
    assert np.isnan(epoch["top3"])  # of three classes


def test_accuracies_are_there_for_each_class_and_level(runs):
    table = pd.read_csv(runs["test"] / "accuracies.csv")
    assert table["level"].tolist() == ["video"] * 4 + ["clip"] * 4
    assert table["name"].tolist() == ["all classes", *CLASSES] * 2
    assert table["evaluated"].tolist() == [6, 2, 2, 2, 36, 12, 12, 12]
    assert table["total"].tolist()[:4] == [9, 3, 3, 3]
    for level, name in (("video", "predictions.csv"), ("clip", "windows.csv")):
        rows = pd.read_csv(runs["test"] / name)
        rows["correct"] = rows["predicted"] == rows["target"]
        shares = [rows["correct"].mean(), *rows.groupby("target")["correct"].mean()]
        assert table[table["level"] == level]["top1"].tolist() == pytest.approx(shares)


def test_a_videos_result_is_the_softmax_averaged_over_its_windows(runs, prepared):
    content = read_checkpoint(runs["lc"] / "model/epoch2.pth.tar", "test")
    config = from_stored(content["config"])
    videos = build_dataset(config, "test")
    with narrow():
        model = build_task(config, len(CLASSES)).model.eval()
    load_file(model, content, "--test f")
    rows = pd.read_csv(runs["test"] / "predictions.csv")
    for index in range(len(videos)):
        sample = videos[0, index]
        shares = []
        for first in range(0, len(sample.clip) - 3 + 1):  # a step of 3 // 2 = 1
            window = Task(torch.nn.Identity()).normalise(sample.clip[None, first : first + 3])
            with torch.no_grad():
                shares.append(model(window)[0][0, 0].softmax(dim=0))
        mean = torch.stack(shares).mean(dim=0)
        row = rows.iloc[index]
        assert row["predicted"] == mean.argmax()
        assert row["loss"] == pytest.approx(-mean[row["target"]].log().item(), rel=1e-4)


@small
@pytest.mark.parametrize("batch_size", [1, 100])
def test_the_batch_size_changes_no_test_result(batch_size, runs, tmp_path):
    checkpoint = tmp_path / "weights.pth.tar"
    checkpoint.write_bytes((runs["lc"] / "model/epoch2.pth.tar").read_bytes())
    assert run("--test", checkpoint, "--batch_size", batch_size, "--output_dir", tmp_path) == 0
    for name in ("predictions.csv", "windows.csv"):
        ours, other = (pd.read_csv(f / name) for f in (tmp_path / "test_weights", runs["test"]))
        assert (ours["predicted"] == other["predicted"]).all()
        np.testing.assert_allclose(ours["loss"], other["loss"], rtol=1e-4)


def test_ranks_and_averages_by_hand():
    class Fixed(torch.nn.Module):
        """A classifier that gives the scores v, 0 and 1, where v is a block's mean value."""

        def features(self, blocks):
            return blocks.mean(dim=(1, 2, 3, 4))[:, None, None, None]

        def classify(self, features):
            v = features.mean(dim=(1, 2, 3, 4))
            return torch.stack([v, torch.zeros_like(v), torch.ones_like(v)], dim=1), None

    clips = torch.tensor([2.0, 2.0, -2.0]).view(1, 3, 1, 1, 1, 1)
    labels = torch.zeros(1, 3, 1, 2, dtype=torch.long)
    task = WholeVideoTask(Fixed(), per_pass=1)
    output = task.output(clips, labels, torch.tensor([[[0, 1], [1, 2]]]))
    windows = torch.tensor([[2.0, 0, 1], [0.0, 0, 1]]).softmax(dim=1)
    assert output.loss.item() == pytest.approx(-windows.mean(dim=0)[0].log().item(), rel=1e-5)
    assert output.predictions.predicted.tolist() == [[0]]
    assert output.windows.predicted.tolist() == [[0, 2]]
    assert output.windows.rank.tolist() == [[1, 2]]
    assert output.windows.loss[0].tolist() == pytest.approx((-windows[:, 0].log()).tolist())


@small
def test_padding_evaluates_all_videos(runs, tmp_path):
    checkpoint = tmp_path / "w.pth.tar"
    checkpoint.write_bytes((runs["lc"] / "model/epoch2.pth.tar").read_bytes())
    assert run("--test", checkpoint, "--pad_short", "--output_dir", tmp_path) == 0
    row = pd.read_csv(tmp_path / "test_w/epochs.csv").iloc[0]
    assert (row["evaluated"], row["total"]) == (9, 9)


@small
def test_packed_frames_and_other_workers_give_the_same_run(runs, tmp_path):
    prepared = prepare(tmp_path, lengths=LENGTHS, test_lengths=TEST_LENGTHS)
    pack(prepared.root)
    (prepared.root / "frames").rename(prepared.root / "elsewhere")
    arguments = pretraining(prepared, tmp_path / "out")
    assert run(*arguments, "--num_workers", 2) == 0
    folder = only(tmp_path / "out")
    assert records(folder) == records(runs["dpc"])


@small
def test_a_resumed_run_on_videos_equals_an_uninterrupted_one(prepared, runs, tmp_path):
    weights = runs["dpc"] / "model/epoch1.pth.tar"
    arguments = finetuning(prepared, tmp_path, weights)
    assert run(*arguments, "--num_epochs", 1) == 0
    folder = only(tmp_path)
    assert run("--resume", folder, "--num_epochs", 2) == 0
    assert records(folder) == records(runs["lc"])


@small
def test_a_smaller_last_batch_is_kept_for_mousesim_alone(tmp_path):
    prepared = prepare(tmp_path, "MouseSim", lengths=LENGTHS[:2], test_lengths=(30, 30))
    (prepared.csv_root / "MouseSim").rename(prepared.csv_root / "MouseSim_right")
    arguments = [*pretraining(prepared, tmp_path / "out"), "--num_seq_in", 2]
    assert run(*arguments) == 0
    folder = only(tmp_path / "out")
    assert folder.name.startswith("mousesim_right-32")
    epochs = pd.read_csv(folder / "epochs.csv")
    assert (epochs["evaluated"] == 6).all()
    assert epochs["chance"].tolist() == pytest.approx([(1 / 4 + 1 / 2) / 2] * 4)


def private_mib() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def test_a_split_file_as_large_as_kinetics400s_takes_little_memory(tmp_path):
    prepare_large(tmp_path)
    config = Config(dataset="Kinetics400", data_path_dir=str(tmp_path), seed=0)
    build_dataset(config, "train")  # what is imported first does not count
    before = private_mib()
    videos = build_dataset(config, "train")
    assert private_mib() - before < 100
    assert len(videos) == 240_000
    reading, writing = os.pipe()
    worker = os.fork()
    if worker == 0:  # reading names and numbers copies none of it
        before = private_mib()
        for video in range(len(videos)):
            videos.videos.name(video), videos.videos.frames[video], videos.items[video]
        os.write(writing, f"{private_mib() - before}".encode())
        os._exit(0)
    os.waitpid(worker, 0)
    assert float(os.read(reading, 100)) < 20


# ------------------------------------------------------------------ broken frames


def break_frames(prepared: Prepared, rows: list[str], content: bytes | None) -> None:
    """Overwrite all of the rows' frames, or remove them if `content` is None."""
    for row in rows:
        for number in range(1, int(row.rpartition(",")[2]) + 1):
            path = prepared.frame(row, number)
            path.unlink() if content is None else path.write_bytes(content)


@small
@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_broken_videos_are_replaced_in_training_and_left_out_in_validation(
    content, tmp_path, capsys
):
    prepared = prepare(tmp_path, lengths=(30, 30, 30), test_lengths=(30, 30))
    train, test = prepared.rows()[4], prepared.rows("test_split01")[2]
    break_frames(prepared, [train, test], content)
    arguments = [*flags(prepared, tmp_path / "out"), "--model", "lc-rnn", "--num_epochs", 2]
    assert run(*arguments, "--batch_size", 3) == 0
    folder = only(tmp_path / "out")
    epochs = pd.read_csv(folder / "epochs.csv").set_index(["epoch", "mode"])
    assert epochs["evaluated"].tolist() == [9, 5] * 3
    faults = pd.read_csv(folder / "faults.csv")
    assert set(faults[faults["mode"] == "train"]["item"]) == {4}
    assert set(faults[faults["mode"] == "val"]["item"]) == {2}
    assert faults.groupby(["epoch", "mode"]).size()[:, "val"].tolist() == [1, 1, 1]
    log_text = (folder / "log.txt").read_text()
    assert all(log_text.count(f"{path} (") == 1 for path in faults["path"])
    assert 2 not in pd.read_csv(folder / "predictions.csv")["item"].tolist()


@small
def test_too_many_broken_videos_stop_the_run(tmp_path, capsys):
    prepared = prepare(tmp_path, lengths=(30, 30, 30), test_lengths=(30, 30))
    break_frames(prepared, prepared.rows()[:4], None)
    assert run(*flags(prepared, tmp_path / "out"), "--model", "lc-rnn") == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "4 of 9 clips of train met frames that can't be read" in message
    assert "process_data/verify.py" in message
    folder = only(tmp_path / "out")
    assert len(pd.read_csv(folder / "faults.csv")["item"].unique()) == 4


@small
def test_strict_data_stops_at_the_first_broken_frame(tmp_path, capsys):
    prepared = prepare(tmp_path, lengths=(30, 30, 30), test_lengths=(30, 30))
    break_frames(prepared, prepared.rows()[:1], b"no picture")
    assert run(*pretraining(prepared, tmp_path / "out"), "--strict_data") == 1
    assert "--strict_data: " in capsys.readouterr().err.splitlines()[-1]


# ------------------------------------------------------------------ published weights


@pytest.mark.usefixtures("one_noise_picture")
@pytest.mark.parametrize("net", ["resnet18", "resnet34"])
def test_published_weights_finetune_by_the_readmes_command(net, prepared, tmp_path, capsys):
    save_random_weights(net, tmp_path / "published.pth.tar")
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if "--pretrained k400" in line)
    command = line.split("run_model.py ", 1)[1].split()
    command[command.index("--pretrained") + 1] = str(tmp_path / "published.pth.tar")
    small = [*flags(prepared, tmp_path / "out"), "--num_epochs", 0, "--net", net]
    assert run(*command, *small) == 0
    folder = only(tmp_path / "out")
    assert folder.name.endswith("train-ft_seed1_pt-published")
    log_text = (folder / "log.txt").read_text()
    count = {"resnet18": 60, "resnet34": 108}[net]
    assert f"loaded: backbone {count}, agg 6" in log_text
    assert "missing, as initialised: " in log_text
    assert "final_fc 2" in log_text
    assert "unexpected, left out: network_pred 4" in log_text
    assert resnet_2d3d.STEM_PLANES == 64


# ------------------------------------------------------------------ wrong input


def drop(prepared: Prepared, name: str) -> None:
    (prepared.csv_root / "UCF101" / name).unlink()


def rewrite(prepared: Prepared, name: str, text: str) -> None:
    (prepared.csv_root / "UCF101" / name).write_text(text)


WRONG = {
    "no split file": (
        lambda p: drop(p, "train_split01.csv"),
        [],
        "no such split file; make it with process_data/write_csvs.py",
    ),
    "no class list": (lambda p: drop(p, "classInd.txt"), [], "classInd.txt: no such file; make"),
    "another split": (lambda p: None, ["--split", 2], "train_split02.csv: no such split file"),
    "unknown class": (
        lambda p: rewrite(p, "classInd.txt", "0 Dive\n1 Jump\n"),
        [],
        "line 7: class Run is not in classInd.txt",
    ),
    "no such path": (
        lambda p: rewrite(p, "root.txt", "/nowhere\n"),
        [],
        "line 1: /nowhere/frames/Dive/v_Dive_train_0 does not exist",
    ),
    "all too short": (lambda p: None, ["--num_seq_in", 30], "no video has more than 124 frames"),
    "empty split": (lambda p: rewrite(p, "train_split01.csv", ""), [], "train_split01.csv"),
    "no copy": (
        lambda p: None,
        ["--temp_data_dir", "."],
        "--temp_data_dir .: has no folder UCF101",
    ),
    "broken row": (
        lambda p: rewrite(p, "train_split01.csv", "frames/Dive/v\n"),
        [],
        "line 1: is not 'path to the frames,number of frames'",
    ),
    "large batch": (lambda p: None, ["--batch_size", 10], "the train set has 9 clips"),
}


@small
@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_gets_one_line_and_leaves_nothing(case, tmp_path, monkeypatch, capsys):
    damage, arguments, message = WRONG[case]
    monkeypatch.chdir(tmp_path)
    prepared = prepare(tmp_path, lengths=LENGTHS, test_lengths=TEST_LENGTHS)
    damage(prepared)
    assert run(*pretraining(prepared, tmp_path / "out"), *arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("run_model.py: ")
    assert message in last
    assert sorted(os.listdir(tmp_path)) == ["data", "frames_root"]


@small
def test_a_classifier_of_other_classes_is_not_tested_on_these(runs, tmp_path, capsys):
    prepared = prepare(tmp_path, classes=("Dive", "Jump"), test_lengths=(30,))
    arguments = ["--test", runs["lc"] / "model/epoch2.pth.tar"]
    assert run(*arguments, "--data_path_dir", prepared.csv_root) == 2
    assert "its 3 classes are not the 2 of this dataset" in capsys.readouterr().err
