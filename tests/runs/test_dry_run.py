"""--dry_run: what it tells is what the run then does, and it leaves everything as it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from forked import ROOT
from model.training.learner import Learner
from run_records import only
from small_runs import TINY, classifier_arguments, run, signal_in_call, video_flags
from video_data import prepare

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(autouse=True)
def nothing_temporary(tmp_path, monkeypatch):
    """Nothing is left in the folder of temporary files either."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert not list(folder.iterdir())


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "runs" / "output"


@pytest.fixture
def plan(capsys, output):
    """Return the rows of a plan by name; nothing on the disk may have changed."""

    def plan(*flags: object) -> dict[str, str]:
        before = snapshot(output.parent)
        capsys.readouterr()
        assert run(*flags, "--output_dir", output, "--dry_run") == 0
        assert snapshot(output.parent) == before
        *rows, last = capsys.readouterr().out.splitlines()
        assert last == "this is a plan (--dry_run): nothing was trained or written"
        return dict(re.match(r"(\S+) +(.*)", row).groups() for row in rows)

    return plan


def snapshot(folder: Path) -> list[tuple]:
    """Each file's path, content and time of change."""
    paths = sorted(folder.rglob("*"))
    return [
        (path, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in paths
    ]


def bytes_in(text: str) -> list[float]:
    scale = {"MB": 1e6, "GB": 1e9}
    found = re.findall(r"([\d,.]+) (MB|GB)", text)
    return [float(number.replace(",", "")) * scale[unit] for number, unit in found]


def refused(capsys, *flags: object) -> str:
    assert run(*flags, "--dry_run") == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err


def test_the_plan_is_what_the_run_does(plan, output):
    flags = [*TINY, "--num_epochs", 4, "--train_len", 11]
    told = plan(*flags)
    assert not output.parent.exists()
    assert run(*flags, "--output_dir", output) == 0
    folder = only(output)
    assert told["folder"] == f"{folder}, a new one"
    assert told["start"] == "random weights of seed 7"
    assert told["train"].startswith("11 clips in 2 batches of 4, so 2 steps; 3 clips")
    assert told["val"].startswith("5 clips in 1 batches of 4; 1 clips")
    assert told["epochs"] == "0 to 4; epoch 0 only measures; with unexpected images from epoch 2 on"
    files = {path.stat().st_ino: path.stat().st_size for path in (folder / "model").iterdir()}
    last = torch.load(folder / "model" / "epoch4_unexp.pth.tar", weights_only=True)
    assert last["iteration"] == 4 * 2
    size = (folder / "model" / "epoch4_unexp.pth.tar").stat().st_size
    one, least, most, _ = bytes_in(told["disk"])
    assert one == pytest.approx(size, rel=0.01, abs=5e4)  # it is told to 0.1 MB
    kept = sum(path.stat().st_size for path in (folder / "model").glob("epoch*"))
    assert least == pytest.approx(kept, rel=0.01, abs=5e4)
    assert least - 5e4 <= sum(files.values()) <= most + 5e4
    parameters = sum(
        value.numel() for name, value in last["state_dict"].items() if "cell_list" not in name
    )
    assert told["weights"] == f"all: {parameters:,} at rate 0.001"
    assert f"{parameters:,} parameters" in told["model"]


def test_the_bytes_of_a_checkpoint_are_those_of_the_file(tmp_path, output):
    from dataset.build import build_dataset
    from model.training.build import build_learner
    from model.training.disk import disk_of
    from small_runs import ON_CPU
    from utils.runs.folder import config_in

    flags = [*TINY, "--num_epochs", 5, "--U_prob", 0, "--output_dir", output]
    assert run(*flags) == 0
    folder = only(output)
    config = config_in(folder)
    samples = build_dataset(config, "train")
    learner = build_learner(config, len(samples.classes), False, ON_CPU)
    disk = disk_of(config, learner, samples, first=0, phases=1)
    sizes = [(folder / "model" / f"epoch{n}.pth.tar").stat().st_size for n in (0, 5)]
    assert [disk.first, disk.file] == pytest.approx(sizes, rel=0.01)
    assert disk.epochs == [0, 4, 5]
    assert disk.least == disk.first + 2 * disk.file
    assert disk.most == disk.first + 3 * disk.file


def test_the_name_of_a_second_run_and_what_is_replaced(plan, output):
    assert run(*TINY, "--num_epochs", 0, "--output_dir", output) == 0
    folder = only(output)
    assert plan(*TINY)["folder"] == f"{folder}_001, a new one"
    told = plan(*TINY, "--overwrite")["folder"]
    assert told == f"{folder}, replacing the run of that name"
    (folder.parent / f"{folder.name}_001").touch()
    assert plan(*TINY)["folder"] == f"{folder}_002, a new one"


def test_a_run_that_is_resumed_stays_as_it_is(plan, output, capsys):
    with signal_in_call(Learner, "update", 4):
        assert run(*TINY, "--num_epochs", 3, "--output_dir", output) == 75
    folder = only(output)
    for flags in (["--resume", folder], [*TINY, "--num_epochs", 5, "--resume", "auto"]):
        told = plan(*flags)
        assert told["folder"] == f"{folder}, which is there"
        last = 3 if flags[0] == "--resume" else 5
        assert told["epochs"].startswith(f"2 to {last}")
        path = folder / "model" / "last.pth.tar"
        assert told["start"] == f"resumes {path} after epoch 1 and 1 of 2 batches of the next"
    told = plan("--resume", folder / "model" / "epoch0.pth.tar")
    assert told["start"].endswith("epoch0.pth.tar after epoch 0")
    assert "removes what is past epoch 0: epoch1.pth.tar, last.pth.tar" in told["folder"]
    assert run("--resume", folder) == 0
    told = plan("--resume", folder)["epochs"]
    assert told == "none: the run has reached its 3; a larger --num_epochs trains on"
    other = plan(*TINY, "--num_epochs", 5, "--seed", 8, "--resume", "auto")
    assert "seed8" in other["folder"]


def test_a_run_that_another_process_runs_is_left_alone(plan, output, capsys):
    assert run(*TINY, "--num_epochs", 0, "--output_dir", output) == 0
    folder = only(output)
    code = (
        "import sys; from pathlib import Path; from utils.runs.locks import held\n"
        "with held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout.readline() == b"held\n"
        capsys.readouterr()
        assert "is being run by process" in refused(capsys, "--resume", folder)
        told = refused(capsys, *TINY, "--overwrite", "--output_dir", output)
        assert "is being run by process" in told
        assert plan(*TINY, "--resume", "auto")["folder"] == f"{folder}_001, a new one"
    finally:
        other.communicate()
    assert plan("--resume", folder)["folder"].startswith(str(folder))


def test_a_classifier_from_pretrained_weights(plan, pretrained_run):
    flags = classifier_arguments(pretrained_run, 20)
    told = plan(*flags, "--schedule", 5, 12, "--grad_accum", 2)
    assert re.fullmatch(
        r"backbone and aggregator: [\d,]+ at rate 0.0001; classifier: [\d,]+ at rate 0.001",
        told["weights"],
    )
    assert "missing, as initialised from seed 7: backbone statistics 60, final_bn" in told["start"]
    assert "loads backbone" in told["start"]
    assert "(0.001 from epoch 1, 0.0001 from epoch 6, 1e-05 from epoch 13)" in told["learning"]
    assert "so 1 steps of 2 batches" in told["train"]
    frozen = plan(*flags, "--train_what", "last", "--optim", "sgd", "--momentum", 0)
    assert re.fullmatch(r"classifier: [\d,]+ at rate 0.001; frozen: [\d,]+", frozen["weights"])
    assert "optimizer" not in frozen["memory"]  # plain SGD keeps nothing


def test_what_saves_memory_is_told(plan):
    assert "20 to 50 % more" in plan(*TINY)["memory"]
    told = plan(*TINY, "--low_memory", "--not_save_best", "--amp", "bf16")
    assert "0.7 GB" in told["memory"]
    assert "20 to 50 % more" not in told["memory"]
    assert told["val"] == "none (--not_save_best)"
    assert "best" not in told["disk"]
    assert told["learning"].endswith("bf16, losses in float32")


def test_a_seed_that_is_not_typed_is_not_drawn(plan, capsys):
    flags = [*TINY[:-2], "--log_level", "info"]
    assert plan(*flags)["start"] == "random weights of a seed that is drawn when the run starts"


def test_videos(plan, tmp_path):
    prepared = prepare(tmp_path)
    told = plan(*video_flags(prepared.csv_root), "--model", "lc-rnn", "--batch_size", 3)
    assert re.match(r"\d+ clips in \d+ batches of 3, so \d+ steps", told["train"])
    assert "GFLOP" in told["batch"]
    for path in prepared.root.rglob("*.jpg"):
        path.write_bytes(b"")
    told = plan(*video_flags(prepared.csv_root), "--model", "lc-rnn", "--batch_size", 3)
    assert told["batch"].startswith("not counted: the first clips can't be read: ")
    assert told["memory"] == "not counted"


@pytest.mark.parametrize("flag", ["test", "retrieve", "extract", "analysis"])
def test_it_is_for_training(flag, capsys, classifier_run):
    there = classifier_run if flag == "analysis" else "random"
    told = refused(capsys, f"--{flag}", there)
    assert f"--dry_run: is for training; leave it out with --{flag}" in told


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size", 100], "less than one batch"),
        (["--pretrained", "nowhere.pth.tar"], "--pretrained nowhere.pth.tar: "),
        (["--resume", "nowhere"], "--resume nowhere: "),
        (["--lr", -1], "--lr -1: must"),
        (["--gabor_design", "none"], "--gabor_design none: unknown"),
    ],
)
def test_errors_are_those_of_the_run(flags, message, output, capsys):
    flags = flags if flags[0] == "--resume" else [*TINY, *flags, "--output_dir", output]
    told = refused(capsys, *flags)
    assert message in told
    assert run(*flags) == 2
    assert capsys.readouterr().err == told


def test_an_output_folder_that_cannot_be_made_is_told(tmp_path, capsys):
    (tmp_path / "file").touch()
    flags = [*TINY, "--output_dir", tmp_path / "file" / "runs"]
    told = refused(capsys, *flags).splitlines()[-1]
    assert run(*flags) == 2
    assert capsys.readouterr().err.splitlines()[-1] == told


def test_only_run_folders_would_be_replaced(plan, output, capsys):
    folder = Path(plan(*TINY)["folder"].partition(",")[0])
    folder.mkdir(parents=True)
    assert plan(*TINY)["folder"] == f"{folder}, a new one"  # an empty one is taken
    flags = [*TINY, "--overwrite", "--output_dir", output]
    assert "is not a run folder; remove it by hand" in refused(capsys, *flags)


@pytest.mark.slow
def test_two_processes(starter, tmp_path):
    ranks = starter.run_ranks([tmp_path, tmp_path], *TINY, "--dry_run", "--output_dir", "runs")
    assert [rank.status for rank in ranks] == [0, 0]
    told, other = (rank.text for rank in ranks)
    assert "of 4, so 2 steps; each of 2 processes takes 2 of a batch" in told
    assert "for 2 clips of each process" in told
    assert "exchanged" in told
    assert not other
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_compiled_step_is_counted_as_it_stands(plan):
    if not any(os.access(Path(place) / "g++", os.X_OK) for place in os.get_exec_path()):
        pytest.skip("needs a compiler")
    one, compiled = plan(*TINY), plan(*TINY, "--compile")
    assert compiled["batch"] == f"{one['batch']}; counted as without --compile"
    assert compiled["memory"] == one["memory"]
