"""Several processes on the CPU: what they compute together, what they record, and how they end."""

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import rank_parts
from forked import (
    ROOT,
    Started,
    Starter,
    children,
    has_ended,
    is_pending,
    state,
    wait_until,
)
from model.dpc import score
from model.losses import contrastive_loss
from model.training.tasks import ContrastiveTask
from run_records import (
    ends_in_one_line,
    equal_weights,
    only,
    records,
    same_weights,
    weights,
)
from small_runs import ON_CPU, TINY, run, video_flags
from utils.errors import PREEMPTED
from utils.runs.records import MEASURED
from video_data import prepare

pytestmark = pytest.mark.usefixtures("small")
PROGRAM = ROOT / "tests" / "narrow_run.py"


def texts_of_ranks(starter: Starter, folder: Path, *flags: object) -> list[str]:
    """Run two processes together, and return what each of them prints."""
    ranks = starter.run_ranks([folder, folder], *flags)
    assert [rank.status for rank in ranks] == [0, 0], ranks
    return [rank.text for rank in ranks]


# ------------------------------------------------------------------ what they compute


@pytest.fixture(scope="module")
def parts(starter, tmp_path_factory) -> dict[str, list]:
    """What two processes computed, by rank."""
    folder = tmp_path_factory.mktemp("parts")
    ranks = [
        starter.call("rank_parts.compute", str(folder), folder=folder, environment=environment)
        for environment in starter.of_ranks(2)
    ]
    for ended in [starter.end(rank) for rank in ranks]:
        assert ended.status == 0, ended.text
    made = [torch.load(folder / str(rank)) for rank in range(2)]
    return {key: [one[key] for one in made] for key in made[0]}


def test_gradients_are_the_average_of_the_halves_computed_in_one_process(parts):
    halves = [rank_parts.share(rank, ON_CPU, gather=False) for rank in range(2)]
    for made, half in zip(parts["own negatives"], halves, strict=True):
        assert made["loss"].item() == pytest.approx(half["loss"].item(), rel=1e-12)
        assert torch.equal(made["predicted"], half["predicted"])
        assert made["columns"] == rank_parts.CLIPS_EACH * rank_parts.SIZE["pred_step"] * 4
        gradients = (made["gradients"], *(half["gradients"] for half in halves))
        for got, one, other in zip(*gradients, strict=True):
            assert torch.allclose(got, (one + other) / 2, rtol=1e-9, atol=1e-12)


def test_gathered_negatives_give_loss_and_gradients_of_the_whole_batch(parts):
    clips, labels = rank_parts.clips_and_labels()
    network = rank_parts.OnFeatures()
    predicted, targets = network.predict(clips.double())
    loss = contrastive_loss(score(predicted, targets)).mean()
    loss.backward()
    made = parts["gathered negatives"]
    mean = torch.stack([half["loss"] for half in made]).mean()
    assert mean.item() == pytest.approx(loss.item(), rel=1e-12)
    whole = ContrastiveTask(network).output(clips.double(), labels, None)
    assert torch.equal(torch.cat([half["predicted"] for half in made]), whole.predictions.predicted)
    for half in made:
        assert half["columns"] == whole.columns
        assert torch.allclose(half["gradients"][0], network.weight.grad, rtol=1e-9, atol=1e-12)


def test_accumulated_gradients_are_exchanged_once_for_each_update(parts):
    """The batches that are left at the end are averaged without DDP."""
    alone = [rank_parts.accumulated(rank, ON_CPU)["weight"] for rank in range(2)]
    for made in parts["accumulated"]:
        assert made["exchanges"] == 2
        # one weight matrix, and plain SGD: the mean of the updates is the update of the mean
        assert torch.allclose(made["weight"], parts["accumulated"][0]["weight"], rtol=0, atol=0)
        assert not torch.allclose(made["weight"], alone[0])


def test_a_rank_without_a_clip_keeps_no_other_waiting(parts):
    assert parts["estimated"] == [2, 2]


# ------------------------------------------------------------------ what they record


def test_dpc_rnn_sees_the_same_clips_and_records_a_row_each(starter, tmp_path, pretrained_run):
    """Here torch's own launcher starts them."""
    flags = [*TINY, "--num_epochs", "1", "--output_dir", str(tmp_path / "two")]
    command = ["--nproc_per_node", "2", str(PROGRAM), *flags]
    ended = starter.end(starter.call("torch.distributed.run.main", command, folder=tmp_path))
    assert ended.status == 0, ended.text
    folder = only(tmp_path / "two")
    rows, expected = (pd.read_csv(f / "predictions.csv") for f in (folder, pretrained_run))
    clips = ["epoch", "mode", "batch", "item", "step", "target", "image", "orientation", "is_U"]
    assert rows[clips].equals(expected.query("epoch <= 1")[clips])
    epochs = pd.read_csv(folder / "epochs.csv")
    assert epochs["chance"].tolist() == [1 / 2] * 4  # negatives are per process
    assert epochs["evaluated"].tolist() == [8, 4, 8, 4]
    means = rows.groupby(["epoch", "mode"])["loss"].mean()
    for _, row in epochs.iterrows():
        assert row["loss"] == pytest.approx(means[row["epoch"], row["mode"]], rel=1e-5)
    # one of them speaks: it names the folder at the start, and with the result
    assert ended.text.count("run folder: ") == 2
    assert "Traceback" not in ended.text


def test_lc_rnn_counts_every_item_once_whatever_the_number_of_processes(starter, tmp_path):
    prepared = prepare(tmp_path, lengths=(24, 30, 27), test_lengths=(26, 41, 26))  # 9 to validate
    flags = ["--model", "lc-rnn", *video_flags(prepared.csv_root), "--no_augm", "--num_epochs", 0]
    assert run(*flags, "--output_dir", tmp_path / "first") == 0
    weights = only(tmp_path / "first") / "model/epoch0.pth.tar"
    # with its running statistics, so that none are estimated on different clips
    assert run(*flags, "--pretrained", weights, "--output_dir", tmp_path / "one") == 0
    assert run("--test", weights) == 0
    texts_of_ranks(starter, tmp_path, *flags, "--pretrained", weights, "--output_dir", "two")
    texts_of_ranks(starter, tmp_path, "--test", weights)
    pairs = [[only(tmp_path / name) for name in ("one", "two")]]
    pairs.append([weights.parent.parent / name for name in ("test_epoch0", "test_epoch0_001")])
    for pair in pairs:
        for name in ("epochs", "predictions", "windows", "accuracies"):
            if not (pair[0] / f"{name}.csv").exists():
                continue
            one, two = (pd.read_csv(folder / f"{name}.csv") for folder in pair)
            assert len(one)
            measured = [column for column in MEASURED if column in one]
            pd.testing.assert_frame_equal(
                one.drop(columns=measured), two.drop(columns=measured), rtol=1e-5
            )
    assert pd.read_csv(pairs[0][1] / "epochs.csv")["evaluated"].tolist() == [8, 9]
    one, two = (np.load(folder / "probabilities.npz") for folder in pairs[1])
    assert one["names"].tolist() == two["names"].tolist()
    np.testing.assert_allclose(one["probabilities_1"], two["probabilities_1"], rtol=1e-5)

    assert run("--retrieve", weights) == 0
    texts = texts_of_ranks(starter, tmp_path, "--retrieve", weights)
    assert [text.count("result: R@1") for text in texts] == [1, 0]
    one, two = (weights.parent.parent / f"retrieve_epoch0{end}" for end in ("", "_001"))
    for name in ("evaluations.csv", "retrieval.csv", "features_train.csv", "features_test.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    alone, shared = (np.load(folder / "features_test.npz") for folder in (one, two))
    np.testing.assert_array_equal(alone["windows"], shared["windows"])


def test_a_batch_that_can_not_be_shared_evenly_is_rounded_up(starter, tmp_path):
    """This run also gathers negatives in a lower precision."""
    flags = [*TINY, "--batch_size", 3, "--num_epochs", 1, "--output_dir", "runs"]
    first, second = texts_of_ranks(starter, tmp_path, *flags, "--gather_negatives", "--amp", "bf16")
    assert "--batch_size: 4, for 2 equal shares" in first
    assert second == ""
    assert pd.read_csv(only(tmp_path / "runs") / "epochs.csv")["chance"].tolist() == [1 / 4] * 4


def test_wrong_input_is_told(starter, tmp_path):
    """Wrong flags are told once. What each process finds by itself, each tells with its rank."""
    both, flags = [tmp_path, tmp_path], [*TINY, "--output_dir", "runs"]
    ranks = starter.run_ranks(both, *flags, "--dropout", 2)
    assert [rank.status for rank in ranks] == [2, 2]
    assert "--dropout 2: must be" in ranks[0].text
    assert ranks[1].text == ""
    ranks = starter.run_ranks(both, *flags, "--sync_bn")
    assert [rank.status for rank in ranks] == [2, 2]
    for rank, who in zip(ranks, ("run_model.py", "run_model.py, rank 1"), strict=True):
        assert f"{who}: --sync_bn: torch has it on GPUs only" in rank.text
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------ how they end

FLAGS = [*TINY, "--train_len", 16, "--num_epochs", 2, "--output_dir"]
HALT = ("signal_in", "training", 4, signal.SIGSTOP)  # in batch 2 of 4 of epoch 1


@pytest.fixture(scope="module")
def temporary() -> Iterator[str]:
    """A folder at a short path, for what launched runs keep for a while; nothing may stay there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield folder


@pytest.fixture
def launch(temporary, starter) -> Callable[..., Started]:
    return partial(launched_run, starter, temporary)


def launched_run(
    starter: Starter, temporary: str, folder: Path, *flags: object, program: Path = PROGRAM
) -> Started:
    """Start two processes as --gpu 0,1 does; narrow_run.py halts as above."""
    environment = {"FAULT": json.dumps(HALT), "TMPDIR": temporary}
    arguments = (str(program), list(map(str, flags)))
    return starter.call("narrow_run.launch", *arguments, folder=folder, environment=environment)


def halted(launched: Started) -> list[int]:
    """Wait until both ranks of a launched run have halted; return their numbers."""
    wait_until(lambda: [state(pid) for pid in children(launched.pid)] == ["T", "T"])
    return sorted(children(launched.pid), key=rank_of)


def rank_of(pid: int) -> int:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(int(v[5:]) for v in variables if v.startswith(b"RANK="))


@pytest.fixture(scope="module")
def stopped(starter, temporary, tmp_path_factory) -> Path:
    """The folder of a run of two processes that was stopped in epoch 1. Not to be changed."""
    output = tmp_path_factory.mktemp("stopped")
    launched = launched_run(starter, temporary, output, *FLAGS, "runs")
    ranks = halted(launched)
    os.kill(launched.pid, signal.SIGUSR1)
    for pid in ranks:
        wait_until(lambda pid=pid: is_pending(pid, signal.SIGUSR1))
    for pid in ranks:
        os.kill(pid, signal.SIGCONT)
    ended = starter.end(launched)
    assert ended.status == PREEMPTED, ended.text
    assert not os.listdir(temporary)
    assert ended.text.splitlines()[-1].startswith("run_model.py: stopped by SIGUSR1; to go on: ")
    assert ended.text.count("stopped by") == 1
    folder = only(output / "runs")
    assert (folder / "model/last.pth.tar").exists()
    return folder


def test_processes_stop_at_the_same_step_and_go_on_from_it(starter, stopped, tmp_path):
    texts_of_ranks(starter, tmp_path, *FLAGS, "whole")
    whole = only(tmp_path / "whole")
    folder = shutil.copytree(stopped, tmp_path / "parts")
    assert (
        "after epoch 0 of 2 and 2 of 4 batches"
        in texts_of_ranks(starter, tmp_path, "--resume", "parts")[0]
    )
    assert records(folder) == records(whole)
    last = "model/epoch2_unexp.pth.tar"
    assert same_weights(folder / last, whole / last)


def test_a_signal_to_one_process_stops_all(starter, tmp_path):
    ranks = starter.start_ranks([tmp_path, tmp_path], *FLAGS, "runs", fault=HALT)
    for rank in ranks:
        wait_until(lambda pid=rank.pid: state(pid) == "T")
    os.kill(ranks[1].pid, signal.SIGTERM)
    for rank in ranks:
        os.kill(rank.pid, signal.SIGCONT)
    first, second = (starter.end(rank) for rank in ranks)
    assert (first.status, second.status) == (PREEMPTED, PREEMPTED)
    assert first.text.splitlines()[-1].startswith("run_model.py: stopped by SIGTERM; to go on: ")
    assert second.text == ""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, PREEMPTED), (signal.SIGINT, 130)])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_waits_for_others_says_so_and_ends_at_a_signal(
    rank, number, status, starter, tmp_path
):
    environment = starter.of_ranks(2)[rank]
    started = starter.start(tmp_path, *FLAGS, "runs", environment=environment)
    started.wait_for("\n")
    place = f"127.0.0.1:{environment['MASTER_PORT']}"
    told = f"rank {rank}: waiting for 2 processes at {place}, as told by WORLD_SIZE\n"
    os.kill(started.pid, number)
    ended = starter.end(started)
    assert ended.status == status
    assert ended.text.startswith(told)
    assert "Traceback" not in ended.text
    assert not (tmp_path / "runs").exists()


def test_a_port_that_is_taken_is_told(starter, tmp_path):
    environment = starter.of_ranks(2)[0]
    with socket.socket() as other:
        other.bind(("0.0.0.0", int(environment["MASTER_PORT"])))
        other.listen()
        ended = starter.end(starter.start(tmp_path, *FLAGS, "runs", environment=environment))
    ends_in_one_line(ended, 1, "the 2 processes did not find each other", "MASTER_PORT")


def test_another_number_of_processes_goes_on_at_the_epoch(stopped, tmp_path, capsys):
    folder = shutil.copytree(stopped, tmp_path / "run")
    assert run("--resume", folder, "--num_epochs", 1) == 0
    text = capsys.readouterr().err
    assert "was saved by 2 processes, and now there are 1: its epoch starts anew" in text
    assert "the run had 2 processes and now has 1" in text
    epochs = pd.read_csv(folder / "epochs.csv")
    assert list(zip(epochs["epoch"], epochs["chance"], strict=True)) == [
        (0, 1 / 2), (0, 1 / 2), (1, 1 / 4), (1, 1 / 4)
    ]  # fmt: skip


def test_the_launcher_ends_all_processes_when_one_is_killed_and_names_it(
    launch, starter, temporary, tmp_path
):
    launched = launch(tmp_path, *FLAGS, "runs")
    ranks = halted(launched)
    os.kill(ranks[1], signal.SIGCONT)  # rank 1 waits for rank 0
    os.kill(ranks[0], signal.SIGKILL)
    ended = starter.end(launched)
    assert ended.status == 1, ended.text
    assert not os.listdir(temporary)
    told = f"run_model.py: rank 0 (process {ranks[0]}) was killed by SIGKILL, and the others were"
    assert ended.text.splitlines()[-1].startswith(told)
    wait_until(lambda: all(has_ended(pid) for pid in ranks))


@pytest.mark.parametrize("killed", [0, 1])
def test_the_launcher_names_the_process_that_was_killed(
    killed, launch, starter, temporary, tmp_path
):
    """The program does nothing here, so it starts sooner."""
    program = tmp_path / "wait.py"
    program.write_text("import os, signal; open(os.environ['RANK'], 'x'); signal.pause()")
    launched = launch(tmp_path, program=program)
    wait_until(lambda: all((tmp_path / str(rank)).exists() for rank in range(2)))
    ranks = sorted(children(launched.pid), key=rank_of)
    os.kill(ranks[killed], signal.SIGKILL)
    ended = starter.end(launched)
    assert ended.status == 1, ended.text
    assert not os.listdir(temporary)
    assert f"rank {killed} (process {ranks[killed]}) was killed by SIGKILL" in ended.text
    wait_until(lambda: all(has_ended(pid) for pid in ranks))


def test_without_a_launcher_the_others_name_the_one_that_is_gone(starter, tmp_path):
    """As under srun, which leaves the others alone unless told otherwise."""
    first, second = starter.start_ranks([tmp_path, tmp_path], *FLAGS, "runs", fault=HALT)
    wait_until(lambda: state(first.pid) == state(second.pid) == "T")
    os.kill(second.pid, signal.SIGKILL)
    os.kill(first.pid, signal.SIGCONT)
    assert starter.end(second).status == -signal.SIGKILL
    ended = starter.end(first)
    assert ended.status == 1
    assert "another process can't be reached: rank 1 has ended or hangs" in ended.text
    assert "Traceback" not in ended.text


# ------------------------------------------------------------------ what each of them sees


def weights_of_ranks(starter: Starter, place: Path, *flags: object) -> list[dict]:
    """Run each rank in a folder of its own in `place`; return the weights of both at the end."""
    folders = [place / "0", place / "1"]
    for ended in starter.run_ranks(folders, *flags, fault=("keep_weights", str(place / "rank"))):
        assert ended.status == 0, ended.text
    return [torch.load(place / f"rank{rank}") for rank in range(2)]


@pytest.mark.parametrize("second", ["another file", "no file"])
def test_ranks_that_see_other_pretrained_weights_take_rank_0s(
    second, starter, pretrained_run, tmp_path
):
    epochs = [pretrained_run / "model" / name for name in ("epoch1.pth.tar", "epoch0.pth.tar")]
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        if rank == 0 or second == "another file":
            shutil.copy(epochs[rank], tmp_path / str(rank) / "weights.pth.tar")
    flags = [*TINY, "--num_epochs", 0, "--pretrained", "weights.pth.tar", "--output_dir", "out"]
    made = weights_of_ranks(starter, tmp_path, *flags)
    assert equal_weights(*made)
    assert equal_weights(made[0], weights(epochs[0]))


@pytest.mark.parametrize("second", ["an older checkpoint", "no folder"])
def test_ranks_that_see_another_run_folder_take_rank_0s(second, starter, pretrained_run, tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        if rank == 0 or second == "an older checkpoint":
            shutil.copytree(pretrained_run, tmp_path / str(rank) / "run")
    for newer in (tmp_path / "1").glob("run/model/*epoch[23]*"):
        newer.unlink()
    made = weights_of_ranks(starter, tmp_path, "--resume", "run", "--num_epochs", 4)
    assert equal_weights(*made)
    assert pd.read_csv(tmp_path / "0/run/epochs.csv")["epoch"].max() == 4
    last = tmp_path / "0/run/model/epoch4_unexp.pth.tar"
    assert equal_weights(made[0], weights(last))
