"""Whole videos of any mode and model, as features are made of them."""

import dataclasses

import pytest
import torch

from dataset.build import build_loader
from utils.config.flags import Config
from utils.runtime.device import start_runtime
from utils.runtime.processes import ALONE, Processes
from video_data import prepare


def batches(config, mode="train", epoch=0, processes=ALONE):
    runtime = dataclasses.replace(start_runtime(config, ALONE), processes=processes)
    return list(build_loader(config, mode, runtime, whole=True).batches(epoch))


def config(**options):
    usual = {"seed": 3, "img_dim": 32, "seq_len": 2, "num_seq_in": 2, "ucf_hmdb_ms_ds": 1}
    return Config(**{**usual, "num_workers": 0, "cpu_only": True, **options})


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
@pytest.mark.parametrize("no_augm", [True, False])
def test_all_blocks_of_each_training_video_come_once_and_in_order(tmp_path, model, no_augm):
    prepared = prepare(tmp_path, "UCF101", lengths=(20, 13))
    options = {"data_path_dir": str(prepared.csv_root), "no_augm": no_augm}
    N = 5 if model == "dpc-rnn" else 2  # blocks of a window: those of a clip in training
    whole = batches(config(model=model, **options))
    rows = prepared.rows()
    assert [int(batch.item) for batch in whole] == list(range(len(rows)))
    for batch, row in zip(whole, rows, strict=True):
        K = int(row.rpartition(",")[2]) // 2
        assert batch.clip.shape == (1, K, 3, 2, 32, 32)
        starts = torch.arange(0, K - N + 1, N // 2)
        assert batch.windows[0].equal(starts[:, None] + torch.arange(N))
    # nothing is random, and both models see the same pixels
    again = batches(config(model="lc-rnn", **{**options, "seed": 4}), epoch=7)
    assert all(a.clip.equal(b.clip) for a, b in zip(whole, again, strict=True))


def test_short_videos_are_left_out_or_padded(tmp_path):
    prepared = prepare(tmp_path, "UCF101", lengths=(20, 9))
    options = {"data_path_dir": str(prepared.csv_root)}
    rows = prepared.rows()
    assert len(batches(config(**options))) < len(rows)
    padded = batches(config(pad_short=True, **options))
    assert len(padded) == len(rows)
    assert min(batch.clip.shape[1] for batch in padded) == 5


@pytest.mark.parametrize("mode", ["train", "val"])
def test_gabors_give_their_clips_in_order(mode):
    small = {"dataset": "Gabors", "train_len": 10, "batch_size": 4}
    whole = batches(config(**small), mode)
    count = 10 if mode == "train" else 5
    items = torch.cat([batch.item for batch in whole])
    assert items.tolist() == list(range(count))
    assert all(batch.windows is None for batch in whole)
    # as in the test of a classifier of such clips, without jitter
    classifier = config(**small, model="lc-rnn", num_seq_in=5)
    again = batches(classifier, mode)
    assert all(a.clip.equal(b.clip) for a, b in zip(whole, again, strict=True))
    assert all((batch.clip == batch.clip[:, :, :1]).all() for batch in whole)


@pytest.mark.parametrize("dataset", ["UCF101", "Gabors"])
@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_items_and_each_comes_once(tmp_path, dataset, count):
    options = {"dataset": dataset, "train_len": 9, "batch_size": 4}
    if dataset != "Gabors":
        prepared = prepare(tmp_path, dataset, lengths=(20, 13, 15))
        options["data_path_dir"] = str(prepared.csv_root)
    ranks = [batches(config(**options), processes=Processes(rank, count)) for rank in range(count)]
    assert len({len(of_rank) for of_rank in ranks}) == 1
    read = [batch for of_rank in ranks for batch in of_rank if batch.clip is not None]
    assert sorted(torch.cat([batch.item for batch in read]).tolist()) == list(range(9))
