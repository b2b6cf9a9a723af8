"""From a configuration to a learner on its device."""

import os
import shutil

import torch
from torch import nn

from model.training.learner import Learner
from model.training.optimizer import freeze_all_but, make_optimizer, parameter_groups
from model.training.tasks import Task, WholeVideoTask, build_task
from utils.config.flags import Config
from utils.errors import UsageError
from utils.logs import log
from utils.runtime.device import Runtime
from utils.streams import stream


def build_learner(
    config: Config, num_classes: int, whole_videos: bool, runtime: Runtime
) -> Learner:
    """Return a task on its device with its optimizer; its weights follow from the seed.

    Call its `distribute` once other weights are loaded. Raises UsageError for what the machine
    can't do.
    """
    if not config.is_dpc and num_classes < 2:
        raise UsageError(
            f"--model lc-rnn: needs 2 classes to tell apart, and {config.dataset} has {num_classes}"
        )
    processes, on_gpu = runtime.processes, runtime.device.type == "cuda"
    if config.plain and config.amp == "bf16" and not on_gpu and not config.evaluation:
        # the gradient that model/fast/convolution.py computes in oneDNN's place
        raise UsageError("--plain --amp bf16: torch's gradients are wrong on CPUs; leave one out")
    torch.manual_seed(config.seed)
    task = build_task(config, num_classes, whole_videos, processes)
    if not processes.leads:  # each rank has a dropout of its own
        torch.manual_seed(int(stream(config.seed, "rank", processes.rank).integers(2**63)))
    if config.sync_bn and processes.count > 1:
        if not on_gpu:
            raise UsageError("--sync_bn: torch has it on GPUs only; leave it out")
        task = nn.SyncBatchNorm.convert_sync_batchnorm(task)
    task = task.to(runtime.device)
    # oneDNN and tensor cores compute most sizes fastest with channels last: see tests/README.md
    if not config.plain and (not on_gpu or config.amp != "off"):
        task.model.backbone.to(memory_format=torch.channels_last_3d)
    groups = parameter_groups(task.model, config.train_what)
    freeze_all_but(task.model, groups)
    if config.compile:
        compile_task(task)
    optimizer = make_optimizer(
        groups, config.lr, config.weight_decay, config.optim, config.momentum
    )
    return Learner(task, groups, optimizer, runtime, config.grad_accum)


def compile_task(task: Task) -> None:
    """Compile the task's forward; raises UsageError without a compiler.

    Whole videos are left out: each length would be compiled anew.
    """
    if not compiler():
        raise UsageError("--compile: needs a C++ compiler, such as g++; or leave it out")
    if isinstance(task, WholeVideoTask):
        log.info("--compile: left out for whole videos, which have many lengths")
    else:
        task.compile()


def compiler() -> str | None:
    """Return the name of a C++ compiler on the PATH."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((name for name in names if name and shutil.which(name)), None)
