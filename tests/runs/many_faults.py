"""The long form of test_faults.py: some sixty kills, and a disk that is really full. Where each
kill fell is printed.

    python -m pytest -s tests/runs/many_faults.py
"""

import contextlib
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_run import PHASES
from forked import ENVIRONMENT, ROOT, Starter
from run_records import NOT_TO_BE_SEEN, ends_in_one_line, ends_well, only, records
from small_runs import TINY, video_flags
from video_data import prepare

EPOCHS = ["--num_epochs", 3, "--log_freq", 100, "--output_dir", "runs", "--resume", "auto"]
FLAGS = [*TINY, *EPOCHS]
# positions within epochs are saved between any two batches
OFTEN = [*FLAGS, "--num_workers", 1, "--checkpoint_minutes", 1e-9]
SEED = 1


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    made = Starter(draws=True)
    yield made
    made.close()


# ------------------------------------------------------------------ kill -9

STRATA = 24  # of all changes of the disk that a run makes: a kill in each


@pytest.fixture(scope="module")
def changes(starter, tmp_path_factory) -> list[str]:
    """The changes of the disk that an undisturbed run makes."""
    place = tmp_path_factory.mktemp("changes")
    assert starter.run(place, *OFTEN, fault=("signal_before", 0)).status == 0
    return (place / "changes").read_text().splitlines()


@pytest.mark.parametrize("stratum", range(STRATA))
def test_a_kill_before_any_change_of_the_disk(stratum, starter, whole, changes, tmp_path):
    low, high = (len(changes) * end // STRATA for end in (stratum, stratum + 1))
    number = random.Random(SEED + stratum).randrange(low, high)
    name = whole.name
    print(f"\nkilled before change {number + 1} of {len(changes)}:", end=" ")
    print(changes[number].replace(f"runs/{name}/", ""))
    ended = starter.run(tmp_path, *OFTEN, fault=("signal_before", number + 1))
    assert ended.status == -signal.SIGKILL
    ended = starter.run(tmp_path, *OFTEN)
    ends_well(ended, tmp_path / "runs" / name, whole)
    # what had no name yet is left, and does no harm
    assert all(path.name.startswith(f".{name}.") or path.name == name for path in runs(tmp_path))


def runs(place: Path) -> list[Path]:
    return list((place / "runs").iterdir())


@pytest.mark.parametrize("flags", [FLAGS, OFTEN])
@pytest.mark.parametrize("turn", range(4))
def test_kills_at_random_moments(turn, flags, starter, whole, tmp_path):
    """The same run is killed several times, one after the other."""
    chance = random.Random(f"{SEED} {turn} {len(flags)}")
    phases = [*(phase for phase in PHASES if phase != "drawing"), "training", "validating"]
    chance.shuffle(phases)
    phases.append("drawing")  # at the end of the run
    kills = 0
    for phase in phases:
        seconds = chance.random() * {"recording": 0.004, "saving": 0.03}.get(phase, 0.2)
        nth = chance.randint(1, 3) if phase != "drawing" else 1
        ended = starter.run(tmp_path, *flags, fault=("kill_in", phase, nth, round(seconds, 4)))
        assert ended.status in (0, -signal.SIGKILL), ended.text
        if ended.status:
            kills += 1
            doing = (tmp_path / "phase").read_text().strip()
            print(f"\nkilled {seconds * 1000:.1f} ms after {phase} had begun, in {doing}", end="")
    assert kills >= 2
    ends_well(starter.run(tmp_path, *flags), only(tmp_path / "runs"), whole)


@pytest.mark.parametrize("turn", range(3))
def test_kills_from_outside_of_the_program_itself(turn, whole, tmp_path):
    """The kills fall at any time from its first import on."""
    chance = random.Random(f"{SEED} {turn}")
    command = [sys.executable, str(ROOT / "tests" / "narrow_run.py"), *map(str, OFTEN)]
    status = None
    for _ in range(4):
        with open(tmp_path / "printed.txt", "a+") as log:
            process = subprocess.Popen(
                command, cwd=tmp_path, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT
            )
            seconds = chance.uniform(2, 8)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
                lines = (tmp_path / "printed.txt").read_text().splitlines() or ["(nothing)"]
                print(f"\nkilled after {seconds:.1f} s; the last line was: {lines[-1]}", end="")
        if status == 0:
            break
    assert subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT).returncode == 0
    text = (tmp_path / "printed.txt").read_text()
    assert not any(noise in text for noise in NOT_TO_BE_SEEN), text
    (folder,) = (path for path in runs(tmp_path) if not path.name.startswith("."))
    assert records(folder) == records(whole)


@pytest.mark.parametrize("turn", range(4))
def test_kills_lose_no_fault_of_the_data(turn, starter, tmp_path_factory, tmp_path):
    """Rows of faults.csv are written when they are met."""
    prepared = prepare(tmp_path / "videos", lengths=(24, 30, 27), test_lengths=(26, 41, 26))
    for number in range(1, 25):
        prepared.frame(prepared.rows()[4], number).write_bytes(b"")
    flags = ["--model", "lc-rnn", *video_flags(prepared.csv_root), "--no_augm", *EPOCHS]
    flags += ["--checkpoint_minutes", 1e-9]
    (tmp_path / "whole").mkdir()
    ended = starter.run(tmp_path / "whole", *flags)
    assert ended.status == 0, ended.text
    expected = (only(tmp_path / "whole" / "runs") / "faults.csv").read_text()
    assert len(expected.splitlines()) >= 3
    chance = random.Random(SEED + turn)
    for phase in ("training", "training", "recording"):
        kill = ("kill_in", phase, chance.randint(1, 3), round(0.05 * chance.random(), 4))
        ended = starter.run(tmp_path, *flags, fault=kill)
        assert ended.status in (0, -signal.SIGKILL), ended.text
    ended = starter.run(tmp_path, *flags)
    assert ended.status == 0, ended.text
    assert (only(tmp_path / "runs") / "faults.csv").read_text() == expected
    assert records(only(tmp_path / "runs")) == records(only(tmp_path / "whole" / "runs"))


# ------------------------------------------------------------------ full disks


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 16 MiB, in the folder for runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def written() -> Iterator[set[str]]:
    """The files that could not be written, collected by the tests that follow."""
    names: set[str] = set()
    yield names
    print("\ncould not be written:", ", ".join(sorted(names)))
    assert len(names) >= 4


@pytest.mark.parametrize("kib", [0, 4, 8, 16, 24, 600, 1720, 2400, 3600, 4400])
def test_a_disk_with_no_more_room_than_that(kib, starter, whole, small_disk, written, tmp_path):
    flags = [*FLAGS, "--use_tb"]
    kill = ("kill_in", "training", 3, 0)  # in epoch 1
    assert starter.run(tmp_path, *flags, fault=kill).status == -signal.SIGKILL
    kept = (only(tmp_path / "runs") / "model" / "epoch0.pth.tar").read_bytes()
    with open(small_disk / ".ballast", "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(file.tell() - 1024 * kib)
    ended = starter.run(tmp_path, *flags)
    (small_disk / ".ballast").unlink()
    ends_in_one_line(ended, 1, "No space left on device")
    written.add(re.search(r"([^/]*): No space", ended.text.splitlines()[-1])[1])
    assert (only(tmp_path / "runs") / "model" / "epoch0.pth.tar").read_bytes() == kept
    ends_well(starter.run(tmp_path, *flags), only(tmp_path / "runs"), whole)


# ------------------------------------------------------------------ at the same moment


def test_many_runs_started_at_the_same_moment_get_a_folder_each(starter, whole, tmp_path):
    started = []
    for _ in range(5):
        started.append(starter.start(tmp_path, *FLAGS))
        time.sleep(random.Random(SEED).random() * 0.02)
    ended = [starter.end(one) for one in started]
    assert len({one.text.split("run folder: ")[1].split("\n")[0] for one in ended}) == 5
    assert all(one.status == 0 for one in ended)
    expected = records(whole)
    assert [records(folder) for folder in runs(tmp_path)] == [expected] * 5
