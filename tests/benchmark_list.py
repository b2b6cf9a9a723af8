"""The lines of tests/benchmark.py: their names, and what measures them."""

from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any, NamedTuple, TypeVar

from benchmark_data import clip, large_split, video_clip, video_clip_by_pil
from benchmark_lines import PRECISIONS, Measured, step
from job_times import extraction, help_text, job

LOW_MEMORY = {"batch_size": 4, "low_memory": True}
SMALL = {"img_dim": 64, "num_seq_in": 3, "pred_step": 1, "batch_size": 8}
BATCH_4 = "dpc-rnn step, 128 px, batch 4"
GABORS = ("--dataset", "gabors", "--img_dim", "64", "--seed", "0")


class Line(NamedTuple):
    """`whole`: the line of which this one's time is told as a share. `frames`: how many a run of it
    reads."""

    name: str
    function: Callable[..., Measured]
    arguments: dict[str, Any] = {}
    whole: str = ""
    frames: int = 0


Named = TypeVar("Named", bound=Any)  # what has a name


def steps(name: str, fields: dict[str, Any], whole: str = "", **options: Any) -> Line:
    return Line(name, step, {"fields": fields, **options}, whole=whole)


# unless they say otherwise: resnet18, 5 blocks seen and 3 predicted, every frame computed, float32
LINES = (
    steps("dpc-rnn step, 128 px, batch 2", {"batch_size": 2}),
    steps(BATCH_4, {"batch_size": 4}),
    steps("dpc-rnn step, 128 px, batch 8", {"batch_size": 8}),
    steps("dpc-rnn step, 128 px, batch 16", {"batch_size": 16}),
    steps(f"{BATCH_4}, bf16", {"batch_size": 4, "amp": "bf16"}),
    steps(f"{BATCH_4}, static", {"batch_size": 4}, frames=1),
    steps(f"{BATCH_4}, static, bf16", {"batch_size": 4, "amp": "bf16"}, frames=1),
    steps(f"{BATCH_4}, --low_memory", LOW_MEMORY),
    steps(f"{BATCH_4}, static, --low_memory", LOW_MEMORY, frames=1),
    steps(f"{BATCH_4}, --grad_checkpoint", {"batch_size": 4, "grad_checkpoint": True}),
    steps("dpc-rnn evaluation, 128 px, batch 4", {"batch_size": 4}, whole=BATCH_4, learns=False),
    *(
        steps(f"dpc-rnn step, 64 px, batch {size}", {"img_dim": 64, "batch_size": size})
        for size in (4, 8, 16)
    ),
    steps("dpc-rnn step, 64 px, batch 8, 3+1 blocks", SMALL),
    steps("dpc-rnn step, 64 px, batch 8, 3+1 blocks, static", SMALL, frames=1),
    steps("lc-rnn step, 128 px, 5 blocks, batch 4", {"model": "lc-rnn", "batch_size": 4}),
    steps("lc-rnn step, 128 px, 5 blocks, batch 8", {"model": "lc-rnn", "batch_size": 8}),
    Line("Gabor clip, 128 px, 8 images", clip, {"image_len": 5}),
    Line("Gabor clip, 128 px, 40 images", clip, {"image_len": 1}),
    Line("UCF101 clip, 40 frames, dpc-rnn", video_clip, {"model": "dpc-rnn"}),
    Line("UCF101 clip, 40 frames, lc-rnn training", video_clip, {"model": "lc-rnn"}),
    Line("the same clip with PIL, dpc-rnn", video_clip_by_pil, {"model": "dpc-rnn"}),
    Line("the same clip with PIL, lc-rnn training", video_clip_by_pil, {"model": "lc-rnn"}),
    Line("Kinetics400 split file of 240,000 rows", large_split),
    Line(
        "extraction of 34,510 frames of 320×240, two processes",
        extraction,
        frames=34_510,
    ),
    Line("run_model.py --help", help_text),
    Line(
        "Gabor job, 64 px, batch 4, 32 clips, epochs 0 and 1",
        job,
        {"flags": (*GABORS, "--batch_size", "4", "--train_len", "32", "--num_epochs", "1")},
    ),
    Line(
        "Gabor job, 64 px, batch 8, 64 clips, 3+1 blocks, 16 epochs",
        job,
        {
            "flags": (
                *(*GABORS, "--num_seq_in", "3", "--pred_step", "1", "--batch_size", "8"),
                *("--train_len", "64", "--num_epochs", "16"),
            )
        },
    ),
)
GPU_LINES = (
    *(
        steps(
            f"GPU, dpc-rnn step, 128 px, batch 32, {PRECISIONS[amp]}{', compiled' * compiled}",
            {"batch_size": 32, "amp": amp, "compile": compiled},
            gpu=True,
        )
        for compiled in (False, True)
        for amp in PRECISIONS
    ),
)


def chosen(lines: "tuple[Named, ...]", patterns: list[str]) -> "list[Named]":
    """Those that match any of them: by the whole name or else a part of it, or like a file's name.
    Raises ValueError for a pattern that none does."""
    names = [line.name for line in lines]
    wanted = set() if patterns else set(names)
    for pattern in patterns:
        fitting = [name for name in names if pattern in name or fnmatch(name, pattern)]
        if not fitting:
            listed = "\n  ".join(names)
            raise ValueError(f"--only {pattern}: fits none of these lines:\n  {listed}")
        wanted |= {pattern} if pattern in names else set(fitting)
    return [line for line in lines if line.name in wanted]
