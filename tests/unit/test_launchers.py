"""What the launchers of several processes tell each of them, right and wrong."""

import subprocess

import pytest

import run_model
from utils.config import command_line
from utils.errors import UsageError
from utils.logs import start_logging
from utils.runtime import launchers
from utils.runtime.launchers import found, told_by, warn_of_other_launchers
from utils.runtime.processes import ALONE, Processes

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SRUN = {
    "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "3", "SLURM_STEP_NODELIST": "n[1-2]",
}  # fmt: skip
VARIABLES = (*TORCHRUN, *SRUN, "LOCAL_RANK", *launchers.OTHER_COUNTS)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No launcher's variables; those that are found out are not kept."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def scontrol(monkeypatch):
    """A stand-in for scontrol, which knows this machine under the name that is asked for."""
    calls = []

    def answer(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "127.0.0.1\nn2\n", "")

    monkeypatch.setattr(subprocess, "run", answer)
    return calls


def set_all(monkeypatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_who_starts_the_processes_says_which_this_is(monkeypatch, scontrol):
    assert found() == ALONE
    set_all(monkeypatch, {"SLURM_PROCID": "5", "SLURM_NTASKS": "8"})  # a batch script, no srun
    assert found() == ALONE
    set_all(monkeypatch, SRUN)
    assert found() == Processes(1, 2, 0)
    assert told_by() == "SLURM_STEP_NUM_TASKS"
    assert scontrol == [["scontrol", "show", "hostnames", "n[1-2]"]]
    set_all(monkeypatch, {**TORCHRUN, "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"})
    assert found() == Processes(2, 4, 0)
    assert told_by() == "WORLD_SIZE"
    set_all(monkeypatch, {"RANK": "0", "WORLD_SIZE": "1"})
    assert found() == ALONE


def test_srun_tells_where_the_processes_meet(monkeypatch, scontrol):
    set_all(monkeypatch, SRUN)
    found()
    assert launchers.os.environ["MASTER_ADDR"] == "127.0.0.1"
    assert launchers.os.environ["MASTER_PORT"] == str(20_000 + 7 * 7 + 3)


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_what_torchrun_would_have_set_is_named(missing, monkeypatch):
    set_all(monkeypatch, {k: v for k, v in TORCHRUN.items() if k != missing})
    with pytest.raises(UsageError, match=f"^{missing} is not set"):
        found()


@pytest.mark.parametrize("missing", ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_ID"])
def test_what_srun_would_have_set_is_named(missing, monkeypatch, scontrol):
    set_all(monkeypatch, {k: v for k, v in SRUN.items() if k != missing})
    with pytest.raises(UsageError, match=f"^{missing} is not set, but SLURM_STEP_NUM_TASKS is"):
        found()


def test_rank_and_world_size_alone_name_the_address(monkeypatch):
    set_all(monkeypatch, {"RANK": "0", "WORLD_SIZE": "2"})
    with pytest.raises(UsageError, match=r"^MASTER_ADDR is not set, nor is SLURM_STEP_NODELIST"):
        found()


@pytest.mark.parametrize(("name", "value"), [
    ("RANK", "x"), ("RANK", ""), ("RANK", "-1"), ("RANK", "2"), ("RANK", "1.0"),
    ("RANK", "9" * 5000), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "two"), ("WORLD_SIZE", str(2**40)),
    ("LOCAL_RANK", "2"),
    ("MASTER_PORT", "abc"), ("MASTER_PORT", "0"), ("MASTER_PORT", "65536"), ("MASTER_PORT", " "),
])  # fmt: skip
def test_a_wrong_value_of_torchrun_is_named(name, value, monkeypatch):
    set_all(monkeypatch, {**TORCHRUN, name: value})
    with pytest.raises(UsageError, match=f"^{name} is '.*': must be a number from") as told:
        found()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("name", "value"), [
    ("SLURM_STEP_NUM_TASKS", "x"), ("SLURM_STEP_NUM_TASKS", "0"), ("SLURM_PROCID", "2"),
    ("SLURM_LOCALID", "-1"), ("SLURM_JOB_ID", "j"), ("SLURM_STEP_ID", ""),
])  # fmt: skip
def test_a_wrong_value_of_srun_is_named(name, value, monkeypatch, scontrol):
    set_all(monkeypatch, {**SRUN, name: value})
    with pytest.raises(UsageError, match=f"^{name} is '{value}': must be a number from"):
        found()


@pytest.mark.parametrize("host", ["no such host", "x" * 300, "[::", "a..b"])
def test_a_host_that_is_none_is_named(host, monkeypatch):
    set_all(monkeypatch, {**TORCHRUN, "MASTER_ADDR": host})
    with pytest.raises(UsageError, match=r"^MASTER_ADDR is '.*': no such host"):
        found()


def test_a_missing_a_failing_and_a_hanging_scontrol_are_told(monkeypatch):
    def fails(_, **options):
        raise options.get("outcome", FileNotFoundError(2, "No such file", "scontrol"))

    def answers(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "scontrol: error: no controller\nmore")

    def hangs(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    set_all(monkeypatch, SRUN)
    for run, cause in ((fails, "No such file"), (answers, "no controller"), (hangs, "timed out")):
        monkeypatch.setattr(subprocess, "run", run)
        with pytest.raises(UsageError, match=rf"scontrol can't tell the nodes \(.*{cause}") as told:
            found()
        assert "\n" not in str(told.value)


def test_wrong_variables_end_the_program_with_one_line(monkeypatch, capsys):
    set_all(monkeypatch, {**TORCHRUN, "RANK": "x"})
    assert run_model.main(["--dataset", "gabors"]) == 2
    assert capsys.readouterr().err == "run_model.py: RANK is 'x': must be a number from 0 to 1\n"


@pytest.mark.parametrize("flags", [["--local_rank=1"], ["--local-rank=1"], ["--local-rank", "1"]])
def test_the_flag_of_older_launchers_counts_where_their_variable_is_missing(flags, monkeypatch):
    typed = command_line.parse([*flags, "--dataset", "gabors"])
    assert typed.pop("local_rank") == 1
    assert "local" not in command_line.build_parser().format_help()
    set_all(monkeypatch, {**TORCHRUN, "RANK": "3", "WORLD_SIZE": "4"})
    assert found(1) == Processes(3, 4, 1)
    with pytest.raises(UsageError, match="--local_rank -1: must be a number from 0 to 3"):
        found(-1)
    set_all(monkeypatch, {"LOCAL_RANK": "0"})
    assert found(1) == Processes(3, 4, 0)


@pytest.mark.parametrize("name", launchers.OTHER_COUNTS)
def test_variables_of_another_launcher_are_not_used_in_silence(name, monkeypatch, capsys):
    start_logging("info")
    warn_of_other_launchers(ALONE)
    set_all(monkeypatch, {name: "1"})
    warn_of_other_launchers(ALONE)
    set_all(monkeypatch, {name: "4"})
    warn_of_other_launchers(Processes(0, 4, 0))  # srun sets some of them too
    assert capsys.readouterr().err == ""
    warn_of_other_launchers(ALONE)
    told = capsys.readouterr().err
    assert told.startswith(f"{name} is 4, but")
    assert "torchrun or srun" in told
