"""Odd things in the place of an analysis' files, and of what the commands around it are given."""

import shutil
from pathlib import Path

import pytest

from analysis_records import Made, write_analysis
from odd_files import ODD_FILES, ODD_NUMBERS, replace
from odd_trials import Trial, all_pass
from utils.analysis.compute import compute
from utils.analysis.recorded import POST, PRE, Pass

PASSES = (Pass(8, POST), Pass(9, PRE), Pass(9, POST))


@pytest.fixture(scope="module")
def analysed(run_folder, tmp_path_factory) -> Path:
    """A run's folder with a small synthetic analysis, recorded and computed."""
    run = tmp_path_factory.mktemp("analysed") / run_folder.name
    shutil.copytree(run_folder, run)
    write_analysis(run, Made(passes=PASSES, clips=40, channels=4))
    compute(run)
    return run


def test_files_of_an_analysis(starter, analysed, tmp_path):
    files = [path.relative_to(analysed) for path in (analysed / "analysis").rglob("*.*")]
    files = [
        file for file in files if file.parent.name != "recorded" or PASSES[1].name in str(file)
    ]

    def trials():
        for n, file in enumerate(files):
            program = "compute" if file.parent.name == "recorded" else "compare"
            for m, (what, make) in enumerate(ODD_FILES.items()):
                run = tmp_path / f"{n}_{m}" / analysed.name
                shutil.copytree(analysed, run)
                replace(run / file, make)
                yield Trial(f"{file} is {what}", run.parent, [run], f"odd_calls.{program}")
                shutil.rmtree(run.parent)

    all_pass(starter, "files of an analysis", trials())


def test_files_that_commands_are_given(starter, analysed, tmp_path):
    def trials():
        for what, make in ODD_FILES.items():
            place = tmp_path / what
            place.mkdir()
            make(place / "it")
            yield Trial(
                f"--neural: {what}", place, [analysed, "--neural", "it"], "odd_calls.compute"
            )
            for program in ("compute", "compare", "show_stimuli"):
                yield Trial(f"{program} of {what}", place, ["it"], f"odd_calls.{program}")

    all_pass(starter, "files that the analysis' commands are given", trials())


def test_numbers(starter, analysed, tmp_path):
    usual = ["--out", "it", "--seed", 1, "--img_dim", 32, "--overwrite", "--clips=0:1"]

    def trials():
        for value in ODD_NUMBERS:
            epoch = [analysed, f"--analysis_epoch={value}"]
            yield Trial(f"--analysis_epoch={value}", tmp_path, epoch, "odd_calls.compute")
            for flag in ("--epoch", "--ms_per_frame", "--pixels", "--clips"):
                shown = [*usual, f"{flag}={value}"]
                yield Trial(f"{flag}={value}", tmp_path, shown, "odd_calls.show_stimuli")

    all_pass(starter, "numbers for the analysis' commands", trials())
