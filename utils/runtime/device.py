"""The device that a process computes on, and the precision of its network."""

from dataclasses import dataclass

import torch

from utils.config.checks import check_memory, check_share
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.runtime.allocator import keep_freed_memory, return_freed_memory
from utils.runtime.precision import use_deterministic_algorithms
from utils.runtime.processes import ALONE, Processes

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Runtime:
    """A process's device, its place among the run's processes, and its precision, as --amp."""

    device: torch.device
    processes: Processes = ALONE
    amp: str = "off"

    def autocast(self) -> torch.autocast:
        """Return a context in which convolutions and matrix products compute in that precision."""
        dtype = PRECISIONS.get(self.amp)
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)


def gpu_numbers(gpu: str) -> list[int]:
    """Return the GPUs that --gpu names; raises UsageError."""
    try:
        return [int(number) for number in gpu.split(",") if number]
    except ValueError:
        raise UsageError(f"--gpu {gpu}: takes the numbers of GPUs, such as 0 or 0,1") from None


def pick_device(gpu: str, cpu_only: bool, processes: Processes = ALONE) -> torch.device:
    """Return this rank's device: the GPU named by --gpu, else by local rank; CPU without CUDA.

    Raises UsageError for a GPU that is not there.
    """
    wanted = gpu_numbers(gpu)
    if cpu_only or not torch.cuda.is_available():
        if wanted and not cpu_only:
            log.warning("--gpu %s: there is no CUDA here; running on the CPU", gpu)
        return torch.device("cpu")
    count = torch.cuda.device_count()
    numbers = wanted or list(range(count))
    # srun may show each process only its own GPU, which then has number 0
    place = 0 if count == 1 and not wanted else processes.local_rank
    if any(number >= count for number in wanted):
        raise UsageError(f"--gpu {gpu}: there are {count}, numbered from 0")
    if place >= len(numbers):
        raise UsageError(
            f"more processes than GPUs ({len(numbers)}) on this machine: start one for each GPU"
        )
    if processes.count == 1 and count > 1:
        everyone = ",".join(map(str, range(count)))
        log.info("on GPU %d; %d others stand idle (--gpu %s)", numbers[place], count - 1, everyone)
    return torch.device("cuda", numbers[place])


def has_instructions(amp: str) -> bool:
    """Return whether oneDNN, which convolves on CPUs, finds instructions for this precision."""
    without_query = torch.backends.mkldnn.is_available
    return getattr(torch.ops.mkldnn, f"_is_mkldnn_{amp}_supported", without_query)()


def start_runtime(config: Config, processes: Processes) -> Runtime:
    """Prepare torch and this process's memory as configured; raises UsageError."""
    if config.deterministic:
        use_deterministic_algorithms()
    device = pick_device(config.gpu, config.cpu_only, processes)
    if device.type == "cpu" and config.amp in PRECISIONS and not has_instructions(config.amp):
        raise UsageError(
            f"--amp {config.amp}: this CPU has no instructions for it, and would take about ten "
            "times as long as in float32; take --amp off (to go on with a run: --resume FOLDER "
            "--amp off)"
        )
    batch_size = processes.round_up(config.batch_size)
    if batch_size != config.batch_size:
        log.warning("--batch_size: %d, for %d equal shares", batch_size, processes.count)
    check_memory(config, processes.count)
    if not config.evaluation:
        check_share(config, processes.count)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        # tuned for each new shape: whole videos have too many shapes
        torch.backends.cudnn.benchmark = not (config.deterministic or config.evaluation)
    elif config.low_memory:
        return_freed_memory()
    elif not config.plain:
        keep_freed_memory()
    return Runtime(device, processes, config.amp)
