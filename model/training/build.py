"""From a configuration to the task that is trained: the one place that chooses the network."""

import os
import shutil

import torch
from torch import nn

from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.training.engine import Learner
from model.training.optimizer import freeze_all_but, make_optimizer, parameter_groups
from model.training.tasks import ClassificationTask, ContrastiveTask, WholeVideoTask
from utils.config.flags import Config
from utils.errors import UsageError
from utils.runtime.device import Runtime
from utils.runtime.processes import ALONE, Processes
from utils.streams import stream


def build_task(
    config: Config,
    num_classes: int,
    whole_videos: bool = False,
    processes: Processes = ALONE,
) -> nn.Module:
    """Weights are drawn from torch's default generator. `whole_videos`: lc-rnn is given these,
    rather than clips."""
    if config.is_dpc:
        model = DPC_RNN(
            config.net,
            config.img_dim,
            config.num_seq_in,
            config.seq_len,
            config.pred_step,
            config.track_bn,
            config.grad_checkpoint,
        )
        return ContrastiveTask(model, processes if config.gather_negatives else ALONE)
    model = LC_RNN(
        config.net,
        config.img_dim,
        config.num_seq_in,
        config.seq_len,
        num_classes,
        config.dropout,
        config.grad_checkpoint,
    )
    return WholeVideoTask(model, config.batch_size) if whole_videos else ClassificationTask(model)


def build_learner(
    config: Config, num_classes: int, whole_videos: bool, runtime: Runtime
) -> Learner:
    """A task on its device, in the memory format that is fastest there, and what makes it learn.

    Raises UsageError for what the machine can't do.
    """
    processes, on_gpu = runtime.processes, runtime.device.type == "cuda"
    torch.manual_seed(config.seed)
    task = build_task(config, num_classes, whole_videos, processes)
    if not processes.leads:  # dropout is each process's own
        torch.manual_seed(int(stream(config.seed, "rank", processes.rank).integers(2**63)))
    if config.sync_bn and processes.count > 1:
        if not on_gpu:
            raise UsageError("--sync_bn: torch has it on GPUs only; leave it out")
        task = nn.SyncBatchNorm.convert_sync_batchnorm(task)
    task = task.to(runtime.device)
    if not on_gpu or config.amp != "off":  # as oneDNN and tensor cores take them
        task.model.backbone.to(memory_format=torch.channels_last_3d)
    groups = parameter_groups(task.model, config.train_what)
    freeze_all_but(task.model, groups)
    if config.compile:
        if not compiler():
            raise UsageError("--compile: needs a C++ compiler, such as g++; or leave it out")
        task.compile()
    optimizer = make_optimizer(groups, config.lr, config.weight_decay)
    return Learner(task, groups, optimizer, runtime, config.grad_accum)


def compiler() -> str | None:
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((name for name in names if name and shutil.which(name)), None)
