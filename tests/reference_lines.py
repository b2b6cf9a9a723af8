"""Time a checkout of the published Gabor code, in a process that knows no other code of that kind.

    python tests/reference_lines.py CHECKOUT step '{"fields": {"img_dim": 64, "batch_size": 4}}'

`tests/benchmark.py --reference CHECKOUT` starts this once for every measurement. The folder of the
checkout comes first on the path of modules, and only its own functions make the model, the
optimizer, the loss and the data. The last line that is printed is a `Measured`, as JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark_lines import Measured, own_peak, step_seconds, timed

FIELDS = {
    **{"model": "dpc-rnn", "net": "resnet18", "img_dim": 128, "batch_size": 4},
    **{"num_seq_in": 5, "pred_step": 3, "seq_len": 5},
}
# what the published command line has for Gabors without flags
GABORS = {
    **{"num_gabors": 30, "gab_img_len": 5, "same_possizes": True, "gray": True, "roll": False},
    **{"U_prob": 0.08, "diff_U_possizes": False},
}
CLIPS, FIRST_CLIPS = 60, 10  # those of the first are not timed


def step(fields: dict[str, Any], learns: bool = True, once: bool = False) -> Measured:
    """Training steps on random clips: forward, loss, backward and Adam; or evaluation's.

    What the published loop records of a batch and its accuracies aren't part of it.
    """
    import torch

    from utils import loss_utils, training_utils

    sizes = {**FIELDS, **fields}
    supervised = sizes["model"] == "lc-rnn"
    B, L, D = (sizes[name] for name in ("batch_size", "seq_len", "img_dim"))
    N = sizes["num_seq_in"] + (0 if supervised else sizes["pred_step"])
    model = training_utils.get_model(
        dataset="UCF101",
        supervised=supervised,
        img_dim=D,
        num_seq_in=sizes["num_seq_in"],
        seq_len=L,
        network=sizes["net"],
        pred_step=sizes["pred_step"],
    )
    optimizer, _ = training_utils.init_optimizer(model, dataset="UCF101", supervised=supervised)
    criterion, _ = loss_utils.get_criteria()
    clips, labels = torch.randn(B, N, 3, L, D, D), torch.zeros(B, 1, dtype=torch.long)
    model.train(learns)

    def loss_of_batch() -> torch.Tensor:
        output, mask = model(clips)
        scores, targets, *_ = training_utils.prep_loss(
            output, mask, sup_target=labels, supervised=supervised
        )
        return criterion(scores, targets)

    def learn() -> None:
        optimizer.zero_grad()
        loss_of_batch().backward()
        optimizer.step()

    @torch.no_grad()
    def evaluate() -> None:
        loss_of_batch()

    return Measured(step_seconds(learn if learns else evaluate, once), own_peak())


def clip(image_len: int, augmented: bool = False, once: bool = False) -> Measured:
    """Each clip of 8 blocks of 5 frames at 128 px, 30 patches, one thread."""
    import cv2
    import torch

    from utils import data_utils

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    loader = data_utils.get_dataloader(
        dataset="Gabors",
        mode="train",
        transform="default",
        no_augm=not augmented,
        batch_size=1,
        img_dim=128,
        seq_len=5,
        num_seq=8,
        num_workers=0,
        seed=0,
        train_len=CLIPS,
        **{**GABORS, "gab_img_len": image_len},
    )
    count = 1 if once else CLIPS
    seconds = [timed(lambda index=index: loader.dataset[index]) for index in range(count)]
    return Measured(seconds if once else seconds[FIRST_CLIPS:], own_peak())


KINDS: dict[str, Callable[..., Measured]] = {"step": step, "clip": clip}


def main(checkout: str, kind: str, arguments: str) -> None:
    sys.path.insert(0, str(Path(checkout).resolve()))
    measured = KINDS[kind](**json.loads(arguments))
    print(json.dumps(measured._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
