"""What the rest of the program needs to know of each dataset by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetFacts:
    """`short`: in a run folder's name. `lr_steps`: the epochs at which lc-rnn's rate drops, below
    224 pixels and from there on. `strided`: clips take every n-th frame, as --ucf_hmdb_ms_ds
    says."""

    short: str
    lr_steps: tuple[tuple[int, int], tuple[int, int]]
    strided: bool = False
    aliases: tuple[str, ...] = ()


CATALOGUE = {
    "UCF101": DatasetFacts("ucf101", ((60, 80), (300, 400)), strided=True),
    "HMDB51": DatasetFacts("hmdb51", ((30, 40), (150, 250)), strided=True),
    "Kinetics400": DatasetFacts("k400", ((30, 40), (150, 250)), aliases=("k400",)),
    "MouseSim": DatasetFacts("mousesim", ((60, 80), (300, 400)), strided=True),
    "Gabors": DatasetFacts("gabors", ((10, 15), (20, 30))),
}
NAMES = {
    spelling.lower(): name
    for name, facts in CATALOGUE.items()
    for spelling in (name, *facts.aliases)
}
EYE_SUFFIX = {"left": "_left", "right": "_right", "both": ""}


def short_name(dataset: str, eye: str) -> str:
    """Such as ucf101 or mousesim_left."""
    return CATALOGUE[dataset].short + (EYE_SUFFIX[eye] if dataset == "MouseSim" else "")
