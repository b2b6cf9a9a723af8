"""What only a GPU shows; the first test alone runs without one."""

from contextlib import nullcontext

import pandas as pd
import pytest
import torch

from model.training.batches import copied_ahead
from model.training.build import build_learner
from model.training.meter import Meter
from small_runs import TINY, run
from utils.config.flags import Config
from utils.logs import Progress
from utils.runtime.device import Runtime
from utils.samples import Batch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
GPU = torch.device("cuda")
LARGE = (8, 4, 3, 5, 128, 128)


class Noted:
    """A batch, an event, and both streams of a GPU that isn't there, which write down what is asked
    of them."""

    def __init__(self, notes: list[str], name: object):
        self.notes, self.name = notes, name

    def __iter__(self):
        return iter(())

    def to(self, device):
        self.notes.append(f"copy {self.name}")
        return self

    def record_event(self):
        return self.notes[-1]

    def wait_event(self, event):
        self.notes.append(f"wait for {event}")


def test_the_next_batch_is_copied_before_one_is_handed_out(monkeypatch):
    notes = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Noted(notes, "copying"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Noted(notes, "computing"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    for batch in copied_ahead((Noted(notes, i) for i in range(3)), GPU):
        notes.append(f"use {batch.name}")
    assert notes == [
        *("copy 0", "copy 1", "wait for copy 0", "use 0"),
        *("copy 2", "wait for copy 1", "use 1"),
        *("wait for copy 2", "use 2"),
    ]
    assert list(copied_ahead([], GPU)) == []


@needs_gpu
def test_batches_arrive_whole_and_in_order_while_the_gpu_is_busy():
    def batch(i: int) -> Batch:
        clip = torch.full(LARGE, i, dtype=torch.uint8).pin_memory()
        return Batch(clip, None, torch.tensor([i]).pin_memory(), number=i)

    matrix = torch.randn(4096, 4096, device=GPU)
    sums = []
    for arrived in copied_ahead(map(batch, range(20)), GPU):
        for _ in range(5):
            matrix = matrix @ matrix / 64
        spread = arrived.clip.float().aminmax()
        number = torch.tensor(arrived.number, device=GPU)
        sums.append(torch.stack([*spread, arrived.item[0].float(), number]))
        del arrived, spread  # the next ones may get their memory
    assert torch.stack(sums).tolist() == [[i] * 4 for i in range(20)]


@needs_gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_is_that_of_the_cpu(narrow_backbone, tmp_path, workers):
    flags = [*TINY, "--num_epochs", 1, "--num_workers", workers]
    for name, device in (("gpu", "--gpu=0"), ("cpu", "--cpu_only")):
        assert run(*flags, device, "--output_dir", tmp_path / name) == 0
    tables = [pd.read_csv(next((tmp_path / name).glob("*/epochs.csv"))) for name in ("gpu", "cpu")]
    assert [len(table) for table in tables] == [4, 4]
    # before any update, which amplifies what TF32 rounds
    losses = [table.loss[table.epoch == 0].to_numpy() for table in tables]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@needs_gpu
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_run_in_a_lower_precision(narrow_backbone, tmp_path, precision):
    flags = [*TINY, "--num_epochs", 2, "--gpu=0", "--output_dir", tmp_path]
    assert run(*flags, "--amp", precision) == 0
    table = pd.read_csv(next(tmp_path.glob("*/epochs.csv")))
    assert table.loss.lt(10).all()


@needs_gpu
@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
def test_no_step_waits_for_the_gpu(narrow_backbone, model):
    """As tests/unit/test_host_waits.py shows without one, and backward and update as well."""
    settings = {"dataset": "Gabors", "img_dim": 32, "num_seq_in": 2, "pred_step": 1, "seed": 1}
    config = Config(**settings, model=model)
    runtime = Runtime(GPU)
    learner = build_learner(config, num_classes=5, whole_videos=False, runtime=runtime)
    meter = Meter(runtime, Progress("a pass", total=3, log_freq=10))
    clip = torch.randint(256, (4, config.num_blocks, 3, 5, 32, 32)).byte()
    labels = torch.zeros(4, config.num_blocks, 5, 2, dtype=torch.long)
    batch = Batch(clip.pin_memory(), labels.pin_memory(), torch.arange(4).pin_memory())
    learner.train()
    for number, arrived in enumerate(copied_ahead([batch] * 3, GPU)):
        torch.cuda.set_sync_debug_mode("error" if number else "default")  # the first one prepares
        try:
            with learner.autocast():
                output = learner.forward(arrived)
            learner.backward(output.loss)
            learner.update()
            meter.add(arrived, output)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert meter.means().loss > 0
