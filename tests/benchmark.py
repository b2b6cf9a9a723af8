"""Timings of this code, as a table: python tests/benchmark.py

Each line is measured in a process of its own; medians over runs. Timings depend on the machine:
compare ratios of lines taken in one sitting.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MIB = 1024  # ru_maxrss counts KiB

# what is measured: name → (function, its arguments)
LINES = {
    "Gabor clip, 128 px, 8 images": ("clip", {"image_len": 5}),
    "Gabor clip, 128 px, 40 images": ("clip", {"image_len": 1}),
    "UCF101 clip, 40 frames, dpc-rnn": ("video_clip", {"model": "dpc-rnn"}),
    "UCF101 clip, 40 frames, lc-rnn training": ("video_clip", {"model": "lc-rnn"}),
    "the same with PIL, dpc-rnn": ("video_clip_by_pil", {"model": "dpc-rnn"}),
    "the same with PIL, lc-rnn training": ("video_clip_by_pil", {"model": "lc-rnn"}),
    "Kinetics400 split file of 240,000 rows": ("large_split", {}),
    "dpc-rnn step, 64 px, 3+1 blocks, batch 8, static": ("step", {"static": True, "small": True}),
    "dpc-rnn step, 64 px, 3+1 blocks, batch 8": ("step", {"static": False, "small": True}),
    "dpc-rnn step, 128 px, 5+3 blocks, batch 4, static": ("step", {"static": True, "small": False}),
    "dpc-rnn step, 128 px, 5+3 blocks, batch 4": ("step", {"static": False, "small": False}),
}


def clip(image_len: int) -> list[float]:
    """Seconds for each clip of 8 blocks of 5 frames, 30 patches, no augmentation, one thread."""
    import torch

    from dataset.build import build_dataset
    from utils.config import Config

    torch.set_num_threads(1)
    config = Config(dataset="Gabors", no_augm=True, gab_img_len=image_len, seed=0, train_len=200)
    dataset = build_dataset(config, "train")
    return [timed(lambda index=index: dataset[0, index]) for index in range(len(dataset))][10:]


def write_frames(folder: Path) -> Path:
    """180 frames of 320×240, moving colour noise that takes about 10 kB each, as UCF101's do."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.standard_normal((300, 600, 3)), (0, 0), 7)
    fine = cv2.GaussianBlur(rng.standard_normal((300, 600, 3)), (0, 0), 1.2)
    canvas = np.clip(128 + 1000 * noise + 8 * fine, 0, 255).astype(np.uint8)
    video = folder / "frames_root/UCF101/frames/Dive/v_Dive_g01_c01"
    video.mkdir(parents=True)
    for shift in range(180):
        image = canvas[20:260, shift : shift + 320]
        path = video / f"image_{shift + 1:05d}.jpg"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    splits = folder / "UCF101"
    splits.mkdir()
    (splits / "train_split01.csv").write_text(f"{video},180\n")
    (splits / "classInd.txt").write_text("0 Dive\n")
    return video


def video_clip(model: str) -> list[float]:
    """Seconds for each clip of 40 frames, 128 px, all augmentation, one thread, files cached."""
    import torch

    from dataset.build import build_dataset
    from utils.config import Config

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_frames(Path(folder))
        blocks = 5 if model == "dpc-rnn" else 8
        config = Config(model=model, data_path_dir=folder, seed=0, num_seq_in=blocks)
        dataset = build_dataset(config, "train")
        return [timed(lambda epoch=epoch: dataset[epoch, 0]) for epoch in range(100)][10:]


def video_clip_by_pil(model: str) -> list[float]:
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

    def clip(video: Path) -> torch.Tensor:
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
        return [timed(lambda: clip(video)) for _ in range(60)][5:]


def large_split() -> list[float]:
    """Seconds until the dataset is ready, on a split file as large as Kinetics400's."""
    from dataset.build import build_dataset
    from tests.video_data import prepare_large
    from utils.config import Config

    with tempfile.TemporaryDirectory() as folder:
        prepare_large(Path(folder))
        config = Config(dataset="Kinetics400", data_path_dir=folder, seed=0)
        return [timed(lambda: build_dataset(config, "train")) for _ in range(5)]


def step(static: bool, small: bool) -> list[float]:
    """Seconds for each training step of dpc-rnn with resnet18: forward, backward and Adam."""
    import torch

    from model.build import build_learner
    from model.passes import on_device
    from utils.batch import Batch
    from utils.config import Config
    from utils.device import Runtime

    size = {"img_dim": 64, "num_seq_in": 3, "pred_step": 1, "batch_size": 8}
    config = Config(dataset="Gabors", seed=0, **(size if small else {"batch_size": 4}))
    B, N, L = config.batch_size, config.num_blocks, config.seq_len
    shape = (B, N, 3, 1 if static else L, config.img_dim, config.img_dim)
    clips = torch.randint(256, shape, dtype=torch.uint8)
    batch = Batch(clips, torch.zeros(B, N, L, 2, dtype=torch.long), torch.arange(B))
    learner = build_learner(config, 1, False, Runtime(torch.device("cpu")))
    learner.task.train()

    def train_step() -> None:
        learner.learn(*on_device(batch, learner.runtime.device))
        learner.update()

    train_step()
    return [timed(train_step) for _ in range(7)]


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(name: str) -> None:
    """Runs one line in this process and prints its seconds and peak memory."""
    function, arguments = LINES[name]
    seconds = globals()[function](**arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    print(statistics.median(seconds), min(seconds), max(seconds), peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--line", help=argparse.SUPPRESS)
    line = parser.parse_args().line
    if line:
        measure(line)
        return
    print(f"{'':52}{'median ms':>10}{'min':>9}{'max':>9}{'peak MiB':>10}")
    for name in LINES:
        # the checkout's packages are found from its folder
        command = [sys.executable, "-m", "tests.benchmark", "--line", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        median, shortest, longest, peak = map(float, done.stdout.split())
        times = f"{1e3 * median:10.2f}{1e3 * shortest:9.2f}{1e3 * longest:9.2f}"
        print(f"{name:52}{times}{peak:10.0f}", flush=True)


if __name__ == "__main__":
    main()
