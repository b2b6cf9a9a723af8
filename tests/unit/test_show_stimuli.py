"""The stimuli outside the network: pictures, film and tables against the data set's own samples."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest

from dataset import stimulus_files, stimulus_film
from dataset.augmentation import Box
from dataset.build import build_gabors
from dataset.gabors import GaborDataset
from dataset.stimulus_files import write_stimuli
from dataset.stimulus_request import Asked, parse
from dataset.stimulus_tables import network_pixels
from utils.config.flags import Config
from utils.errors import RunError, UsageError
from utils.runs.folder import write_config

SMALL = ["--seed", "11", "--img_dim", "32", "--num_gabors", "4", "--train_len", "8"]
SMALL += ["--num_seq_in", "3", "--pred_step", "2", "--U_prob", "0.5", "--unexp_epoch", "3"]
VARIANTS = {
    "static": ["--no_augm", "--epoch", "3"],
    "own layout of U": ["--no_augm", "--epoch", "3", "--diff_U_possizes"],
    "jitter": ["--epoch", "4"],
    "roll": ["--roll", "--mode", "val", "--epoch", "3"],
    "shifted": ["--roll", "--shift_frames", "--no_augm", "--epoch", "2", "--clips", "1:4"],
    "short images": ["--gab_img_len", "3", "--no_augm", "--diff_possizes", "--clips", "5"],
    "long images": ["--gab_img_len", "10", "--no_augm", "--no_gray"],
    "gillon2021": ["--gabor_design", "gillon2021", "--roll", "--shift_frames", "--with_U"],
    "bilinear": ["--resize", "bilinear", "--clips", ":2"],
    "classifier": ["--model", "lc-rnn", "--epoch", "3"],
    "classifier, short images": ["--model", "lc-rnn", "--gab_img_len", "2"],
}


class Written(NamedTuple):
    """What the command has written, and the data set that it shows."""

    asked: Asked
    folder: Path
    images: pd.DataFrame
    patches: pd.DataFrame
    made: dict
    data: GaborDataset

    def picture(self, row) -> np.ndarray:
        image = cv2.imread(str(self.folder / row.file), cv2.IMREAD_UNCHANGED)
        assert (image.dtype, image.ndim) == (np.uint8, 2)
        return image

    def frames(self) -> list[np.ndarray]:
        """The film's frames, in gray."""
        capture, found = cv2.VideoCapture(str(self.folder / "stimuli.mp4")), []
        while (read := capture.read())[0]:
            found.append(read[1][..., 1])
        return found

    @property
    def items(self) -> list[int]:
        return sorted(set(self.images["item"]))

    def of_item(self, item: int) -> pd.DataFrame:
        return self.images[self.images["item"] == item]


def written(out: Path, *flags: str) -> Written:
    asked = parse(["--out", str(out), *SMALL, *flags])
    paths = write_stimuli(asked)
    assert all(path.is_file() for path in paths)
    images = pd.read_csv(out / "images.csv", dtype={"step": str}, keep_default_na=False)
    images["orientation"] = pd.to_numeric(images["orientation"])
    patches = pd.read_csv(out / "patches.csv")
    made = json.loads((out / "stimuli.json").read_text())
    return Written(asked, out, images, patches, made, build_gabors(asked.config, asked.mode))


def samples_frames(one: Written, item: int) -> np.ndarray:
    """The frames of the data set's sample, `[N*L, C, H, W]`."""
    clip = one.data[one.asked.epoch, item].clip
    clip = clip.expand(-1, -1, one.asked.config.seq_len, -1, -1)
    return clip.transpose(1, 2).flatten(0, 1).numpy()


# ------------------------------------------------------------------ pictures and times


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_frame_of_every_sample_is_the_picture_that_the_table_names(variant, tmp_path):
    one = written(tmp_path / "out", *VARIANTS[variant])
    first, end = one.asked.clips
    assert one.items == list(range(first, len(one.data) if end is None else end))
    onset = 0
    for item in one.items:
        frames = samples_frames(one, item)
        shown = np.concatenate(
            [
                np.repeat(one.picture(row)[None], row.frames, axis=0)
                for row in one.of_item(item).itertuples()
            ]
        )
        np.testing.assert_array_equal(frames, np.broadcast_to(shown[:, None], frames.shape))
        # the rows follow each other without a gap, in the film and in the clip
        for row in one.of_item(item).itertuples():
            assert row.onset_frame == onset
            assert row.clip_frame == onset - one.of_item(item).iloc[0].onset_frame
            onset += row.frames
    assert onset == one.made["frames"] == len(one.items) * len(frames)
    assert list(one.images.number) == list(range(one.made["images"]))
    names = sorted(path.name for path in (one.folder / "frames").iterdir())
    assert [f"frames/{name}" for name in names] == list(one.images.file)


def test_milliseconds_are_frames_times_their_length(tmp_path):
    usual = written(tmp_path / "usual", "--clips", "0:2").images
    assert list(usual.duration_ms) == [300] * 10
    assert list(usual.onset_ms) == [300 * k for k in range(10)]
    fast = written(tmp_path / "fast", "--clips", "0:2", "--ms_per_frame", "16.7").images
    np.testing.assert_allclose(fast.onset_ms, usual.onset_frame * 16.7)
    np.testing.assert_allclose(fast.duration_ms, 83.5)


def test_a_shifted_clip_starts_within_an_image(tmp_path):
    one = written(tmp_path / "out", "--roll", "--shift_frames", "--clips", "0:8")
    first = [one.of_item(item).iloc[0].frames for item in one.items]
    last = [one.of_item(item).iloc[-1].frames for item in one.items]
    assert len(set(first)) > 1
    assert all(a + b in (5, 10) for a, b in zip(first, last, strict=True))
    assert len({one.of_item(item).iloc[0].image for item in one.items}) > 1


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_table_says_of_each_frame_what_its_label_says(variant, tmp_path):
    one = written(tmp_path / "out", *VARIANTS[variant])
    for item in one.items:
        labels = one.data.labels(one.asked.epoch, item).reshape(-1, 2)
        rows = one.of_item(item)
        rows = rows.loc[rows.index.repeat(rows.frames)]
        assert len(rows) == len(labels)
        for row, (number, is_U) in zip(rows.itertuples(), labels.tolist(), strict=True):
            info = one.data.classes[number]
            assert (row.class_name, row.is_U) == (info.name, is_U)
            assert row.image == info.shown(bool(is_U))
            assert row.orientation == info.orientation or (
                info.orientation is None and math.isnan(row.orientation)
            )
            assert (row.image == "U") == bool(row.is_U)


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_join_the_table_with_what_the_records_say_of_each_prediction(variant, tmp_path):
    one = written(tmp_path / "out", *VARIANTS[variant])
    config = one.asked.config
    for item in one.items:
        labels = one.data[one.asked.epoch, item].labels  # [N, L, 2]; as the tasks take them:
        targets = labels[-config.pred_step :, 0] if config.is_dpc else labels[-1:, -1]
        steps = {
            int(step): row for row in one.of_item(item).itertuples() for step in row.step.split()
        }
        assert sorted(steps) == list(range(len(targets)))
        for step, (number, is_U) in enumerate(targets.tolist()):
            assert steps[step].class_name == one.data.classes[number].name
            assert steps[step].is_U == is_U


def test_with_u_shows_the_same_images_but_for_u_in_place_of_d(tmp_path):
    plain = written(tmp_path / "plain", "--epoch", "1")
    with_U = written(tmp_path / "with_U", "--epoch", "1", "--with_U")
    at_once = written(tmp_path / "at_once", "--epoch", "1", "--unexp_epoch", "0")
    assert not plain.images.is_U.any()
    unexpected = with_U.images.is_U == 1
    assert 0 < unexpected.sum() < (plain.images.image == "D").sum()
    assert set(plain.images.image[unexpected]) == {"D"}
    assert ((plain.images.image == with_U.images.image) == ~unexpected).all()
    for row, other in zip(plain.images.itertuples(), with_U.images.itertuples(), strict=True):
        assert np.array_equal(plain.picture(row), with_U.picture(other)) == (not other.is_U)
    for name in ("images.csv", "patches.csv"):
        assert (with_U.folder / name).read_bytes() == (at_once.folder / name).read_bytes()
    assert (plain.made["with_U"], with_U.made["with_U"]) == (False, True)


# ------------------------------------------------------------------ patches


def envelope_and_carrier(patch, dx: np.ndarray, dy: np.ndarray):
    """A patch as STIMULI has it, from its row of the table; and u, v in pixels."""
    theta = math.radians(patch.orientation)
    u = dx * math.cos(theta) + dy * math.sin(theta)
    v = dy * math.cos(theta) - dx * math.sin(theta)
    envelope = np.exp(-(dx**2 + dy**2) / (2 * patch.sd_canvas**2))
    return envelope, np.cos(2 * math.pi * (patch.cycles_per_pixel * u - patch.phase)), u, v


def add(patches: pd.DataFrame, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The image of `dpc`."""
    total = np.zeros((len(y), len(x)))
    for patch in patches.itertuples():
        a, c, _, _ = envelope_and_carrier(
            patch, x[None] - patch.x_canvas, y[:, None] - patch.y_canvas
        )
        total += a * c
    grid = np.linspace(0, 3, 100_001)
    peak = (np.exp(-(grid**2) / 2) * np.sin(2 * math.pi * grid / 6)).max()
    total = total.clip(-peak, peak)
    m = 1.1 * np.abs(total).max()
    return np.floor((total + m) / (2 * m) * 255)


def paint(patches: pd.DataFrame, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The image of `gillon2021`."""
    image = np.zeros((len(y), len(x)))
    for patch in patches.sort_values("patch").itertuples():
        a, c, u, v = envelope_and_carrier(
            patch, x[None] - patch.x_canvas, y[:, None] - patch.y_canvas
        )
        a = np.where((abs(u) <= patch.size_canvas / 2) & (abs(v) <= patch.size_canvas / 2), a, 0)
        image = a * c + (1 - a) * image
    return np.rint(127.5 * (1 + image))


@pytest.mark.parametrize(
    ("design", "formula", "background"), [("dpc", add, 127), ("gillon2021", paint, 128)]
)
def test_images_can_be_drawn_again_from_the_table_of_patches(design, formula, background, tmp_path):
    flags = ["--gabor_design", design, "--num_gabors", "30", "--img_dim", "64", "--no_augm"]
    one = written(tmp_path / "out", *flags, "--epoch", "3", "--clips", "0:4")
    pixels = np.floor((np.arange(64) + 0.5) * 256 / 64)
    assert set(one.images.image) >= set("ABCG")
    for row in one.images.itertuples():
        patches = one.patches[one.patches.number == row.number]
        if row.image == "G":
            assert patches.empty
            assert (one.picture(row) == background).all()
            continue
        assert list(patches.patch) == list(range(30))
        difference = np.abs(one.picture(row) - formula(patches, pixels, pixels))
        assert difference.max() <= 1
        assert (difference == 0).mean() > 0.999


def test_the_units_of_the_patches_agree(tmp_path):
    one = written(tmp_path / "out", "--num_gabors", "30", "--no_augm", "--clips", "0:2")
    patches, deg_per_pix = one.patches, 120 / 256
    for name, centre in (("x", 127.5), ("y", 127.5)):
        canvas = patches[f"{name}_canvas"]
        np.testing.assert_allclose(patches[f"{name}_deg"], (canvas - centre) * deg_per_pix)
        # a pixel of 32 is as large as eight of 256, whose middles lie at 3.5, 11.5, …
        np.testing.assert_allclose(patches[f"{name}_network"], (canvas - 3.5) / 8)
        assert patches[f"{name}_deg"].abs().max() <= 0.45 * 120
    for name in ("size", "sd"):
        np.testing.assert_allclose(patches[f"{name}_deg"], patches[f"{name}_canvas"] * deg_per_pix)
    np.testing.assert_allclose(patches.cycles_per_deg * deg_per_pix, patches.cycles_per_pixel)
    np.testing.assert_array_equal(patches.cycles_per_pixel, 1 / patches.size_canvas)
    nominal_pixels = patches.nominal_size_deg / deg_per_pix
    np.testing.assert_array_equal(patches.size_canvas, np.floor(1.2739827 * nominal_pixels))
    assert patches.nominal_size_deg.between(10, 20).all()
    assert patches.orientation.between(0, 360).all()
    means = one.images.set_index("number").orientation[patches.number].to_numpy()
    offsets = (patches.orientation - means + 180) % 360 - 180
    assert np.abs(offsets).max() < 90
    assert offsets.std() == pytest.approx(14.6, abs=2)


def test_gillons_patches_have_one_frequency_and_lie_between_pixels(tmp_path):
    patches = written(tmp_path / "out", "--gabor_design", "gillon2021", "--clips", "0").patches
    np.testing.assert_allclose(patches.cycles_per_deg, 0.04)
    assert (patches.x_canvas % 1 > 0).all()
    assert (patches.size_canvas % 1 == 0).all()


def test_network_pixels_follow_a_crop():
    box = Box(top=10, left=20, height=50, width=100)
    corners = np.array([[9.5, 19.5], [59.5, 119.5], [34.5, 69.5]])
    np.testing.assert_allclose(
        network_pixels(corners, box, 64), [[-0.5] * 2, [63.5] * 2, [31.5] * 2]
    )


def test_a_single_patch_lies_where_the_table_says_in_cropped_images(tmp_path):
    flags = ["--model", "lc-rnn", "--num_gabors", "1", "--img_dim", "128", "--gabor_design"]
    one = written(tmp_path / "out", *flags, "gillon2021", "--resize", "bilinear")
    found = 0
    for patch in one.patches.itertuples():
        inside = all(20 < at < 108 for at in (patch.x_network, patch.y_network))
        row = one.images.loc[patch.number]
        weights = np.abs(one.picture(row).astype(float) - np.median(one.picture(row)))
        if inside and weights.max() > 20:
            places = np.arange(128)
            x, y = (weights.sum(axis=axis) @ places / weights.sum() for axis in (0, 1))
            assert (x, y) == pytest.approx((patch.x_network, patch.y_network), abs=1)
            found += 1
    assert found > 5


# ------------------------------------------------------------------ film


@pytest.mark.parametrize(
    ("flags", "side"),
    [([], 32), (["--img_dim", "33"], 34), (["--pixels", "96"], 96), (["--ms_per_frame", "20"], 32)],
)
def test_the_film_shows_each_image_for_its_frames(flags, side, tmp_path):
    one = written(tmp_path / "out", *flags, "--gab_img_len", "3", "--no_augm", "--clips", "0:3")
    frames = one.frames()
    assert len(frames) == one.images.frames.sum() == 3 * 25
    assert {frame.shape for frame in frames} == {(side, side)}
    capture = cv2.VideoCapture(str(one.folder / "stimuli.mp4"))
    length = 1000 / capture.get(cv2.CAP_PROP_FPS)
    assert length == pytest.approx(one.asked.ms_per_frame, rel=1e-4)
    pictures = [one.picture(row).astype(int) for row in one.images.itertuples()]
    shown = np.repeat(one.images.number, one.images.frames)
    for number, frame in zip(shown, frames, strict=True):
        rows = np.floor((np.arange(side) + 0.5) * len(pictures[0]) / side).astype(int)
        differences = [np.abs(frame - p[np.ix_(rows, rows)]).mean() for p in pictures]
        assert differences[number] == min(differences) < 8


@pytest.mark.parametrize("ms", [1, 1.7, 7, 7.001, 13, 14, 15, 15.26, 16.683, 60])
def test_a_film_of_any_frame_length_can_be_written(ms, tmp_path):
    with stimulus_film.Film(tmp_path / "film.mp4", 32, ms) as film:
        film.write(np.full((32, 32), 127, np.uint8), 3)
    capture = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert 1000 / capture.get(cv2.CAP_PROP_FPS) == pytest.approx(ms, rel=2e-4)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_a_film_that_lacks_frames_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(stimulus_film, "frames_of", lambda path: 3)
    with pytest.raises(RunError, match=r"stimuli\.mp4: holds 3 of 25 frames; is there room"):
        written(tmp_path / "out", "--clips", "0")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_film_has_no_frames(tmp_path):
    (tmp_path / "text").write_text("no film")
    assert stimulus_film.frames_of(tmp_path / "text") == 0
    assert stimulus_film.frames_of(tmp_path / "nothing") == 0


def test_without_a_codec_nothing_is_left(tmp_path, monkeypatch):
    class Closed:
        fourcc = cv2.VideoWriter.fourcc
        release = isOpened = staticmethod(lambda: False)

        def __init__(self, *_, **__):
            pass

    monkeypatch.setattr(cv2, "VideoWriter", Closed)
    with pytest.raises(RunError, match="OpenCV can't write a film here"):
        written(tmp_path / "out", "--clips", "0")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ the folder


def run_folder(parent: Path, **flags: object) -> Path:
    config = Config(**{"dataset": "Gabors", "seed": 4, "img_dim": 32, "train_len": 8, **flags})
    folder = parent / "a_run"
    folder.mkdir()
    write_config(folder, config, {}, {})
    return folder


def test_a_runs_folder_has_its_flags(tmp_path):
    folder = run_folder(tmp_path, num_gabors=3, no_augm=True, U_prob=0.4)
    asked = parse(["--epoch", "5", str(folder), "--clips", "2:4"])
    paths = write_stimuli(asked)
    assert {path.parent for path in paths} == {folder / "stimuli_train_epoch5"}
    flags = ["--seed", "4", "--img_dim", "32", "--train_len", "8", "--num_gabors", "3", "--no_augm"]
    other = parse(
        ["--out", str(tmp_path / "o"), *flags, "--U_prob", "0.4", "--epoch", "5", "--clips", "2:4"]
    )
    for path, same in zip(paths, write_stimuli(other), strict=True):
        if path.name != "stimuli.json":
            assert path.read_bytes() == same.read_bytes()
    with_U = parse([str(folder), "--with_U", "--mode", "val"])
    assert with_U.out == folder / "stimuli_val_epoch0_with_U"


def test_what_made_the_stimuli_is_kept(tmp_path):
    one = written(tmp_path / "out", "--epoch", "7", "--clips", "2:5", "--with_U")
    made = one.made
    assert (made["format"], made["seed"], made["epoch"], made["mode"]) == (1, 11, 7, "train")
    assert made["clips"] == [2, 5]
    assert Config(**made["configuration"]) == one.asked.config
    assert made["configuration"]["unexp_epoch"] == 0
    assert (made["canvas_pixels"], made["field_deg"], made["network_pixels"]) == (256, 120, 32)


def test_stimuli_that_were_written_before_are_replaced_only_if_asked(tmp_path):
    out = tmp_path / "a" / "out"
    written(out, "--clips", "0:2")
    before = (out / "images.csv").read_bytes()
    with pytest.raises(UsageError, match="is not empty; name another, or --overwrite it"):
        written(out, "--clips", "0")
    assert (out / "images.csv").read_bytes() == before
    assert len(written(out, "--clips", "0", "--overwrite").images) == 5
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert len(list((out / "frames").iterdir())) == 5
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty", "--clips", "0")


def test_a_failure_leaves_the_old_stimuli(tmp_path, monkeypatch):
    out = tmp_path / "out"
    written(out, "--clips", "0")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    def full(path: Path, image: np.ndarray) -> None:
        raise RunError(f"can't write {path}: No space left on device")

    monkeypatch.setattr(stimulus_files, "write_picture", full)
    with pytest.raises(RunError, match="No space left"):
        written(out, "--clips", "0", "--overwrite")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert list(tmp_path.iterdir()) == [out]


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no stimuli; remove it by hand"):
        written(tmp_path, "--overwrite")
    with pytest.raises(UsageError, match=r"mine\.txt: Not a directory; name another"):
        written(tmp_path / "mine.txt", "--overwrite")
    with pytest.raises(UsageError, match=r"mine\.txt/out: Not a directory; name another"):
        written(tmp_path / "mine.txt" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=r"out: can't be made \(Permission denied\); name another"):
        written(tmp_path / "out")


# ------------------------------------------------------------------ wrong input

WRONG = {
    "no arguments": ([], "name a run's folder, or give flags"),
    "no run": (["nowhere"], "nowhere: is no run's folder"),
    "two folders": (["here", "there"], "name one folder"),
    "no seed": (["--img_dim", "32", "--out", "o"], "--seed: give the seed"),
    "no place": (["--seed", "1"], "--out: name the folder"),
    "an unknown flag": (["--seed", "1", "--sead", "2"], "unrecognized arguments: --sead 2"),
    "a flag out of bounds": (["--seed", "1", "--img_dim", "3"], "--img_dim 3: must lie between"),
    "flags that don't fit": (["--seed", "1", "--shift_frames"], "--shift_frames: needs --roll"),
    "videos": (["--seed", "1", "--dataset", "UCF101"], "UCF101 has videos; only Gabor stimuli"),
    "another start": (["--seed", "1", "--resume", "auto"], "--resume: is for run_model.py alone"),
    "a launcher": (["--seed", "1", "--local_rank", "0"], "--local_rank: is for run_model.py"),
    "epoch": (["--seed", "1", "--epoch", "-1"], "--epoch -1: must be at least 0"),
    "no epoch": (["--seed", "1", "--epoch", "x"], "argument --epoch: invalid int value"),
    "mode": (["--seed", "1", "--mode", "test"], "argument --mode: invalid choice"),
    "clips": (["--seed", "1", "--clips", "a:b"], "'a:b' is no range such as 0:16"),
    "no clips": (["--seed", "1", "--clips", "-3:2"], "argument --clips: expected one argument"),
    "no U": (["--seed", "1", "--U_prob", "0", "--with_U"], r"--with_U: the stimuli have no U"),
    "no time": (["--seed", "1", "--ms_per_frame", "0"], "--ms_per_frame 0: must lie between 1"),
    "nan": (["--seed", "1", "--ms_per_frame", "nan"], "--ms_per_frame nan: must lie"),
    "odd": (["--seed", "1", "--pixels", "101"], "--pixels 101: must be even"),
    "huge": (["--seed", "1", "--pixels", "99998"], "--pixels 99998: must lie between"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_told(name):
    arguments, message = WRONG[name]
    with pytest.raises(UsageError, match=message):
        parse(arguments)


@pytest.mark.parametrize("clips", ["0:9", "8", "3:3", "5:2", "8:"])
def test_clips_that_are_not_there_are_told(clips, tmp_path):
    with pytest.raises(UsageError, match=r"--clips .*: the train set has 8 clips, numbered from 0"):
        written(tmp_path / "out", "--clips", clips)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_design_is_told(tmp_path):
    with pytest.raises(UsageError, match="--gabor_design stripes: unknown; take one of dpc"):
        written(tmp_path / "out", "--gabor_design", "stripes")


def test_a_run_of_videos_has_no_stimuli(tmp_path):
    folder = run_folder(tmp_path, dataset="UCF101")
    with pytest.raises(UsageError, match="a_run: UCF101 has videos; only Gabor stimuli can be"):
        parse([str(folder)])


def test_a_runs_folder_takes_no_flags_beside_it(tmp_path):
    folder = run_folder(tmp_path)
    with pytest.raises(UsageError, match=r"its stimuli are those of its run; leave out --seed"):
        parse([str(folder), "--seed", "3"])


def test_a_path_that_opencv_cannot_take_is_told(tmp_path):
    with pytest.raises(UsageError, match="OpenCV takes paths of UTF-8 text alone"):
        written(tmp_path / "b\udcff", "--clips", "0")
