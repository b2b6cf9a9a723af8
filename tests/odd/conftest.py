"""Runs and videos that the trials start from. Not to be changed."""

from pathlib import Path

import pytest

from run_records import only
from small_runs import TINY, narrow, run
from video_data import prepare


def short_run(place: Path, model: str) -> Path:
    with narrow():
        assert run(*TINY, "--model", model, "--num_epochs", 1, "--output_dir", place) == 0
    return only(place)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """A dpc-rnn run of one epoch."""
    return short_run(tmp_path_factory.mktemp("run"), "dpc-rnn")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory) -> Path:
    """An lc-rnn run of one epoch."""
    return short_run(tmp_path_factory.mktemp("classifier"), "lc-rnn")


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """The folder of a prepared data set of videos: data/ and frames_root/."""
    place = tmp_path_factory.mktemp("videos")
    prepare(place, lengths=(24, 30), size=(36, 40))
    return place
