"""From a configuration to the task that is trained: the one place that chooses the network."""

from torch import nn

from model.dpc import DPC_RNN
from model.lc import LC_RNN
from model.tasks import ClassificationTask, ContrastiveTask, WholeVideoTask
from utils.config import Config


def build_task(config: Config, num_classes: int, whole_videos: bool = False) -> nn.Module:
    """Weights are drawn from torch's default generator. `whole_videos`: lc-rnn is given these,
    rather than clips."""
    if config.is_dpc:
        return ContrastiveTask(
            DPC_RNN(
                config.net,
                config.img_dim,
                config.num_seq_in,
                config.seq_len,
                config.pred_step,
                config.track_bn,
            )
        )
    model = LC_RNN(
        config.net,
        config.img_dim,
        config.num_seq_in,
        config.seq_len,
        num_classes,
        config.dropout,
    )
    return WholeVideoTask(model, config.batch_size) if whole_videos else ClassificationTask(model)
