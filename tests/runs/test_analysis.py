"""Analyses of small runs: what is recorded, from which checkpoints, and the same once again."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forked import Ended, Starter
from model.analysis.record import Recording
from recording_alone import recording_alone
from run_records import ends_in_one_line, only, same_end
from small_runs import TINY, narrow, one_picture, run, signal_in_call, video_flags
from utils.analysis.recorded import (
    KINDS,
    MODULES,
    STAGES,
    Pass,
    Recorded,
    list_passes,
    read_pass,
)
from utils.errors import PREEMPTED
from utils.runs.checkpoints import by_epoch
from utils.runs.locks import held
from utils.runtime import device
from video_data import prepare

FLAGS = [*TINY, "--num_seq_in", 3, "--train_len", 16, "--unexp_epoch", 2, "--num_epochs", 3]
ALL = [(0, "post"), *((epoch, when) for epoch in (1, 2, 3) for when in ("pre", "post"))]


@pytest.fixture(autouse=True)
def alone(small) -> Iterator[list[tuple]]:
    with recording_alone() as calls:
        yield calls


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of three epochs whose fourth block is D or U. Not to be changed."""
    output = tmp_path_factory.mktemp("trained")
    with narrow(), one_picture():
        assert run(*FLAGS, "--output_dir", output) == 0
    return only(output)


@pytest.fixture(scope="module")
def analysed(trained, tmp_path_factory) -> Path:
    """The same run, analysed after training. Not to be changed."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("analysed") / trained.name)
    with narrow(), recording_alone():
        assert run("--analysis", folder, "--analysis_maps") == 0
    return folder


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the run, which a test may change."""
    return shutil.copytree(trained, tmp_path / trained.name)


def recorded(folder: Path) -> dict[str, bytes]:
    """Return the files of an analysis' passes."""
    return {path.name: path.read_bytes() for path in (folder / "recorded").iterdir()}


def passes(folder: Path) -> list[Recorded]:
    return [read_pass(folder, of) for of in list_passes(folder)]


def change(folder: Path, **flags: object) -> None:
    """Change the configuration that a run has stored."""
    path = folder / "config.json"
    kept = json.loads(path.read_text())
    kept["resolved"].update(flags)
    path.write_text(json.dumps(kept))


# ------------------------------------------------------------------ what is recorded


def test_there_is_a_pass_before_and_after_each_landmark_epoch(analysed):
    assert [tuple(of) for of in list_passes(analysed / "analysis")] == ALL
    for one in passes(analysed / "analysis"):
        assert one.made["weights_after_epoch"] == one.of.weights
        assert (one.made["batches"], one.made["clips"], one.made["permutations"]) == (4, 16, 1000)


def test_u_is_on_in_every_pass_and_passes_of_an_epoch_have_the_same_clips(analysed):
    clips: dict[int, pd.DataFrame] = {}
    for one in passes(analysed / "analysis"):
        assert set(one.blocks["image"]) == {"D", "U"}
        assert (one.blocks["is_U"] == (one.blocks["image"] == "U")).all()
        assert set(one.blocks["epoch"]) == {one.of.epoch}
        assert sorted(one.blocks["item"]) == list(range(16))
        shown = one.blocks.drop(columns="loss")
        assert shown.equals(clips.setdefault(one.of.epoch, shown))
    assert not clips[2].equals(clips[3])


def test_a_pass_of_weights_on_the_clips_they_saw_has_the_losses_that_training_recorded(tmp_path):
    """Epoch 0 measures the untrained network; here U is on in it."""
    flags = [*FLAGS, "--unexp_epoch", 0, "--num_epochs", 1, "--output_dir", tmp_path]
    assert run(*flags, "--analysis") == 0
    folder = only(tmp_path)
    rows = pd.read_csv(folder / "predictions.csv").query("epoch == 0 and mode == 'train'")
    blocks = read_pass(folder / "analysis", Pass(0, "post")).blocks
    for column in ("epoch", "item", "step", "image", "orientation", "is_U"):
        assert blocks[column].tolist() == rows[column].tolist()
    np.testing.assert_allclose(blocks["loss"], rows["loss"], rtol=1e-5)


def test_statistics_and_vectors_are_those_of_the_maps(analysed):
    for one in passes(analysed / "analysis")[:3]:
        maps = np.load(analysed / f"analysis/recorded/{one.of.name}_maps.npz")
        assert set(maps) == {f"{module}_{kind}" for module in MODULES for kind in KINDS}
        assert set(one.vectors) == {*maps, *STAGES}
        for k, group in enumerate(one.groups):
            chosen = [
                group.holds(image, angle)
                for image, angle in zip(one.blocks["image"], one.blocks["orientation"], strict=True)
            ]
            assert one.statistics["count"][0, k] == sum(chosen)
            for name in maps if any(chosen) else ():
                own = maps[name][chosen].astype(np.float64)
                tolerance = {"rtol": 1e-4, "atol": 1e-7 * np.abs(maps[name]).max()}
                mean, sd = (one.statistics[f"{name}_{what}"][0, k] for what in ("mean", "sd"))
                np.testing.assert_allclose(mean, own.mean(axis=0), **tolerance)
                np.testing.assert_allclose(sd, own.std(axis=0), **tolerance)
        for name in maps:
            means = maps[name].mean(axis=(2, 3))
            np.testing.assert_allclose(one.vectors[name], means, rtol=1e-5, atol=1e-8)
            p = one.statistics[f"{name}_usi_p"]
            low, high = (one.statistics[f"{name}_usi_{end}"] for end in ("low", "high"))
            assert ((p > 0) & (p <= 1)).all()
            assert (low < high).all()


def test_a_fixed_epochs_clips_are_the_same_in_all_passes(copied, alone):
    assert run("--analysis", copied, "--analysis_epoch", 5) == 0
    assert not (copied / "analysis").exists()
    found = passes(copied / "analysis_epoch5")
    assert [tuple(one.of) for one in found] == ALL
    assert alone == [("compute", copied, 5), ("draw", copied, 5)]
    for one in found:
        assert set(one.blocks["epoch"]) == {5}
        assert one.made["clips_of"] == 5
        assert one.blocks["item"].equals(found[0].blocks["item"])
    # post of an epoch and pre of the next one are the same weights on the same clips
    assert found[2].blocks.equals(found[3].blocks)


def test_the_first_clips_of_the_order_are_recorded_in_whole_batches(copied, analysed):
    assert run("--analysis", copied, "--analysis_len", 11) == 0
    for one, whole in zip(passes(copied / "analysis"), passes(analysed / "analysis"), strict=True):
        assert one.blocks.equals(whole.blocks[:8])
        np.testing.assert_array_equal(one.vectors["stem"], whole.vectors["stem"][:8])
    # with another length they are recorded anew
    assert run("--analysis", copied, "--analysis_maps") == 0
    assert recorded(copied / "analysis") == recorded(analysed / "analysis")


def test_a_classifier_has_an_encoder_and_a_context(classifier_run, tmp_path):
    folder = shutil.copytree(classifier_run, tmp_path / "classifier")
    assert run("--analysis", folder) == 0
    for one in passes(folder / "analysis"):
        assert {name.split("_")[0] for name in one.vectors} == {"encoder", "contextual", *STAGES}
        assert set(one.blocks["step"]) == {0}
        assert len(one.blocks) == 8


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
def test_responses_to_videos_are_by_class_without_a_usi(model, tmp_path, capsys):
    prepared = prepare(tmp_path, lengths=(24, 30, 27), test_lengths=(26, 41))
    flags = [*video_flags(prepared.csv_root), "--model", model, "--num_epochs", 1]
    flags += ["--pred_step", 1] if model == "dpc-rnn" else []
    assert run(*flags, "--output_dir", tmp_path / "out") == 0
    folder = only(tmp_path / "out")
    next(prepared.root.rglob("v_Dive_train_0/image_00003.jpg")).write_bytes(b"no picture")
    assert run("--analysis", folder) == 0
    text = capsys.readouterr().err
    assert text.count("there are no unexpected images: responses are by class, without a USI") == 1
    found = passes(folder / "analysis")
    assert [tuple(one.of) for one in found] == [(0, "post"), (1, "pre"), (1, "post")]
    for one in found:
        assert [group.image for group in one.groups] == ["any", "Dive", "Jump", "Run"]
        assert not any("usi" in name for name in one.statistics)
        assert one.blocks["orientation"].isna().all()
        assert one.statistics["count"].sum() == 2 * len(one.blocks)


def test_a_run_without_u_has_groups_and_no_usi(tmp_path, capsys):
    flags = [*FLAGS, "--U_prob", 0, "--num_epochs", 1, "--output_dir", tmp_path]
    assert run(*flags) == 0
    folder = only(tmp_path)
    assert run("--analysis", folder) == 0
    assert capsys.readouterr().err.count("without a USI") == 1
    found = passes(folder / "analysis")
    assert len(found) == 3
    assert not any("usi" in name for one in found for name in one.statistics)
    assert set(found[0].blocks["image"]) == {"D"}


# ------------------------------------------------------------------ the same again


def test_an_analysis_that_is_made_twice_records_nothing_the_second_time(analysed, tmp_path, capsys):
    folder = shutil.copytree(analysed, tmp_path / analysed.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "add", None)
        assert run("--analysis", folder, "--analysis_maps") == 0
    assert "0 passes recorded now, 7 there before" in capsys.readouterr().out
    shutil.rmtree(folder / "analysis")
    assert run("--analysis", folder, "--analysis_maps") == 0
    assert recorded(folder / "analysis") == recorded(analysed / "analysis")


def test_passes_with_maps_count_as_recorded_where_none_are_asked_for(analysed, tmp_path, capsys):
    folder = shutil.copytree(analysed, tmp_path / analysed.name)
    assert run("--analysis", folder) == 0
    assert "0 passes recorded now, 7 there before" in capsys.readouterr().out
    assert recorded(folder / "analysis") == recorded(analysed / "analysis")


def test_flags_that_make_no_difference_to_an_analysis_may_change(analysed, tmp_path, capsys):
    folder = shutil.copytree(analysed, tmp_path / analysed.name)
    change(folder, unexp_epoch=1, dropout=0.1)  # the landmarks are the same
    assert run("--analysis", folder, "--analysis_maps") == 0
    assert "0 passes recorded now, 7 there before" in capsys.readouterr().out


def test_during_training_the_same_is_recorded_and_training_is_not_changed(
    trained, analysed, alone, tmp_path
):
    flags = [*FLAGS, "--output_dir", tmp_path, "--analysis", "--analysis_maps"]
    assert run(*flags) == 0
    folder = only(tmp_path)
    assert recorded(folder / "analysis") == recorded(analysed / "analysis")
    same_end(folder, trained)
    assert alone == [("compute", folder, None), ("draw", folder, None)]


def test_an_analysis_of_a_run_changes_nothing_but_its_own_folder(trained, analysed):
    def files(folder: Path) -> dict[str, bytes]:
        found = (path for path in folder.rglob("*") if path.is_file())
        names = {str(path.relative_to(folder)): path for path in found}
        return {
            name: path.read_bytes()
            for name, path in names.items()
            if not name.startswith("analysis/")
        }

    assert files(analysed) == files(trained)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, PREEMPTED), (signal.SIGINT, 130)])
def test_a_stopped_analysis_leaves_whole_passes_and_goes_on(
    number, status, copied, analysed, capsys
):
    with signal_in_call(Recording, "add", 10, number):
        assert run("--analysis", copied, "--analysis_maps") == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("; to go on: the same command")
    assert [tuple(of) for of in list_passes(copied / "analysis")] == ALL[:2]
    assert all(
        name.startswith(("epoch0_post", "epoch1_pre")) for name in recorded(copied / "analysis")
    )
    assert run("--analysis", copied, "--analysis_maps") == 0
    assert recorded(copied / "analysis") == recorded(analysed / "analysis")


def test_a_run_that_is_stopped_while_it_records_catches_up(trained, analysed, tmp_path, capsys):
    flags = [*FLAGS, "--output_dir", tmp_path, "--analysis", "--analysis_maps"]
    with signal_in_call(Recording, "add", 14):
        assert run(*flags) == PREEMPTED
    folder = only(tmp_path)
    assert f"; to go on: run_model.py --resume {folder}" in capsys.readouterr().err
    assert run("--resume", folder) == 0
    assert recorded(folder / "analysis") == recorded(analysed / "analysis")
    same_end(folder, trained)


def printed_by(starter: Starter, place: Path, *flags: object, fault: tuple) -> Ended:
    started = starter.call("recording_alone.run", list(map(str, flags)), fault, folder=place)
    return starter.end(started)


@pytest.mark.parametrize("number", [3, 12, 20])
def test_an_analysis_that_is_killed_as_it_writes_goes_on(number, starter, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    flags = ["--analysis", "run", "--analysis_maps"]
    killed = printed_by(starter, tmp_path, *flags, fault=("signal_before", number))
    assert killed.status == -signal.SIGKILL
    assert len(list_passes(tmp_path / "run/analysis")) < len(ALL)
    again = printed_by(starter, tmp_path, *flags, fault=("meet_nothing",))
    assert again.status == 0, again.text
    assert [tuple(of) for of in list_passes(tmp_path / "run/analysis")] == ALL
    assert not list((tmp_path / "run/analysis").rglob("*.tmp"))
    whole = shutil.copytree(trained, tmp_path / "whole")
    assert printed_by(starter, tmp_path, "--analysis", "whole", "--analysis_maps",
                      fault=("meet_nothing",)).status == 0  # fmt: skip
    assert recorded(tmp_path / "run/analysis") == recorded(whole / "analysis")


def run_two(starter: Starter, place: Path, *flags: object) -> str:
    """Run two processes together, and return what the first prints."""
    ranks = [
        starter.call(
            "recording_alone.run",
            list(map(str, flags)),
            ("meet_nothing",),
            folder=place,
            environment=environment,
        )
        for environment in starter.of_ranks(2)
    ]
    first, second = (starter.end(rank) for rank in ranks)
    assert (first.status, second.status) == (0, 0), (first.text, second.text)
    return first.text


def check_alike(one: Path, two: Path) -> None:
    """Check that analyses have the same passes, whose statistics differ by their sums' order."""
    ours, theirs = passes(one), passes(two)
    assert len(ours) == len(theirs) > 0
    for whole, shared in zip(ours, theirs, strict=True):
        assert shared.made == whole.made
        assert str(shared.groups) == str(whole.groups)  # NaN is in them
        assert shared.blocks.equals(whole.blocks)
        for name in whole.vectors:
            np.testing.assert_array_equal(shared.vectors[name], whole.vectors[name])
        for name in set(whole.statistics) - {"group_image"}:
            expected, made = whole.statistics[name], shared.statistics[name]
            scale = np.nanmax(np.abs(expected))  # of an error, which may be 0 up to rounding
            np.testing.assert_allclose(made, expected, rtol=1e-9, atol=1e-9 * scale)


def test_two_processes_record_what_one_does(starter, trained, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(trained, tmp_path / name)
    ended = printed_by(starter, tmp_path, "--analysis", "one", fault=("meet_nothing",))
    assert ended.status == 0, ended.text
    assert "--batch_size" not in run_two(starter, tmp_path, "--analysis", "two")
    check_alike(tmp_path / "one/analysis", tmp_path / "two/analysis")


def test_a_run_of_two_processes_is_recorded_in_whole_batches(starter, tmp_path):
    flags = [*FLAGS, "--num_epochs", 1, "--output_dir", "runs", "--analysis"]
    text = run_two(starter, tmp_path, *flags)
    assert text.count("in training, several processes shared each batch") == 1
    folder = only(tmp_path / "runs")
    (folder / "analysis").rename(tmp_path / "during")
    ended = printed_by(starter, tmp_path, "--analysis", folder, fault=("meet_nothing",))
    assert ended.status == 0, ended.text
    check_alike(folder / "analysis", tmp_path / "during")


# ------------------------------------------------------------------ from which checkpoints


def test_checkpoints_that_are_not_kept_are_named_and_the_rest_is_recorded(copied, capsys):
    (copied / "model/epoch1.pth.tar").unlink()
    assert run("--analysis", copied) == 0
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if "not recorded" in line)
    assert line.endswith(": epoch 1 (post), epoch 1 (pre of 2)")
    assert "2 without a checkpoint" in captured.out
    expected = [of for of in ALL if of not in ((1, "post"), (2, "pre"))]
    assert [tuple(of) for of in list_passes(copied / "analysis")] == expected


def test_the_checkpoint_before_each_landmark_is_kept(tmp_path):
    flags = [*FLAGS, "--train_len", 4, "--unexp_epoch", 6, "--num_epochs", 6, "--not_save_best"]
    assert run(*flags, "--output_dir", tmp_path) == 0
    assert sorted(by_epoch(only(tmp_path) / "model")) == [0, 2, 3, 4, 5, 6]
    assert run("--analysis", only(tmp_path)) == 0
    assert len(list_passes(only(tmp_path) / "analysis")) == 1 + 2 * 4


def test_a_best_checkpoint_has_an_epochs_weights_too(copied, analysed):
    (best,) = (copied / "model").glob("best_epoch*")
    number = best.name.removeprefix("best_epoch")
    (copied / "model" / f"epoch{number}").unlink()
    assert run("--analysis", copied, "--analysis_maps") == 0
    assert recorded(copied / "analysis") == recorded(analysed / "analysis")


def test_a_pass_whose_checkpoint_is_gone_stays(analysed, tmp_path, capsys):
    folder = shutil.copytree(analysed, tmp_path / analysed.name)
    for path in (folder / "model").glob("*epoch*"):
        path.unlink()
    assert run("--analysis", folder, "--analysis_maps") == 0
    assert "0 passes recorded now, 7 there before" in capsys.readouterr().out
    assert run("--analysis", folder, "--analysis_len", 8) == 0  # which would need them
    assert "not recorded" in capsys.readouterr().err
    assert recorded(folder / "analysis") == recorded(analysed / "analysis")


def test_passes_with_other_clips_whose_checkpoint_is_gone_are_told(copied, capsys):
    """They stay, but don't count as recorded."""
    assert run("--analysis", copied, "--analysis_len", 8) == 0
    assert "other flags" not in capsys.readouterr().err
    (copied / "model/epoch1.pth.tar").unlink()
    assert run("--analysis", copied) == 0
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if "recorded earlier" in line)
    assert ": epoch 1 (post), epoch 1 (pre of 2); to leave them out, remove their" in line
    assert "5 passes recorded now, 0 there before, 2 without a checkpoint" in captured.out
    assert "2 recorded earlier with other flags" in captured.out
    clips = {tuple(one.of): one.made["clips"] for one in passes(copied / "analysis")}
    assert clips == {of: 8 if of in ((1, "post"), (2, "pre")) else 16 for of in ALL}


def test_a_damaged_checkpoint_is_told_and_left_out(copied, capsys):
    (copied / "model/epoch2_unexp.pth.tar").write_bytes(b"nothing")
    for best in (copied / "model").glob("best*_epoch2*"):
        best.unlink()
    assert run("--analysis", copied) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "left out" in line)
    assert f"--analysis {copied / 'model/epoch2_unexp.pth.tar'}: " in line
    assert [tuple(of) for of in list_passes(copied / "analysis")] == [
        of for of in ALL if of not in ((2, "post"), (3, "pre"))
    ]


def test_a_run_in_a_precision_that_this_cpu_lacks_is_recorded_in_float32(
    copied, analysed, monkeypatch
):
    monkeypatch.setattr(device, "has_instructions", lambda amp: False)
    change(copied, amp="bf16")
    assert run("--analysis", copied, "--analysis_maps") == 0
    assert recorded(copied / "analysis") == recorded(analysed / "analysis")


def test_a_run_that_is_being_trained_is_recorded_as_far_as_it_is(copied, capsys):
    """Its folder is locked; here the number of its epochs is larger than what it has reached."""
    change(copied, num_epochs=9)
    with held(copied):
        assert run("--analysis", copied) == 0
    captured = capsys.readouterr()
    assert "epoch 4 (post)" in captured.err
    assert [tuple(of) for of in list_passes(copied / "analysis")] == [*ALL, (4, "pre")]


def test_a_run_resumed_from_an_earlier_epoch_forgets_what_came_after(analysed, tmp_path, capsys):
    folder = shutil.copytree(analysed, tmp_path / analysed.name)
    shutil.copytree(folder / "analysis", folder / "analysis_epoch5")
    (folder / "analysis/usi.csv").touch()  # computed of what is forgotten
    assert run("--resume", folder / "model/epoch1.pth.tar", "--num_epochs", 1) == 0
    told = capsys.readouterr().err
    for name in ("analysis", "analysis_epoch5"):
        says = f"{folder / name}: its tables and pictures still show what is trained anew"
        assert (says in told) == (name == "analysis")
        assert [tuple(of) for of in list_passes(folder / name)] == ALL[:4]  # of weights 0 and 1


# ------------------------------------------------------------------ two at once, wrong input


def test_two_analyses_of_a_run_exclude_each_other(copied, capsys):
    (copied / "analysis").mkdir()
    starting = os.fork()
    if starting == 0:  # fcntl's locks are per process
        with held(copied / "analysis"):
            signal.pause()
        os._exit(0)
    try:
        lock = copied / "analysis/.lock"
        while not lock.exists() or not lock.read_bytes():
            pass
        assert run("--analysis", copied) == 2
        assert "analysis: is being run by process" in capsys.readouterr().err.splitlines()[-1]
        assert run("--resume", copied, "--analysis", "--num_epochs", 4) == 0
        assert "is being run by process" in capsys.readouterr().err
        assert not list_passes(copied / "analysis")
    finally:
        os.kill(starting, signal.SIGKILL)
        os.waitpid(starting, 0)
    assert run("--resume", copied, "--analysis") == 0
    assert [tuple(of) for of in list_passes(copied / "analysis")] == [*ALL, (4, "pre"), (4, "post")]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--analysis", "nothing"], "--analysis nothing: is no run's folder; name one"),
        (["--analysis", "run/model/epoch0.pth.tar"], "is no run's folder"),
        (["--analysis", ""], "argument --analysis: is empty"),
        (["--analysis", "run", "--resume", "run"], "take at most one of them"),
        (["--analysis", "run", "--test", "run"], "take at most one of them"),
        (["--analysis", "run", "--pretrained", "run"], "take at most one of them"),
        (
            ["--analysis", "run", "--lr", "1"],
            "--lr: is the run's own; leave it out with --analysis",
        ),
        (["--analysis", "run", "--num_epochs", "1"], "--num_epochs: is the run's own"),
        (["--analysis", "run", "--amp", "bf16"], "--amp: is the run's own"),
        (
            ["--analysis", "run", "--analysis_len", "3"],
            "--analysis_len 3: is less than a batch of 4",
        ),
        (["--analysis", "run", "--analysis_epoch", "-2"], "--analysis_epoch -2: must"),
        (["--analysis", "empty"], "model/ has no checkpoint of the epochs 0, 1, 2, 3, so there is"),
        (["--analysis", "tested"], "is the folder of a test; name that of the run"),
    ],
)
def test_wrong_input_gets_one_line_and_leaves_nothing(
    flags, told, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    os.symlink(trained, "run")
    for name in ("empty", "tested"):
        Path(name).mkdir()
        shutil.copy(trained / "config.json", name)
        change(Path(name), test="x" if name == "tested" else "")
    assert run(*flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("run_model.py: ")
    assert told in last
    assert not list(tmp_path.rglob("recorded"))


def test_what_can_not_be_recorded_is_told_before_training(tmp_path, capsys):
    flags = [*FLAGS, "--output_dir", tmp_path / "runs", "--analysis", "--analysis_len", 3]
    assert run(*flags) == 2
    assert "--analysis_len 3: is less than a batch of 4" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_clips_that_can_not_be_read_end_a_pass_in_one_line(starter, tmp_path):
    prepared = prepare(tmp_path, lengths=(24, 30), test_lengths=(26, 41))
    flags = [*video_flags(prepared.csv_root), "--model", "lc-rnn", "--num_epochs", 0]
    assert run(*flags, "--output_dir", tmp_path / "out") == 0
    folder = only(tmp_path / "out")
    for path in prepared.root.rglob("*.jpg"):
        path.write_bytes(b"no picture")
    ended = printed_by(starter, tmp_path, "--analysis", folder, fault=("meet_nothing",))
    ends_in_one_line(ended, 1, "no clip could be read")
    assert not list_passes(folder / "analysis")
