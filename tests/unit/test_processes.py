"""The processes of a run: the device of each, and its share of the clips."""

import json

import pytest
import torch

from dataset.loading import EpochBatches
from utils.config.checks import check_share
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.device import pick_device
from utils.runtime.launch import processes_to_launch
from utils.runtime.processes import Processes


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize(("length", "batch_size", "fewest", "even"), [
    (50, 12, 12, True), (50, 12, 1, False), (50, 12, 8, True), (5, 1, 1, False), (13, 12, 1, False),
])  # fmt: skip
def test_processes_share_the_batches_of_one(count, length, batch_size, fewest, even):
    def batches(processes: Processes) -> EpochBatches:
        made = EpochBatches(
            length,
            batch_size,
            seed=3,
            mode="train",
            shuffle=True,
            fewest=fewest,
            even=even,
            processes=processes,
        )
        made.epoch = 2
        return made

    whole = dict(enumerate(batches(Processes())))
    shares = [batches(Processes(rank, count, rank)) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    joined: dict[int, list] = {}
    for share in shares:
        for number, items in zip(share.numbers(), share, strict=True):
            joined.setdefault(number, []).extend(items)
    joined = {number: items for number, items in joined.items() if items}
    for number, items in whole.items():
        kept = len(items) - (len(items) % count if even else 0)
        assert joined.pop(number) == items[:kept]
    assert not joined


def test_batches_that_are_done_are_left_out():
    batches = EpochBatches(50, 10, seed=3, mode="train", shuffle=True, fewest=10)
    whole = list(batches)
    batches.done = 3
    assert list(batches) == whole[3:]
    assert batches.numbers() == [3, 4]
    assert len(batches) == 5


def test_each_process_gets_a_gpu_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert pick_device("", False).index == 0
    assert pick_device("2", False).index == 2
    assert [pick_device("", False, Processes(r, 8, r % 4)).index for r in (0, 3, 7)] == [0, 3, 3]
    assert [pick_device("1,3", False, Processes(r, 2, r)).index for r in range(2)] == [1, 3]
    with pytest.raises(UsageError, match="more processes than GPUs"):
        pick_device("1,3", False, Processes(2, 3, 2))
    with pytest.raises(UsageError, match="there are 4"):
        pick_device("4", False)
    assert processes_to_launch({"gpu": "0,1"}) == 2
    assert processes_to_launch({"gpu": "0,1", "cpu_only": True}) == 1
    assert processes_to_launch({}) == processes_to_launch({"gpu": "2"}) == 1
    kept = {"typed": {}, "resolved": {"gpu": "1,2,3"}, "starts": []}
    (tmp_path / "config.json").write_text(json.dumps(kept))  # of a run to resume
    assert processes_to_launch({"resume": str(tmp_path)}) == 3
    assert processes_to_launch({"resume": str(tmp_path / "model/last.pth.tar")}) == 3
    assert processes_to_launch({"resume": str(tmp_path), "gpu": "0"}) == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # srun --gpus-per-task=1
    assert pick_device("", False, Processes(3, 4, 3)).index == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert processes_to_launch({"gpu": "0,1"}) == 1


def test_a_share_has_to_hold_enough_clips():
    with pytest.raises(UsageError, match=r"at least 2 \(batch norm\); it is shared by 4"):
        check_share(Config(model="lc-rnn", batch_size=4), 4)
    check_share(Config(model="lc-rnn", batch_size=8), 4)
    with pytest.raises(UsageError, match="nothing to contrast with; it is shared by 2"):
        check_share(Config(img_dim=32, pred_step=1, batch_size=2), 2)
