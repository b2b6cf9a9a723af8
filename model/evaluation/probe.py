"""A linear classifier on stored features."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from model.training.optimizer import Group, make_optimizer, schedule_of, set_rates
from utils.config.flags import Config
from utils.config.presets import PRESETS
from utils.streams import stream

RECIPE = Config(**PRESETS["linear-probe"].flags)
EPOCHS = RECIPE.num_epochs
BATCH = 64


def probe_scores(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, classes: int, seed: int
) -> np.ndarray:
    """Return the scores `[Q, classes]` of `test` `[Q, F]` by a classifier of `train` `[V, F]`.

    Batch norm and a linear layer learn the `labels` `[V]` with the settings of the published
    linear probe (`--preset linear-probe`); in each batch are 64 videos. Features are made
    comparable in length first: each is divided by its length, as the L2 norm of the end-to-end
    probe does.
    """
    generator = torch.Generator().manual_seed(int(stream(seed, "probe").integers(2**63)))
    features, targets = (torch.from_numpy(array) for array in (train, labels))
    features = functional.normalize(features.float(), dim=1)
    norm, linear = nn.BatchNorm1d(features.shape[1]), nn.Linear(features.shape[1], classes)
    nn.init.normal_(linear.weight, std=0.01, generator=generator)
    nn.init.zeros_(linear.bias)
    model = nn.Sequential(norm, linear)
    groups, schedule = [Group("probe", 1.0, list(model.parameters()))], schedule_of(RECIPE)
    optimizer = make_optimizer(
        groups, RECIPE.lr, RECIPE.weight_decay, RECIPE.optim, RECIPE.momentum
    )
    for epoch in range(1, EPOCHS + 1):
        set_rates(optimizer, groups, RECIPE.lr * schedule.factor(epoch))
        for batch in torch.randperm(len(features), generator=generator).split(BATCH):
            if len(batch) > 1:  # batch norm has no spread of one video
                loss = functional.cross_entropy(model(features[batch]), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    model.eval()
    with torch.inference_mode():
        rows = functional.normalize(torch.from_numpy(test).float(), dim=1)
        return model(rows).numpy()
