"""The files that `compute` leaves, with made-up numbers of the right columns and shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
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

SEVEN = tuple(Pass(epoch, when) for epoch in (0, *range(6, 12)) for when in (PRE, POST))[1:]
CONFIG = {"dataset": "Gabors", "model": "dpc-rnn", "unexp_epoch": 9, "U_prob": 0.1, "seed": 1}
CONFIG |= {"net": "resnet18", "img_dim": 64, "batch_size": 8, "lr": 1e-3, "pred_step": 1}


@dataclass(frozen=True)
class Computed:
    """What was computed; `scale` 0 makes all numbers 0, and NaN makes them all missing."""

    passes: Sequence[Pass] = SEVEN
    modules: Sequence[str] = MODULES
    images: Sequence[str] = tuple("ABCDUG")
    angles: Sequence[float] = (0.0, 45.0, 90.0, 135.0)
    steps: int = 1
    blocks: int = 90
    nodes: tuple[int, int, int] = (12, 2, 2)
    methods: Sequence[str] = ("pca",)
    neural: bool = False
    scale: float = 1.0
    clips_of: int | None = None

    @property
    def is_unexpected(self) -> bool:
        return "U" in self.images


def write_computed(run: Path, made: Computed) -> Path:
    """Write recorded passes and what is computed of them; return the analysis' folder."""
    folder = folder_of(run, made.clips_of)
    rng = np.random.default_rng(0)
    arrays: dict[str, dict[str, np.ndarray]] = {"usi_nodes": {}, "tuning_channels": {}, "rsm": {}}
    for of in made.passes:
        blocks = make_blocks(of, made)
        groups = [Group(ANY, np.nan)]
        count = np.array([[len(blocks) // made.steps]] * made.steps)
        write_pass(
            folder, of, made={"run": CONFIG}, groups=groups, statistics={"count": count},
            blocks=blocks, vectors={},
        )  # fmt: skip
        add_arrays(arrays, of, blocks, made, rng)
    tables = {
        "responses": list_responses(made, rng),
        "rsm": list_means(made, rng),
        "rsm_similarity": list_similarities(made, rng),
        "decoding": list_decoding(made, rng),
        "embedding": list_points(made, rng),
    }
    if made.is_unexpected:
        tables |= {"usi": list_usi(made, rng), "usi_correlation": list_correlations(made, rng)}
    if made.angles:
        tables["tuning"] = list_tuning(made, rng)
    for name, rows in tables.items():
        if not rows:
            continue
        table = pd.DataFrame(rows)
        fixed = {"epoch", "next_epoch", "orientation", "item", "step"}
        numbers = [c for c in table.select_dtypes("number") if c not in fixed]
        table[numbers] = table[numbers] * made.scale
        table.to_csv(folder / f"{name}.csv", index=False)
    for name, stored in arrays.items():
        np.savez(folder / f"{name}.npz", **stored)
    return folder


def make_blocks(of: Pass, made: Computed) -> pd.DataFrame:
    rng = np.random.default_rng((of.epoch, 5))
    number = made.blocks * made.steps
    images = rng.choice(np.array(made.images, dtype=object), number)
    angles = rng.choice(np.array(made.angles or [np.nan]), number)
    return pd.DataFrame(
        {
            "epoch": of.epoch,
            "item": np.arange(number) // made.steps,
            "step": np.arange(number) % made.steps,
            "image": images,
            "orientation": np.where(images == "G", np.nan, angles),
            "is_U": (images == "U").astype(int),
            "loss": 1.0,
        }
    )


def growth(of: Pass) -> float:
    """How much a pass has learned about U."""
    return 0.2 * max(0, of.weights - CONFIG["unexp_epoch"] + 1)


def add_arrays(
    arrays: dict[str, dict[str, np.ndarray]], of: Pass, blocks: pd.DataFrame, made: Computed,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    prefer = np.random.default_rng(9).normal(0, 0.2, made.nodes)
    rows = rng.permutation(len(blocks))[:300]
    rows = rows[np.lexsort((blocks["orientation"][rows], blocks["image"][rows]))]
    arrays["rsm"][f"{of.name}_rows"] = rows
    shown = pd.get_dummies(blocks[["image", "orientation"]].astype(str)).to_numpy(float)[rows]
    for module, kind in product(made.modules, KINDS):
        name = f"{of.name}_{module}_{kind}"
        noise = rng.normal(growth(of), 0.15, made.nodes)
        if made.is_unexpected:
            arrays["usi_nodes"][name] = made.scale * (prefer * (1 + growth(of)) + noise)
        vectors = np.hstack([shown, 0.7 * rng.normal(size=(len(rows), 12))])
        arrays["rsm"][name] = made.scale * np.corrcoef(vectors)
    for depth, stage in enumerate(STAGES if made.angles else ()):
        for name, most in (("osi", 2 + depth), ("dsi", 1)):
            values = made.scale * rng.beta(most, 6, 8 * 2**depth)
            arrays["tuning_channels"][f"{of.name}_{stage}_{name}"] = values


def keys(made: Computed) -> list[tuple[Pass, dict]]:
    return [
        (of, {"epoch": of.epoch, "when": of.when, "module": module, "kind": kind})
        for of in made.passes
        for module in made.modules
        for kind in KINDS
    ]


def list_usi(made: Computed, rng: np.random.Generator) -> list[dict]:
    nodes = int(np.prod(made.nodes))
    return [
        {
            **key, "over": over, "mean": growth(of) + rng.normal(0, 0.02), "mean_abs": 0.2,
            "sd": 0.3, "nodes": nodes - 1, "left_out": 1, "blocks_D": 70, "blocks_U": 12,
            **({"significant": 0.05 + growth(of), "significant_low": 0.02 + growth(of),
                "significant_high": 0.1 + growth(of)} if over == "all" else {}),
        }
        for of, key in keys(made)
        for over in ("all", "shared")
    ]  # fmt: skip


def list_correlations(made: Computed, rng: np.random.Generator) -> list[dict]:
    rows = []
    for module, kind, when in product(made.modules, KINDS, (PRE, POST)):
        epochs = [of.epoch for of in made.passes if of.when == when]
        for epoch, after in pairwise(epochs):
            r = 0.9 - 0.3 * rng.random()
            row = {"module": module, "kind": kind, "when": when, "epoch": epoch}
            ends = {"low": r - 0.1, "high": r + 0.05, "nodes": int(np.prod(made.nodes))}
            rows.append({**row, "next_epoch": after, "r": r, **ends})
    return rows


def list_responses(made: Computed, rng: np.random.Generator) -> list[dict]:
    size = {"activation": 0.3, "error": 4e-5}
    rows = []
    for of, key in keys(made):
        for place, image in enumerate(made.images, 1):
            mean = 1 + 0.03 * (place % 6) + growth(of) * (image == "U") + 0.01 * rng.normal()
            values = {"mean": 0.1 * mean, "mean_abs": size[key["kind"]] * mean, "relative": mean}
            rows.append({**key, "image": image, "blocks": 20, **values})
    return rows


def list_means(made: Computed, rng: np.random.Generator) -> list[dict]:
    pairs = [(a, b) for i, a in enumerate(made.images[:8]) for b in made.images[: i + 1]]
    return [
        {
            **key,
            "first_image": a,
            "second_image": b,
            "mean": 0.3 * (a == b),
            "pairs": 40,
            "left_out": 0,
        }
        for _, key in keys(made)
        for a, b in pairs
    ]


def list_similarities(made: Computed, rng: np.random.Generator) -> list[dict]:
    named = [(of, module, f"{of.name}:{module}") for of in made.passes for module in made.modules]
    posts = [of for of in made.passes if of.when == POST]
    followed = {*pairwise(posts), *((of._replace(when=PRE), of) for of in posts)}
    pairs = [
        (a[2], b[2], "blocks" if a[0] == b[0] else "conditions")
        for a, b in combinations(named, 2)
        if a[0] == b[0] or (a[1] == b[1] and (a[0], b[0]) in followed)
    ]
    if made.neural:
        pairs += [(one[2], "neural", "conditions") for one in named]
    rows = []
    for (first, second, level), kind in product(pairs, KINDS):
        r = 0.4 + 0.4 * rng.random()
        values = {"rows": 90, "tau": 0.7 * r, "r": r, "cka": min(1, 1.1 * r), "ceiling": 0.85}
        rows.append({"first": first, "second": second, "kind": kind, "level": level, **values})
    return rows


def list_decoding(made: Computed, rng: np.random.Generator) -> list[dict]:
    targets = {"orientation": len(made.angles), "image": len(made.images)}
    rows = []
    for (_, key), (target, classes) in product(keys(made), targets.items()):
        if classes > 1:
            accuracy = min(1, 1 / classes + 0.5 * rng.random())
            shuffled = {"shuffled": 1 / classes, "shuffled_sd": 0.03}
            counts = {"classes": classes, "left_out": 0, "blocks": 80, "splits": 5}
            values = {"target": target, "accuracy": accuracy, "sd": 0.04, **shuffled}
            rows.append({**key, **values, **counts})
    return rows


def list_tuning(made: Computed, rng: np.random.Generator) -> list[dict]:
    rows = []
    for of, (depth, stage) in product(made.passes, enumerate(STAGES)):
        row = {"epoch": of.epoch, "when": of.when, "stage": stage, "channels": 8 * 2**depth}
        for index in ("osi", "dsi"):
            row |= {f"{index}_mean": 0.3, f"{index}_sd": 0.1, f"{index}_median": 0.28}
        rows.append(row)
    return rows


def list_points(made: Computed, rng: np.random.Generator) -> list[dict]:
    of = made.passes[-1]
    blocks = make_blocks(of, made)[["item", "step", "image", "orientation"]].to_dict("records")
    rows = []
    for method, module, kind in product(made.methods, made.modules, KINDS):
        key = {"epoch": of.epoch, "when": of.when, "module": module, "kind": kind}
        for block in blocks:
            centre = made.images.index(block["image"]) % 5
            point = {"x": centre + 0.5 * rng.normal(), "y": 0.5 * rng.normal()}
            rows.append({**key, "method": method, **block, **point})
    return rows
