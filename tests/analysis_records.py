"""A small recorded analysis, whose nodes get selective for U once there are U images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from utils.analysis.recorded import (
    ANY,
    KINDS,
    MODULES,
    POST,
    PRE,
    STAGES,
    Group,
    Pass,
    folder_of,
    write_pass,
)
from utils.analysis.selectivity import d_prime

ALL_PASSES = (
    Pass(0, POST),
    *(Pass(epoch, when) for epoch in (8, 9, 10) for when in (PRE, POST)),
)
UNEXP_EPOCH = 9
EIGHT = tuple(45.0 * i for i in range(8))
FOUR = (0.0, 45.0, 90.0, 135.0)
CLASSES = ("archery", "bowling", "billiards")
PERMUTATIONS = 40


@dataclass(frozen=True)
class Made:
    """What a synthetic analysis has; a video's image is its class, without an orientation."""

    seed: int = 3
    passes: Sequence[Pass] = ALL_PASSES
    modules: Sequence[str] = MODULES
    clips: int = 120
    steps: int = 2
    channels: int = 6
    side: int = 2
    orientations: Sequence[float] = EIGHT
    unexpected: bool = True
    videos: bool = False
    clips_of: int | None = None  # the epoch of all passes' clips
    maps: bool = False
    noise: float = 1.0


def write_analysis(run: Path, made: Made) -> Path:
    """Write the recorded passes into a run's folder; return the analysis' folder."""
    folder = folder_of(run, made.clips_of)
    for of in made.passes:
        write_one(folder, of, made)
    return folder


def write_one(folder: Path, of: Pass, made: Made) -> None:
    blocks = make_blocks(made, of.epoch if made.clips_of is None else made.clips_of)
    responses = make_responses(made, of, blocks)
    stages = make_stages(made, of, blocks)
    groups = make_groups(made)
    is_member = np.array(
        [[g.holds(i, o) for i, o in blocks[["image", "orientation"]].to_numpy()] for g in groups]
    )  # [K, R]
    steps = blocks["step"].to_numpy()
    member = np.array([is_member & (steps == p) for p in range(made.steps)])  # [P, K, R]
    statistics = {"count": member.sum(-1)}
    for name, values in {**responses, **stages}.items():
        statistics |= moments(name, values.astype(np.float64), member)
    if made.unexpected:
        for name, values in responses.items():
            statistics |= permuted(name, values.astype(np.float64), blocks["image"].to_numpy())
    settings = {"seed": made.seed, "unexp_epoch": UNEXP_EPOCH, "model": "dpc-rnn"}
    means = {name: values.mean((2, 3)) for name, values in responses.items()}
    write_pass(
        folder, of, groups=groups, statistics=statistics, blocks=blocks,
        made={"run": settings, "clips_of": made.clips_of},
        vectors={**means, **stages}, maps=responses if made.maps else None,
    )  # fmt: skip


def make_blocks(made: Made, epoch: int) -> pd.DataFrame:
    """Predicted blocks of each clip, one image after the other; U takes the place of half the D."""
    rng = np.random.default_rng((made.seed, epoch))
    rows = []
    for item in range(made.clips):
        start, turn = rng.integers(5), rng.integers(len(made.orientations))
        for step in range(made.steps):
            image = "ABCDG"[(start + step) % 5]
            orientation = made.orientations[turn]
            if image == "D" and made.unexpected and rng.random() < 0.5:
                image, orientation = "U", (orientation + 90) % 360
            if image == "G":
                orientation = np.nan
            if made.videos:
                image, orientation = CLASSES[start % len(CLASSES)], np.nan
            rows.append((epoch, item, step, image, orientation, int(image == "U"), rng.random()))
    names = ["epoch", "item", "step", "image", "orientation", "is_U", "loss"]
    return pd.DataFrame(rows, columns=names)


def make_groups(made: Made) -> list[Group]:
    if made.videos:
        return [Group(ANY, np.nan), *(Group(name, np.nan) for name in CLASSES)]
    images = ("A", "B", "C", "D", "U") if made.unexpected else ("A", "B", "C", "D")
    turned = {(angle + 90) % 360 for angle in made.orientations if made.unexpected}
    angles = sorted({*made.orientations, *turned})
    own = {"U": sorted(turned)}
    return [
        Group(ANY, np.nan),
        *(Group(image, np.nan) for image in (*images, "G")),
        *(Group(ANY, angle) for angle in angles),
        *(Group(i, angle) for i in images for angle in own.get(i, sorted(made.orientations))),
    ]


def make_responses(made: Made, of: Pass, blocks: pd.DataFrame) -> dict[str, np.ndarray]:
    """Responses `[R, C, D, D]` by module and kind: to image, orientation and, grown, to U."""
    shape = (made.channels, made.side, made.side)
    names = [*CLASSES, *"ABCDUG"]
    image = np.array([names.index(one) for one in blocks["image"]])
    angle = np.deg2rad(blocks["orientation"].fillna(0).to_numpy())[:, None, None, None]
    seen = max(0, of.weights - UNEXP_EPOCH + 1)
    responses = {}
    for m, module in enumerate(made.modules):
        rng = np.random.default_rng((made.seed, m))  # what nodes prefer stays over epochs
        to_image = rng.normal(0, 0.5, (len(names), *shape))
        selective, preferred = rng.normal(0.3, 0.5, shape), rng.uniform(0, np.pi, shape)
        tuned = np.cos(2 * (angle - preferred))  # [R, C, D, D]
        to_U = (blocks["is_U"].to_numpy()[:, None, None, None]) * selective * (0.2 + 0.8 * seen)
        noise_of = np.random.default_rng((made.seed, m, of.epoch, of.weights + 1))
        for k, kind in enumerate(KINDS):
            noise = made.noise * noise_of.normal(0, 1, (len(blocks), *shape))
            values = (to_image[image] + tuned + to_U + noise) * 0.01**k
            responses[f"{module}_{kind}"] = values.astype(np.float32)
    return responses


def make_stages(made: Made, of: Pass, blocks: pd.DataFrame) -> dict[str, np.ndarray]:
    """Responses `[R, C]` of the stages, more sharply tuned in later ones."""
    angle = np.deg2rad(blocks["orientation"].fillna(0).to_numpy())[:, None]
    stages = {}
    for s, stage in enumerate(STAGES):
        rng = np.random.default_rng((made.seed, s, of.epoch, of.weights + 1))
        preferred = np.random.default_rng((made.seed, s)).uniform(0, np.pi, made.channels)
        tuned = np.exp((0.2 + 0.5 * s) * (np.cos(2 * (angle - preferred)) - 1))
        noise = 0.1 * made.noise * rng.normal(0, 1, (len(blocks), made.channels))
        stages[stage] = (tuned + noise).astype(np.float32)
    return stages


def moments(name: str, values: np.ndarray, member: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and population sd of the blocks `[R, …]` of each step and group, `[P, K, …]`."""
    shape = (*member.shape[:2], *values.shape[1:])
    mean, sd = np.full(shape, np.nan), np.full(shape, np.nan)
    for step, group in zip(*np.nonzero(member.any(-1)), strict=True):
        chosen = values[member[step, group]]
        mean[step, group], sd[step, group] = chosen.mean(0), chosen.std(0)
    return {f"{name}_mean": mean, f"{name}_sd": sd}


def permuted(name: str, values: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """The limits and p-values of the nodes' USIs over a few permutations of the labels."""
    is_D_or_U = np.isin(images, ("D", "U"))
    values, is_U = values[is_D_or_U], images[is_D_or_U] == "U"

    def usi(is_U: np.ndarray) -> np.ndarray:
        U, D = values[is_U], values[~is_U]
        return d_prime(U.mean(0), U.var(0), D.mean(0), D.var(0))

    rng = np.random.default_rng(0)
    drawn = np.array([usi(rng.permutation(is_U)) for _ in range(PERMUTATIONS)])
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    p = (1 + (abs(drawn) >= abs(usi(is_U))).sum(0)) / (1 + PERMUTATIONS)
    return {f"{name}_usi_low": low, f"{name}_usi_high": high, f"{name}_usi_p": p}
