"""The sections of an analysis' page: their pictures, how to read them, and what words mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from utils.analysis.drawing import numbers
from utils.analysis.drawing.panels import MOST_CLASSES
from utils.analysis.drawing.results import Results
from utils.plots.page import Table

USI = (
    "The selectivity of a node for the unexpected image U: its mean response to U minus that to "
    "the expected D, divided by the root of the mean of both variances (d′). Above 0, the node "
    "responds more to U."
)
ERROR = (
    "The gradient of the batch's mean loss with respect to a module's output. It gets smaller with "
    "more clips, steps and positions in a batch, so compare it at equal batch sizes alone."
)
PASS = (
    "One evaluation of an epoch's training clips, with the weights from before that epoch (pre) "
    "or from after it (post)."
)
MODULES = (
    "Encoder: the features of the block that is to be predicted. Contextual: the candidate state "
    "(before tanh) of the recurrent network at the last step before this prediction. Predictive: "
    "the predicted features. A node is one channel at one position."
)
MODULES_OF_CLASSIFIER = (
    "Encoder: the features of the block that was seen last. Contextual: the candidate state "
    "(before tanh) of the recurrent network at this block. A node is one channel at one position."
)
NODES = "Nodes of one network aren't independent samples: the run is the unit of a test."
WITH_U = " U images are shown in all passes, also before training had any."


class Section(NamedTuple):
    """A part of the page: its pictures, how to read them, their key numbers, and their files."""

    title: str
    pictures: Mapping[str, str]  # names, and what they show in a few words
    text: Callable[[Results], str]
    tables: Callable[[Results], list[Table]]
    files: Sequence[str]


def _count(results: Results, table: str, column: str) -> str:
    """Return the range of a column of counts, such as "120 to 240"."""
    values = results.tables[table][column].dropna()
    if values.empty:
        return "an unknown number of"
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _group(results: Results) -> str:
    return "image type" if results.are_gabors else "class"


def _responses(results: Results) -> str:
    number = results.tables["responses"]["image"].nunique()
    text = (
        f"Each node's responses are averaged over the blocks of one {_group(results)}; shown is "
        "the mean size of these averages over all nodes, for activations above and for errors "
        f"below. An average is of {_count(results, 'responses', 'blocks')} blocks. The average of "
        "few blocks keeps more noise, which makes its size larger, and most of all that of errors: "
        "compare groups of similar numbers of blocks, or one group over epochs."
    )
    if number > MOST_CLASSES:
        text += (
            f" Since there are {number} classes, the line is their median, and the band holds the "
            "central 80 %."
        )
    return text


def _usi(results: Results) -> str:
    return (
        "The mean USI over nodes, its mean size whatever the sign (dashed: about what noise alone "
        "gives with so many blocks of D and U), and the share of nodes whose USI lies outside the "
        "central 95 % of those with permuted labels. Labels that mean nothing give 5 % (dashed); "
        "bars are 95 % binomial intervals. The second picture has the distributions of nodes' USI "
        "after each recorded epoch, all of the same height, with their medians (black); epochs "
        "whose training had U are darker. Up to 0.4 % of the nodes lie outside the axis. A mean is "
        f"over {_count(results, 'usi', 'nodes')} nodes; nodes that never vary are left out "
        f"({_count(results, 'usi', 'left_out')}). {NODES}"
    )


def _correlation(results: Results) -> str:
    return (
        "Does a node that prefers U at one epoch still prefer it at the next one? Each point is a "
        "node, or each hexagon the number of nodes in it (darker: more); a few nodes may lie "
        "outside, but r has all. Where their clips differ, noise makes r smaller. To the right, "
        "Pearson's r of consecutive recorded epochs, with the 95 % interval of a bootstrap over "
        f"nodes. {NODES}"
    )


def _rsm(results: Results) -> str:
    return (
        "Each cell is the correlation of the response vectors of two blocks, activations averaged "
        "over space. Squares on the diagonal that are redder than what is beside them mean that a "
        "module responds alike to blocks of one group. Each matrix has its own scale, which leaves "
        "out 1 % of the cells at each end; it is white at 0 or, where nearly all cells are "
        f"positive, at its low end. Blocks are sorted by {_conditions(results)} (the strips at the "
        "sides, in the colours of the other pictures), and then by predicted step. At most 300 "
        "blocks are shown, and groups that are too small for a name have only their colour."
    )


def _conditions(results: Results) -> str:
    return "image type and orientation" if results.are_gabors else "class"


def _similarity(results: Results) -> str:
    return (
        "How alike are two RSMs? Kendall's τ and Pearson's r compare their cells, and linear CKA "
        "the response vectors; 1 means the same. Compared are the mean activations to each "
        f"{_conditions(results)} that both passes have (where there are none: the blocks). The "
        "ceiling (dotted, in the colour of its line) is the correlation between the RSMs of two "
        "halves of the first one's clips. Where the other RSM is of other clips, as after another "
        "epoch, or was measured, noise lets r come hardly above it. (All blocks are less noisy "
        "than half of them, so r can be somewhat higher.) Two modules of one pass, and pre and "
        "post of one epoch, have the same clips, and so the same noise: their r can lie far above."
    )


def _embedding(results: Results) -> str:
    table = results.tables["embedding"]
    last = table["epoch"].max()
    text = (
        f"Each point is a block, by its activations after epoch {last}; near points mean similar "
        "responses. PCA shows the two directions of the largest variance, to the right and "
        "upwards, at the same scale."
    )
    if len(set(table["image"])) > MOST_CLASSES:
        text += f" Of the classes, the {MOST_CLASSES} most frequent ones have a colour."
    return text


def _decoding(results: Results) -> str:
    what = "orientations and image types" if results.are_gabors else "classes"
    text = (
        f"How well does a linear classifier (multinomial logistic regression) tell {what} from a "
        "module's responses? Balanced accuracy on blocks that it was not fitted to, mean ± sd over "
        "seeded splits; gray: with shuffled labels; dashed: chance. Fitted to and tested on "
        f"{_count(results, 'decoding', 'blocks')} blocks, one of each clip."
    )
    return text + (" D has as many of them as U." if _is_unexpected(results) else "")


def define(results: Results) -> list[tuple[str, str]]:
    """Return the words that need a definition; those about U only where there is U."""
    modules = MODULES if "predictive" in results.modules else MODULES_OF_CLASSIFIER
    about = [("Pass", PASS), ("Modules", modules), ("Error", ERROR)]
    if _is_unexpected(results):
        about[0] = ("Pass", PASS + WITH_U)
        about.insert(2, ("USI", USI))
    return about


def _is_unexpected(results: Results) -> bool:
    return results.are_gabors and "U" in set(results.tables["responses"]["image"])


def _tuning(results: Results) -> str:
    return (
        "How strongly do the channels of a stage prefer some orientations (OSI), or directions "
        "(DSI)? 0 means no preference, and 1 a response to one of them alone. Shapes are the "
        "distributions over channels, points their medians; left the first epoch, right the last "
        "one. Noise raises both, since the least response counts as 0. A stage has "
        f"{_count(results, 'tuning', 'channels')} channels."
    )


SECTIONS = (
    Section(
        "Mean responses",
        {"responses": "Mean size of responses by what is shown, module and epoch"},
        _responses, numbers.responses, ("responses.csv",),
    ),
    Section(
        "Selectivity for unexpected images (USI)",
        {
            "usi": "Mean USI, mean size of it, and significant nodes by module and epoch",
            "usi_distributions": "Distributions of nodes' USI by module and epoch",
        },
        _usi, numbers.usi, ("usi.csv", "usi_nodes.npz"),
    ),
    Section(
        "The USI from epoch to epoch",
        {"usi_correlation": "Nodes' USI at two epochs, and r of consecutive epochs"},
        _correlation, numbers.correlation, ("usi_correlation.csv",),
    ),
    Section(
        "Similarity of responses (RSM)",
        {
            "rsm": "Correlations of blocks",
            "rsm_by_orientation": "The same, sorted by orientation first",
        },
        _rsm, numbers.rsm, ("rsm.csv", "rsm.npz"),
    ),
    Section(
        "Similarity of two RSMs",
        {"rsm_similarity": "Similarity of modules, of epochs, and of measured responses if given"},
        _similarity, numbers.similarity, ("rsm_similarity.csv",),
    ),
    Section(
        "Embedding",
        {"embedding": "Principal components of blocks", "embedding_umap": "UMAP of blocks"},
        _embedding, lambda _: [], ("embedding.csv",),
    ),
    Section(
        "Decoding",
        {"decoding": "Balanced accuracy by module and epoch"},
        _decoding, numbers.decoding, ("decoding.csv",),
    ),
    Section(
        "Tuning by depth",
        {"tuning": "Distributions of channels' selectivity for orientation and direction by stage"},
        _tuning, numbers.tuning, ("tuning.csv", "tuning_channels.npz"),
    ),
)  # fmt: skip
