"""Tests with several crops, and their probabilities, from the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dataset.build import build_dataset
from forked import ROOT
from model.training.tasks import Task, build_task
from published import load_file
from run_records import only
from small_runs import TINY, narrow, run, video_flags
from utils.config.checks import from_stored
from utils.runs.reading import read_checkpoint
from video_data import CLASSES, prepare

small = pytest.mark.usefixtures("small")
CROPS = (1, 5, 10)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[int | str, Path]:
    """Folders of a classifier and of its tests by their number of crops. Not to be changed."""
    output = tmp_path_factory.mktemp("runs")
    options = {"lengths": (20, 20), "test_lengths": (26, 18), "size": (230, 241)}
    prepared = prepare(tmp_path_factory.mktemp("ucf"), **options)
    training = ["--model", "lc-rnn", "--num_epochs", 1, "--augm", "linear"]
    with narrow():
        assert run(*video_flags(prepared.csv_root), *training, "--output_dir", output) == 0
        folder = only(output)
        checkpoint = folder / "model/epoch1.pth.tar"
        for crops in CROPS:
            assert run("--test", checkpoint, "--test_crops", crops) == 0
    tests = ("test_epoch1", "test_epoch1_001", "test_epoch1_002")
    return {"run": folder, **{n: folder / name for n, name in zip(CROPS, tests, strict=True)}}


def by_hand(runs) -> np.ndarray:
    """Softmax outputs averaged over windows, of each crop on its own: `[videos, crops, classes]`.

    Each window goes through the network alone.
    """
    content = read_checkpoint(runs["run"] / "model/epoch1.pth.tar", "test")
    config = from_stored({**content["config"], "test_crops": 10})
    videos = build_dataset(config, "test")
    with narrow():
        model = build_task(config, len(CLASSES)).model.eval()
    load_file(model, content, "--test f")
    everything = []
    for index in range(len(videos)):
        clip = videos[0, index].clip
        K = len(clip) // 10
        of_crops = []
        for crop in clip.split(K):
            windows = [crop[first : first + 3] for first in range(K - 3 + 1)]
            with torch.no_grad():
                outputs = [
                    model(Task(torch.nn.Identity()).normalise(window[None]))[0]
                    for window in windows
                ]
            of_crops.append(torch.stack([o[0, 0].softmax(dim=0) for o in outputs]).mean(dim=0))
        everything.append(torch.stack(of_crops))
    return torch.stack(everything).numpy()


def test_probabilities_are_averaged_over_windows_and_then_over_crops(runs):
    shares = by_hand(runs)
    assert np.ptp(shares, axis=1).max() > 1e-4  # crops differ
    stored = np.load(runs[10] / "probabilities.npz")
    for crops in CROPS:
        mean = shares[:, :crops].mean(axis=1)
        np.testing.assert_allclose(stored[f"probabilities_{crops}"], mean, rtol=1e-4)
        assert stored[f"probabilities_{crops}"].dtype == np.float32
    rows = pd.read_csv(runs[10] / "predictions.csv")
    mean = shares.mean(axis=1)
    assert rows["predicted"].tolist() == mean.argmax(axis=1).tolist()
    np.testing.assert_allclose(
        rows["loss"], -np.log(mean[np.arange(len(mean)), rows["target"]]), rtol=1e-4
    )


@pytest.mark.parametrize("crops", CROPS)
def test_probabilities_come_with_names_and_classes(runs, crops):
    with np.load(runs[crops] / "probabilities.npz") as stored:
        numbers = [f"probabilities_{n}" for n in CROPS if n <= crops]
        assert set(stored) == {*numbers, "items", "names", "labels", "classes"}
        rows = pd.read_csv(runs[crops] / "predictions.csv")
        assert stored["names"].tolist() == rows["name"].tolist()
        assert stored["items"].tolist() == rows["item"].tolist()
        assert stored["labels"].tolist() == rows["target"].tolist()
        assert stored["classes"].tolist() == list(CLASSES)
        np.testing.assert_allclose(stored[numbers[-1]].sum(axis=1), 1, rtol=1e-5)
        assert (stored[numbers[-1]].argmax(axis=1) == rows["predicted"]).all()


@pytest.mark.parametrize("crops", CROPS)
def test_one_run_reports_each_number_of_crops_up_to_its_own(runs, crops):
    table = pd.read_csv(runs[crops] / "accuracies.csv")
    of_all = table[table["name"] == "all classes"].set_index("level")
    levels = {1: "video", 5: "video, 5 crops", 10: "video, 10 crops"}
    assert of_all.index.tolist() == [levels[n] for n in CROPS if n <= crops] + ["clip"]
    stored = np.load(runs[10] / "probabilities.npz")
    for n in (n for n in CROPS if n <= crops):
        right = stored[f"probabilities_{n}"].argmax(axis=1) == stored["labels"]
        rows = table[table["level"] == levels[n]]
        shares = [right.mean(), *(right[stored["labels"] == c].mean() for c in range(3))]
        assert rows["top1"].tolist() == pytest.approx(shares)
        assert rows["evaluated"].tolist() == rows["total"].tolist() == [6, 2, 2, 2]
    (epoch,) = pd.read_csv(runs[crops] / "epochs.csv").to_dict("records")
    assert epoch["top1"] == of_all.loc[levels[crops], "top1"]


def test_the_centre_crop_gives_the_same_bits_whatever_the_number_of_crops(runs):
    one = np.load(runs[1] / "probabilities.npz")["probabilities_1"]
    lines = [line for line in lines_of(runs[1]) if line.startswith(("video,", "clip,"))]
    for crops in (5, 10):
        assert np.load(runs[crops] / "probabilities.npz")["probabilities_1"].tobytes() == (
            one.tobytes()
        )
        windows = [(runs[n] / "windows.csv").read_bytes() for n in (1, crops)]
        assert windows[0] == windows[1]
        assert set(lines) < set(lines_of(runs[crops]))


def lines_of(folder: Path) -> list[str]:
    return (folder / "accuracies.csv").read_text().splitlines()


def test_the_example_of_the_page_reads_them(runs, capsys):
    page = (ROOT / "model/README.md").read_text()
    (code,) = (part for part in page.split("```python\n") if "probabilities_10" in part[:300])
    path = runs[10] / "probabilities.npz"
    exec(code.split("```")[0].replace("OUT/RUN/test_best_epoch90/probabilities.npz", str(path)))
    table = pd.read_csv(runs[10] / "accuracies.csv").set_index(["level", "name"])
    share = table.loc[("video, 10 crops", "all classes"), "top1"]
    assert capsys.readouterr().out.startswith(f"{share:.1%}; wrong: ")


@small
def test_the_result_names_the_numbers_of_crops(runs, tmp_path, capsys):
    checkpoint = tmp_path / "w.pth.tar"
    checkpoint.write_bytes((runs["run"] / "model/epoch1.pth.tar").read_bytes())
    output = ["--test_crops", 5, "--output_dir", tmp_path, "--batch_size", 2]
    assert run("--test", checkpoint, *output) == 0
    (result,) = (line for line in capsys.readouterr().out.splitlines() if "result:" in line)
    assert result.startswith("result: video top-1/3/5 ")
    assert "; video, 5 crops top-1/3/5 " in result
    # the size of the parts changes nothing
    ours, theirs = (np.load(f / "probabilities.npz") for f in (tmp_path / "test_w", runs[5]))
    np.testing.assert_allclose(ours["probabilities_5"], theirs["probabilities_5"], rtol=1e-4)


@small
def test_a_test_of_gabors_keeps_the_probabilities_of_its_clips(tmp_path):
    assert run(*TINY, "--model", "lc-rnn", "--test", "random", "--output_dir", tmp_path) == 0
    folder = only(tmp_path)
    rows = pd.read_csv(folder / "predictions.csv")
    with np.load(folder / "probabilities.npz") as stored:
        assert set(stored) == {"probabilities_1", "items", "names", "labels", "classes"}
        assert stored["items"].tolist() == rows["item"].tolist()
        assert stored["labels"].tolist() == rows["target"].tolist()
        assert set(stored["names"]) == {""}
        chosen = stored["probabilities_1"][np.arange(len(rows)), rows["target"]]
        np.testing.assert_allclose(-np.log(chosen), rows["loss"], rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test", "random", "--test_crops", 5], "--test_crops 5: is for videos"),
        (["--augm", "linear"], "--augm linear, typed or of a preset: is for videos"),
    ],
)
def test_gabors_are_told_apart_from_videos(arguments, message, tmp_path, capsys):
    tiny = [word for word in TINY if word != "--no_augm"]
    assert run(*tiny, "--model", "lc-rnn", *arguments, "--output_dir", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
