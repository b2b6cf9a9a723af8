"""Retrieval and extraction by command lines, on small videos and on Gabors."""

import os
import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dataset.build import build_dataset
from dataset.single_video import single_video
from forked import ROOT
from model.evaluation import features
from model.resnet_2d3d import ResNet2d3d
from model.training.tasks import MEAN, STD
from run_records import only
from small_runs import TINY, narrow, one_picture, run, signal_in_call, video_flags
from utils.config.flags import Config
from utils.errors import PREEMPTED
from utils.runs.folder import config_in
from video_data import CLASSES, Prepared, numbered, picture, prepare, read_numbers
from video_files import write_images

pytestmark = pytest.mark.usefixtures("narrow_backbone")
LENGTHS, TEST_LENGTHS = (24, 30, 27), (26, 41, 10)  # the last is shorter than a window


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    made = prepare(tmp_path_factory.mktemp("ucf"), lengths=LENGTHS, test_lengths=TEST_LENGTHS)
    (made.split_folder / "dataset.json").write_text('{"short_side": 48}')
    return made


@pytest.fixture(scope="module")
def dpc(prepared, tmp_path_factory) -> Path:
    """The folder of a pretraining. Not to be changed."""
    output = tmp_path_factory.mktemp("dpc")
    with narrow(), one_picture():
        flags = [*video_flags(prepared.csv_root), "--pred_step", 1, "--not_save_best"]
        assert run(*flags, "--num_epochs", 1, "--output_dir", output) == 0
    return only(output)


@pytest.fixture(scope="module")
def retrieved(dpc) -> Path:
    """The folder of a retrieval. Not to be changed."""
    with narrow():
        assert run("--retrieve", dpc / "model/epoch1.pth.tar", "--num_workers", 0) == 0
    return dpc / "retrieve_epoch1"


@pytest.fixture(scope="module")
def extracted(dpc) -> Path:
    """The folder of an extraction. Not to be changed."""
    with narrow():
        assert run("--extract", dpc / "model/epoch1.pth.tar", "--num_workers", 0) == 0
    return dpc / "extract_epoch1"


def backbone_of(extracted: Path) -> tuple[ResNet2d3d, dict]:
    content = torch.load(extracted / "backbone.pth.tar", weights_only=True)
    backbone = ResNet2d3d(content["net"], track_bn=True).eval()
    backbone.load_state_dict(content["state_dict"])
    return backbone, content


def features_in_a_loop(backbone: ResNet2d3d, clip: torch.Tensor) -> torch.Tensor:
    """Run the plain backbone in float64 on each window of 4 blocks of `[K, C, L, H, W]`."""
    mean, std = (torch.tensor(of).view(3, 1, 1, 1) * 255 for of in (MEAN, STD))
    windows = []
    for start in range(0, len(clip) - 4 + 1, 2):
        with torch.no_grad():
            maps = backbone.double()((clip[start : start + 4].double() - mean) / std)
        windows.append(maps.mean(dim=(0, 2, 3, 4)))
    return torch.stack(windows)


def test_a_retrieval_leaves_its_files_in_the_run_folder(retrieved):
    assert {path.name for path in retrieved.glob("[!.]*")} == {
        *("config.json", "log.txt", "evaluations.csv", "retrieval.csv", "retrieval.png"),
        "report.html",
        *("retrieval_shown.npz", "features_train.npz", "features_train.csv"),
        *("features_test.npz", "features_test.csv"),
    }


def test_features_are_means_of_the_backbone_s_output_over_each_window(
    prepared, retrieved, extracted
):
    backbone, _ = backbone_of(extracted)
    videos = build_dataset(config_in(retrieved), "test", whole=True)
    stored = np.load(retrieved / "features_test.npz")
    table = pd.read_csv(retrieved / "features_test.csv")
    assert len(videos) == len(table) == 9
    for index in range(len(videos)):
        windows = features_in_a_loop(backbone, videos[0, index].clip)
        first, count = table.loc[index, ["first_window", "windows"]]
        assert count == len(windows)
        here = stored["windows"][first : first + count]
        np.testing.assert_allclose(here, windows, rtol=1e-3, atol=1e-4)
        assert (stored["video"][first : first + count] == index).all()
        np.testing.assert_allclose(stored["videos"][index], here.mean(axis=0), atol=1e-6)
    assert table["name"].tolist() == stored["names"].tolist()
    assert table["class"].tolist() == [name for name in CLASSES for _ in "abc"]
    assert stored["classes"][stored["labels"]].tolist() == table["class"].tolist()
    assert stored["windows"].dtype == np.float32


def test_the_neighbours_and_measures_are_those_of_the_stored_features(retrieved):
    gallery, queries = (np.load(retrieved / f"features_{of}.npz") for of in ("train", "test"))
    features = [of["videos"].astype("f8") - of["videos"].mean(axis=0) for of in (gallery, queries)]
    train, test = (of / np.linalg.norm(of, axis=1, keepdims=True) for of in features)
    cosine = test @ train.T
    order = np.argsort(-cosine, axis=1)
    rows = pd.read_csv(retrieved / "retrieval.csv")
    assert len(rows) == 9 * 9  # all of the gallery
    for row in rows.itertuples():
        query = queries["names"].tolist().index(row.query)
        found = order[query, row.rank - 1]
        assert gallery["names"][found] == row.neighbour
        assert row.similarity == pytest.approx(cosine[query, found], abs=1e-5)
        assert row.neighbour_class == CLASSES[gallery["labels"][found]]
        assert bool(row.right) == (row.query_class == row.neighbour_class)
    table = pd.read_csv(retrieved / "evaluations.csv").set_index("measure")
    for k in (1, 5):
        found = rows[rows["rank"] <= k].groupby("query")["right"].max().mean()
        assert table.loc[f"R@{k}", "value"] == pytest.approx(found)
    assert table.loc["R@1", "chance"] == pytest.approx(1 / 3)
    assert table.loc["R@10":"R@50", "value"].isna().all()  # of a gallery of nine
    assert table.loc["knn_top1", "chance"] == pytest.approx(1 / 3)
    assert table.loc["knn_top5"].isna()["value"]  # of three classes
    assert (table["evaluated"] == 9).all()
    assert (table["gallery"] == 9).all()


def test_the_picture_shows_queries_with_their_nearest(retrieved):
    shown = np.load(retrieved / "retrieval_shown.npz")
    rows = pd.read_csv(retrieved / "retrieval.csv")
    assert shown["frames"].shape == (6, 6, 112, 112, 3)
    for query, names in enumerate(shown["names"]):
        own = rows[rows["query"] == names[0]].sort_values("rank")[:5]
        assert own["neighbour"].tolist() == names[1:].tolist()
        assert own["right"].astype(bool).tolist() == shown["right"][query].tolist()


def test_a_second_retrieval_is_the_same_bit_for_bit(dpc, retrieved, prepared, tmp_path):
    weights = tmp_path / "epoch1.pth.tar"
    weights.write_bytes((dpc / "model/epoch1.pth.tar").read_bytes())
    flags = ["--num_workers", 1, "--output_dir", tmp_path]
    assert run("--retrieve", weights, *flags) == 0
    again = tmp_path / "retrieve_epoch1"
    for name in ("evaluations.csv", "retrieval.csv", "features_train.csv"):
        assert (again / name).read_bytes() == (retrieved / name).read_bytes()


def test_other_data_and_random_weights_can_be_retrieved(prepared, dpc, tmp_path):
    other = prepare(tmp_path, "HMDB51", lengths=(30, 30), test_lengths=(30,))
    flags = ["--dataset", "hmdb51", "--data_path_dir", other.csv_root, "--num_workers", 0]
    weights = dpc / "model/epoch1.pth.tar"
    assert run("--retrieve", weights, *flags, "--suffix", "x") == 0
    assert pd.read_csv(dpc / "retrieve_epoch1_001/evaluations.csv")["evaluated"][0] == 3
    flags = [*video_flags(prepared.csv_root), "--pred_step", 1, "--output_dir", tmp_path / "out"]
    assert run("--retrieve", "random", *flags) == 0
    assert (tmp_path / "out/retrieve_random/evaluations.csv").exists()


def test_the_backbone_s_file_holds_plain_values(extracted):
    _, content = backbone_of(extracted)
    assert content["net"] == "resnet18"
    assert (content["img_dim"], content["seq_len"], content["ds"]) == (32, 2, 2)
    assert content["mean"] == list(MEAN)
    assert content["state_dict"]["bn1.running_var"].min() > 0
    assert (extracted / "features_train.npz").exists()
    assert (extracted / "features_test.npz").exists()


def test_gabors_are_extracted_clip_by_clip(tmp_path):
    assert run("--extract", "random", *TINY, "--output_dir", tmp_path) == 0
    folder = tmp_path / "extract_random"
    assert np.load(folder / "features_train.npz")["windows"].shape == (8, 32)
    table = pd.read_csv(folder / "features_val.csv")
    assert table["name"].tolist() == [0, 1, 2, 3]
    assert (table["windows"] == 1).all()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, PREEMPTED), (signal.SIGINT, 130)])
def test_a_stopped_retrieval_says_that_it_is_not_whole(
    number, status, extracted, prepared, tmp_path, capfd
):
    flags = ["--retrieve", extracted / "backbone.pth.tar", *video_flags(prepared.csv_root)]
    with signal_in_call(features, "block_features", 3, number):
        assert run(*flags, "--output_dir", tmp_path) == status
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.endswith(f"{only(tmp_path)} is not whole; run the same command again")
    assert not (only(tmp_path) / "evaluations.csv").exists()


def test_videos_that_cannot_be_read_are_left_out(prepared, extracted, tmp_path, capfd):
    copy = prepare(tmp_path, lengths=(24, 30), test_lengths=(26, 26))
    for frame in (copy.root / copy.rows("test_split01")[0].rpartition(",")[0]).iterdir():
        frame.write_bytes(b"no picture")
    flags = [*video_flags(copy.csv_root), "--output_dir", tmp_path / "out"]
    assert run("--retrieve", extracted / "backbone.pth.tar", *flags, "--no_augm") == 0
    assert "1 left out, not readable" in capfd.readouterr().err
    folder = only(tmp_path / "out")
    assert pd.read_csv(folder / "evaluations.csv")["evaluated"].tolist() == [5] * 9
    assert pd.read_csv(folder / "faults.csv")["item"].tolist() == [0]
    flags[-1] = tmp_path / "strict"
    assert run("--retrieve", extracted / "backbone.pth.tar", *flags, "--strict_data") == 1


def test_features_that_overflow_end_the_retrieval(extracted, prepared, tmp_path, capfd):
    content = torch.load(extracted / "backbone.pth.tar")
    for name, value in content["state_dict"].items():
        if name.endswith("running_var"):
            value.fill_(1e-38)
        if name.endswith("bn1.weight"):
            value.fill_(1e30)
    torch.save(content, tmp_path / "large.pth.tar")
    flags = [*video_flags(prepared.csv_root), "--output_dir", tmp_path / "out"]
    assert run("--retrieve", tmp_path / "large.pth.tar", *flags) == 1
    assert "are not finite numbers: the weights are at fault" in capfd.readouterr().err


def test_one_video_file_is_extracted_without_a_class(dpc, extracted, tmp_path, capfd):
    file = tmp_path / "a video, für alle.avi"
    write_images(file, [picture(3, frame, 48, 64) for frame in range(36)], (64, 48))
    weights = dpc / "model/epoch1.pth.tar"
    assert run("--extract", weights, "--num_workers", 1, "--video", file) == 0
    folder = dpc / "extract_epoch1_001"
    told = capfd.readouterr()
    assert f"features of {file.stem}: 1 video (3 windows)" in told.out
    assert "estimated the batch norm's statistics over 2 training batches" in told.err
    stored = np.load(folder / f"features_{file.stem}.npz")
    clip = single_video(config_in(folder))[0, 0].clip
    assert len(clip) == 9
    backbone, _ = backbone_of(extracted)  # with the same statistics
    windows = features_in_a_loop(backbone, clip)
    np.testing.assert_allclose(stored["windows"], windows, rtol=1e-3, atol=1e-4)
    assert stored["names"].tolist() == [file.name]
    assert stored["labels"].tolist() == [-1]
    assert len(stored["classes"]) == 0
    table = pd.read_csv(folder / f"features_{file.stem}.csv")
    assert table["name"].tolist() == [file.name]
    assert table["class"].isna().all()
    assert (folder / "backbone.pth.tar").exists()


def test_a_video_alone_is_extracted_where_there_is_no_data_set(extracted, tmp_path):
    write_images(tmp_path / "v.avi", [picture(3, frame, 48, 64) for frame in range(36)], (64, 48))
    flags = [*video_flags(tmp_path / "none"), "--video", tmp_path / "v.avi"]
    weights = extracted / "backbone.pth.tar"
    assert run("--extract", weights, *flags, "--output_dir", tmp_path / "out") == 0
    assert (tmp_path / "out/extract_backbone/features_v.npz").exists()


def test_the_frames_of_a_single_video_are_those_that_the_stride_asks_for(tmp_path):
    file = tmp_path / "v.avi"
    write_images(file, [numbered(7, frame, 96, 96) for frame in range(61)], (96, 96))
    (tmp_path / "UCF101").mkdir()
    (tmp_path / "UCF101/dataset.json").write_text('{"short_side": 96, "stride": 3}')
    config = Config(
        model="lc-rnn", img_dim=96, num_seq_in=3, no_augm=True, seed=1, extract="random",
        video=str(file), data_path_dir=str(tmp_path),
    )  # fmt: skip
    videos, frames = read_numbers(single_video(config)[0, 0].clip)
    assert (videos == 7).all()
    assert frames.ravel().tolist() == list(range(0, 60, 3))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.avi", "none.avi: No such file"),
        ("text.avi", "text.avi: can't be decoded"),
        (".", ": is a folder; name a video that OpenCV can decode"),
        (os.fsdecode(b"\xff.avi"), "is no UTF-8 text"),
    ],
)
def test_videos_that_cannot_be_extracted_say_why(name, told, prepared, tmp_path, capfd):
    (tmp_path / "text.avi").write_text("no video" * 99)
    flags = [*video_flags(prepared.csv_root), "--output_dir", tmp_path / "out"]
    assert run("--extract", "random", *flags, "--video", tmp_path / name) == 2
    assert told in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_network_of_gabors_needs_to_know_how_frames_are_made(tmp_path, capfd):
    write_images(tmp_path / "v.avi", [picture(3, frame, 48, 64) for frame in range(36)], (64, 48))
    assert run("--extract", "random", *TINY, "--video", tmp_path / "v.avi") == 2
    assert "are no videos; name, with --dataset" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--retrieve", "random", *TINY], "--retrieve: is for videos"),
        (["--retrieve", "/nowhere/x.pth.tar"], "--retrieve /nowhere/x.pth.tar: "),
        (["--retrieve", "random", "--data_path_dir", "/nowhere"], "no such split file"),
        (["--retrieve", "random", "--test", "random"], "take at most one of them"),
        (["--retrieve", "random", "--label_share", "0.5"], "--label_share: is for training"),
        (["--retrieve", "random", "--analysis"], "--analysis: is for training"),
        (["--video", "x.mp4"], "--video: needs --extract too"),
        (["--test_crops", "5"], "--test_crops: needs --test too"),
    ],
)
def test_wrong_flags_end_before_there_is_a_folder(flags, told, tmp_path, capfd):
    assert run(*flags, "--output_dir", tmp_path / "out") == 2
    assert told in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_flags_of_another_network_are_refused(dpc, capfd):
    weights = dpc / "model/epoch1.pth.tar"
    assert run("--retrieve", weights, "--net", "resnet34") == 2
    assert "the checkpoint to retrieve has resnet18" in capfd.readouterr().err


def test_no_run_goes_on_in_the_folder_of_a_retrieval(retrieved, capfd):
    before = sorted(path.name for path in retrieved.iterdir())
    assert run("--resume", retrieved) == 2
    assert "is the folder of a retrieval; name that of the run" in capfd.readouterr().err
    assert sorted(path.name for path in retrieved.iterdir()) == before


def test_videos_of_one_class_are_extracted_without_training_clips_if_there_are_statistics(
    tmp_path, extracted, capfd
):
    """A data set with fewer videos than a batch; the backbone's own file has statistics."""
    own = prepare(tmp_path, lengths=(30,), test_lengths=(30,), classes=("Only",))
    flags = [*video_flags(own.csv_root), "--output_dir", tmp_path / "out"]
    assert run("--extract", extracted / "backbone.pth.tar", *flags) == 0
    assert "estimated" not in capfd.readouterr().err
    files = [torch.load(of / "backbone.pth.tar") for of in (only(tmp_path / "out"), extracted)]
    for name, value in files[0]["state_dict"].items():
        assert torch.equal(value, files[1]["state_dict"][name])
    assert run("--extract", "random", *flags) == 2
    assert "the train set has 1 clips, less than one batch" in capfd.readouterr().err


def test_the_lines_in_the_readme_give_the_features_of_a_clip(prepared, dpc, extracted, monkeypatch):
    """The page's own text, with the first window of a video in place of its random clip."""
    page = (ROOT / "model/README.md").read_text()
    [lines] = re.findall(r"```python\n(import torch\n.*?)```", page, re.DOTALL)
    assert len(lines.splitlines()) <= 13
    clip = build_dataset(config_in(extracted), "test", whole=True)[0, 0].clip[:4]
    monkeypatch.setattr(torch, "rand", lambda *shape: clip.float() / 255)
    monkeypatch.chdir(extracted)
    names: dict = {}
    exec(lines, names)
    stored = np.load(extracted / "features_test.npz")["windows"][0]
    np.testing.assert_allclose(names["features"], stored, rtol=1e-3, atol=1e-4)


def test_a_backbone_s_own_file_says_how_its_features_are_made(prepared, extracted, tmp_path, capfd):
    """Nothing but the data set is named: the features are those that were written beside it."""
    flags = ["--dataset", "ucf101", "--data_path_dir", prepared.csv_root, "--num_workers", 0]
    backbone = extracted / "backbone.pth.tar"
    assert run("--extract", backbone, *flags, "--output_dir", tmp_path) == 0
    assert "Assumed" not in capfd.readouterr().err
    again, before = (
        np.load(folder / "features_test.npz")["windows"] for folder in (only(tmp_path), extracted)
    )
    np.testing.assert_allclose(again, before, rtol=1e-5, atol=1e-6)


def test_statistics_without_a_count_of_batches_are_kept(extracted, prepared, tmp_path, capfd):
    content = torch.load(extracted / "backbone.pth.tar", weights_only=True)
    weights = content["state_dict"]
    content["state_dict"] = {k: v for k, v in weights.items() if "num_batches" not in k}
    torch.save(content, tmp_path / "other.pth.tar")
    flags = ["--dataset", "ucf101", "--data_path_dir", prepared.csv_root, "--num_workers", 0]
    assert run("--extract", tmp_path / "other.pth.tar", *flags, "--output_dir", tmp_path) == 0
    assert "without batch-norm statistics" not in capfd.readouterr().err
    written = torch.load(tmp_path / "extract_other/backbone.pth.tar", weights_only=True)
    for name, value in content["state_dict"].items():
        assert written["state_dict"][name].equal(value), name


def test_a_film_longer_than_a_test_reads_says_so(extracted, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("dataset.single_video.MOST_FRAMES", 20)
    write_images(tmp_path / "v.avi", [picture(3, frame, 48, 64) for frame in range(60)], (64, 48))
    flags = ["--video", tmp_path / "v.avi", "--data_path_dir", tmp_path, "--num_workers", 0]
    assert run("--extract", extracted / "backbone.pth.tar", *flags, "--output_dir", tmp_path) == 0
    assert "of its 60 frames the first 40 are used" in capfd.readouterr().err


def test_random_as_pretrained_weights_says_what_to_do(prepared, tmp_path, capfd):
    flags = [*video_flags(prepared.csv_root), "--output_dir", tmp_path / "out"]
    assert run(*flags, "--pretrained", "random") == 2
    assert "leave it out" in capfd.readouterr().err
