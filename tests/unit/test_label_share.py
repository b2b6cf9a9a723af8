"""A share of the training videos: balanced, nested, and the same for the same seed."""

from itertools import pairwise

import numpy as np
import pytest

from dataset.build import build_dataset
from dataset.label_share import labelled
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runs.folder import run_name
from video_data import prepare

LABELS = np.repeat([0, 1, 2, 3], [50, 20, 3, 1]).astype(np.int32)
ALL = np.arange(len(LABELS))


def counts(share, seed=1, items=ALL):
    kept = labelled(LABELS, items, share=share, seed=seed)
    assert set(kept) <= set(items)
    assert sorted(set(kept)) == kept.tolist()
    return np.bincount(LABELS[kept], minlength=4).tolist()


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.1, [5, 2, 1, 1]),
        (0.5, [25, 10, 2, 1]),
        (0.001, [1, 1, 1, 1]),
        (0.99, [50, 20, 3, 1]),
    ],
)
def test_each_class_has_its_share_and_at_least_one(share, expected):
    assert counts(share) == expected


def test_a_smaller_share_is_part_of_a_larger_one_and_seeds_differ():
    shares = (0.02, 0.1, 0.2, 0.35, 0.5, 0.9, 1)
    sets = [set(labelled(LABELS, ALL, share=share, seed=5)) for share in shares]
    assert all(small < large for small, large in pairwise(sets))
    assert sets[-1] == set(ALL)
    assert sets[2] == set(labelled(LABELS, ALL, share=0.2, seed=5))
    assert sets[2] != set(labelled(LABELS, ALL, share=0.2, seed=6))


def test_classes_without_usable_videos_have_none():
    assert counts(0.5, items=ALL[:50]) == [25, 0, 0, 0]
    assert len(labelled(LABELS, ALL[:0], share=0.5, seed=1)) == 0


def test_training_alone_has_fewer_videos(tmp_path, caplog):
    caplog.set_level("INFO")
    prepared = prepare(tmp_path, lengths=(24, 3, 30, 27, 25), size=(8, 8))
    config = Config(
        model="lc-rnn",
        **{"data_path_dir": str(prepared.csv_root), "seed": 2, "label_share": 0.5},
        **{"num_seq_in": 2, "seq_len": 2, "ucf_hmdb_ms_ds": 1, "img_dim": 32},
    )
    train = build_dataset(config, "train")
    assert "--label_share 0.5: 6 of 12 training videos remain" in caplog.text
    assert np.bincount(train.videos.labels[train.items]).tolist() == [2, 2, 2]
    assert (train.videos.frames[train.items] > 4).all()
    assert len(build_dataset(config, "val")) == len(build_dataset(config, "test")) == 3
    assert len(build_dataset(config, "train", whole=True)) == 12  # features are made of all
    assert "_share0.5" in run_name(config, seed_typed=False)


def test_gabors_have_no_share():
    config = Config(model="lc-rnn", dataset="Gabors", label_share=0.5)
    with pytest.raises(UsageError, match=r"--label_share 0\.5: is for videos"):
        build_dataset(config, "train")
    assert "share" not in run_name(Config(model="lc-rnn", dataset="Gabors"), seed_typed=False)
