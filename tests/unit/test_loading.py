"""From a configuration to batches: their order, their size, and what is in them."""

import itertools
from dataclasses import replace

import pytest
import torch

from dataset import gabors
from dataset.augmentation import preset_of
from dataset.build import build_dataset, build_loader
from dataset.gabor_sequences import Sequences
from dataset.gabor_stimuli import DESIGNS
from dataset.gabors import Layouts
from dataset.loading import ClipLoader, EpochBatches
from small_runs import ON_CPU
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.processes import Processes
from utils.samples import Batch


def config(**options) -> Config:
    small = {
        "dataset": "Gabors",
        "seed": 5,
        "img_dim": 32,
        "num_gabors": 2,
        "num_seq_in": 2,
        "pred_step": 1,
        "batch_size": 4,
        "train_len": 10,
        "num_workers": 0,
    }
    return Config(**{**small, **options})


def batches(length: int = 10, **options) -> EpochBatches:
    defaults = {"seed": 3, "mode": "train", "shuffle": True, "fewest": 1}
    return EpochBatches(length, options.pop("batch_size", 4), **{**defaults, **options})


def order(sampler: EpochBatches, epoch: int = 1) -> list[int]:
    sampler.epoch = epoch
    keys = [key for batch in sampler for key in batch]
    assert {key_epoch for key_epoch, _ in keys} == {epoch}
    return [index for _, index in keys]


# ------------------------------------------------------------------ the order


def test_the_order_follows_from_seed_mode_and_epoch():
    assert order(batches(50)) == order(batches(50))
    sampler = batches(50)
    assert order(sampler, 2) != order(sampler, 1)
    assert order(sampler, 2) == order(batches(50), 2)  # whatever came before
    others = [order(batches(50, seed=4)), order(batches(50, mode="val")), order(batches(50), 2)]
    assert all(other != order(batches(50)) for other in others)


def test_the_batch_size_does_not_change_the_order():
    assert order(batches(50, batch_size=7)) == order(batches(50))


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_index_comes_once(shuffle):
    for epoch in range(3):
        assert sorted(order(batches(23, shuffle=shuffle), epoch)) == list(range(23))


def test_shuffled_orders_reach_every_place():
    firsts = {order(batches(5), epoch)[0] for epoch in range(60)}
    assert firsts == set(range(5))


def test_unshuffled_batches_run_in_file_order():
    for epoch in (0, 7):
        assert order(batches(23, shuffle=False), epoch) == list(range(23))


@pytest.mark.parametrize(
    ("length", "fewest", "sizes"),
    [
        (10, 1, [4, 4, 2]),
        (10, 4, [4, 4]),
        (10, 2, [4, 4, 2]),
        (9, 2, [4, 4]),
        (8, 1, [4, 4]),
        (8, 4, [4, 4]),
        (3, 1, [3]),
        (3, 4, []),
    ],
)
def test_the_last_batch_is_smaller_or_left_out(length, fewest, sizes):
    sampler = batches(length, fewest=fewest)
    assert [len(batch) for batch in sampler] == sizes
    assert len(sampler) == len(sizes)


# ------------------------------------------------------------------ build_loader


@pytest.mark.parametrize(
    ("model", "mode", "sizes", "shuffled"),
    [
        ("dpc-rnn", "train", [4, 4], True),
        ("dpc-rnn", "val", [4], True),
        ("lc-rnn", "train", [4, 4], True),
        ("lc-rnn", "val", [4, 1], False),
        ("lc-rnn", "test", [4, 1], False),
    ],
)
def test_batches_are_whole_and_shuffled_where_the_method_says_so(model, mode, sizes, shuffled):
    loader = build_loader(config(model=model), mode, ON_CPU)
    assert len(loader) == len(sizes)
    orders = []
    for epoch in range(4):
        items = [batch.item.tolist() for batch in loader.batches(epoch)]
        assert [len(batch) for batch in items] == sizes
        orders.append([*itertools.chain(*items)])
    assert (orders == [list(range(sum(sizes)))] * 4) == (not shuffled)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_numbered_and_those_that_are_done_are_left_out(num_workers):
    loader = build_loader(config(train_len=16, num_workers=num_workers), "train", ON_CPU)
    whole = list(loader.batches(3))
    assert [batch.number for batch in whole] == [0, 1, 2, 3]
    for done in (1, 4, 0):  # workers are kept, and forget where the pass before began
        rest = list(loader.batches(3, done))
        assert [batch.number for batch in rest] == [0, 1, 2, 3][done:]
        assert all(map(same, rest, whole[done:]))
    assert len(loader) == 4


def test_a_rank_numbers_the_batches_as_all_ranks_together_do():
    for batch_size, numbers in ((4, [[0, 1], [0, 1]]), (1, [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]])):
        for rank in range(2):
            order = batches(batch_size=batch_size, fewest=batch_size, processes=Processes(rank, 2))
            loader = ClipLoader(
                build_dataset(config(), "train"), order, num_workers=0, pin_memory=False
            )
            assert [batch.number for batch in loader.batches(1)] == numbers[rank]


def test_validation_has_half_as_many_clips_and_other_orders():
    train, val = (build_loader(config(train_len=64), mode, ON_CPU) for mode in ("train", "val"))
    assert (len(train.samples), len(val.samples)) == (64, 32)
    train_order, val_order = order(train.order), order(val.order)
    assert [index for index in train_order if index < 32] != val_order


@pytest.mark.parametrize(
    ("model", "mode", "train_len", "enough"),
    [
        ("dpc-rnn", "train", 3, False),
        ("dpc-rnn", "train", 4, True),
        ("dpc-rnn", "val", 7, False),
        ("dpc-rnn", "val", 8, True),
        ("lc-rnn", "train", 3, False),
        ("lc-rnn", "val", 2, True),
        ("lc-rnn", "val", 1, False),
        ("lc-rnn", "test", 2, True),
    ],
)
def test_a_set_smaller_than_a_batch_is_an_error_that_names_it(model, mode, train_len, enough):
    options = config(model=model, train_len=train_len)
    if enough:
        assert len(list(build_loader(options, mode, ON_CPU).batches(0))) == 1
        return
    clips = train_len if mode == "train" else train_len // 2
    with pytest.raises(UsageError, match=f"--batch_size 4: the {mode} set has {clips} clips") as e:
        build_loader(options, mode, ON_CPU)
    assert "--train_len" in str(e.value)
    assert "\n" not in str(e.value)


def test_phases_and_landmarks_follow_from_the_epoch_of_the_first_u():
    data = build_dataset(config(unexp_epoch=6), "train")
    assert [data.phase(epoch) for epoch in range(5, 8)] == ["expected", *["unexpected"] * 2]
    assert {0, 3, 4, 5, 6, 7, 8} == data.landmark_epochs
    never = build_dataset(config(unexp_epoch=6, U_prob=0), "train")
    assert {never.phase(epoch) for epoch in range(20)} == {"expected"}
    assert never.landmark_epochs == {0}


@pytest.mark.parametrize(
    ("design", "own_U"), [("dpc", False), ("dpc", True), ("gillon2021", False)]
)
def test_the_flags_reach_the_dataset(design, own_U):
    options = {"gabor_design": design, "diff_U_possizes": own_U, "diff_possizes": True}
    options |= {"gab_img_len": 4, "roll": True, "shift_frames": True, "unexp_epoch": 2}
    options |= {"resize": "bilinear", "seq_len": 3, "model": "lc-rnn", "U_prob": 0.3}
    data = build_dataset(config(**options), "val")
    assert (data.seed, data.mode, data.num_blocks, data.seq_len) == (5, "val", 2, 3)
    assert data.sequences == Sequences(DESIGNS[design], 4, True, True, True, 2, 0.3)
    assert data.layouts == Layouts(2, per_clip=True, own_U=own_U or design == "gillon2021")
    assert data.preset == preset_of(config(**options), "val", flip=False)
    assert data.preset.bilinear


def test_a_further_design_is_known_by_its_entry_in_the_table(monkeypatch):
    mine = replace(DESIGNS["gillon2021"], orientations=(0, 60, 120), background=90, runs=None)
    monkeypatch.setitem(DESIGNS, "mine", mine)
    data = build_dataset(config(gabor_design="mine", U_prob=0, num_seq_in=4, no_augm=True), "val")
    assert len(data.classes) == 4 * 3 + 1
    clip = data[0, 0].clip
    assert (clip[4] == 90).all()  # G
    assert (clip[:4] != 90).any()


# ------------------------------------------------------------------ what the batches hold


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize("resize", ["nearest", "bilinear"])
def test_workers_and_threads_change_no_bit(resize):
    def two_epochs(num_workers: int) -> list[Batch]:
        options = {"resize": resize, "num_gabors": 30, "img_dim": 96, "roll": True}
        loader = build_loader(config(**options, num_workers=num_workers), "train", ON_CPU)
        return [batch for epoch in (2, 7) for batch in loader.batches(epoch)]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one_thread = two_epochs(0)
        torch.set_num_threads(3)
        others = [two_epochs(0), two_epochs(1), two_epochs(4)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert [batch.clip.shape for batch in one_thread] == [(4, 3, 3, 1, 96, 96)] * 4
    assert others[1][0].clip.is_shared()  # a worker's batch is not copied once more
    for other in others:
        assert len(other) == 4
        assert all(map(same, one_thread, other))
    assert not torch.equal(one_thread[0].clip, one_thread[2].clip)  # the epoch reaches the workers


@pytest.mark.parametrize(("resize", "side"), [("nearest", 32), ("bilinear", 256)])
def test_only_pixels_that_survive_the_resize_are_drawn(resize, side, monkeypatch):
    seen, draw_images = [], gabors.draw_images

    def drawing(*arrays, rows, columns, **options):
        drawn = draw_images(*arrays, rows=rows, columns=columns, **options)
        seen.append((drawn, draw_images(*arrays, **options)))
        return drawn

    monkeypatch.setattr(gabors, "draw_images", drawing)
    options = config(gabor_design="gillon2021", resize=resize, no_augm=True)
    sample = build_dataset(options, "train")[0, 0]
    ((drawn, whole),) = seen
    assert drawn.shape == (3, side, side)
    if resize == "nearest":  # of every 8 pixels the one at 4
        assert torch.equal(sample.clip[:, 0, 0], torch.from_numpy(whole[:, 4::8, 4::8]))


def test_patches_are_added_up_on_one_thread(monkeypatch):
    # that more would give the same bits is luck, and differs from machine to machine
    seen, bmm, threads = [], torch.bmm, torch.get_num_threads()
    monkeypatch.setattr(torch, "bmm", lambda *a: (seen.append(torch.get_num_threads()), bmm(*a))[1])
    try:
        torch.set_num_threads(2)
        build_dataset(config(), "train")[0, 0]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert seen == [1]


def test_a_loader_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    list(build_loader(config(), "train", ON_CPU).batches(0))
    assert torch.equal(torch.get_rng_state(), state)


COMBINATIONS = list(
    itertools.product(
        ("dpc", "gillon2021"),
        ("dpc-rnn", "lc-rnn"),
        ((False, False), (True, False), (True, True)),  # roll, shift_frames
        (False, True),  # no_gray
        (False, True),  # no_augm
        ("nearest", "bilinear"),
    )
)


@pytest.mark.parametrize(("design", "model", "roll", "no_gray", "no_augm", "resize"), COMBINATIONS)
def test_every_combination_of_options_gives_clips(design, model, roll, no_gray, no_augm, resize):
    options = config(
        gabor_design=design,
        model=model,
        roll=roll[0],
        shift_frames=roll[1],
        no_gray=no_gray,
        no_augm=no_augm,
        resize=resize,
        num_seq_in=3,
        unexp_epoch=1,
    )
    for mode in ("train", "val") if options.is_dpc else ("train", "val", "test"):
        data = build_dataset(options, mode)
        sample = data[1, 0]
        N, L = options.num_blocks, 5 if roll[1] else 1
        assert sample.clip.shape == (N, 3, L, 32, 32)
        assert sample.clip.dtype == torch.uint8
        assert sample.clip.unique().numel() > 20  # something is drawn
        assert sample.labels.shape == (N, 5, 2)
        assert 0 <= sample.labels[..., 0].min() <= sample.labels[..., 0].max() < len(data.classes)
        assert data.static_blocks == (not roll[1])
        assert not (no_gray and "G" in {c.image for c in data.classes})
