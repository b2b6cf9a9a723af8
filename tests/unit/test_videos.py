"""Clips and whole videos: which frames they hold, and what happens where frames can't be read."""

import itertools
import logging
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dataset.build import build_dataset, build_loader
from dataset.loading import collate
from dataset.videos import Videos
from small_runs import ON_CPU
from tests.video_data import Prepared, numbered, prepare, read_numbers
from utils.config.flags import Config
from utils.samples import Batch

SPAN = 18  # (2 + 1) blocks · 3 frames · stride 2, of `config`


def config(prepared: Prepared, **options) -> Config:
    small = {"dataset": prepared.root.name, "data_path_dir": str(prepared.csv_root), "seed": 4}
    small |= {"img_dim": 24, "num_seq_in": 2, "pred_step": 1, "seq_len": 3, "ucf_hmdb_ms_ds": 2}
    small |= {"no_augm": True, "batch_size": 2, "num_workers": 0}
    return Config(**{**small, **options})


def prepare_numbered(tmp_path: Path, *args, **options) -> Prepared:
    """Videos whose frames show their numbers."""
    return prepare(tmp_path, *args, **{"size": (16, 48), "draw": numbered, **options})


def with_validation(prepared: Prepared) -> Prepared:
    """The training videos stand in as validation videos."""
    for path in sorted(prepared.split_folder.glob("train_split*")):
        shutil.copy(path, path.with_name(path.name.replace("train", "val")))
    return prepared


def starts(data: Videos, keys) -> list[int]:
    return [int(read_numbers(data[key].clip)[1][0, 0]) for key in keys]


def same(one: Batch, other: Batch) -> bool:
    pairs = list(zip(one[:3], other[:3], strict=True))
    return all(a is b or torch.equal(a, b) for a, b in pairs) and one.faults == other.faults


# ------------------------------------------------------------------ clips


@pytest.mark.parametrize("model", ["dpc-rnn", "lc-rnn"])
def test_a_clip_holds_the_frames_of_its_video_a_stride_apart(tmp_path, model):
    prepared = prepare_numbered(tmp_path, lengths=(24, 40), test_lengths=())
    data = build_dataset(config(prepared, model=model), "train")
    N, L, ds = 3 if model == "dpc-rnn" else 2, 3, 2
    assert len(data) == 6
    for epoch, index in itertools.product((0, 1, 9), range(6)):
        sample = data[epoch, index]
        assert sample.clip.dtype == torch.uint8
        assert sample.clip.shape == (N, 3, L, 24, 24)
        video, frames = read_numbers(sample.clip)
        assert (video == index).all()
        n, block_frame = np.mgrid[:N, :L]
        assert (frames == frames[0, 0] + ds * (L * n + block_frame)).all()
        assert sample.item == index
        assert sample.labels.shape == (N, L, 2)
        assert sample.labels.dtype == torch.int64
        assert (sample.labels[..., 0] == index // 2).all()
        assert (sample.labels[..., 1] == 0).all()
        assert sample.windows is None
        assert sample.faults == ()


@pytest.mark.parametrize(
    ("dataset", "ds"), [("UCF101", 3), ("HMDB51", 3), ("MouseSim", 3), ("Kinetics400", 5)]
)
def test_kinetics_has_a_stride_of_its_own(tmp_path, dataset, ds):
    prepared = prepare_numbered(tmp_path, dataset, lengths=(50,), test_lengths=(), classes="a")
    data = build_dataset(config(prepared, ucf_hmdb_ms_ds=3, eye="both"), "train")
    _, frames = read_numbers(data[0, 0].clip)
    assert (np.diff(frames.ravel()) == ds).all()


@pytest.mark.parametrize("mode", ["train", "val"])
def test_starts_are_uniform_over_all_possible_ones(tmp_path, mode):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN + 5,), test_lengths=(), classes="a")
    data = build_dataset(config(with_validation(prepared)), mode)
    counts = np.bincount(starts(data, ((epoch, 0) for epoch in range(1000))))
    assert len(counts) == 5
    assert abs(counts - 200).max() < 60  # 4.7 standard deviations


def test_a_video_one_frame_longer_than_the_clip_has_one_start(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN + 1,), test_lengths=(), classes="a")
    data = build_dataset(config(prepared), "train")
    assert set(starts(data, ((epoch, 0) for epoch in range(30)))) == {0}


def test_epochs_indices_seeds_and_modes_draw_apart(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(80, 80, 80), test_lengths=(), classes="ab")
    with_validation(prepared)
    keys = list(itertools.product(range(4), range(6)))

    def drawn(mode="train", **options) -> list[int]:
        return starts(build_dataset(config(prepared, **options), mode), keys)

    usual = drawn()
    assert usual == drawn()
    assert len(set(usual)) > 12  # of 24
    for other in (drawn(seed=5), drawn("val"), usual[6:] + usual[:6], usual[1:] + usual[:1]):
        assert np.mean(np.array(other) == usual) < 0.25


# ------------------------------------------------------------------ (seed, epoch, index) alone


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize(
    ("model", "mode", "resize"),
    [
        ("dpc-rnn", "train", "nearest"),
        ("lc-rnn", "train", "bilinear"),
        ("lc-rnn", "test", "nearest"),
    ],
)
def test_workers_and_order_change_no_bit(tmp_path, model, mode, resize):
    prepared = prepare(tmp_path, lengths=(24, 30), test_lengths=(24, 30))
    prepared.frame(prepared.rows()[1], 12).unlink()
    options = config(prepared, model=model, resize=resize, no_augm=False)
    keys = [(epoch, index) for epoch in (2, 7) for index in range(6)]

    def loaded(num_workers: int) -> dict[int, Batch]:
        loader = build_loader(
            config(prepared, model=model, resize=resize, no_augm=False, num_workers=num_workers),
            mode,
            ON_CPU,
        )
        seen = {}
        for epoch in (2, 7):
            for batch, key_batch in zip(loader.batches(epoch), loader.order, strict=True):
                seen |= {key: batch.clip[b] for b, key in enumerate(key_batch)}
        return seen

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one_by_one = {key: build_dataset(options, mode)[key] for key in reversed(keys)}
        torch.set_num_threads(3)
        again = build_dataset(options, mode)
        assert all(same(one_by_one[key], again[key]) for key in keys)
        for workers in (0, 1, 3):
            clips = loaded(workers)
            assert clips.keys() == set(keys)
            assert all(torch.equal(clips[key], one_by_one[key].clip) for key in keys)
    finally:
        torch.set_num_threads(threads)


def test_the_global_generators_are_left_alone(tmp_path):
    prepared = prepare(tmp_path, lengths=(24,), test_lengths=())
    data = build_dataset(config(prepared, no_augm=False), "train")
    torch.manual_seed(0)
    np.random.seed(0)
    cv2.setRNGSeed(0)
    one = data[1, 1]
    torch.manual_seed(1)
    np.random.seed(1)
    cv2.setRNGSeed(1)
    torch_state, state = torch.get_rng_state(), np.random.get_state()[1].copy()
    assert same(one, data[1, 1])
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_dataset_can_be_handed_to_a_process_of_its_own(tmp_path, mode):
    prepared = prepare(tmp_path, lengths=(24,))
    data = build_dataset(config(prepared, model="lc-rnn", no_augm=False), mode)
    assert same(pickle.loads(pickle.dumps(data))[1, 2], data[1, 2])


# ------------------------------------------------------------------ short videos


def test_short_videos_are_left_out_counted_and_logged(tmp_path, caplog):
    lengths = (SPAN, SPAN + 1, 5, 30)
    prepared = prepare_numbered(tmp_path, lengths=lengths, test_lengths=(), classes="ab")
    with caplog.at_level(logging.INFO):
        data = build_dataset(config(prepared), "train")
    assert (len(data), data.total) == (4, 8)
    assert any("4 of 8" in record.getMessage() for record in caplog.records)
    items = [data[0, index].item.item() for index in range(4)]
    assert items == [1, 3, 5, 7]
    assert [int(read_numbers(data[0, index].clip)[0][0, 0]) for index in range(4)] == items
    assert [data.item_name(item) for item in items] == [
        f"frames/{c}/v_{c}_train_{v}" for c in "ab" for v in (1, 3)
    ]


def test_where_none_is_too_short_nothing_is_logged(tmp_path, caplog):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN + 1,), test_lengths=(), classes="ab")
    with caplog.at_level(logging.INFO):
        assert len(build_dataset(config(prepared), "train")) == 2
    assert not caplog.records


@pytest.mark.parametrize("mode", ["train", "val"])
def test_short_videos_repeat_their_last_frame_with_pad_short(tmp_path, mode):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN, 7, 1, 30), test_lengths=(), classes="a")
    with_validation(prepared)
    data = build_dataset(config(prepared, pad_short=True), mode)
    assert (len(data), data.total) == (4, 4)
    expected = [[0, 2, 4, 6, 8, 10, 12, 14, 16], [0, 2, 4, 6, 6, 6, 6, 6, 6], [0] * 9]
    for index, frames in enumerate(expected):
        sample = data[3, index]
        assert read_numbers(sample.clip)[1].ravel().tolist() == frames
        assert sample.item == index
        assert sample.faults == ()
    assert len(set(starts(data, ((epoch, 3) for epoch in range(40))))) > 6


@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_video_without_frames_can_not_be_padded(tmp_path, mode):
    prepared = prepare_numbered(tmp_path, lengths=(0, 30), test_lengths=(0, 30), classes="a")
    data = build_dataset(config(prepared, model="lc-rnn", pad_short=True), mode)
    assert (len(data), data.total) == (1, 2)
    assert data[0, 0].item == 1


def test_classes_and_their_totals_count_every_video(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(30, 5, 30), test_lengths=(4,))
    text = "0 Dive\n1 Jump\n2 Never seen\n3 Run\n"
    (prepared.split_folder / "classInd.txt").write_text(text)
    data = build_dataset(config(prepared), "train")
    assert [info.name for info in data.classes] == ["Dive", "Jump", "Never seen", "Run"]
    assert [info.shown(False) for info in data.classes] == [info.name for info in data.classes]
    assert all(info.orientation is None for info in data.classes)
    assert data.class_totals == [3, 3, 0, 3]
    assert (len(data), data.total) == (6, 9)
    assert data[0, 5].labels[0, 0].tolist() == [3, 0]
    assert {data.phase(epoch) for epoch in range(20)} == {"expected"}


@pytest.mark.parametrize(
    ("model", "mode", "records"),
    [
        ("dpc-rnn", "train", False),
        ("dpc-rnn", "val", False),
        ("lc-rnn", "train", False),
        ("lc-rnn", "val", True),
        ("lc-rnn", "test", True),
    ],
)
def test_predictions_are_recorded_of_classified_video_alone(tmp_path, model, mode, records):
    prepared = prepare_numbered(tmp_path, lengths=(30,), test_lengths=(30,))
    data = build_dataset(config(prepared, model=model), mode)
    assert data.records_predictions is records
    assert data.whole_videos is (mode == "test")


# ------------------------------------------------------------------ faults in training


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def test_a_clip_with_a_broken_frame_is_drawn_again_from_the_same_video(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(80, 30), test_lengths=(), classes="a")
    data = build_dataset(config(prepared), "train")
    keys = [(epoch, 0) for epoch in range(60)]
    before = [data[key] for key in keys]
    bad = prepared.frame(prepared.rows()[0], 31)
    broken(bad)
    redrawn = 0
    for key, old in zip(keys, before, strict=True):
        new = data[key]
        _, frames = read_numbers(new.clip)
        assert same(new, data[key])
        assert new.item == 0
        assert 30 not in frames
        assert (np.diff(frames.ravel()) == 2).all()
        if 30 not in read_numbers(old.clip)[1]:  # then nothing has changed
            assert same(new, old)
            continue
        assert set(new.faults) == {(0, str(bad), new.faults[0].reason)}
        assert new.faults[0].reason
        redrawn += 1
    assert 3 < redrawn < 30


@pytest.mark.parametrize("gone", ["frames", "folder"])
def test_a_video_that_can_not_be_read_gives_way_to_another(tmp_path, gone):
    prepared = prepare_numbered(tmp_path, lengths=(24,), test_lengths=(), classes="ab")
    data = build_dataset(config(prepared), "train")
    folder = prepared.frame(prepared.rows()[0], 1).parent
    if gone == "folder":
        shutil.rmtree(folder)
    else:
        for path in folder.iterdir():
            broken(path)
    frames = set()
    for epoch in range(60):
        sample = data[epoch, 0]
        assert same(sample, data[epoch, 0])
        assert sample.clip is not None
        assert (read_numbers(sample.clip)[0] == 1).all()
        assert sample.item == 1
        assert (sample.labels[..., 0] == 1).all()
        assert {fault.item for fault in sample.faults} == {0}
        assert len(sample.faults) <= 3  # then it is not tried again
        places = {Path(f.path) if gone == "folder" else Path(f.path).parent for f in sample.faults}
        assert places == {folder}
        frames.add(int(read_numbers(sample.clip)[1][0, 0]))
        assert data[epoch, 1].faults == ()
    assert len(frames) > 3


def test_other_videos_take_the_place_of_a_broken_one_in_turn(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(24,) * 6, test_lengths=(), classes="a")
    data = build_dataset(config(prepared), "train")
    shutil.rmtree(prepared.frame(prepared.rows()[2], 1).parent)
    assert {data[epoch, 2].item.item() for epoch in range(80)} == {0, 1, 3, 4, 5}


def test_each_file_is_named_once_in_a_clips_faults(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN + 1,), test_lengths=(), classes="ab")
    data = build_dataset(config(prepared), "train")
    prepared.frame(prepared.rows()[0], 1).unlink()  # of the only clip there is
    for epoch in range(20):
        assert len(data[epoch, 0].faults) == 1


def test_where_nothing_can_be_read_a_sample_has_no_clip(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(24,), test_lengths=(), classes="ab")
    data = build_dataset(config(prepared), "train")
    shutil.rmtree(prepared.root)
    sample = data[0, 1]
    assert sample.clip is None
    assert sample.labels is None
    assert sample.item == 1
    assert {fault.item for fault in sample.faults} == {1}


def test_fewer_frames_than_the_split_file_says_are_a_fault(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(30, 30), test_lengths=(), classes="a")
    data = build_dataset(config(prepared), "train")
    for number in range(20, 31):
        prepared.frame(prepared.rows()[0], number).unlink()
    samples = [data[epoch, 0] for epoch in range(40)]
    assert any(sample.faults and sample.item == 0 for sample in samples)
    assert all(read_numbers(s.clip)[1].max() < 19 for s in samples if s.item == 0)


def test_a_frame_of_another_size_is_a_fault(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN + 1,), test_lengths=(), classes="ab")
    data = build_dataset(config(prepared), "train")
    cv2.imwrite(str(prepared.frame(prepared.rows()[0], 3)), np.zeros((8, 48, 3), np.uint8))
    sample = data[0, 0]
    assert sample.item == 1
    assert sample.faults[0].item == 0
    assert "size" in sample.faults[0].reason


# ------------------------------------------------------------------ faults elsewhere


@pytest.mark.parametrize(
    ("model", "mode"), [("dpc-rnn", "val"), ("lc-rnn", "val"), ("lc-rnn", "test")]
)
def test_outside_of_training_an_item_that_can_not_be_read_is_left_out(tmp_path, model, mode):
    prepared = prepare_numbered(tmp_path, lengths=(SPAN + 1,) * 2, test_lengths=(13,), classes="ab")
    prepared = prepared if mode == "test" else with_validation(prepared)
    data = build_dataset(config(prepared, model=model), mode)
    assert len(data) == data.total == (2 if mode == "test" else 4)
    bad = prepared.frame(data.item_name(1) + ",", 5)
    broken(bad)
    seen = 0
    for epoch in range(20):
        sample = data[epoch, 1]
        assert same(sample, data[epoch, 1])
        assert sample.item == 1
        if sample.clip is None:
            seen += 1
            assert sample.labels is None
            assert [(f.item, f.path) for f in sample.faults] == [(1, str(bad))]
        else:  # of lc-rnn, whose clips are shorter
            assert 4 not in read_numbers(sample.clip)[1]
        assert data[epoch, 0].faults == ()
    assert seen > 0
    if model == "dpc-rnn" or mode == "test":
        assert seen == 20


# ------------------------------------------------------------------ whole videos


@pytest.mark.parametrize(
    ("n", "blocks"), [(24, 4), (23, 4), (25, 4), (30, 5), (31, 5), (42, 7), (19, 3), (20, 3)]
)
def test_a_whole_video_is_cut_into_consecutive_blocks(tmp_path, n, blocks):
    prepared = prepare_numbered(tmp_path, lengths=(), test_lengths=(n, n), classes="ab")
    data = build_dataset(config(prepared, model="lc-rnn", num_seq_in=3), "test")
    assert len(data) == data.total == 4
    sample = data[0, 2]
    video, frames = read_numbers(sample.clip)
    assert sample.clip.shape == (blocks, 3, 3, 24, 24)
    assert (video == 2).all()
    assert frames.ravel().tolist() == list(range(0, 6 * blocks, 2))
    assert sample.labels.shape == (blocks, 3, 2)
    assert (sample.labels[..., 0] == 1).all()
    assert sample.item == 2
    assert sample.windows.tolist() == [[k, k + 1, k + 2] for k in range(blocks - 2)]


@pytest.mark.parametrize(
    ("num_seq_in", "windows"),
    [
        (1, [[0], [1], [2], [3], [4], [5], [6]]),
        (2, [[k, k + 1] for k in range(6)]),
        (4, [[0, 1, 2, 3], [2, 3, 4, 5]]),
        (5, [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]),
        (7, [[0, 1, 2, 3, 4, 5, 6]]),
    ],
)
def test_windows_of_a_whole_video_overlap_by_half(tmp_path, num_seq_in, windows):
    prepared = prepare_numbered(tmp_path, lengths=(), test_lengths=(43,), classes="a")
    data = build_dataset(config(prepared, model="lc-rnn", num_seq_in=num_seq_in), "test")
    assert data[0, 0].windows.tolist() == windows
    assert data[0, 0].windows.dtype == torch.int64


def test_at_most_500_frames_of_a_video_are_tested(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(), test_lengths=(520,), classes="a")
    options = {"model": "lc-rnn", "num_seq_in": 4, "seq_len": 6, "ucf_hmdb_ms_ds": 1}
    sample = build_dataset(config(prepared, **options), "test")[0, 0]
    assert read_numbers(sample.clip)[1].ravel().tolist() == list(range(498))  # 83 blocks of 6
    assert sample.windows[:, 0].tolist() == list(range(0, 80, 2))


def test_whole_videos_are_the_same_in_every_epoch(tmp_path):
    prepared = prepare(tmp_path, lengths=(), test_lengths=(30,))
    data = build_dataset(config(prepared, model="lc-rnn", no_augm=False), "test")
    assert same(data[0, 1], data[5, 1])
    other = build_dataset(config(prepared, model="lc-rnn", no_augm=False, seed=99), "test")
    assert same(data[0, 1], other[0, 1])


def test_videos_without_more_frames_than_a_window_spans_are_not_tested(tmp_path, caplog):
    # two blocks of 3 frames at a stride of 2 span 12 frames; frames 0 to 10 would do
    lengths = (11, 12, 13, 10, 3, 14)
    prepared = prepare_numbered(tmp_path, lengths=(), test_lengths=lengths, classes="a")
    with caplog.at_level(logging.INFO):
        data = build_dataset(config(prepared, model="lc-rnn"), "test")
    assert (len(data), data.total, data.class_totals) == (2, 6, [6])
    assert [data[0, index].item.item() for index in range(2)] == [2, 5]
    assert "test: 4 of 6 videos are too short, 12 frames or fewer, and are left out" in caplog.text


def test_videos_too_short_for_a_window_are_padded_if_asked(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(), test_lengths=(11, 10, 13, 3), classes="a")
    padded = build_dataset(config(prepared, model="lc-rnn", pad_short=True), "test")
    assert len(padded) == 4
    frames = [read_numbers(padded[0, index].clip)[1].ravel().tolist() for index in range(4)]
    assert frames[:2] == [[0, 2, 4, 6, 8, 10], [0, 2, 4, 6, 8, 9]]
    assert frames[2:] == [[0, 2, 4, 6, 8, 10], [0, 2, 2, 2, 2, 2]]
    assert all(padded[0, index].windows.tolist() == [[0, 1]] for index in range(4))


# ------------------------------------------------------------------ batches


def test_a_batch_holds_the_samples_that_have_a_clip_and_the_faults_of_all(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(24,), test_lengths=())
    with_validation(prepared)
    data = build_dataset(config(prepared), "val")
    shutil.rmtree(prepared.frame(prepared.rows()[1], 1).parent)
    samples = [data[0, index] for index in (2, 1, 0)]
    batch = collate(samples)
    assert batch.clip.shape == (2, 3, 3, 3, 24, 24)
    assert torch.equal(batch.clip, torch.stack([samples[0].clip, samples[2].clip]))
    assert torch.equal(batch.labels, torch.stack([samples[0].labels, samples[2].labels]))
    assert batch.item.tolist() == [2, 0]
    assert batch.windows is None
    assert batch.faults == samples[1].faults
    assert len(batch.faults) == 1
    nothing = collate(samples[1:2])
    assert nothing.clip is None
    assert nothing.item.tolist() == []
    assert nothing.faults == samples[1].faults
    assert nothing.to("cpu").clip is None


def test_a_loader_counts_every_item_once_and_leaves_out_what_it_must(tmp_path):
    prepared = prepare_numbered(tmp_path, lengths=(24,), test_lengths=(24, 24))
    shutil.rmtree(prepared.root / "frames/Jump/v_Jump_test_0")
    prepared.split("test_split01").write_text(
        "\n".join(sorted(prepared.rows("test_split01"))[::-1])
    )
    options = config(prepared, model="lc-rnn")
    with pytest.raises(Exception, match="does not exist"):
        build_loader(options, "test", ON_CPU)
    (prepared.root / "frames/Jump/v_Jump_test_0").mkdir()
    test = list(build_loader(options, "test", ON_CPU).batches(0))
    assert [batch.item.tolist() for batch in test] == [[0], [1], [2], [], [4], [5]]
    assert test[0].windows.shape == (1, 3, 2)
    assert [len(batch.faults) for batch in test] == [0, 0, 0, 1, 0, 0]
    assert test[3].faults[0].item == 3
    val = list(build_loader(options, "val", ON_CPU).batches(0))
    assert [batch.item.tolist() for batch in val] == [[0, 1], [2], [4, 5]]
    assert [len(batch.faults) for batch in val] == [0, 1, 0]


@pytest.mark.parametrize(
    ("dataset", "sizes"), [("UCF101", [3]), ("MouseSim", [3, 2]), ("Kinetics400", [3])]
)
def test_only_mousesim_keeps_a_last_smaller_batch_in_dpc(tmp_path, dataset, sizes):
    prepared = prepare_numbered(tmp_path, dataset, lengths=(46,) * 5, test_lengths=(), classes="a")
    options = config(prepared, batch_size=3, eye="both")
    batches = list(build_loader(options, "train", ON_CPU).batches(0))
    assert [len(batch.clip) for batch in batches] == sizes


def test_mousesim_keeps_no_batch_of_a_single_clip(tmp_path):
    prepared = prepare_numbered(
        tmp_path, "MouseSim", lengths=(24,) * 4, test_lengths=(), classes="a"
    )
    options = config(prepared, batch_size=3, eye="both")
    batches = build_loader(options, "train", ON_CPU).batches(0)
    assert [len(batch.clip) for batch in batches] == [3]
