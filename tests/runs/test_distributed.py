"""Several processes on the CPU: what they compute together, what they record, and how they end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from conftest import ON_CPU, TINY, narrow, run
from dataset.loading import EpochBatches
from model.dpc import DPC_RNN, score
from model.losses import contrastive_loss
from model.training.guard import Guard
from model.training.learner import Learner
from model.training.loop import estimate_statistics
from model.training.meter import Meter
from model.training.optimizer import Group
from model.training.tasks import ContrastiveTask
from own_process import ENVIRONMENT, ROOT
from test_run import records, same_weights
from utils.config.checks import check_share
from utils.config.flags import Config
from utils.errors import PREEMPTED, UsageError
from utils.logs import Progress
from utils.runs.records import MEASURED
from utils.runtime.device import Runtime, pick_device
from utils.runtime.interrupts import Interrupts
from utils.runtime.launch import processes_to_launch
from utils.runtime.processes import Processes, found
from utils.samples import Batch
from video_data import prepare

NARROW = ["tests/narrow_run.py"]
LIMIT = 240  # seconds, for whatever a test waits for


def torchrun(*arguments: object, count: int = 2) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    return [*command, *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**ENVIRONMENT, **more}


def together(*arguments: object, count: int = 2) -> subprocess.CompletedProcess:
    return subprocess.run(
        torchrun(*arguments, count=count),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


# ------------------------------------------------------------------ what they compute


SIZE = {"img_dim": 64, "num_seq_in": 2, "seq_len": 5, "pred_step": 2}
CLIPS_EACH = 2


def clips_and_labels() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(5)
    B, N = 2 * CLIPS_EACH, SIZE["num_seq_in"] + SIZE["pred_step"]
    shape = (B, N, 3, SIZE["seq_len"], SIZE["img_dim"], SIZE["img_dim"])
    labels = torch.arange(B * N).view(B, N, 1, 1).expand(B, N, SIZE["seq_len"], 2)
    return torch.randn(shape), labels.contiguous()


def model() -> DPC_RNN:
    """The same weights everywhere; dropout off, since it is each process's own."""
    torch.manual_seed(0)
    with narrow():
        made = DPC_RNN("resnet18", **SIZE)
    made.agg.dropout.p = 0.0
    return made.double()


class OnFeatures(nn.Module):
    """Predictions and targets that follow from each clip alone, batch norm aside."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.weight = nn.Parameter(torch.randn(2, 3, 6, dtype=torch.float64))

    def predict(self, clips):
        means = clips.mean(dim=(3, 5)).unflatten(3, (4, 16)).mean(dim=4)  # [B, N, C, S]
        made = torch.einsum("bncs,pcf->bnpfs", means, self.weight)
        return made[:, 0], made[:, 1]  # [B, P, F, S]


class OnFloats(ContrastiveTask):
    """Takes clips that are normalised already."""

    def normalise(self, clip):
        return clip.double()


def learner_of(
    network: nn.Module, runtime: Runtime, gather: bool = False, accumulate: int = 1
) -> Learner:
    task = OnFloats(network, *([runtime.processes] if gather else []))
    parameters = list(network.parameters())
    groups = [Group("all", 1.0, parameters)]
    learner = Learner(task, groups, torch.optim.SGD(parameters, lr=1.0), runtime, accumulate)
    learner.distribute()
    learner.train()
    return learner


class CountedExchanges:
    """How often gradients were exchanged, as DDP's communication hook sees it."""

    def __init__(self, learner: Learner):
        self.count = 0
        if learner.distributed is not None:
            learner.distributed.register_comm_hook(None, self.exchange)

    def exchange(self, _, bucket):
        self.count += 1
        return allreduce_hook(None, bucket)


def accumulated(rank: int, runtime: Runtime) -> dict:
    """The weights after 5 batches with an update after every second one, and at the end."""
    clips, labels = clips_and_labels()
    own = slice(rank * CLIPS_EACH, (rank + 1) * CLIPS_EACH)
    learner = learner_of(OnFeatures(), runtime, accumulate=2)
    exchanges = CountedExchanges(learner)
    for number in range(5):
        batch = Batch(clips[own] + number / 10, labels[own], torch.arange(CLIPS_EACH))
        learner.backward(learner.forward(batch).loss)
        learner.update()
    learner.update(at_end=True)
    return {"weight": learner.model.weight.detach(), "exchanges": exchanges.count}


def estimated(rank: int, runtime: Runtime) -> int:
    """Of three batches, rank 1 can't read a clip of the second; negatives are gathered."""
    clips, labels = clips_and_labels()
    own = slice(rank * CLIPS_EACH, (rank + 1) * CLIPS_EACH)
    batch = Batch(clips[own], labels[own], torch.arange(CLIPS_EACH))
    empty = Batch(None, None, torch.zeros(0))
    network = OnFeatures()
    network.norm = nn.BatchNorm1d(2)  # has no running statistics yet
    learner = learner_of(network, runtime, gather=True)
    meter = Meter(runtime, Progress("statistics", 3, 1))
    guard = Guard(learner, Interrupts(), remedy="")
    return estimate_statistics(learner, [batch, empty if rank == 1 else batch, batch], meter, guard)


def part(rank: int, runtime: Runtime, gather: bool) -> dict:
    """One process's share of the work of the tests below."""
    clips, labels = clips_and_labels()
    own = slice(rank * CLIPS_EACH, (rank + 1) * CLIPS_EACH)
    batch = Batch(clips[own], labels[own], torch.arange(CLIPS_EACH))
    learner = learner_of(OnFeatures() if gather else model(), runtime, gather)
    output = learner.forward(batch)
    learner.backward(output.loss)
    parameters = list(learner.model.parameters())
    return {
        "loss": output.loss.detach(),
        "gradients": [parameter.grad for parameter in parameters],
        "predicted": output.predictions.predicted,
        "columns": output.columns,
    }


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> dict:
    """What two processes computed: by whether negatives are gathered, and rank."""
    folder = tmp_path_factory.mktemp("parts")
    code = (
        "import sys, torch; sys.path[:0] = ['tests', 'tests/runs']\n"
        "from test_distributed import accumulated, estimated, part\n"
        "from utils.runtime.device import Runtime\n"
        "from utils.runtime.processes import found, joined\n"
        "processes = found()\n"
        "with joined(processes):\n"
        "    runtime = Runtime(torch.device('cpu'), processes)\n"
        "    made = {gather: part(processes.rank, runtime, gather) for gather in (False, True)}\n"
        "    made['accumulated'] = accumulated(processes.rank, runtime)\n"
        "    made['estimated'] = estimated(processes.rank, runtime)\n"
        f"torch.save(made, f'{folder}/{{processes.rank}}')\n"
    )
    script = folder / "part.py"
    script.write_text(code)
    done = together(script)
    assert done.returncode == 0, done.stderr
    ranks = [torch.load(folder / str(rank)) for rank in range(2)]
    return {key: [made[key] for made in ranks] for key in ranks[0]}


def test_gradients_are_the_average_of_the_halves_computed_in_one_process(parts):
    halves = [part(rank, ON_CPU, gather=False) for rank in range(2)]
    for rank in range(2):
        made = parts[False][rank]
        assert made["loss"].item() == pytest.approx(halves[rank]["loss"].item(), rel=1e-12)
        assert torch.equal(made["predicted"], halves[rank]["predicted"])
        columns = CLIPS_EACH * SIZE["pred_step"] * 4
        assert made["columns"] == columns
        for got, one, other in zip(
            made["gradients"], *(half["gradients"] for half in halves), strict=True
        ):
            assert torch.allclose(got, (one + other) / 2, rtol=1e-9, atol=1e-12)


def test_gathered_negatives_give_loss_and_gradients_of_the_whole_batch(parts):
    clips, labels = clips_and_labels()
    network = OnFeatures()
    predicted, targets = network.predict(clips.double())
    loss = contrastive_loss(score(predicted, targets)).mean()
    loss.backward()
    made = parts[True]
    assert torch.stack([half["loss"] for half in made]).mean().item() == pytest.approx(
        loss.item(), rel=1e-12
    )
    whole = ContrastiveTask(network).output(clips.double(), labels, None)
    assert torch.equal(torch.cat([half["predicted"] for half in made]), whole.predictions.predicted)
    for half in made:
        assert half["columns"] == whole.columns
        assert torch.allclose(half["gradients"][0], network.weight.grad, rtol=1e-9, atol=1e-12)


def test_accumulated_gradients_are_exchanged_once_for_each_update(parts):
    """The batches that are left at the end are averaged without DDP."""
    alone = [accumulated(rank, ON_CPU)["weight"] for rank in range(2)]
    for made in parts["accumulated"]:
        assert made["exchanges"] == 2
        # one weight matrix, and plain SGD: the mean of the updates is the update of the mean
        assert torch.allclose(made["weight"], parts["accumulated"][0]["weight"], rtol=0, atol=0)
        assert not torch.allclose(made["weight"], alone[0])


def test_a_rank_without_a_clip_keeps_no_other_waiting(parts):
    assert parts["estimated"] == [2, 2]


# ------------------------------------------------------------------ what they are given


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(("length", "batch_size", "fewest", "even"), [
    (50, 12, 12, True), (50, 12, 1, False), (50, 12, 8, True), (5, 1, 1, False), (13, 12, 1, False),
])  # fmt: skip
def test_processes_share_the_batches_of_one(count, length, batch_size, fewest, even):
    def batches(processes: Processes) -> EpochBatches:
        made = EpochBatches(
            length,
            batch_size,
            seed=3,
            mode="train",
            shuffle=True,
            fewest=fewest,
            even=even,
            processes=processes,
        )
        made.epoch = 2
        return made

    whole = dict(enumerate(batches(Processes())))
    shares = [batches(Processes(rank, count, rank)) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    joined: dict[int, list] = {}
    for share in shares:
        for number, items in zip(share.numbers(), share, strict=True):
            joined.setdefault(number, []).extend(items)
    joined = {number: items for number, items in joined.items() if items}
    for number, items in whole.items():
        kept = len(items) - (len(items) % count if even else 0)
        assert joined.pop(number) == items[:kept]
    assert not joined


def test_batches_that_are_done_are_left_out():
    batches = EpochBatches(50, 10, seed=3, mode="train", shuffle=True, fewest=10)
    whole = list(batches)
    batches.done = 3
    assert list(batches) == whole[3:]
    assert batches.numbers() == [3, 4]
    assert len(batches) == 5


def test_who_starts_the_processes_says_which_this_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert found() == Processes()
    monkeypatch.setenv("SLURM_PROCID", "5")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "8")  # in a batch script, without srun
    assert found() == Processes()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    assert found() == Processes(5, 8, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert found() == Processes(2, 4, 0)


def test_each_process_gets_a_gpu_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert pick_device("", False).index == 0
    assert pick_device("2", False).index == 2
    assert [pick_device("", False, Processes(r, 8, r % 4)).index for r in (0, 3, 7)] == [0, 3, 3]
    assert [pick_device("1,3", False, Processes(r, 2, r)).index for r in range(2)] == [1, 3]
    with pytest.raises(UsageError, match="more processes than GPUs"):
        pick_device("1,3", False, Processes(2, 3, 2))
    with pytest.raises(UsageError, match="there are 4"):
        pick_device("4", False)
    assert processes_to_launch({"gpu": "0,1"}) == 2
    assert processes_to_launch({"gpu": "0,1", "cpu_only": True}) == 1
    assert processes_to_launch({}) == processes_to_launch({"gpu": "2"}) == 1
    kept = {"typed": {}, "resolved": {"gpu": "1,2,3"}, "starts": []}
    (tmp_path / "config.json").write_text(json.dumps(kept))  # of a run to resume
    assert processes_to_launch({"resume": str(tmp_path)}) == 3
    assert processes_to_launch({"resume": str(tmp_path / "model/last.pth.tar")}) == 3
    assert processes_to_launch({"resume": str(tmp_path), "gpu": "0"}) == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # srun --gpus-per-task=1
    assert pick_device("", False, Processes(3, 4, 3)).index == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert processes_to_launch({"gpu": "0,1"}) == 1


# ------------------------------------------------------------------ what they record


def run_alone(*arguments: object) -> None:
    with narrow():
        assert run(*arguments) == 0


def only(folder: Path) -> Path:
    (found_folder,) = folder.iterdir()
    return found_folder


def test_dpc_rnn_sees_the_same_clips_and_records_a_row_each(tmp_path, pretrained_run):
    flags = [*TINY, "--num_epochs", 1, "--output_dir"]
    done = together(*NARROW, *flags, tmp_path / "two")
    assert done.returncode == 0, done.stderr
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
    assert done.stderr.count("run folder: ") == 1  # one of them speaks
    assert "Traceback" not in done.stderr


def test_lc_rnn_counts_every_item_once_whatever_the_number_of_processes(tmp_path):
    prepared = prepare(tmp_path, lengths=(24, 30, 27), test_lengths=(26, 41, 26))  # 9 to validate
    flags = ["--model", "lc-rnn", "--dataset", "ucf101", "--data_path_dir", prepared.csv_root]
    flags += ["--img_dim", 32, "--seq_len", 2, "--num_seq_in", 3, "--ucf_hmdb_ms_ds", 2]
    flags += ["--no_augm", "--num_workers", 0, "--seed", 1, "--batch_size", 4, "--num_epochs", 0]
    run_alone(*flags, "--output_dir", tmp_path / "first")
    weights = only(tmp_path / "first") / "model/epoch0.pth.tar"
    # with its running statistics, so that none are estimated on different clips
    run_alone(*flags, "--pretrained", weights, "--output_dir", tmp_path / "one")
    run_alone("--test", weights)
    done = [
        together(*NARROW, *flags, "--pretrained", weights, "--output_dir", tmp_path / "two"),
        together(*NARROW, "--test", weights),
    ]
    assert [process.returncode for process in done] == [0, 0], done
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


def test_a_batch_that_can_not_be_shared_evenly_is_rounded_up(tmp_path):
    """And negatives are gathered in less precision, too."""
    flags = [*TINY, "--batch_size", 3, "--num_epochs", 1, "--output_dir", tmp_path]
    done = together(*NARROW, *flags, "--gather_negatives", "--amp", "bf16")
    assert done.returncode == 0, done.stderr
    assert "--batch_size: 4, for 2 equal shares" in done.stderr
    assert pd.read_csv(only(tmp_path) / "epochs.csv")["chance"].tolist() == [1 / 4] * 4


def test_a_share_has_to_hold_enough_clips():
    with pytest.raises(UsageError, match=r"at least 2 \(batch norm\); it is shared by 4"):
        check_share(Config(model="lc-rnn", batch_size=4), 4)
    check_share(Config(model="lc-rnn", batch_size=8), 4)
    with pytest.raises(UsageError, match="nothing to contrast with; it is shared by 2"):
        check_share(Config(img_dim=32, pred_step=1, batch_size=2), 2)


def test_wrong_input_is_told_once(tmp_path):
    flags = [*TINY, "--output_dir", tmp_path]
    done = together(*NARROW, *flags, "--dropout", 2)
    assert done.returncode != 0
    assert done.stderr.count("--dropout 2: must be") == 1
    done = together(*NARROW, *flags, "--sync_bn")
    assert "--sync_bn: torch has it on GPUs only" in done.stderr
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ how they end


def started(command: list[str], until: str) -> tuple[subprocess.Popen, list[str]]:
    """The command, once it has written such a line."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if until in line:
            return process, lines
    raise AssertionError("".join(lines))


def ended(process: subprocess.Popen, lines: list[str]) -> str:
    lines.extend(process.stderr)
    process.wait(LIMIT)
    process.stderr.close()
    return "".join(lines)


def children(process: subprocess.Popen) -> dict[int, int]:
    """The processes of a distributed run, by rank."""
    found_children = {}
    tree = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in map(int, tree):
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        rank = next(int(v[5:]) for v in variables if v.startswith(b"RANK="))
        found_children[rank] = pid
    return found_children


def launched(*arguments: object) -> list[str]:
    """As --gpu 0,1 starts them."""
    code = (
        "import sys; from pathlib import Path; from utils.runtime.launch import launch\n"
        "from utils.errors import RunError\n"
        "try: sys.exit(launch(Path('tests/narrow_run.py'), sys.argv[1:], 2))\n"
        "except RunError as error: sys.exit(f'run_model.py: {error}')"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


LONG = [*TINY, "--train_len", 80, "--num_epochs", 2, "--log_freq", 1, "--output_dir"]
WITHIN = "epoch 1/2 train 3/20"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The folder of a run of two processes that was stopped in epoch 1. Not to be changed."""
    output = tmp_path_factory.mktemp("stopped")
    process, lines = started(launched(*LONG, output), WITHIN)
    process.send_signal(signal.SIGUSR1)
    text = ended(process, lines)
    assert process.returncode == PREEMPTED, text
    assert text.splitlines()[-1].startswith("run_model.py: stopped by SIGUSR1; to go on: ")
    assert text.count("stopped by") == 1
    folder = only(output)
    assert (folder / "model/last.pth.tar").exists()
    return folder


def resumed(folder: Path, command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_processes_stop_at_the_same_step_and_go_on_from_it(stopped, tmp_path):
    done = together(*NARROW, *LONG, tmp_path)
    assert done.returncode == 0, done.stderr
    whole = only(tmp_path)
    folder = shutil.copytree(stopped, tmp_path / "parts")
    assert " of 20 batches" in resumed(folder, launched("--resume", folder))
    assert records(folder) == records(whole)
    last = "model/epoch2_unexp.pth.tar"
    assert same_weights(folder / last, whole / last)


def test_another_number_of_processes_goes_on_at_the_epoch(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    command = [sys.executable, *NARROW, "--resume", str(folder), "--num_epochs", "1"]
    text = resumed(folder, command)
    assert "was saved by 2 processes, and now there are 1: its epoch starts anew" in text
    assert "the run had 2 processes and now has 1" in text
    epochs = pd.read_csv(folder / "epochs.csv")
    assert list(zip(epochs["epoch"], epochs["chance"], strict=True)) == [
        (0, 1 / 2), (0, 1 / 2), (1, 1 / 4), (1, 1 / 4)
    ]  # fmt: skip


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_all_and_is_named(tmp_path, killed):
    process, lines = started(launched(*LONG, tmp_path), WITHIN)
    processes = children(process)
    os.kill(processes[killed], signal.SIGKILL)
    text = ended(process, lines)
    assert process.returncode == 1, text
    assert f"rank {killed} (process {processes[killed]}) was killed by SIGKILL" in text
    end = time.monotonic() + LIMIT
    while any(Path(f"/proc/{pid}").exists() for pid in processes.values()):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_without_a_launcher_the_others_name_the_one_that_is_gone(tmp_path):
    """As under srun, which leaves the others alone unless told otherwise."""
    started_ones = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for rank in range(2):
        variables = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, *NARROW, *map(str, LONG), str(tmp_path)]
        started_ones.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(**variables),
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    first, second = started_ones
    for line in first.stderr:
        if WITHIN in line:
            break
    second.kill()
    text = ended(first, [])
    assert first.returncode == 1
    assert "another process can't be reached: rank 1 has ended or hangs" in text
    assert "Traceback" not in text
    second.wait()
    second.stderr.close()


# ------------------------------------------------------------------ what each of them sees


def in_folders_of_their_own(base: Path, *flags: object) -> list[dict[str, torch.Tensor]]:
    """The weights of both ranks at the end of a run, in which paths lead each elsewhere."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "sys.path.insert(0, 'tests')\n"
        "import torch, run_model; from conftest import narrow\n"
        "from model.training.run import TrainingRun\n"
        f"base, rank, run = Path({str(base)!r}), os.environ['RANK'], TrainingRun.run\n"
        "os.chdir(base / rank)\n"
        "def keep(training):\n"
        "    state = run(training)\n"
        "    torch.save(training.learner.model.state_dict(), base / f'weights{rank}')\n"
        "    return state\n"
        "TrainingRun.run = keep\n"
        "with narrow(): sys.exit(run_model.main(sys.argv[1:]))\n"
    )
    script = base / "elsewhere.py"
    script.write_text(code)
    done = together(script, *flags)
    assert done.returncode == 0, done.stderr
    return [torch.load(base / f"weights{rank}") for rank in range(2)]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("second", ["another file", "no file"])
def test_ranks_that_see_other_pretrained_weights_take_rank_0s(second, pretrained_run, tmp_path):
    epochs = [pretrained_run / "model" / name for name in ("epoch1.pth.tar", "epoch0.pth.tar")]
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        if rank == 0 or second == "another file":
            shutil.copy(epochs[rank], tmp_path / str(rank) / "weights.pth.tar")
    flags = [*TINY, "--num_epochs", 0, "--pretrained", "weights.pth.tar", "--output_dir", "out"]
    made = in_folders_of_their_own(tmp_path, *flags)
    assert equal(*made)
    assert equal(made[0], torch.load(epochs[0], weights_only=True)["state_dict"])


@pytest.mark.parametrize("second", ["an older checkpoint", "no folder"])
def test_ranks_that_see_another_run_folder_take_rank_0s(second, pretrained_run, tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        if rank == 0 or second == "an older checkpoint":
            shutil.copytree(pretrained_run, tmp_path / str(rank) / "run")
    for newer in (tmp_path / "1").glob("run/model/*epoch[23]*"):
        newer.unlink()
    made = in_folders_of_their_own(tmp_path, "--resume", "run", "--num_epochs", 4)
    assert equal(*made)
    rows = pd.read_csv(tmp_path / "0/run/epochs.csv")
    assert rows["epoch"].max() == 4
    last = tmp_path / "0/run/model/epoch4_unexp.pth.tar"
    assert equal(made[0], torch.load(last, weights_only=True)["state_dict"])
