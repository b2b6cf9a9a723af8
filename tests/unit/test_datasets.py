"""The table of data sets: its entries name what there is."""

import pytest
import torch

from dataset.augmentation import DPC_PRESETS
from dataset.build import KINDS, build_dataset
from model.training.build import build_learner
from published_splits import SPLIT_LISTS
from utils.config.datasets import CATALOGUE, NAMES, VIDEOS, short_name
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.device import Runtime

INFOS = list(CATALOGUE.values())
VIDEO_INFOS = [info for info in INFOS if info.kind == VIDEOS]


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_presets_lists_and_kinds_are_there(info):
    assert info.dpc_preset in DPC_PRESETS
    assert info.split_lists in SPLIT_LISTS
    assert info.kind in KINDS
    kinds = (set(), {"videos", "splits"}, {"list", "annotations", "replacements"})
    assert info.addresses.keys() in kinds
    assert {variant.large for variant in info.variants} <= {False, info.large_above < 1000}


def test_every_spelling_names_one_data_set():
    spellings = [s.lower() for info in INFOS for s in (info.name, *info.aliases)]
    assert len(set(spellings)) == len(spellings) == len(NAMES)
    shorts = [short_name(info.name, eye) for info in INFOS for eye in ("left", "right", "both")]
    assert len(set(shorts)) == len(INFOS) + 2  # the eyes of MouseSim


@pytest.mark.parametrize("info", VIDEO_INFOS, ids=lambda info: info.name)
def test_published_sizes_are_those_of_the_split_files(info):
    names = info.split_names()
    assert len(set(names)) == len(names)
    assert info.split_sizes.keys() in (set(), set(names))
    if info.name == "UCF101":  # HMDB51 leaves some videos out
        for number in (1, 2, 3):
            both = [info.split_sizes[info.split_name(m, number)] for m in info.modes]
            assert sum(both) == info.num_videos


def test_split_files_of_several_splits_are_numbered():
    names = ["train_split01", "test_split01", "train_split02", "test_split02"]
    assert CATALOGUE["UCF101"].split_names()[:4] == names
    assert CATALOGUE["Kinetics400"].split_names() == ["train_split", "val_split", "test_split"]


@pytest.mark.parametrize(
    ("name", "eye", "large", "suffix", "flags"),
    [
        ("UCF101", "left", False, "", ""),
        ("Kinetics400", "left", False, "", ""),
        ("Kinetics400", "right", True, "_256", " --k400_big"),
        ("MouseSim", "left", False, "_left", " --eye left"),
        ("MouseSim", "both", False, "", " --eye both"),
    ],
)
def test_flags_choose_the_frames(name, eye, large, suffix, flags):
    variant = CATALOGUE[name].variant(eye, large)
    assert (variant.suffix, variant.frames, variant.flags) == (suffix, f"frames{suffix}", flags)


def test_an_unknown_design_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(UsageError, match="--gabor_design moire: unknown; take one of dpc, gillon2"):
        build_dataset(Config(dataset="Gabors", gabor_design="moire"), "train")


def test_one_class_is_too_few_to_classify_and_enough_to_predict():
    runtime = Runtime(torch.device("cpu"))
    with pytest.raises(UsageError, match="--model lc-rnn: needs 2 classes to tell apart"):
        build_learner(Config(model="lc-rnn"), 1, whole_videos=False, runtime=runtime)
    learner = build_learner(Config(model="dpc-rnn"), 1, whole_videos=False, runtime=runtime)
    assert learner.groups
