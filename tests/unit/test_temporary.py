"""The program's own temporary folder: where it lies, and that nothing of it stays."""

import os
import tempfile
from pathlib import Path

import pytest

from dataset import workers
from dataset.build import build_loader
from small_runs import ON_CPU
from utils.config.flags import Config
from utils.runtime.temporary import LONGEST, own_temporary_folder


@pytest.fixture
def usual(monkeypatch):
    """$TMPDIR, at a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
        yield Path(folder)


@pytest.mark.parametrize("failure", [None, KeyboardInterrupt, OSError])
def test_nothing_stays_after_any_end(failure, usual):
    before = dict(os.environ), tempfile.tempdir
    try:
        with own_temporary_folder():
            folder = Path(tempfile.mkdtemp())
            (folder / "left").touch()
            assert folder.parent.parent == usual
            assert os.environ["TMPDIR"] == str(folder.parent)
            if failure:
                raise failure
    except (KeyboardInterrupt, OSError) as error:
        assert type(error) is failure  # noqa: PT017  (not every case raises)
    assert not list(usual.iterdir())
    assert (dict(os.environ), tempfile.tempdir) == before


@pytest.mark.parametrize("value", ["", "/nowhere", "/dev/null", "/proc", "long", "a\udcff"])
def test_a_folder_that_can_not_be_used_is_passed_over(value, tmp_path, monkeypatch):
    if value == "long":
        value = str(tmp_path / ("x" * LONGEST))
        os.mkdir(value)
    monkeypatch.setenv("TMPDIR", value)
    with own_temporary_folder():
        folder = tempfile.mkdtemp()
        assert folder.startswith(("/tmp/", "/var/tmp/", "/dev/shm/"))
    assert not os.path.exists(folder)
    assert os.environ["TMPDIR"] == value
    assert value != str(tmp_path) or not os.listdir(value)


def test_where_no_folder_can_be_made_the_program_goes_on(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    before = dict(os.environ)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with own_temporary_folder():
        assert dict(os.environ) == before


def test_what_is_compiled_stays_for_the_next_run(usual):
    with own_temporary_folder():
        compiled = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        compiled.mkdir()  # as torch does
    assert not list(usual.iterdir())
    with own_temporary_folder():
        compiled.mkdir()
        (compiled / "a.so").touch()
    assert list(usual.rglob("*")) == [compiled, compiled / "a.so"]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_data_workers_send_batches_though_the_usual_folder_has_a_long_path(tmp_path, monkeypatch):
    """The address of a socket has at most 107 bytes."""
    place = tmp_path / ("x" * 120)
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    config = Config(dataset="Gabors", img_dim=32, num_gabors=2, num_seq_in=2, pred_step=1, seed=5,
                    batch_size=2, train_len=4, num_workers=1, worker_timeout=20)  # fmt: skip
    with own_temporary_folder():
        assert len(list(build_loader(config, "train", ON_CPU).batches(0))) == 2
        workers.end_workers()
