"""Responses to single blocks in two dimensions, for a picture of what lies near what."""

import warnings
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from utils.analysis import loading
from utils.analysis.recorded import MODULES, POST, Recorded
from utils.streams import stream

KIND = "activation"
PCA, UMAP = "pca", "umap"
FEWEST = 20  # blocks that UMAP is given: it looks for 15 neighbours of each


class EmbeddingRow(NamedTuple):
    """A row of embedding.csv."""

    epoch: int
    when: str
    module: str
    kind: str
    method: str
    item: int
    step: int
    image: str
    orientation: float
    x: float
    y: float


def has_umap() -> bool:
    """Return whether umap-learn is installed."""
    return find_spec("umap") is not None


def measure(recorded: Recorded, chosen: np.ndarray) -> list[EmbeddingRow]:
    """Return the chosen blocks' places for each module of a post pass, and none for a pre pass."""
    rows: list[EmbeddingRow] = []
    if recorded.of.when != POST:
        return rows
    blocks = recorded.blocks.iloc[chosen]
    told: list[tuple[int, int, str, float]] = list(
        blocks[["item", "step", "image", "orientation"]].itertuples(index=False, name=None)
    )
    methods = (PCA, UMAP) if has_umap() and len(chosen) >= FEWEST else (PCA,)
    for module in MODULES:
        if f"{module}_{KIND}" not in recorded.vectors:
            continue
        vectors = recorded.vectors[f"{module}_{KIND}"][chosen].astype(np.float64)
        for method in methods:
            if method == PCA:
                places = principal_components(vectors)
            else:
                places = umap_places(vectors, loading.seed_of(recorded))
            rows += [
                EmbeddingRow(*recorded.of, module, KIND, method, item, step, image, angle, x, y)
                for (item, step, image, angle), (x, y) in zip(told, places.tolist(), strict=True)
            ]
    return rows


def principal_components(vectors: np.ndarray) -> np.ndarray:
    """Return the scores on the first two principal components, `[n, 2]`.

    The sign of a component, which is free, is such that its largest loading is positive. What there
    is no component for, is 0.
    """
    centred = vectors - vectors.mean(0)
    _, sizes, components = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    for number, (size, loadings) in enumerate(zip(sizes[:2], components[:2], strict=True)):
        if size > 0:
            largest = loadings[abs(loadings).argmax()]
            found[:, number] = centred @ loadings * np.sign(largest)
    return found


def umap_places(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Return UMAP's places in two dimensions, `[n, 2]` (McInnes, Healy & Melville 2018)."""
    import umap  # slow, and not always installed

    state = int(stream(seed, "umap").integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed allows one thread alone
        return np.asarray(umap.UMAP(n_components=2, random_state=state).fit_transform(vectors))
