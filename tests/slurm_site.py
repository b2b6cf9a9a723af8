"""Stand-ins for Python and Slurm's commands, with which the batch scripts run without a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
STAND_IN = ROOT / "tests/tools/slurm/stand_in.py"
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

    `runs` holds the arguments of each start of run_model.py, `compared` those of each comparison of
    runs, `rows` all that stand_in.py recorded of both, and `calls` the calls of Slurm's commands.
    """

    status: int
    errors: str
    runs: list[list[str]]
    compared: list[list[str]]
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
        started = [row["arguments"] for row in rows]
        runs = [words for words in started if words[0] == "run_model.py"]
        compared = [words for words in started if words[0] != "run_model.py"]
        return Done(process.returncode, errors, runs, compared, self.noted("calls"), rows)

    def run(self, script: str, *flags: str, cwd: Path = ROOT, **variables) -> Done:
        return self.finish(self.start(script, *flags, cwd=cwd, **variables))


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
