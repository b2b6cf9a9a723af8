"""Which passes an analysis records, and of which of the checkpoints that a run has kept."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from utils.analysis.recorded import POST, PRE, Pass, list_passes, remove_passes
from utils.logs import log
from utils.runs import checkpoints


def landmarks_of(epochs: Collection[int], num_epochs: int) -> list[int]:
    """Return the landmark epochs that a run has; if they are fewer than two, its first and last."""
    within = {epoch for epoch in epochs if 0 <= epoch <= num_epochs}
    return sorted(within if len(within) > 1 else {0, num_epochs})


def passes_of(landmarks: Iterable[int]) -> list[Pass]:
    """Return the passes before and after each landmark epoch; none is before epoch 0."""
    return [
        Pass(epoch, when) for epoch in landmarks for when in (PRE, POST) if epoch or when == POST
    ]


def weights_in(folder: Path) -> dict[int, Path]:
    """Return the checkpoint of each epoch in a run's `model` folder; a best one will do."""
    names = ((path, checkpoints.BEST_NAME.fullmatch(path.name)) for path in folder.glob("best*"))
    best = {int(match[1]): path for path, match in names if match}
    return {**best, **checkpoints.by_epoch(folder)}


def told(passes: Iterable[Pass]) -> str:
    """Return the epochs of the passes' weights, such as `epoch 5 (pre of 6), epoch 8 (post)`."""
    return ", ".join(
        f"epoch {of.weights} ({'post' if of.when == POST else f'pre of {of.epoch}'})"
        for of in passes
    )


def forget_later(run: Path, epoch: int) -> None:
    """Remove the recorded passes with weights from after an epoch, which a run goes on from."""
    for folder in run.glob("analysis*"):  # those on the clips of a fixed epoch too
        later = [of for of in list_passes(folder) if of.weights > epoch]
        remove_passes(folder, later)
        if later and any(folder.glob("*.csv")):
            log.warning(
                "%s: its tables and pictures still show what is trained anew now; once the run is "
                "trained, analyse it again (run_model.py --analysis)",
                folder,
            )


class Outcome(NamedTuple):
    """What has come of an analysis' passes: recorded now, there before, and not to be recorded.

    `unkept`: no checkpoint of theirs is kept that can be read. `ahead`: the run has not come to
    them yet. `other`: recorded earlier with other flags, and still in the folder.
    """

    made: list[Pass]
    there: list[Pass]
    unkept: list[Pass]
    ahead: list[Pass]
    other: list[Pass]

    def text(self) -> str:
        """Return in words how many passes there are, after logging which are lacking or differ."""
        parts = [f"{len(self.made)} passes recorded now, {len(self.there)} there before"]
        for what, passes in (
            ("without a checkpoint that is kept and can be read", self.unkept),
            ("not reached by the run yet", self.ahead),
        ):
            if passes:
                log.warning("not recorded, being %s: %s", what, told(passes))
                parts.append(f"{len(passes)} {what}")
        if self.other:
            log.warning(
                "recorded earlier with other flags, and not comparable with the rest: %s; to leave "
                "them out, remove their files from recorded/",
                told(self.other),
            )
            parts.append(f"{len(self.other)} recorded earlier with other flags")
        return ", ".join(parts)
