"""The batch scripts on a real Slurm: jobs that are signalled, preempted or cancelled, or that fail.

    python -m pytest tests/tools/slurm/on_slurm.py        (make test-slurm installs Slurm first)

held_run.py trains a narrow network and halts where a test signals it. Where no training is needed,
stand_in.py takes the place of run_model.py.
"""

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import PATIENCE, Cluster, children

from utils.runs.records import EPOCHS, MEASURED, PREDICTIONS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SCRIPT = "slurm/run_dpc_gabors.sh"
TINY = shlex.split(
    "--img_dim 32 --num_gabors 5 --train_len 16 --batch_size 4 --num_epochs 2 --unexp_epoch 2 "
    "--U_prob 0.5 --cpu_only"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running
    assert children() == []
    assert not running.folder.exists()


def site_variables(folder: Path) -> dict[str, object]:
    """Return the variables that a site sets, and those of held_run.py and stand_in.py."""
    (folder / "held").mkdir()
    return {
        "REPO": ROOT,
        "OUTPUT_DIR": folder / "runs",
        "RECORDS": folder / "records",
        "HELD": folder / "held",
        "OMP_NUM_THREADS": 1,
    }


@pytest.fixture
def site(tmp_path) -> dict[str, object]:
    return site_variables(tmp_path)


@pytest.fixture(scope="module", autouse=True)
def limited(cluster, tmp_path_factory) -> tuple[str, Path]:
    """Start a job that is close to its time limit; return its id and the file of its records.

    Slurm looks at time limits twice a minute, so this job runs beside the first tests.
    """
    folder = tmp_path_factory.mktemp("limited")
    site = site_variables(folder) | {"STAND_IN": "wait", "NUM_SEEDS": 1}
    site["PYTHON"] = python(folder, "stand_in.py")
    job = cluster.submit("--array=0", "--cpus-per-task=1", "--gres=none", SCRIPT, **site)
    cluster.until(site["RECORDS"].exists, f"{job}_0")
    # from now on Slurm sends the signal as soon as it looks: it may send it 30 seconds early
    assert not cluster.ask("scontrol", "update", f"JobId={job}_0", "EndTime=now+150")
    return job, site["RECORDS"]


def python(folder: Path, program: str) -> Path:
    """Make an interpreter that runs this program in place of run_model.py.

    Runs are compared in the end, unless stand_in.py has made none.
    """
    path = folder / f"python-{Path(program).stem}"
    compare = "exit 0" if program == "stand_in.py" else f'exec "{sys.executable}" "$@"'
    run = f'[ "$1" != -m ] || {compare}\nshift\nexec "{sys.executable}" "{HERE / program}" "$@"\n'
    path.write_text(f'#!/bin/sh\nexport PYTHONPATH="{ROOT}:{ROOT / "tests"}"\n{run}')
    path.chmod(0o755)
    return path


def records(runs: Path) -> dict[tuple[str, str], list[dict]]:
    """Return the rows of each run folder's files, without the columns of what is measured."""
    tables = {}
    for path in [p for name in (EPOCHS, PREDICTIONS) for p in runs.glob(f"*/{name}")]:
        with open(path, newline="") as file:
            rows = [{k: row[k] for k in row if k not in MEASURED} for row in csv.DictReader(file)]
        tables[path.parent.name, path.name] = rows
    return tables


def rows_of(noted: Path) -> list[dict]:
    """Return the rows that stand_in.py has recorded."""
    return [json.loads(row) for row in noted.read_text().splitlines()] if noted.exists() else []


def held(site: dict, *names: str) -> bool:
    """Return whether just these runs, named TASK-RANK, have halted."""
    return {path.name for path in site["HELD"].iterdir()} == set(names)


def test_a_stopped_array_task_goes_on_and_ends_as_if_never_stopped(cluster, site, tmp_path):
    site |= {"SEED": 5, "NUM_SEEDS": 2, "PYTHON": python(tmp_path, "held_run.py"), "HOLD": ""}
    variables = site | {"OUTPUT_DIR": tmp_path / "direct", "SLURM_ARRAY_TASK_ID": 3}
    direct = subprocess.Popen(
        ["bash", ROOT / SCRIPT, *TINY, "--num_workers", "0"],
        env=cluster.environment | {name: str(value) for name, value in variables.items()},
    )
    site["HOLD"] = "0:5:1 3:6:2"
    job = cluster.submit("--array=0,3", "--cpus-per-task=1", SCRIPT, *TINY, **site)
    first, last = f"{job}_0", f"{job}_3"
    cluster.until(lambda: held(site, "0-0", "3-0"), first, last)

    # The array's last task has the array's id, and yet only this task is requeued.
    assert cluster.job(last)["JobId"] == job
    cluster.ask("scancel", "--signal=USR1", "--batch", last)
    cluster.release(last)
    assert (cluster.job(first)["JobState"], cluster.stops(first)) == ("RUNNING", 0)
    cluster.ask("scancel", "--signal=USR1", first)  # signals only its steps, which Slurm does, too
    cluster.until(lambda: cluster.requeued(first), first)
    cluster.ask("scancel", first)

    end = cluster.end_of(last)
    assert (end["JobState"], cluster.stops(last)) == ("COMPLETED", 1), cluster.report(last)
    assert direct.wait(PATIENCE) == 0
    expected = records(tmp_path / "direct")
    assert len(expected) == 2 * 2  # seeds, files
    assert all(expected.values())
    assert records(tmp_path / "runs").items() >= expected.items()  # the first task's is there too


def test_two_tasks_are_one_run_and_stop_and_go_on_together(cluster, site, tmp_path):
    job_flags = ("--array=0", "--ntasks-per-node=2", "--gres=gpu:2", "--cpus-per-task=1", SCRIPT)
    site |= {"SEED": 5, "NUM_SEEDS": 1, "PYTHON": python(tmp_path, "held_run.py")}
    whole = cluster.submit(*job_flags, *TINY, **site | {"HOLD": ""})
    parts = cluster.submit(
        *job_flags, *TINY, **site | {"HOLD": "0:5:2", "OUTPUT_DIR": tmp_path / "parts"}
    )
    cluster.until(lambda: held(site, "0-0", "0-1"), f"{parts}_0")
    cluster.ask("scancel", "--signal=USR1", "--batch", f"{parts}_0")
    cluster.release(f"{parts}_0")
    for job in (whole, parts):
        end = cluster.end_of(f"{job}_0")
        assert end["JobState"] == "COMPLETED", cluster.report(f"{job}_0")
    assert (cluster.stops(f"{whole}_0"), cluster.stops(f"{parts}_0")) == (0, 1)
    expected = records(tmp_path / "runs")
    assert len(expected) == 2  # one run, not two
    assert records(tmp_path / "parts") == expected


@pytest.mark.parametrize(("second", "stops"), [("wait", 1), ("1", 0)])
def test_a_task_that_ends_does_not_end_the_others(cluster, site, tmp_path, second, stops):
    """The second of two tasks is stopped, or fails, and the first one goes on until $GO exists.

    If srun let Slurm end the first task then, Slurm could do so again in the requeued job, and a
    run that failed would look like one that was stopped.
    """
    site |= {"PYTHON": python(tmp_path, "stand_in.py"), "NUM_SEEDS": 1, "GO": tmp_path / "go"}
    two_tasks = ("--array=0", "--ntasks-per-node=2", "--cpus-per-task=1", "--gres=none")
    job = cluster.submit(*two_tasks, SCRIPT, **site | {"STAND_IN": f"late {second}"}) + "_0"
    cluster.until(lambda: len(rows_of(site["RECORDS"])) == 2, job)
    if stops:
        cluster.ask("scancel", "--signal=USR1", "--batch", job)
    cluster.until(lambda: "task 1: Exited with exit code" in cluster.output(job), job)
    site["GO"].touch()
    cluster.until(lambda: cluster.requeued(job) or cluster.ended(job), job)
    output = cluster.output(job)
    assert cluster.stops(job) == stops, cluster.report(job)
    assert "Terminating" not in output  # which srun prints when it ends the other tasks
    if stops:
        cluster.release(job)
    end = cluster.end_of(job)
    expected = ("COMPLETED", "0:0") if stops else ("FAILED", "1:0")
    assert (end["JobState"], end["ExitCode"]) == expected, cluster.report(job)


def test_the_signal_before_the_time_limit_comes_and_requeues(cluster, limited):
    job, noted = limited
    cluster.release(f"{job}_0", TimeLimit=60)
    end = cluster.end_of(f"{job}_0")
    assert (end["JobState"], cluster.stops(f"{job}_0")) == ("COMPLETED", 1), cluster.report(job)
    rows = rows_of(noted)
    assert [row["SLURM_STEP_NUM_TASKS"] for row in rows] == ["1", "1"]
    assert rows[0]["arguments"] == rows[1]["arguments"]


def test_preempted_jobs_are_requeued_once(cluster, site, tmp_path):
    site |= {"PYTHON": python(tmp_path, "stand_in.py"), "STAND_IN": "wait", "NUM_SEEDS": 1}
    jobs = [
        cluster.submit("--array=0", f"--partition={partition}", SCRIPT, **site) + "_0"
        for partition in ("normal", "grace")  # requeued by Slurm itself, and by the script
    ]
    cluster.until(lambda: len(rows_of(site["RECORDS"])) == 2, *jobs)
    urgent = cluster.submit("--exclusive", "--partition=urgent", "--wrap=true")
    assert cluster.end_of(urgent)["JobState"] == "COMPLETED"
    for job, stops in zip(jobs, (0, 1), strict=True):
        cluster.release(job)
        end = cluster.end_of(job)
        assert (end["JobState"], cluster.stops(job)) == ("COMPLETED", stops), cluster.report(job)


def test_a_cancelled_job_stays_cancelled(cluster, site, tmp_path):
    site |= {"PYTHON": python(tmp_path, "stand_in.py"), "STAND_IN": "wait"}
    job = cluster.submit("--array=0", SCRIPT, **site)
    cluster.until(site["RECORDS"].exists, job)
    cluster.ask("scancel", f"{job}_0")
    cluster.until(lambda: "stopped; " in cluster.output(job), job)
    end = cluster.end_of(f"{job}_0")
    assert (end["JobState"], cluster.stops(f"{job}_0")) == ("CANCELLED", 0), cluster.report(job)


@pytest.mark.parametrize("status", [1, 2])
def test_a_failed_job_ends_with_the_run_s_status(cluster, site, tmp_path, status):
    site |= {"PYTHON": python(tmp_path, "stand_in.py"), "STAND_IN": status}
    job = cluster.submit("--array=0", SCRIPT, **site)
    end = cluster.end_of(f"{job}_0")
    assert (end["JobState"], end["ExitCode"]) == ("FAILED", f"{status}:0"), cluster.report(job)
    assert cluster.stops(f"{job}_0") == 0
