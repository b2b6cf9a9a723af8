"""Data sets of any name, and what dataset.json says of them."""

import json
from pathlib import Path

import pytest

from dataset.augmentation import DPC_PRESETS, preset_of
from dataset.build import build_dataset
from odd_files import ODD_FILES, replace
from utils.config.checks import check_typed, from_stored
from utils.config.datasets import AREA, AUGMENTATIONS, CATALOGUE, entry, short_name, spelled
from utils.config.described import FILE, find_dataset, info_of, stride_of, write_description
from utils.config.flags import Config, normalised_names
from utils.errors import UsageError
from utils.runs.folder import run_name
from video_data import prepare


def describe(csv_root: Path, name: str, text: str = "{}") -> Path:
    (csv_root / name).mkdir(parents=True, exist_ok=True)
    (csv_root / name / FILE).write_text(text)
    return csv_root


@pytest.mark.parametrize(
    "typed", ["Pets", "pets", "my pets", "Haustiere-ß", "犬と猫", "a,b", "x.y"]
)
def test_own_names_stay_as_they_are(typed, tmp_path):
    assert normalised_names({"dataset": typed})["dataset"] == typed
    assert find_dataset(typed, describe(tmp_path, typed)).name == typed
    assert short_name(typed, "left") == typed


@pytest.mark.parametrize(("typed", "name"), [("K400", "Kinetics400"), ("ucf101", "UCF101")])
def test_names_of_the_table_win(typed, name, tmp_path):
    assert spelled(typed) == name
    config = Config(dataset=spelled(typed), data_path_dir=str(describe(tmp_path, typed)))
    assert info_of(config).name == name


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        *((name, "not a path") for name in ("../x", "a/b", "/tmp", "a\\b", "a\nb", "a\x85b")),
        *((name, "no dot in front") for name in (".", "..", ".hidden", " x", "x ")),
        *((name, "1 to 60 bytes") for name in ("", "x" * 61, "犬" * 21)),
        ("mousesim_LEFT", "names the files of --dataset MouseSim --eye left"),
        ("Kinetics400_256", "names the files of --dataset Kinetics400 --k400_big"),
    ],
)
def test_names_that_no_folder_can_have_are_refused(typed, told):
    with pytest.raises(UsageError, match=told):
        normalised_names({"dataset": typed})


def test_unknown_names_say_how_to_make_a_data_set(tmp_path):
    told = r"Pets: unknown; .*UCF101.*DIR/Pets/videos/\{class\}/.*write_csvs.py --d_root DIR"
    with pytest.raises(UsageError, match=told):
        check_typed({"dataset": "Pets", "data_path_dir": str(tmp_path / "none")})
    describe(tmp_path, "pets")
    with pytest.raises(UsageError, match="did you mean pets"):
        check_typed({"dataset": "Pets", "data_path_dir": str(tmp_path)})
    check_typed({"dataset": "pets", "data_path_dir": str(tmp_path)})
    (tmp_path / "Cars").mkdir()
    (tmp_path / "Cars/train_split.csv").touch()
    with pytest.raises(UsageError, match=r"Cars/dataset\.json"):
        find_dataset("Cars", tmp_path)


def test_a_stored_configuration_needs_no_split_files():
    config = from_stored({"dataset": "gone", "data_path_dir": "nowhere"})
    assert config.dataset == "gone"
    with pytest.raises(UsageError, match="--dataset gone: unknown"):
        info_of(config)


@pytest.mark.parametrize("name", ["Pets", "UCF101"])
def test_what_the_file_says_counts_for_all_data_sets(name, tmp_path):
    said = {"stride": 7, "short_side": 64, "interpolation": "area", "augmentation": "crop only"}
    config = Config(dataset=name, data_path_dir=str(describe(tmp_path, name, json.dumps(said))))
    info = info_of(config)
    assert (info.stride, info.variant("right").short_side) == (7, 64)
    assert info.variant("right").interpolation == AREA
    assert stride_of(config, info_of(config)) == 7
    assert preset_of(config, "train") == DPC_PRESETS["crop only"](128, False)
    assert "_ds" not in run_name(config, seed_typed=False)
    assert info.split_sizes == entry(name).split_sizes  # the rest is as in the table


def test_what_is_left_out_is_as_in_the_table(tmp_path):
    for name in ("UCF101", "Pets"):
        usual = find_dataset(name, describe(tmp_path, name))
        assert usual == entry(name)
    assert find_dataset("UCF101", tmp_path / "none") == CATALOGUE["UCF101"]
    k400 = find_dataset("Kinetics400", describe(tmp_path, "Kinetics400", '{"stride": null}'))
    assert k400.stride is None


def test_frames_of_an_eye_have_their_own_file(tmp_path):
    describe(tmp_path, "MouseSim_left", '{"short_side": 99}')
    config = Config(dataset="MouseSim", eye="left", data_path_dir=str(tmp_path))
    sides = [info_of(config).variant(eye).short_side for eye in ("left", "right", "both")]
    assert sides == [99, 240, 240]


def test_what_is_written_is_read(tmp_path):
    before = CATALOGUE["Kinetics400"]
    describe(tmp_path, "Pets")
    write_description(tmp_path / "Pets", before, before.variant("", large=True))
    info = find_dataset("Pets", tmp_path)
    assert (info.stride, info.dpc_preset, info.variants[0].short_side) == (5, "sized crop", 256)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "can't be read as JSON"),
        ("[1]", "must hold"),
        ("{1}", "can't be read as JSON"),
        ('{"stride": 0}', "'stride': 0: must be null, or frames from 1"),
        ('{"stride": true}', "'stride': true"),
        ('{"stride": "3"}', "'stride': \"3\""),
        ('{"stride": 2.5}', "'stride': 2.5"),
        ('{"short_side": null}', "'short_side': null: must be pixels"),
        ('{"short_side": 1e9}', "must be pixels"),
        ('{"interpolation": "cubic"}', "must be one of linear, area"),
        ('{"interpolation": []}', "must be one of linear, area"),
        ('{"augmentation": "crop"}', "must be one of fixed crop, sized crop, crop only"),
        ('{"strides": 3}', "is no key of it; take stride"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(text, told, tmp_path):
    with pytest.raises(UsageError, match=told) as error:
        find_dataset("Pets", describe(tmp_path, "Pets", text))
    assert str(tmp_path / "Pets" / FILE) in str(error.value)


@pytest.mark.parametrize("what", ODD_FILES)
def test_odd_things_in_its_place_are_told(what, tmp_path):
    describe(tmp_path, "Pets")
    replace(tmp_path / "Pets" / FILE, ODD_FILES[what])
    told = "unknown" if what == "missing" else f"Pets/{FILE}"
    with pytest.raises(UsageError, match=told):
        find_dataset("Pets", tmp_path)


def test_augmentations_are_those_there_are():
    assert DPC_PRESETS.keys() == set(AUGMENTATIONS)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (("train_split", "test_split"), "train_split"),
        (("train_split01", "test_split02"), "train_split01"),
        ((), "train_split"),
    ],
)
def test_splits_are_those_there_are_files_of(files, name, tmp_path):
    describe(tmp_path, "Pets")
    for stem in files:
        (tmp_path / f"Pets/{stem}.csv").touch()
    info = find_dataset("Pets", tmp_path)
    assert info.split_name("train", 1) == name


@pytest.mark.parametrize("name", ["Pets", "UCF101", "MouseSim"])
def test_a_split_that_a_data_set_lacks_is_refused(name, tmp_path):
    describe(tmp_path, "Pets")
    for number in (1, 4):
        (tmp_path / f"Pets/train_split0{number}.csv").touch()
    has = {"Pets": (1, 4), "UCF101": (1, 2, 3), "MouseSim": (1,)}[name]
    for split in (1, 2, 3, 4, 5):
        config = Config(dataset=name, data_path_dir=str(tmp_path), split=split)
        if split in has:
            info_of(config)
        else:
            with pytest.raises(UsageError, match=rf"--split {split}: {name} has 1"):
                info_of(config)


def test_clips_of_an_own_data_set_have_its_stride(tmp_path):
    prepared = prepare(tmp_path, "Haus tiere", size=(8, 8))
    describe(prepared.csv_root, "Haus tiere", '{"stride": 2}')
    config = Config(
        dataset="Haus tiere",
        **{"data_path_dir": str(prepared.csv_root), "seed": 1, "img_dim": 32, "no_augm": True},
        **{"num_seq_in": 2, "pred_step": 1, "seq_len": 2, "ucf_hmdb_ms_ds": 1},
    )
    train = build_dataset(config, "train")
    assert (train.options.ds, len(train)) == (2, 9)
    assert len(build_dataset(config, "val")) == 3  # the test split, as for all data sets
