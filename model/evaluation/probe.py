"""A linear classifier on stored features."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from utils.streams import stream

EPOCHS, MILESTONES, GAMMA = 100, (60, 80), 0.1
RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-3
BATCH = 64


def probe_scores(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, classes: int, seed: int
) -> np.ndarray:
    """Return the scores `[Q, classes]` of `test` `[Q, F]` by a classifier of `train` `[V, F]`.

    Batch norm and a linear layer learn the `labels` `[V]` by SGD, with the settings of the
    published linear probe (momentum 0.9, rate 0.1, a tenth of it after epochs 60 and 80 of 100,
    weight decay 1e-3); in each batch are 64 videos. Features are made comparable in length first:
    each is divided by its length, as the L2 norm of the end-to-end probe does.
    """
    generator = torch.Generator().manual_seed(int(stream(seed, "probe").integers(2**63)))
    features, targets = (torch.from_numpy(array) for array in (train, labels))
    features = functional.normalize(features.float(), dim=1)
    norm, linear = nn.BatchNorm1d(features.shape[1]), nn.Linear(features.shape[1], classes)
    nn.init.normal_(linear.weight, std=0.01, generator=generator)
    nn.init.zeros_(linear.bias)
    model = nn.Sequential(norm, linear)
    optimizer = torch.optim.SGD(
        model.parameters(), RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    for epoch in range(EPOCHS):
        drops = sum(epoch >= milestone for milestone in MILESTONES)
        optimizer.param_groups[0]["lr"] = RATE * GAMMA**drops
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
