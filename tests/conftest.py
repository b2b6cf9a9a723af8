"""Fixtures that several tests share.

They import what needs torch themselves: it takes seconds, which a test without torch saves.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from forked import Starter

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, which would switch it off for the tests too


@pytest.fixture
def narrow_backbone() -> Iterator[None]:
    """Models in this process have few planes."""
    from small_runs import narrow

    with narrow():
        yield


@pytest.fixture
def one_noise_picture() -> Iterator[None]:
    """Runs in this process draw one picture that takes no time."""
    from small_runs import one_picture

    with one_picture():
        yield


@pytest.fixture
def small(narrow_backbone, one_noise_picture) -> None:
    """Runs in this process have a narrow network, and draw one picture that takes no time."""


@pytest.fixture(scope="session")
def pretrained_run(tmp_path_factory) -> Path:
    """A dpc-rnn run of three epochs, with U images from epoch 2 on. Not to be changed."""
    from small_runs import TINY

    return finished_run(tmp_path_factory.mktemp("pretrained"), *TINY, "--num_epochs", 3)


@pytest.fixture(scope="session")
def classifier_run(pretrained_run, tmp_path_factory) -> Path:
    """An lc-rnn run of two epochs from its weights. Not to be changed."""
    from small_runs import classifier_arguments

    flags = classifier_arguments(pretrained_run, 2)
    return finished_run(tmp_path_factory.mktemp("classifier"), *flags)


def finished_run(output: Path, *flags: object) -> Path:
    """Run in this process with a narrow network and true pictures; return the run's folder."""
    from run_records import only
    from small_runs import narrow, run

    with narrow():
        assert run(*flags, "--output_dir", output) == 0
    return only(output)


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    """Starts runs in processes of their own."""
    made = Starter()
    yield made
    made.close()


@pytest.fixture(scope="session")
def whole(starter, tmp_path_factory) -> Path:
    """The folder of an undisturbed run of three epochs. Not to be changed.

    Its changes of the disk are listed in the file `changes`, two folders up.
    """
    from run_records import only
    from small_runs import TINY

    place = tmp_path_factory.mktemp("whole")
    flags = [*TINY, "--num_epochs", 3, "--log_freq", 100, "--output_dir", "runs"]
    ended = starter.run(place, *flags, fault=("signal_before", 0))
    assert ended.status == 0, ended.text
    return only(place / "runs")
