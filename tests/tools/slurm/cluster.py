"""A real Slurm of one node on this machine, which runs within a `with` statement.

The node claims eight CPUs and two GPUs. Configuration, ports, key and state are the cluster's own,
in a temporary folder, so a Slurm or munge that is installed here is not touched. Needs Debian's
packages slurm-wlm and munge.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 900  # seconds after which something hangs; tests that pass come nowhere near it
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
PR_SET_CHILD_SUBREAPER = 36
# Slurm's own deadlines are long here, so that a slow machine does not change what happens. A
# requeued job waits for cred_expire. Slurm repeats a signal that was not answered within
# MessageTimeout. A job is killed KillWait after a SIGTERM, or GraceTime after its preemption.
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=3600
MessageTimeout=100
KillWait=600
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=2
SlurmdTimeout=0
BatchStartTimeout=3600
MinJobAge=3600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:2
PartitionName=normal Nodes=ALL Default=YES PriorityTier=1
PartitionName=grace Nodes=ALL PriorityTier=1 GraceTime=3600
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
"""


class Cluster:
    """A Slurm whose daemons run within the `with` statement."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # the user munge has to enter it
        self.daemons: list[subprocess.Popen] = []
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "SBATCH_", "SRUN_"))
        } | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self) -> "Cluster":
        # The orphans of a daemon become children of this process, so `stop` finds them.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends the `with`, too
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start munged, slurmctld and slurmd, and wait until the node is idle."""
        user = pwd.getpwuid(os.getuid()).pw_name
        guard = "munge" if user == "root" else None
        munge = self.folder / "munge"
        for folder in (self.folder / "state", self.folder / "spool", munge):
            folder.mkdir()
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o600)
        if guard:
            for path in (munge, munge / "key"):
                shutil.chown(path, guard, guard)
        host = socket.gethostname().split(".")[0]
        (self.folder / "slurm.conf").write_text(
            CONFIG.format(host=host, ports=free_ports(2), user=user, folder=self.folder)
        )
        gpus = "".join(f"Name=gpu File=/dev/{device}\n" for device in ("null", "zero"))
        (self.folder / "gres.conf").write_text(gpus)
        places = {"key": "key-file", "socket": "socket", "pid": "pid-file", "seed": "seed-file"}
        options = [f"--{option}={munge / name}" for name, option in places.items()]
        self.daemon("munged", "--foreground", *options, user=guard, group=guard)
        wait_until((munge / "socket").exists, self.logs)
        self.daemon("slurmctld", "-D")
        self.daemon("slurmd", "-D")
        wait_until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), self.logs)

    def daemon(self, name: str, *arguments: str, **options: Any) -> None:
        path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert path, f"{name}: not found; install Debian's slurm-wlm and munge"
        with open(self.folder / f"{name}.log", "w") as log:
            self.daemons.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", path, *arguments],
                    env=self.environment,
                    cwd="/",
                    stdout=log,
                    stderr=log,
                    **options,
                )
            )

    def stop(self) -> None:
        """End the daemons, then the jobs and all other processes they have left."""
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        while left := children():  # when they end, their own children follow
            for process in left:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        shutil.rmtree(self.folder)

    def logs(self) -> str:
        """Return the end of each daemon's log."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}:\n{log.read_text()[-3000:]}" for log in logs)

    # ------------------------------------------------------------------ jobs

    def ask(self, *command: str, **variables: object) -> str:
        """Return what one of Slurm's commands prints, errors included."""
        done = subprocess.run(
            command,
            env=self.environment | {name: str(value) for name, value in variables.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout.strip()

    def submit(self, *arguments: str | Path, **variables: object) -> str:
        """Submit a batch job and return its id; `output` returns what the job prints."""
        command = ("sbatch", "--parsable", f"--output={self.folder}/%A_%a.out")
        answer = self.ask(*command, *map(str, arguments), **variables)
        assert answer.isdecimal(), answer
        return answer

    def job(self, job: str) -> dict[str, str]:
        """Return what scontrol shows of a job, such as JobState, Restarts and ExitCode."""
        shown = self.ask("scontrol", "--oneliner", "show", "job", job)
        return dict(pair.split("=", 1) for pair in shown.split() if "=" in pair)

    def until(self, true: Callable[[], bool], *jobs: str) -> None:
        """Wait until `true()`. Raise RuntimeError when one of the jobs has ended before."""
        wait_until(lambda: true() or any(map(self.ended, jobs)), lambda: self.report(*jobs))
        if not true():
            raise RuntimeError(self.report(*jobs))

    def end_of(self, job: str) -> dict[str, str]:
        """Wait until the job has ended, and return what scontrol shows of it then."""
        wait_until(lambda: self.ended(job), lambda: self.report(job))
        return self.job(job)

    def release(self, job: str, **changes: object) -> None:
        """Wait until the job is requeued, change it, and start it, as it would wait for an hour."""
        self.until(lambda: self.requeued(job), job)
        changed = [f"{name}={value}" for name, value in changes.items()]
        # not in the second in which it was requeued, as the node refuses it then
        answer = self.ask("scontrol", "update", f"JobId={job}", "StartTime=now+2", *changed)
        assert not answer, answer

    def requeued(self, job: str) -> bool:
        """Return whether the job was requeued and has left its node."""
        shown = self.job(job)
        return int(shown.get("Restarts", 0)) > 0 and shown.get("JobState") != "COMPLETING"

    def ended(self, job: str) -> bool:
        """Return whether the job has ended and is not requeued."""
        return self.job(job).get("JobState") in FINAL

    def stops(self, job: str) -> int:
        """Return how often the script has requeued the job.

        Slurm's count of restarts also has the jobs that Slurm itself requeues.
        """
        return self.output(job).count(f"requeueing job {job}\n")

    def output(self, job: str) -> str:
        """Return what the job, or the array it belongs to, has printed."""
        paths = sorted(self.folder.glob(f"{job.split('_')[0]}_*.out"))
        return "\n".join(f"{path.name}:\n{path.read_text()}" for path in paths)

    def report(self, *jobs: str) -> str:
        """Return the jobs' states and outputs and the daemons' logs, for a test that fails."""
        jobs_now = [f"job {job} is {self.job(job)}\n{self.output(job)}" for job in jobs]
        return "\n".join([*jobs_now, self.logs()])


def wait_until(true: Callable[[], bool], report: Callable[[], str]) -> None:
    """Wait until `true()`. Raise TimeoutError with the report after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(report())
        time.sleep(0.5)


def free_ports(count: int) -> list[int]:
    """Return ports that no process of this machine uses."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def children() -> list[int]:
    """Return the ids of this process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid():
            found.append(int(stat.parent.name))
    return found
