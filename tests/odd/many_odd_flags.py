"""Odd numbers, texts and files in the place of what run_model.py's flags and launchers say."""

import pytest

from odd_files import ODD_FILES, ODD_NUMBERS, ODD_TEXTS, START
from odd_trials import Trial, all_pass
from utils.config.flags import FIELDS

TORCHRUN = {
    "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29511",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": "5", "SLURM_STEP_ID": "0",
}  # fmt: skip


def flags_with(types: tuple[type, ...], values: list[str], folder):
    for name in (name for name, field in FIELDS.items() if field.type in types):
        for value in values:
            yield Trial(f"--{name}={value[:30]!r}", folder, [*START, f"--{name}={value}"])


def test_numbers(starter, tmp_path):
    types = tuple({field.type for field in FIELDS.values()} - {str, bool})
    all_pass(starter, "numbers as flags", flags_with(types, ODD_NUMBERS, tmp_path))


def test_texts(starter, tmp_path):
    all_pass(starter, "texts as flags", flags_with((str,), ODD_TEXTS, tmp_path))


def test_files_that_flags_name(starter, tmp_path):
    def trials():
        for name in (
            *("resume", "pretrained", "test", "class_index"),
            *("output_dir", "data_path_dir", "temp_data_dir"),
        ):
            flags = [*START, "--model", "lc-rnn"] if name in ("test", "class_index") else START
            if name in ("data_path_dir", "temp_data_dir"):
                flags = [*START, "--dataset", "ucf101"]
            for what, make in ODD_FILES.items():
                place = tmp_path / f"{name} {what}"
                place.mkdir()
                make(place / "it")
                yield Trial(f"--{name}: {what}", place, [*flags, f"--{name}", "it"])

    all_pass(starter, "files that flags name", trials())


@pytest.mark.parametrize("good", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_variables_of_launchers(good, starter, tmp_path):
    """A run that waits for other processes says so, and ends at a signal."""

    def trials():
        for name in good:
            for value in ("", "x", "-1", "1.5", "7", "99999999", "nan", "\n"):
                variables = {**good, name: value}
                trial = Trial(f"{name}={value!r}", tmp_path, START, environment=variables)
                yield trial._replace(waits="waiting for ")
            yield Trial(f"{name} alone", tmp_path, START, environment={name: good[name]})

    all_pass(starter, f"variables of launchers, {next(iter(good))}", trials())
