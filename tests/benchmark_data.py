"""What tests/benchmark.py measures of data sets: the seconds of a clip, and of a large split file.

Each function imports what it needs: the memory of the others' should not hold it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark_lines import Measured, own_peak, timed

if TYPE_CHECKING:
    import numpy as np


def clip(image_len: int, augmented: bool = False) -> Measured:
    """Each clip of 8 blocks of 5 frames at 128 px, 30 patches, one thread."""
    import torch

    from dataset.build import build_dataset
    from utils.config.flags import Config

    torch.set_num_threads(1)
    config = Config(
        dataset="Gabors", no_augm=not augmented, gab_img_len=image_len, seed=0, train_len=200
    )
    dataset = build_dataset(config, "train")
    seconds = [timed(lambda index=index: dataset[0, index]) for index in range(len(dataset))]
    return Measured(seconds[10:], own_peak())


def moving_noise(frames: int, seed: int = 0) -> "Iterator[np.ndarray]":
    """Pictures of 320×240 that take about 10 kB each as JPEG files, as UCF101's do."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.standard_normal((300, 600, 3)), (0, 0), 7)
    fine = cv2.GaussianBlur(rng.standard_normal((300, 600, 3)), (0, 0), 1.2)
    canvas = np.clip(128 + 1000 * noise + 8 * fine, 0, 255).astype(np.uint8)
    for shift in range(frames):
        yield np.ascontiguousarray(canvas[20:260, shift : shift + 320])


def write_frames(folder: Path) -> Path:
    """A video of 180 frames and its split files."""
    import cv2

    video = folder / "frames_root/UCF101/frames/Dive/v_Dive_g01_c01"
    video.mkdir(parents=True)
    for number, image in enumerate(moving_noise(180), 1):
        path = video / f"image_{number:05d}.jpg"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    splits = folder / "UCF101"
    splits.mkdir()
    (splits / "train_split01.csv").write_text(f"{video},180\n")
    (splits / "classInd.txt").write_text("0 Dive\n")
    return video


def video_clip(model: str) -> Measured:
    """Each clip of 40 frames, 128 px, all augmentation, one thread, files cached."""
    import torch

    from dataset.build import build_dataset
    from utils.config.flags import Config

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_frames(Path(folder))
        blocks = 5 if model == "dpc-rnn" else 8
        config = Config(model=model, data_path_dir=folder, seed=0, num_seq_in=blocks)
        dataset = build_dataset(config, "train")
        seconds = [timed(lambda epoch=epoch: dataset[epoch, 0]) for epoch in range(100)]
    return Measured(seconds[10:], own_peak())


def video_clip_by_pil(model: str) -> Measured:
    """The same in the usual way: PIL and torchvision, a frame at a time."""
    import numpy as np
    import torch
    from PIL import Image
    from torchvision import transforms
    from torchvision.transforms import functional

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    jitter = transforms.ColorJitter(0.5, 0.5, 0.5, 0.25)
    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    is_dpc = model == "dpc-rnn"

    def make(video: Path) -> torch.Tensor:
        start, left, top = rng.integers(60), rng.integers(97), rng.integers(17)
        flip, jittered = rng.random() < 0.5, is_dpc or rng.random() < 0.3
        box = None
        frames = []
        for number in range(start, start + 120, 3):
            image = Image.open(video / f"image_{number + 1:05d}.jpg").convert("RGB")
            if is_dpc:
                image = image.crop((left, top, left + 224, top + 224))
            else:
                box = box or transforms.RandomResizedCrop.get_params(
                    image, (0.5, 1), (3 / 4, 4 / 3)
                )
                image = functional.resized_crop(image, *box, [224, 224])
            image = image.resize((128, 128), Image.Resampling.NEAREST)
            if flip:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            if is_dpc and rng.random() < 0.5:
                image = Image.merge("RGB", [image.split()[rng.integers(3)]] * 3)
            frames.append(to_tensor(jitter(image) if jittered else image))
        return torch.stack(frames)

    with tempfile.TemporaryDirectory() as folder:
        video = write_frames(Path(folder))
        seconds = [timed(lambda: make(video)) for _ in range(60)]
    return Measured(seconds[5:], own_peak())


def large_split() -> Measured:
    """Until the dataset is ready, on a split file as large as Kinetics400's."""
    from dataset.build import build_dataset
    from utils.config.flags import Config
    from video_data import prepare_large

    with tempfile.TemporaryDirectory() as folder:
        prepare_large(Path(folder))
        config = Config(dataset="Kinetics400", data_path_dir=folder, seed=0)
        seconds = [timed(lambda: build_dataset(config, "train")) for _ in range(5)]
    return Measured(seconds, own_peak())
