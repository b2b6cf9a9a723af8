"""The representations of recorded passes: correlations between images, and pairs that compare."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from utils.analysis import loading, similarity
from utils.analysis.loading import Condition
from utils.analysis.recorded import ANY, POST, PRE, Pass, Recorded
from utils.analysis.similarity import Similarity
from utils.streams import stream

MOST_BLOCKS = 1000  # that are compared one by one: their RSM has half a million pairs
MOST_SHOWN = 300  # blocks of a matrix in rsm.npz
MOST_IMAGES = 30  # that are compared each with each
BLOCKS, CONDITIONS = "blocks", "conditions"
NEURAL = "neural"


class RsmRow(NamedTuple):
    """A row of rsm.csv."""

    epoch: int
    when: str
    module: str
    kind: str
    first_image: str
    second_image: str
    mean: float
    pairs: int
    left_out: int


class SimilarityRow(NamedTuple):
    """A row of rsm_similarity.csv."""

    first: str
    second: str
    kind: str
    level: str
    rows: int
    tau: float
    r: float
    cka: float
    ceiling: float


class Clips(NamedTuple):
    """What a pass has shown: of each block its condition, by its index in `conditions`.

    `blocks` `[R, 3]` tells epoch, item and step, so that passes with the same clips are known.
    `listed` are the conditions of all groups, and `conditions` those of them that have blocks.
    `chosen` are the numbers of the rows that are compared one by one.
    """

    blocks: np.ndarray
    listed: list[Condition]
    conditions: list[Condition]
    condition: np.ndarray
    chosen: np.ndarray


class Representation(NamedTuple):
    """The responses of a module in a pass, as far as other ones are compared with them.

    `blocks` `[n, C]` are those to the chosen blocks, `means` `[K, C]` those to each condition.
    """

    of: Pass
    module: str
    kind: str
    clips: Clips
    blocks: np.ndarray
    means: np.ndarray
    ceiling: float

    @property
    def name(self) -> str:
        """Return the name in the table of similarities."""
        return f"{self.of.name}:{self.module}"


def clips_of(recorded: Recorded) -> Clips:
    """Return what a pass has shown; passes with the same clips choose the same blocks."""
    shown = loading.conditions_of_blocks(recorded)
    present = set(shown)
    listed = loading.list_conditions(recorded)
    conditions = [one for one in listed if one in present]
    index = {one: number for number, one in enumerate(conditions)}
    condition = np.array([index.get(one, -1) for one in shown])
    rng = stream(loading.seed_of(recorded), "compared blocks", loading.clips_epoch(recorded))
    chosen = loading.choose_rows(condition, MOST_BLOCKS, rng)
    blocks = recorded.blocks[["epoch", "item", "step"]].to_numpy()
    return Clips(blocks, listed, conditions, condition, chosen)


def all_conditions(shown: Sequence[Clips]) -> list[Condition]:
    """Return the conditions that any of the passes has shown, in the order of the groups."""
    present = {one for clips in shown for one in clips.conditions}
    listed = dict.fromkeys(one for clips in shown for one in clips.listed)
    return [one for one in listed if one in present]


def represent(recorded: Recorded, clips: Clips) -> list[Representation]:
    """Return the representation of each module and kind of a pass."""
    found = []
    for module, kind in loading.list_responses(recorded):
        vectors = recorded.vectors[f"{module}_{kind}"]  # [R, C]
        rng = stream(loading.seed_of(recorded), "halves", loading.clips_epoch(recorded))
        means = similarity.condition_means(vectors, clips.condition, len(clips.conditions))
        items = clips.blocks[:, 1]
        ceiling = similarity.split_half_ceiling(vectors, clips.condition, items, rng)
        blocks = vectors[clips.chosen]
        found.append(Representation(recorded.of, module, kind, clips, blocks, means, ceiling))
    return found


# ---- correlations of blocks, between and within images ----


def correlate_images(recorded: Recorded) -> list[RsmRow]:
    """Return the mean correlation of the blocks of each two images, a block's with itself left out.

    Where there are many images, as classes of videos are, each is compared with itself, and with
    all others together.
    """
    images = loading.list_images(recorded)
    shown = recorded.blocks["image"].to_numpy()
    rows = []
    for module, kind in loading.list_responses(recorded):
        unit = similarity.unit_rows(recorded.vectors[f"{module}_{kind}"])  # [R, C]
        kept = np.isfinite(unit).all(1)
        members = {image: kept & (shown == image) for image in images if (shown == image).any()}
        sums = {image: unit[member].sum(0) for image, member in members.items()}
        number = {image: int(member.sum()) for image, member in members.items()}
        lost = {image: int((~kept & (shown == image)).sum()) for image in members}
        where = (*recorded.of, module, kind)
        for image in members:
            n = number[image]
            pairs = n * (n - 1) // 2
            mean = (sums[image] @ sums[image] - n) / (2 * pairs) if pairs else np.nan
            rows.append(RsmRow(*where, image, image, mean, pairs, lost[image]))
        if len(members) > MOST_IMAGES:
            total, count = sum(sums.values()), sum(number.values())
            others = {i: (total - sums[i], count - number[i], sum(lost.values())) for i in members}
            compared = [(image, ANY, *others[image]) for image in members]
        else:
            compared = [
                (first, second, sums[second], number[second], lost[first] + lost[second])
                for first, second in combinations(members, 2)
            ]
        for first, second, other, n, left_out in compared:
            pairs = number[first] * n
            mean = sums[first] @ other / pairs if pairs else np.nan
            rows.append(RsmRow(*where, first, second, mean, pairs, left_out))
    return rows


def shown_matrices(recorded: Recorded) -> dict[str, np.ndarray]:
    """Return the RSM of at most 300 blocks for each module and kind, and the blocks' rows.

    The blocks are sorted by image and orientation.
    """
    rank = {image: number for number, image in enumerate(loading.list_images(recorded))}
    image = recorded.blocks["image"].map(rank).fillna(len(rank)).to_numpy()
    rng = stream(loading.seed_of(recorded), "shown blocks", loading.clips_epoch(recorded))
    rows = loading.choose_rows(image, MOST_SHOWN, rng)
    angle = recorded.blocks["orientation"].fillna(np.inf).to_numpy()
    rows = rows[np.lexsort((rows, angle[rows], image[rows]))]
    name = recorded.of.name
    arrays = {f"{name}_rows": rows}
    for module, kind in loading.list_responses(recorded):
        vectors = recorded.vectors[f"{module}_{kind}"][rows]
        matrix = similarity.similarity_matrix(vectors)
        arrays[f"{name}_{module}_{kind}"] = matrix.astype(np.float32)
    return arrays


# ---- pairs of representations ----


def compare_all(found: Sequence[Representation]) -> list[SimilarityRow]:
    """Compare modules within a pass, pre with post, and the post passes of consecutive epochs."""
    return [row for first, second in _pairs(found) for row in compare_two(first, second)]


def _pairs(found: Sequence[Representation]) -> Iterator[tuple[Representation, Representation]]:
    by_key = {(one.of, one.module, one.kind): one for one in found}
    passes = list(dict.fromkeys(one.of for one in found))
    for of in passes:
        for first, second in combinations((one for one in found if one.of == of), 2):
            if first.kind == second.kind:
                yield first, second
    posts = [of for of in passes if of.when == POST]
    in_epoch = [(of._replace(when=PRE), of) for of in posts]
    for earlier, later in [*in_epoch, *pairwise(posts)]:
        for (of, module, kind), one in by_key.items():
            if of == earlier and (later, module, kind) in by_key:
                yield one, by_key[later, module, kind]


def compare_two(first: Representation, second: Representation) -> list[SimilarityRow]:
    """Compare over blocks where both have seen the same clips, and over common conditions."""
    rows = []
    if np.array_equal(first.clips.blocks, second.clips.blocks):
        compared = similarity.compare(first.blocks, second.blocks)
        if compared is not None:
            rows.append(similar(first, second.name, BLOCKS, compared, np.nan))
    common = [one for one in first.clips.conditions if one in second.clips.conditions]
    means = (one.means[[one.clips.conditions.index(c) for c in common]] for one in (first, second))
    compared = similarity.compare(*means) if common else None
    if compared is not None:
        rows.append(similar(first, second.name, CONDITIONS, compared, first.ceiling))
    return rows


def similar(
    first: Representation, second: str, level: str, found: Similarity, ceiling: float
) -> SimilarityRow:
    """Return the row of two representations that were compared."""
    values = (found.rows, found.tau, found.r, found.cka)
    return SimilarityRow(first.name, second, first.kind, level, *values, ceiling)
