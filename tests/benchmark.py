"""Timings of this code, as a table: python tests/benchmark.py

Each line is measured in a process of its own; medians over runs. Timings depend on the machine:
compare ratios of lines taken in one sitting.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
MIB = 1024  # ru_maxrss counts KiB

# what is measured: name → (function, its arguments)
LINES = {
    "Gabor clip, 128 px, 8 images": ("clip", {"image_len": 5}),
    "Gabor clip, 128 px, 40 images": ("clip", {"image_len": 1}),
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


def step(static: bool, small: bool) -> list[float]:
    """Seconds for each training step of dpc-rnn with resnet18: forward, backward and Adam."""
    import torch

    from model.build import build_task
    from model.engine import normalise
    from model.optim import make_optimizer, parameter_groups
    from utils.batch import Batch
    from utils.config import Config

    size = {"img_dim": 64, "num_seq_in": 3, "pred_step": 1, "batch_size": 8}
    config = Config(dataset="Gabors", **(size if small else {"batch_size": 4}))
    B, N, L = config.batch_size, config.num_blocks, config.seq_len
    shape = (B, N, 3, 1 if static else L, config.img_dim, config.img_dim)
    clips = torch.randint(256, shape, dtype=torch.uint8)
    batch = Batch(clips, torch.zeros(B, N, L, 2, dtype=torch.long), torch.arange(B))
    task = build_task(config, num_classes=1).train()
    optimizer = make_optimizer(parameter_groups(task.model, "all"), config.lr, 1e-5)

    def train_step() -> None:
        output = task(normalise(batch.clip), batch)
        optimizer.zero_grad(set_to_none=True)
        output.loss.backward()
        optimizer.step()

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
