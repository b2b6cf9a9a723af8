"""Tests of 1, 5 and 10 crops: the crops against torchvision's, and where they lie in a sample."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from dataset.augmentation import Draw, Preset, preset_of
from dataset.build import build_dataset, build_loader
from dataset.video_pixels import augment_clip, cut_crops
from model.training.tasks import WholeVideoTask
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.device import start_runtime
from utils.runtime.processes import ALONE
from utils.samples import Batch
from video_data import prepare

N, L = 2, 3
SIZES = [(240, 320), (256, 341), (225, 224), (241, 327), (224, 224), (301, 240)]


def config(**options) -> Config:
    small = {"model": "lc-rnn", "seed": 3, "img_dim": 32, "seq_len": 2, "num_seq_in": 3}
    small |= {"ucf_hmdb_ms_ds": 2, "num_workers": 0, "cpu_only": True}
    return Config(**{**small, **options})


def frames(height: int, width: int, count: int = N * L) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, height, width, 3), np.uint8)


def crops_of(clip: np.ndarray, preset: Preset, count: int) -> torch.Tensor:
    size = preset.enlarged(*clip.shape[1:3])
    made = cut_crops(iter(clip), preset, preset.test_draws(count, *size), (N, L))
    return made.unflatten(0, (count, N))  # [crops, N, C, L, H, W]


def theirs_of(image: np.ndarray, count: int, img_dim: int, how: int) -> np.ndarray:
    """The crops that torchvision makes of a frame, in our order: `[crops, C, H, W]`."""
    picture = Image.fromarray(image[..., ::-1].copy())  # from blue green red
    if count == 1:
        crops = [functional.center_crop(picture, [224, 224])]
    else:
        cut = functional.five_crop if count == 5 else functional.ten_crop
        crops = list(cut(picture, [224, 224]))
        # theirs: four corners, then the centre
        crops = [crops[five + k] for five in range(0, count, 5) for k in (4, 0, 1, 2, 3)]
    resized = [np.asarray(crop.resize((img_dim, img_dim), how)) for crop in crops]
    return np.stack(resized).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("count", "img_dim"), [(1, 128), (5, 112), (10, 128), (10, 224), (10, 96)])
def test_crops_equal_torchvisions_of_pil_images(size, count, img_dim):
    clip = frames(*size)
    ours = crops_of(clip, preset_of(config(img_dim=img_dim), "test"), count)
    assert ours.dtype == torch.uint8
    for m, image in enumerate(clip):
        theirs = theirs_of(image, count, img_dim, Image.Resampling.NEAREST)
        assert np.array_equal(ours[:, m // L, :, m % L], theirs)


def test_smooth_crops_are_within_a_level_of_torchvisions():
    clip = frames(241, 327)
    ours = crops_of(clip, preset_of(config(img_dim=128, resize="bilinear"), "test"), 10)
    theirs = theirs_of(clip[4], 10, 128, Image.Resampling.BILINEAR).astype(int)
    assert np.abs(theirs - ours[:, 1, :, 1].numpy()).max() <= 1


def test_smaller_frames_are_enlarged_before_they_are_cropped():
    clip = frames(48, 64)
    enlarged = np.stack([cv2.resize(image, (299, 224)) for image in clip])
    preset = preset_of(config(), "test")
    assert crops_of(clip, preset, 10).equal(crops_of(enlarged, preset, 10))


@pytest.mark.parametrize("resize", ["nearest", "bilinear"])
@pytest.mark.parametrize("no_augm", [True, False])
@pytest.mark.parametrize("size", [(240, 320), (100, 131)])
def test_one_crop_is_what_the_published_test_takes(size, no_augm, resize):
    clip = frames(*size)
    preset = preset_of(config(img_dim=128, no_augm=no_augm, resize=resize), "test")
    draw = Draw()
    if not no_augm:
        draw = preset.draw(np.random.default_rng(1), len(clip), *preset.enlarged(*size))
    assert crops_of(clip, preset, 1)[0].equal(augment_clip(iter(clip), preset, draw, N))


@pytest.mark.parametrize("crops", [5, 10])
def test_a_sample_has_all_blocks_of_each_crop_and_windows_into_them(tmp_path, crops):
    lengths = {"lengths": (), "test_lengths": (26, 41), "classes": ("a",), "size": (228, 240)}
    prepared = prepare(tmp_path, "MouseSim", suffix="_right", **lengths)
    of_one = config(dataset="MouseSim", data_path_dir=str(prepared.csv_root))
    of_many = dataclasses.replace(of_one, test_crops=crops)
    one, many = (
        list(build_loader(c, "test", start_runtime(c, ALONE)).batches(epoch=0))
        for c in (of_one, of_many)
    )
    assert len(one) == len(many) == 2
    for alone, batch in zip(one, many, strict=True):
        K = alone.clip.shape[1]
        clips = batch.clip[0].unflatten(0, (crops, K))
        assert batch.windows.shape == (1, crops, *alone.windows.shape[1:])
        assert batch.labels.shape == (1, crops * K, 2, 2)
        assert (batch.labels == alone.labels[0, 0, 0]).all()
        assert clips[0].equal(alone.clip[0])
        assert len({crop.numpy().tobytes() for crop in clips}) == crops
        for c in range(crops):
            picked = batch.clip[0, batch.windows[0, c]]  # [W, N, C, L, H, W]
            assert picked.equal(clips[c, alone.windows[0]])


def test_training_and_validation_know_no_crops(tmp_path):
    prepared = prepare(tmp_path, lengths=(30,), test_lengths=(30,))
    options = config(data_path_dir=str(prepared.csv_root), test_crops=10)
    assert build_dataset(options, "train")[0, 0].clip.shape[0] == 3
    assert build_dataset(options, "train", whole=True)[0, 0].clip.shape[0] == 7


def test_a_broken_video_has_no_crops(tmp_path):
    prepared = prepare(tmp_path, lengths=(20,), test_lengths=(30, 30))
    prepared.frame(prepared.rows("test_split01")[1], 21).write_bytes(b"no picture")
    data = build_dataset(config(data_path_dir=str(prepared.csv_root), test_crops=5), "test")
    assert data[0, 1].clip is None
    (fault,) = data[0, 1].faults
    assert Path(fault.path).name == "image_00021.jpg"


def test_gabors_have_no_crops():
    with pytest.raises(UsageError, match="--test_crops 5: is for videos"):
        build_dataset(config(dataset="Gabors", test_crops=5), "test")


# ------------------------------------------------------------------ the average over crops


class Linear(torch.nn.Module):
    """A classifier of the mean values of a window's blocks, with as many weights as it needs."""

    def __init__(self, classes: int):
        super().__init__()
        weights = np.random.default_rng(4).normal(size=(3, classes))
        self.weights = torch.tensor(weights, dtype=torch.float32)
        self.sizes: list[int] = []

    def features(self, blocks):
        self.sizes.append(len(blocks))
        return blocks.mean(dim=(2, 3, 4))[..., None, None]  # [K, 3, 1, 1]

    def classify(self, features):
        return features.mean(dim=(1, 3, 4)) @ self.weights, None


@pytest.mark.parametrize("crops", [1, 5, 10])
@pytest.mark.parametrize("per_pass", [1, 3, 100])
def test_softmax_outputs_are_averaged_over_windows_and_then_over_crops(crops, per_pass):
    K, classes, target = 7, 6, 2
    clip = torch.from_numpy(frames(4, 4, crops * K * 2)).view(1, crops * K, 3, 2, 4, 4)
    clip = clip // torch.arange(1, 1 + crops * K)[:, None, None, None, None]
    clip = clip.to(torch.uint8)
    starts = torch.arange(0, K - N + 1)
    windows = starts[:, None] + torch.arange(N) + K * torch.arange(crops)[:, None, None]
    labels = torch.full((1, crops * K, 2, 2), target)
    task = WholeVideoTask(Linear(classes), per_pass).eval()
    batch = Batch(clip, labels, torch.tensor([0]), windows[None] if crops > 1 else windows)
    output = task(batch)
    assert max(task.model.sizes) <= min(K, per_pass * N)  # crop by crop, part by part
    assert sum(task.model.sizes) == crops * K  # each block once

    blocks = task.normalise(clip)[0].double().mean(dim=(2, 3, 4))  # [crops·K, 3]
    shares = [
        [
            (blocks[of_window].mean(dim=0) @ task.model.weights.double()).softmax(0)
            for of_window in c
        ]
        for c in windows
    ]
    of_crops = torch.stack([torch.stack(c).mean(dim=0) for c in shares])  # [crops, classes]
    expected = torch.stack([of_crops[:n].mean(dim=0) for n in (1, 5, 10) if n <= crops])
    assert output.probabilities.shape == (1, len(expected), classes)
    torch.testing.assert_close(output.probabilities[0].double(), expected, rtol=1e-4, atol=1e-6)
    loss = -expected[:, target].log()
    torch.testing.assert_close(output.crops.loss[0].double(), loss, rtol=1e-4, atol=1e-5)
    assert output.crops.predicted[0].tolist() == expected.argmax(dim=1).tolist()
    ranks = [1 + int((row > row[target]).sum()) for row in expected]
    assert output.crops.rank[0].tolist() == ranks
    assert output.predictions.rank.tolist() == [ranks[-1:]]
    assert output.loss.item() == pytest.approx(loss[-1].item(), rel=1e-4)
    assert bool(output.hits[0, 0]) == (ranks[-1] == 1)
    first = torch.stack(shares[0])[:, target].log()  # of the centre's windows
    torch.testing.assert_close(output.windows.loss[0].double(), -first, rtol=1e-4, atol=1e-5)
