"""Data workers on small machines: what they send and how, and what is told when they are lost."""

import multiprocessing
import os
import re
import resource
import signal
import sys
from types import SimpleNamespace

import pytest
import torch

from dataset import workers
from dataset.build import build_loader
from dataset.loading import ClipLoader
from dataset.workers import Sending, end_workers, enough_files
from forked import has_ended, wait_until
from small_runs import ON_CPU
from utils.config.flags import Config
from utils.errors import LostWorkerError, RunError
from utils.files import reason
from utils.logs import start_logging
from utils.samples import Batch, Fault

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
SMALL = {
    "dataset": "Gabors", "seed": 5, "img_dim": 32, "num_gabors": 2, "num_seq_in": 2, "pred_step": 1,
    "batch_size": 2, "train_len": 40,
}  # fmt: skip


def loader_of(num_workers: int) -> ClipLoader:
    return build_loader(Config(**SMALL, num_workers=num_workers), "train", ON_CPU)


@pytest.fixture(autouse=True)
def no_workers_left():
    workers.warn_of_pipes.cache_clear()
    yield
    end_workers()


# ------------------------------------------------------------------ how they send


@pytest.mark.parametrize("short_of", ["shared memory", "open files"])
def test_batches_through_pipes_are_the_same_and_one_warning_says_why(short_of, monkeypatch, capsys):
    if short_of == "shared memory":
        monkeypatch.setattr(
            workers.os, "statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=4096)
        )
        told = "/dev/shm has little room: batches come through pipes"
    else:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
        monkeypatch.setattr(resource, "setrlimit", refuse)
        told = "few open files are allowed: batches come through pipes"
    start_logging("info")
    piped, expected = loader_of(2), loader_of(0)
    for epoch in range(2):
        pairs = zip(piped.batches(epoch), expected.batches(epoch), strict=True)
        for one, other in pairs:
            assert not one.clip.is_shared()
            assert one.number == other.number
            assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
    assert capsys.readouterr().err.count(told) == 1


def refuse(*_):
    raise ValueError("not allowed to raise maximum limit")


@pytest.mark.parametrize("may_share", [True, False])
def test_faults_and_windows_go_through_pipes_too(may_share, monkeypatch):
    monkeypatch.setattr(workers, "shared_memory_holds", lambda _: False)
    fault = Fault(3, "frame.jpg", "is empty")
    part = torch.arange(3)
    samples = [Batch(part, part, torch.tensor(1), part), Batch(None, None, part, faults=(fault,))]
    batch = workers.pickle.loads(Sending(2, may_share)(samples))
    assert torch.equal(batch.windows, part[None])
    assert batch.faults == (fault,)
    empty = workers.pickle.loads(Sending(2, False)(samples[1:]))
    assert (empty.clip, len(empty.item), empty.faults) == (None, 0, (fault,))


def test_shared_memory_must_hold_what_all_workers_make_ahead(monkeypatch):
    asked = []
    monkeypatch.setattr(workers, "shared_memory_holds", lambda size: asked.append(size) or True)
    clip = torch.zeros(10, dtype=torch.uint8)
    assert isinstance(Sending(3, True)([Batch(clip, clip, clip)] * 4), Batch)
    assert asked == [2 * 3 * 4 * 10]
    monkeypatch.undo()
    assert workers.shared_memory_holds(1)
    monkeypatch.setattr(workers, "SHARED_MEMORY", "/no/such/folder")
    assert workers.shared_memory_holds(2**60)  # other systems have it elsewhere


@pytest.mark.parametrize(("limits", "raised", "enough"), [
    ((1024, 4096), [], True), ((64, 4096), [(176, 4096)], True), ((64, -1), [(176, -1)], True),
    ((-1, -1), [], True), ((64, 64), [], False),
])  # fmt: skip
def test_the_limit_of_open_files_is_raised_as_far_as_needed(limits, raised, enough, monkeypatch):
    calls = []

    def setrlimit(_, wanted):
        if 0 <= wanted[1] < wanted[0]:
            refuse()
        calls.append(wanted)

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert enough_files(2) == enough
    assert calls == raised


# ------------------------------------------------------------------ how they are lost


@pytest.mark.parametrize("error", [
    BlockingIOError(11, "Resource temporarily unavailable"), OSError(24, "Too many open files"),
    OSError(12, "Cannot allocate memory"), RuntimeError("can't start new thread"),
])  # fmt: skip
def test_workers_that_can_not_be_started_are_told(error, monkeypatch):
    unseen = []
    monkeypatch.setattr(sys, "unraisablehook", unseen.append)

    def fails() -> int:
        raise error

    monkeypatch.setattr(os, "fork", fails)
    told = re.escape(f"can't start 2 data workers ({reason(error)}): lower --num_workers")
    with pytest.raises(RunError, match=told):
        next(loader_of(2).batches(0))
    assert not unseen


@pytest.mark.parametrize("num_workers", [1, 8])
@pytest.mark.parametrize(
    ("number", "remedy"),
    [(signal.SIGKILL, "often memory .* lower --num_workers"), (signal.SIGBUS, "--shm-size")],
)
def test_a_worker_that_is_lost_is_told_at_the_next_batch_and_not_before(
    number, remedy, num_workers
):
    batches = loader_of(num_workers).batches(0)
    next(batches)
    worker = multiprocessing.active_children()[-1]
    os.kill(worker.pid, number)
    wait_until(lambda: has_ended(worker.pid))  # where an exception would end a step halfway
    with pytest.raises(LostWorkerError, match=rf"a data worker was lost: DataLoader .*{remedy}"):
        list(batches)


def test_signals_for_the_run_end_no_worker():
    batches = loader_of(1).batches(0)
    next(batches)
    (worker,) = multiprocessing.active_children()
    for number in workers.STOPPING:
        os.kill(worker.pid, number)
    assert len(list(batches)) == 19
