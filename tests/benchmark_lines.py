"""What tests/benchmark.py measures within one process: a function for each kind of line.

Each imports what it needs: the memory of the others' should not hold it.
"""

import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import torch

    from utils.config.flags import Config

GB = 1e9
KIB = 1024  # what ru_maxrss counts

WARM_UP, STEPS, LONG_STEPS = 2, 7, 3
LONG = 5  # seconds of a step, from which on fewer are timed
NUM_CLASSES = 101  # of UCF101
PRECISIONS = {"off": "float32", "bf16": "bfloat16", "fp16": "float16"}

# of the peak: the backbone's convolutions at 128 px, as (input, weight)
SHAPES = (
    ((32, 64, 5, 32, 32), (64, 64, 1, 3, 3)),
    ((32, 128, 5, 16, 16), (128, 128, 1, 3, 3)),
    ((32, 256, 3, 8, 8), (256, 256, 3, 3, 3)),
)
PEAK_RUNS, PEAK_SECONDS = 8, 2.0  # of each shape, at most
GPU_CLIPS = 8  # times as many clips, which a GPU needs to be busy


class Measured(NamedTuple):
    """`peak_gb`: of the largest process, or on the GPU. `gflop`: nominal ones of a run, in that
    `precision`. `split`: a job's seconds by phase."""

    seconds: list[float]
    peak_gb: float
    gflop: float = 0.0
    precision: str = ""
    split: dict[str, float] = {}


class UnavailableError(Exception):
    """Why a line can't be measured here."""


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def own_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / GB


def machine() -> dict[str, Any]:
    """What the timings were taken on."""
    import torch

    from utils.runtime.environment import git_commit

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git_commit(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


# ------------------------------------------------------------------ steps


def step(
    fields: dict[str, Any], frames: int = 5, learns: bool = True, gpu: bool = False
) -> Measured:
    """Training steps with resnet18: forward, backward and Adam; or evaluation's. `fields` of the
    configuration; `frames` handed over of each block, 1 where it is static."""
    import torch

    config = configured({"dataset": "Gabors", "seed": 0, "cpu_only": not gpu, **fields})
    run = make_step(config, frames, learns)
    for _ in range(WARM_UP):
        last = timed(run)
    seconds = [timed(run) for _ in range(LONG_STEPS if last > LONG else STEPS)]
    peak = torch.cuda.max_memory_allocated() / GB if gpu else own_peak()
    plain = configured({**vars(config), "compile": False})  # compiled operations aren't counted
    gflop = count_gflop(make_step(plain, frames, learns))
    precision = ("GPU " if gpu else "") + PRECISIONS[config.amp]
    return Measured(seconds, peak, gflop, precision)


def configured(fields: dict[str, Any]) -> "Config":
    from utils.config.flags import FIELDS, Config

    unknown = fields.keys() - FIELDS.keys()
    if unknown:
        raise UnavailableError(f"this version has no --{', --'.join(sorted(unknown))}")
    return Config(**fields)


def make_step(
    config: "Config", frames: int, learns: bool, layout: "torch.memory_format | None" = None
) -> Callable[[], None]:
    """`layout`: of the backbone's tensors, else the program's choice."""
    import torch

    from model.training.build import build_learner
    from utils.errors import UsageError
    from utils.runtime.device import start_runtime
    from utils.runtime.processes import ALONE
    from utils.samples import Batch

    try:
        runtime = start_runtime(config, processes=ALONE)
    except UsageError as why:  # this CPU has no instructions for --amp
        raise UnavailableError(str(why)) from None
    B, N = config.batch_size, config.num_blocks
    clips = torch.randint(256, (B, N, 3, frames, config.img_dim, config.img_dim)).byte()
    labels = torch.zeros(B, N, config.seq_len, 2, dtype=torch.long)
    batch = Batch(clips, labels, torch.arange(B))
    learner = build_learner(config, NUM_CLASSES, False, runtime)
    learner.task.train(learns)
    if layout is not None:
        learner.task.model.backbone.to(memory_format=layout)

    def learn() -> None:
        with learner.autocast():
            output = learner.forward(batch.to(runtime.device))
        learner.backward(output.loss)
        learner.update()

    @torch.inference_mode()
    def evaluate() -> None:
        with runtime.autocast():
            learner.task(batch.to(runtime.device))

    def run() -> None:
        learn() if learns else evaluate()
        if runtime.device.type == "cuda":
            torch.cuda.synchronize()

    return run


def count_gflop(run: Callable[[], Any]) -> float:
    """2 for each product and sum of the convolutions and matrix products that are computed."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9


def convolution_peak(gpu: bool) -> dict[str, dict[str, float]]:
    """GFLOP/s of forward convolutions: precision → (shape and memory format → the best run's)."""
    import torch

    from utils.config.flags import Config
    from utils.runtime.device import start_runtime
    from utils.runtime.processes import ALONE

    if gpu:  # with or without TF32, as the program has it
        start_runtime(Config(dataset="Gabors"), processes=ALONE)
    formats = (torch.contiguous_format, torch.channels_last_3d)
    names = PRECISIONS.values() if gpu else ("float32", "bfloat16")
    device, clips = ("cuda", GPU_CLIPS) if gpu else ("cpu", 1)
    found: dict[str, dict[str, float]] = {}
    for name in names:
        rates = found.setdefault(("GPU " if gpu else "") + name, {})
        for (B, *shape), weight_shape in SHAPES:
            x = torch.randn(B * clips, *shape, dtype=getattr(torch, name), device=device)
            weight = torch.randn(weight_shape, dtype=x.dtype, device=device)
            pad = [size // 2 for size in weight_shape[2:]]
            for form in formats:
                tensors = [tensor.to(memory_format=form) for tensor in (x, weight)]

                @torch.inference_mode()
                def convolve(tensors=tensors, pad=pad) -> None:
                    torch.nn.functional.conv3d(*tensors, padding=pad)
                    if gpu:
                        torch.cuda.synchronize()

                gflop, end = count_gflop(convolve), time.perf_counter() + PEAK_SECONDS
                runs = [timed(convolve)]
                while len(runs) < PEAK_RUNS and time.perf_counter() < end:
                    runs.append(timed(convolve))
                label = f"{'×'.join(map(str, x.shape))} {str(form).removeprefix('torch.')}"
                rates[label] = gflop / min(runs)
    return found


# ------------------------------------------------------------------ data


def clip(image_len: int) -> Measured:
    """Each clip of 8 blocks of 5 frames, 30 patches, no augmentation, one thread."""
    import torch

    from dataset.build import build_dataset
    from utils.config.flags import Config

    torch.set_num_threads(1)
    config = Config(dataset="Gabors", no_augm=True, gab_img_len=image_len, seed=0, train_len=200)
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
