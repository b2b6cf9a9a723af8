"""The batch scripts without a cluster: what they run, and how its exit status ends the job.

Stand-ins for Python and for Slurm's commands record their arguments. tests/tools/slurm runs the
same scripts on a real Slurm.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from pack_frames import main as pack_frames
from utils.config.command_line import parse

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).parent / "slurm" / "stand_in.py"
GABORS = "slurm/run_dpc_gabors.sh"
VIDEOS = "slurm/run_dpc.sh"
PATIENCE = 600  # seconds after which a script hangs; tests that pass come nowhere near it

COMMANDS = {
    "python": f"""exec {sys.executable} {STAND_IN} "$@" """,
    "srun": """echo "srun $*" >> "$CALLS"
        while [[ $1 == --* ]]; do shift; done
        SLURM_STEP_NUM_TASKS=1 exec "$@" """,
    "scontrol": """echo "scontrol $*" >> "$CALLS"; [[ $1 == requeue ]] || printf 'n1\\nn2\\n'""",
    "squeue": """echo "squeue $*" >> "$CALLS"; echo "$STATE" """,
}


class Done(NamedTuple):
    """How a script has ended.

    `runs` holds the arguments of each start of run_model.py, `rows` all that stand_in.py recorded
    of it, and `calls` the calls of Slurm's commands.
    """

    status: int
    errors: str
    runs: list[list[str]]
    calls: list[str]
    rows: list[dict]

    @property
    def requeued(self) -> list[str]:
        """Return the ids of the jobs that the script has requeued."""
        return [call.split()[-1] for call in self.calls if call.startswith("scontrol requeue")]


class Site:
    """A folder with stand-ins and weights. Scripts run in the repository, outside of any job."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.started: list[subprocess.Popen] = []
        for name, body in COMMANDS.items():
            self.command(name, body)
        weights = {name: folder / f"{name}.pth.tar" for name in ("k400", "mousesim")}
        for path in weights.values():
            path.touch()
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
        self.environment = outside | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHON": "python",
            "OUTPUT_DIR": "OUT",
            "K400_WEIGHTS": str(weights["k400"]),
            "MOUSESIM_WEIGHTS": str(weights["mousesim"]),
            "RECORDS": str(folder / "records"),
            "CALLS": str(folder / "calls"),
            "STATE": "RUNNING None",
        }

    def command(self, name: str, body: str) -> None:
        """Make the stand-in for a command, in bash."""
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)

    def start(self, script: str, *flags: str, cwd: Path = ROOT, **variables) -> subprocess.Popen:
        for name in ("records", "calls"):
            (self.folder / name).unlink(missing_ok=True)
        process = subprocess.Popen(
            ["bash", ROOT / script, *flags],
            cwd=cwd,
            env=self.environment | {name: str(value) for name, value in variables.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def until_started(self, process: subprocess.Popen) -> None:
        """Wait until the script's run, or the stand-in for srun, has recorded its start."""
        end = time.monotonic() + PATIENCE
        while not self.noted("records"):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)

    def clear(self) -> None:
        """End the processes that a failed test has left."""
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def noted(self, name: str) -> list[str]:
        """Return the lines of the file `records` or `calls`."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def finish(self, process: subprocess.Popen) -> Done:
        errors = process.communicate(timeout=PATIENCE)[1]
        rows = [json.loads(row) for row in self.noted("records")]
        runs = [row["arguments"] for row in rows]
        return Done(process.returncode, errors, runs, self.noted("calls"), rows)

    def run(self, script: str, *flags: str, cwd: Path = ROOT, **variables) -> Done:
        return self.finish(self.start(script, *flags, cwd=cwd, **variables))


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.clear()


def in_job(**variables) -> dict:
    """Return the variables of an array's last task, which has the array's id."""
    return {
        "SLURM_JOB_ID": 41234,
        "SLURM_ARRAY_JOB_ID": 41234,
        "SLURM_ARRAY_TASK_ID": 0,
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": 2,
        "SLURM_CPUS_PER_TASK": 4,
        "SLURM_SUBMIT_DIR": ROOT,
    } | variables


# ------------------------------------------------------------------ the tables of tasks

START = ["run_model.py", "--output_dir", "OUT", "--resume", "auto"]
PUBLISHED = (
    "--model dpc-rnn --dataset gabors --net resnet18 --img_dim 128 --no_augm --batch_size 32 "
    "--gab_img_len 5 --seq_len 5 --pred_step 1 --U_prob 0.08 --diff_U_possizes "
)
PLAIN = "--num_seq_in 3 --train_len 1024 "
ROLL = "--num_seq_in 4 --train_len 4096 --roll --suffix roll "
GABOR_TASKS = {
    0: PLAIN + "--unexp_epoch 12 --num_epochs 16",
    1: PLAIN + "--pretrained K400 --unexp_epoch 6 --num_epochs 10",
    2: PLAIN + "--pretrained MOUSESIM --unexp_epoch 6 --num_epochs 10",
    3: ROLL + "--unexp_epoch 12 --num_epochs 16",
    4: ROLL + "--pretrained K400 --unexp_epoch 6 --num_epochs 10",
    5: ROLL + "--pretrained MOUSESIM --unexp_epoch 6 --num_epochs 10",
}
SHAPE = "--net resnet18 --img_dim 128 --num_seq_in 5 "
FINETUNE = "--model lc-rnn --train_what ft --log_test_cmd --pretrained K400 "
USUAL = "--batch_size 64 --num_epochs 100 "
MOUSE = "--batch_size 28 --num_epochs 1000 --lr 1e-4 "
END = "--seed 100 --data_path_dir process_data/data"
VIDEO_TASKS = {
    0: "--dataset Kinetics400 " + SHAPE + "--model dpc-rnn " + USUAL + END,
    1: "--dataset UCF101 " + SHAPE + "--model dpc-rnn " + USUAL + END,
    2: "--dataset HMDB51 " + SHAPE + "--model dpc-rnn " + USUAL + END,
    3: "--dataset MouseSim " + SHAPE + "--model dpc-rnn " + MOUSE + END,
    4: "--dataset UCF101 " + SHAPE + FINETUNE + USUAL + END,
    5: "--dataset HMDB51 " + SHAPE + FINETUNE + USUAL + END,
    6: "--dataset MouseSim " + SHAPE + FINETUNE + MOUSE + END,
}


def words(site: Site, flags: str) -> list[str]:
    weights = {name: site.environment[f"{name}_WEIGHTS"] for name in ("K400", "MOUSESIM")}
    return [weights.get(word, word) for word in flags.split()]


@pytest.mark.parametrize("task", GABOR_TASKS)
def test_gabor_tasks_are_the_published_experiments_with_four_seeds(site, task):
    done = site.run(GABORS, SLURM_ARRAY_TASK_ID=task)
    flags = START + words(site, PUBLISHED + GABOR_TASKS[task])
    assert done.runs == [[*flags, "--seed", str(seed)] for seed in (100, 101, 102, 103)]
    assert done.status == 0
    assert parse(done.runs[0][1:])["num_epochs"] in (10, 16)  # the program knows all of the flags


@pytest.mark.parametrize("task", VIDEO_TASKS)
def test_video_tasks(site, task):
    done = site.run(VIDEOS, SLURM_ARRAY_TASK_ID=task)
    assert done.runs == [START + words(site, VIDEO_TASKS[task])]
    assert done.status == 0
    assert parse(done.runs[0][1:])["seed"] == 100


def test_typed_flags_come_last_and_seeds_are_counted(site):
    done = site.run(GABORS, "--num_epochs", "2", "--cpu_only", SEED=7, NUM_SEEDS=2)
    seeds = [run[run.index("--seed") + 1 :] for run in done.runs]
    assert seeds == [["7", "--num_epochs", "2", "--cpu_only"], ["8", *seeds[0][1:]]]
    assert parse(done.runs[0][1:])["num_epochs"] == 2


def test_frames_are_copied_to_the_node_first(site, tmp_path):
    (tmp_path / "data/UCF101/frames_tar").mkdir(parents=True)
    (tmp_path / "data/UCF101/frames_tar/run.tar").write_bytes(b"frames")
    folders = {"FRAMES_DIR": tmp_path / "data", "TEMP_DATA_DIR": tmp_path / "node"}
    done = site.run(VIDEOS, **in_job(SLURM_ARRAY_TASK_ID=1, **folders))
    assert (tmp_path / "node/UCF101/frames_tar/run.tar").read_bytes() == b"frames"
    assert parse(done.runs[0][1:])["temp_data_dir"] == str(tmp_path / "node")
    copy, train = (call for call in done.calls if call.startswith("srun"))
    assert "--ntasks=2 --ntasks-per-node=1" in copy  # once on each of two nodes
    assert "--ntasks" not in train
    refused = site.run(VIDEOS, FRAMES_DIR=tmp_path)
    assert (refused.status, refused.runs) == (2, [])
    assert "set TEMP_DATA_DIR too" in refused.errors


@pytest.mark.parametrize(
    ("script", "variables", "said"),
    [
        (GABORS, {"SLURM_ARRAY_TASK_ID": 6}, "run_dpc_gabors.sh: there is no task 6; take 0 to 5"),
        (VIDEOS, {"SLURM_ARRAY_TASK_ID": 7}, "run_dpc.sh: there is no task 7; take 0 to 6"),
        (
            VIDEOS,
            {"SLURM_ARRAY_TASK_ID": 4, "K400_WEIGHTS": "none"},
            "run_dpc.sh: none: no such file of weights; set K400_WEIGHTS",
        ),
        (VIDEOS, {"SETUP": "false"}, "run_dpc.sh: SETUP failed: false"),
        (GABORS, {"REPO": "/"}, "run_dpc_gabors.sh: / has no run_model.py; submit from the "),
        (VIDEOS, {"SLURM_SUBMIT_DIR": "/"}, "run_dpc.sh: / has no run_model.py; submit from the "),
    ],
)
def test_wrong_input_gets_a_line_and_status_2(site, script, variables, said):
    done = site.run(script, **variables)
    assert (done.status, done.runs) == (2, [])
    assert done.errors.startswith(said)
    assert done.errors.count("\n") == 1


def test_they_run_from_any_folder_after_what_the_site_sets_up(site, tmp_path):
    (tmp_path / "activate").write_text(f"export PATH={tmp_path}/own:$PATH\n: $NOT_SET\nfalse\n:\n")
    done = site.run(VIDEOS, cwd=tmp_path, SETUP=f". {tmp_path}/activate", PYTHON="our_python")
    assert done.status == 127  # as that interpreter is nowhere
    site.command("our_python", COMMANDS["python"])
    done = site.run(VIDEOS, cwd=tmp_path, SETUP=f". {tmp_path}/activate", PYTHON="our_python")
    assert (done.status, len(done.runs)) == (0, 1)


def test_what_they_ask_slurm_for_holds_on_any_site():
    portable = {"job-name", "array", "nodes", "ntasks-per-node", "gres", "cpus-per-task", "time"}
    portable |= {"signal", "requeue", "open-mode", "output"}
    asked = {}
    for script in (GABORS, VIDEOS):
        rows = re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", (ROOT / script).read_text(), re.M)
        asked[script] = dict(rows)
        assert asked[script].keys() == portable
        assert asked[script]["signal"] == "B:USR1@120"
        assert "/" not in asked[script]["output"]
    assert asked[GABORS]["array"] == f"0-{len(GABOR_TASKS) - 1}"
    assert asked[VIDEOS]["array"] == f"0-{len(VIDEO_TASKS) - 1}"


# ------------------------------------------------------------------ in a job


def test_a_job_starts_its_runs_as_steps_that_find_each_other(site):
    done = site.run(GABORS, NUM_SEEDS=1, **in_job())
    assert done.status == 0
    (row,) = done.rows
    assert row["MASTER_ADDR"] == "n1"
    assert row["MASTER_PORT"] == str(12000 + 41234 % 20000)
    assert row["SLURM_STEP_NUM_TASKS"] == "1"
    assert row["arguments"][5:7] == ["--num_workers", "3"]  # the fourth CPU is for the training
    (step,) = (call for call in done.calls if call.startswith("srun"))
    assert step.startswith(
        "srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task=4 python run_model.py"
    )
    assert done.requeued == []


@pytest.mark.parametrize("status", [75, 138, 143])
def test_a_stopped_job_is_requeued_by_the_id_of_its_task_alone(site, status):
    done = site.run(GABORS, **in_job(STAND_IN=status))
    assert (done.status, done.requeued) == (status, ["41234_0"])
    assert len(done.runs) == 1  # no other seed was started
    job = in_job(STAND_IN=status, SLURM_ARRAY_JOB_ID="")
    assert site.run(GABORS, **job).requeued == ["41234"]


@pytest.mark.parametrize("status", [1, 2, 137, 139])
def test_a_failed_job_is_not(site, status):
    done = site.run(GABORS, **in_job(STAND_IN=status))
    assert (done.status, done.requeued, len(done.runs)) == (status, [], 1)


@pytest.mark.parametrize(
    ("state", "requeues"),
    [
        ("RUNNING None", True),
        ("COMPLETING TimeLimit", True),
        ("COMPLETING None", False),  # cancelled, or preempted without a grace time
        ("PENDING BeginTime", False),
        ("", False),
    ],
)
def test_only_a_running_or_timed_out_job_is_requeued(site, state, requeues):
    done = site.run(GABORS, **in_job(STAND_IN=75, STATE=state))
    assert done.status == 75
    assert bool(done.requeued) == requeues


def test_a_controller_that_does_not_answer_is_asked_again(site, tmp_path):
    site.command("sleep", 'echo "sleep $*" >> "$CALLS"')
    site.command(
        "squeue", f"if mkdir {tmp_path}/asked 2>/dev/null; then exit 1; else echo RUNNING; fi"
    )
    done = site.run(GABORS, **in_job(STAND_IN=75))
    assert done.requeued == ["41234_0"]
    assert "sleep 5" in done.calls


def test_requeueing_comes_to_an_end(site):
    job = in_job(STAND_IN=75, MAX_REQUEUES=3)
    assert site.run(GABORS, **job, SLURM_RESTART_COUNT=2).requeued == ["41234_0"]
    last = site.run(GABORS, **job, SLURM_RESTART_COUNT=3)
    assert (last.status, last.requeued) == (75, [])
    assert "was requeued 3 times" in last.errors


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_to_the_script_reaches_the_run(site, number):
    process = site.start(GABORS, **in_job(STAND_IN="wait"))
    site.until_started(process)
    process.send_signal(number)
    done = site.finish(process)
    assert (done.status, done.requeued, len(done.runs)) == (75, ["41234_0"], 1)


def test_a_run_that_srun_kills_with_its_job_is_requeued(site):
    site.command("srun", "trap 'exit 137' USR1; echo started >> $RECORDS; while :; do :; done")
    process = site.start(GABORS, **in_job())
    site.until_started(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 137
    assert "scontrol requeue 41234_0" in (site.folder / "calls").read_text()


def test_a_signal_that_a_starting_srun_loses_is_sent_again(site, tmp_path):
    # The script waits with `sleep`; it goes on here when srun has had the signal.
    site.command("sleep", f"until [[ -e {tmp_path}/got ]]; do read -rt 0.05 <> <(:) || true; done")
    first = f"[[ -e {tmp_path}/got ]] || {{ touch {tmp_path}/got; return; }}"
    srun = f"got() {{ {first}; exit 75; }}; trap got USR1; echo started >> $RECORDS"
    site.command("srun", f"{srun}; while :; do :; done")
    process = site.start(GABORS, **in_job())
    site.until_started(process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(PATIENCE) == 75


@pytest.mark.parametrize(
    ("status", "said"), [(75, "the same command resumes the run"), (1, ""), (2, "")]
)
def test_without_slurm_the_status_is_handed_on(site, status, said):
    done = site.run(GABORS, STAND_IN=status)
    assert (done.status, len(done.runs), done.calls) == (status, 1, [])
    assert said in done.errors


# ------------------------------------------------------------------ copying frames

COPY = "slurm/copy_frame_tars.sh"


def write(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in files.items():
        (folder / f"image_0000{number[1:]}.jpg").write_bytes(content)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.name != ".copy_lock"}


@pytest.fixture
def data(tmp_path) -> Path:
    """Make frames of UCF101. Class `run` is packed, but not `jump it`; all frames are kept."""
    root = tmp_path / "a source"
    rng = np.random.default_rng(0)
    for video in ("run/v_1", "run/v 2", "jump it/v'3"):
        write(root / "UCF101/frames" / video, f1=rng.bytes(5000), f2=rng.bytes(70))
    unpacked = root / "UCF101/frames/jump it"
    unpacked.rename(root / "apart")
    assert pack_frames(["--d_root", str(root), "--dataset", "ucf101", "--num_workers", "1"]) == 0
    (root / "apart").rename(unpacked)
    return root


def copied(data: Path) -> dict[str, bytes]:
    """Return what has to be on the node: tars with their index, and the other class's frames."""
    files = tree(data)
    return {name: files[name] for name in files if "_tar/" in name or "jump it" in name}


def test_packed_classes_are_copied_as_tars_and_the_others_as_frames(site, data, tmp_path):
    done = site.run(COPY, "-s", str(data), "-t", str(tmp_path / "node"), "-d", "ucf101")
    assert (done.status, done.errors) == (0, "")
    assert len(copied(data)) == 5
    assert tree(tmp_path / "node") == copied(data)


def test_what_was_copied_before_is_not_copied_again(site, data, tmp_path):
    node = tmp_path / "node"
    frames = node / "UCF101/frames/jump it/v'3"
    tars = node / "UCF101/frames_tar"
    write(frames, f1=b"x" * 5000, f2=b"cut off")  # one of the right size, one not
    tars.mkdir()
    write(node / "UCF101/.part.old", f1=b"half")
    done = site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101")
    assert done.status == 0
    expected = copied(data)
    expected["UCF101/frames/jump it/v'3/image_00001.jpg"] = b"x" * 5000
    assert tree(node) == expected
    before = {path: path.stat().st_mtime_ns for path in node.rglob("[!.]*.*")}
    site.command("cp", "exit 1")
    assert site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101").status == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_copy_that_breaks_off_leaves_no_file_cut_short(site, data, tmp_path):
    node = tmp_path / "node"
    half = 'for f; do head -c 10 "$f" > "$aside/$f"; done'
    site.command("cp", f"aside=$2; shift 3; {half}; exit 1")
    done = site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101")
    assert done.status == 1
    assert done.errors.endswith("not everything could be copied; run it again\n")
    assert all(Path(name).name.startswith(".") for name in tree(node))
    (site.bin / "cp").unlink()
    assert site.run(COPY, "-s", str(data), "-t", str(node), "-d", "UCF101").status == 0
    assert tree(node) == copied(data)


def test_space_is_looked_for_first_and_only_for_what_is_missing(site, data, tmp_path):
    node = tmp_path / "node"
    command = (COPY, "-s", str(data), "-t", str(node), "-d", "UCF101")

    def free(blocks: int) -> None:
        site.command(
            "df", f'echo "Filesystem 1024-blocks Used Available"; echo "d 9 9 {blocks} 9%"'
        )

    free(20)
    done = site.run(*command)
    assert (done.status, tree(node)) == (1, {})
    assert re.fullmatch(r"copy_frame_tars.sh: \S+: has 0 MB free, .*\n", done.errors)
    tars = node / "UCF101/frames_tar"
    tars.mkdir()
    (tars / "run.tar").write_bytes((data / "UCF101/frames_tar/run.tar").read_bytes())
    assert site.run(*command).status == 0  # the rest is 4 kB thrice and 8 kB once


@pytest.mark.parametrize(
    ("dataset", "flags", "folder"),
    [
        ("k400", [], "Kinetics400/frames_tar"),
        ("KINETICS400", ["-b"], "Kinetics400/frames_256_tar"),
        ("mousesim", [], "MouseSim/frames_right_tar"),
        ("MouseSim", ["-e", "left"], "MouseSim/frames_left_tar"),
        ("MouseSim", ["-e", "both"], "MouseSim/frames_tar"),
        ("hmdb51", [], "HMDB51/frames_tar"),
    ],
)
def test_datasets_and_their_variants(site, tmp_path, dataset, flags, folder):
    for ending in ("", "_256", "_left", "_right"):
        for name in ("Kinetics400", "MouseSim", "HMDB51"):
            write(tmp_path / f"data/{name}/frames{ending}_tar", f1=b"frame")
    node = tmp_path / "node"
    done = site.run(COPY, "-s", str(tmp_path / "data"), "-t", str(node), "-d", dataset, *flags)
    assert done.status == 0
    assert list(tree(node)) == [f"{folder}/image_00001.jpg"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "usage: "),
        (["-s", "DATA", "-t", "NODE"], "usage: "),
        (["-s", "DATA", "-t", "NODE", "-d"], "-d: needs a value"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf101", "-x"], "-x: unknown"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf101", "more"], "more: unknown"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf102"], "-d ucf102: unknown; take UCF101"),
        (["-s", "DATA", "-t", "NODE", "-d", "ucf101", "-b"], "-b: is for Kinetics400"),
        (["-s", "DATA", "-t", "NODE", "-d", "mousesim", "-e", "mid"], "-e mid: take left"),
        (["-s", "DATA", "-t", "NODE", "-d", "hmdb51"], "DATA/HMDB51: has neither frames nor"),
        (["-s", "NONE", "-t", "NODE", "-d", "ucf101"], "NONE/UCF101: has neither frames nor"),
    ],
)
def test_wrong_arguments_get_a_line_and_status_2(site, data, tmp_path, flags, said):
    places = {"DATA": str(data), "NODE": str(tmp_path / "node"), "NONE": str(tmp_path / "none")}
    done = site.run(COPY, *[places.get(flag, flag) for flag in flags])
    for name, place in places.items():
        said = said.replace(f"{name}/", f"{place}/")
    assert done.status == 2
    assert done.errors.startswith(f"copy_frame_tars.sh: {said}")
    assert done.errors.count("\n") == 1
    assert not (tmp_path / "node").exists()
