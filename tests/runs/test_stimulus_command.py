"""The command that shows stimuli, as a program: its exit statuses, lines and signals."""

import csv
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dataset.show_stimuli import main
from dataset.stimulus_files import write_stimuli
from dataset.stimulus_request import parse
from dataset.stimulus_tables import ShownImage, ShownPatch
from forked import ENVIRONMENT, ROOT, wait_until
from small_runs import run
from utils.errors import PREEMPTED

PROGRAM = "python -m dataset.show_stimuli"
FLAGS = ["--seed", "5", "--img_dim", "32", "--num_gabors", "3", "--train_len", "4"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def command(*flags: object) -> list[str]:
    return [sys.executable, "-m", "dataset.show_stimuli", *map(str, flags)]


@pytest.mark.slow
def test_a_trained_runs_stimuli_are_shown(pretrained_run, tmp_path):
    folder = tmp_path / "out"
    done = subprocess.run(
        command(pretrained_run, "--epoch", 2, "--with_U", "--clips", "0:3", "--out", folder),
        env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    names = ["stimuli.mp4", "images.csv", "patches.csv", "stimuli.json"]
    assert done.stdout.splitlines() == [str(folder / name) for name in names]
    rows = rows_of(folder / "images.csv")
    assert [row["image"] for row in rows[:2]] == ["A", "B"]
    assert {row["item"] for row in rows} == {"0", "1", "2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--pixels", 2048, "--clips", 0], "stimuli.mp4: holds 0 of 40 frames; is there room"),
        (["--num_gabors", 1000], "patches.csv: File too large"),
    ],
)
def test_a_full_disk_is_told_and_leaves_nothing(flags, message, tmp_path):
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        command(*FLAGS, *flags, "--out", tmp_path / "out"),
        env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, preexec_fn=little_room,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_signal_ends_it_and_leaves_nothing(tmp_path):
    many = [*FLAGS, "--train_len", 10**6]
    with subprocess.Popen(
        command(*many, "--out", tmp_path / "out"), env=ENVIRONMENT, cwd=ROOT,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_until(lambda: list(tmp_path.glob(".out.*/frames/image_000010.png")))
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=60)
    assert process.returncode == PREEMPTED
    assert text == f"{PROGRAM}: stopped by SIGTERM; run the same command again\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed", "x", "--out", "out"], "argument --seed: invalid int value: 'x' (see --help)"),
        (["nowhere"], "nowhere: is no run's folder; it has no config.json"),
        ([*FLAGS, "--out", "out", "--clips", "7"], "--clips 7:8: the train set has 4 clips, "
         "numbered from 0; name some of them"),
    ],
)  # fmt: skip
def test_wrong_input_ends_it_with_one_line(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        status = main(flags)
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err) == (2, "", f"{PROGRAM}: {message}\n")
    assert os.listdir(tmp_path) == []


def test_help_names_the_flags_of_gabors(capsys):
    assert main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "RUN_FOLDER" in text
    assert "--gab_img_len" in text
    assert "--with_U" in text


def readme() -> str:
    return (ROOT / "dataset" / "README.md").read_text().split("## To show the stimuli")[1]


def test_the_readme_shows_every_column():
    for row in (ShownImage, ShownPatch):
        assert all(f"`{name}`" in readme() for name in row._fields)


@pytest.mark.slow
def test_each_block_of_a_recorded_pass_is_in_the_table_of_images(
    small, pretrained_run, tmp_path, monkeypatch
):
    folder = tmp_path / "a_run"
    shutil.copytree(pretrained_run, folder)
    assert run("--analysis", folder, "--cpu_only") == 0
    tables = sorted((folder / "analysis" / "recorded").glob("epoch*_post_blocks.csv"))
    assert tables
    monkeypatch.chdir(folder)
    join = readme().split("```python\n")[1].split("```")[0].replace("analysis_epoch9", "analysis")
    for path in tables:
        epoch = int(path.name.removeprefix("epoch").split("_")[0])
        (_, images, *_) = write_stimuli(parse([str(folder), "--with_U", "--epoch", str(epoch)]))
        shown = {
            (row["item"], step): row for row in rows_of(images) for step in row["step"].split()
        }
        blocks = rows_of(path)
        assert len(shown) == len(blocks) == 8
        for block in blocks:
            row = shown[block["item"], block["step"]]
            names = ("image", "orientation", "is_U")
            assert [row[name] for name in names] == [block[name] for name in names]
        joined: dict = {}
        exec(join.replace("epoch9", f"epoch{epoch}"), joined)  # as the README does it
        numbers = [shown[block["item"], block["step"]]["number"] for block in blocks]
        assert list(map(str, joined["numbers"])) == numbers
