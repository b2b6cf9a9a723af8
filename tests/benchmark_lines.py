"""What tests/benchmark.py measures within one process: a function for each kind of line.

Each imports what it needs: the memory of the others' should not hold it.
"""

import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from utils.config.flags import Config

GB = 1e9
KIB = 1024  # what ru_maxrss counts

WARM_UP, STEPS = 3, 7
LONG_WARM_UP, LONG_STEPS = 2, 3
LONG = 1.5  # seconds of a step, from which on fewer run
LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")  # that a user sets
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

    from utils.runtime.device import has_instructions
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
        "bf16": has_instructions("bf16"),
        "limits": {name: os.environ[name] for name in LIMITS if name in os.environ},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git_commit(),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


# ------------------------------------------------------------------ steps


def step(
    fields: dict[str, Any],
    frames: int = 5,
    learns: bool = True,
    gpu: bool = False,
    flops: bool = True,
) -> Measured:
    """Training steps with resnet18: forward, backward and Adam; or evaluation's. `fields` of the
    configuration; `frames` handed over of each block, 1 where it is static. Without `flops`, none
    are counted, which takes two further steps."""
    import torch

    config = configured({"dataset": "Gabors", "seed": 0, "cpu_only": not gpu, **fields})
    run = make_step(config, frames, learns)
    seconds = step_seconds(run)
    peak = torch.cuda.max_memory_allocated() / GB if gpu else own_peak()
    if not flops:
        return Measured(seconds, peak)
    plain = configured({**vars(config), "compile": False})  # compiled operations aren't counted
    gflop = count_gflop(make_step(plain, frames, learns))
    precision = ("GPU " if gpu else "") + PRECISIONS[config.amp]
    return Measured(seconds, peak, gflop, precision)


def step_seconds(run: Callable[[], Any], once: bool = False) -> list[float]:
    """The seconds of several steps after those that warm up; or of a single first one."""
    if once:
        return [timed(run)]
    warm = [timed(run) for _ in range(LONG_WARM_UP)]
    if warm[-1] > LONG:
        return [timed(run) for _ in range(LONG_STEPS)]
    for _ in range(WARM_UP - LONG_WARM_UP):
        run()
    return [timed(run) for _ in range(STEPS)]


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
