"""The summary as text, and the names of numbers in words."""

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from utils.analysis.recorded import KINDS, MODULES
from utils.compare.found import RANDOM
from utils.compare.groups import Group
from utils.compare.measures import CHANCE_OF, DECODED, EVALUATED, LEVELS, SHUFFLED
from utils.compare.statistics import (
    ANALYSIS,
    LAST,
    PARTS,
    RETRIEVAL,
    TEST,
    Comparison,
    having,
    summarise,
)
from utils.plots.figures import MODES

SCORED = ("positive", "easy", "spatial", "temporal")  # pairs of a prediction and a block
EVALUATION_NAMES = {name: name.replace("knn", "kNN").replace("_top", " top-") for name in EVALUATED}
NAMES = {
    "best_epoch": "epoch",
    "top1": "top-1",
    "top3": "top-3",
    "top5": "top-5",
    "chance": "chance of top-1",
    "type_accuracy": "image type right",
    "type_chance": "chance of image type",
    "orientation_accuracy": "orientation right",
    "orientation_chance": "chance of orientation",
    **{f"score_{kind}": f"score, {kind}" for kind in SCORED},
    **{f"wrong_{kind}": f"of the wrong, {kind}" for kind in SCORED[1:]},
    **{
        name_of: text_of.format(text)
        for name, text in EVALUATION_NAMES.items()
        for name_of, text_of in ((name, "{}"), (CHANCE_OF.format(name), "chance of {}"))
    },
    "usi": "USI",
    "usi_abs": "|USI|",
    "usi_abs_chance": "chance of |USI|",
    "usi_significant": "significant USI",
}
PLACES = ("", *LEVELS, *KINDS, *MODULES)  # of modules, of kinds of responses and of tests
ORDER = ("best_epoch", "loss", *list(NAMES)[1:])  # of the numbers; others come behind, by name
OF_TESTS = ("top", "chance", "type_", "orientation_", "wrong_", "R@", "knn_", "probe_")
SHARES = (*OF_TESTS, "usi_significant", DECODED)
TITLES = {
    LAST: "{}, last epoch of all runs",
    "best": "best validation epoch",
    "best_unexp": "best validation epoch with U",
    ANALYSIS: "responses, last epoch analysed",
}
CHECKPOINTS = {
    "best": "best checkpoint",
    "best_unexp": "best checkpoint with U",
    RANDOM: "random weights",
}
BESIDE = 3  # groups in a line
NAME_WIDTH, WIDTH = 60, 24  # characters


def summary_text(comparison: Comparison) -> str:
    """Return the summary as text: a line for each number, a column for each group.

    The number of runs follows a value that not all runs of its group have.
    """
    groups, common = comparison.grouping
    count = sum(len(group.measured) for group in groups)
    first = f"{count} run{'s' * (count > 1)} in {len(groups)} group{'s' * (len(groups) > 1)}"
    blocks = [f"{first}: {common}; mean ± standard deviation over runs"]
    summary = summarise(comparison)
    for start in range(0, len(groups), BESIDE):
        shown = range(start, min(start + BESIDE, len(groups)))
        blocks.append("\n".join(_block(summary, groups, shown)))
    return "\n\n".join(blocks)


def _block(summary: pd.DataFrame, groups: Sequence[Group], shown: Sequence[int]) -> Iterator[str]:
    labels = [wrapped(groups[index].label, WIDTH - 2).splitlines() for index in shown]
    for line in range(max(len(label) for label in labels)):
        yield _line("", [label[line] if line < len(label) else "" for label in labels])
    yield _line("runs", [str(len(groups[index].measured)) for index in shown])
    yield _line("seeds", [repeats_text(groups[index]) for index in shown])
    here = summary[summary["group"].isin(list(shown))]
    for title, rows in _sections(here):
        yield title
        if rows["epoch"].notna().any():
            epochs = rows.groupby("group")["epoch"].first()
            yield _line("  epoch", [f"{epochs[i]:g}" if i in epochs else "" for i in shown])
        lines = rows.drop_duplicates(["metric", "module", "kind"])
        for metric, module, kind in _sorted(lines):
            same = (rows["metric"] == metric) & (rows["module"] == module) & (rows["kind"] == kind)
            cells = [_cell(rows[same & (rows["group"] == i)], metric, groups[i]) for i in shown]
            where = f"{module} {kind}s" if module else kind and kinds_text(kind)
            name = f"{metric_name(metric)}{' (%)' * is_share(metric)}"
            yield _line(f"  {name}, {where}" if where else f"  {name}", cells)


def _sections(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for part in PARTS:
        of_part = rows[rows["part"] == part]
        if part == TEST:
            for what, of_test in of_part.groupby("when"):
                yield f"test, {tested_text(str(what))}", of_test
        elif part == RETRIEVAL:
            for told, keys in retrieved(of_part).items():
                yield f"retrieval, {told}", having(of_part, **keys)
        else:
            for mode, of_mode in of_part.groupby("mode", observed=True):
                yield TITLES[part].format(MODES.get(str(mode), "").lower()), of_mode


def _sorted(lines: pd.DataFrame) -> list[tuple[str, str, str]]:
    def place(line: tuple[str, str, str]) -> tuple:
        metric, module, kind = line
        in_order = ORDER.index(metric) if metric in ORDER else len(ORDER)
        return PLACES.index(kind), in_order, metric, PLACES.index(module)

    found = lines[["metric", "module", "kind"]].itertuples(index=False)
    return sorted((tuple(line) for line in found), key=place)


def _cell(rows: pd.DataFrame, metric: str, group: Group) -> str:
    if rows.empty:
        return ""
    row = rows.iloc[0]
    less = f" (n = {row['n']})" if row["n"] < len(group.measured) else ""
    return value_text(row["mean"], row["sd"], metric) + less


def _line(name: str, cells: Sequence[str]) -> str:
    return (f"{name:<{NAME_WIDTH}}" + "".join(f"{cell:<{WIDTH}}" for cell in cells)).rstrip()


# ---- words, for pictures too ----


def wrapped(text: str, characters: int) -> str:
    """Return flags in lines of so many characters; a flag and its value stay together if they fit.

    Parts between commas are treated like this in any text.
    """
    parts = [
        part.replace(" ", "\u00a0") if len(part) < characters else part for part in text.split(", ")
    ]
    lines = textwrap.wrap(", ".join(parts), characters, break_on_hyphens=False)
    return "\n".join(lines).replace("\u00a0", " ")


def repeats_text(group: Group) -> str:
    """Return the seeds of a group, and its splits where they are pooled: `100-103`."""
    seeds = [one.run.config.seed for one in group.measured]
    splits = [one.run.config.split for one in group.measured]
    if len(set(splits)) == 1:
        return series_text(seeds)
    return f"{series_text(seeds)}, splits {series_text(splits)}"


def series_text(numbers: Sequence[int]) -> str:
    """Return the different ones of the numbers, such as `1-3, 7`, or how many they are."""
    different = np.unique(numbers)
    parts = np.split(different, np.flatnonzero(np.diff(different) != 1) + 1)
    texts = [f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return ", ".join(texts) if len(texts) < 5 else f"{len(different)} different"


def tested_text(what: str) -> str:
    """Return in words what a test has tested."""
    checkpoint, *flags = what.split(", ")
    return ", ".join((CHECKPOINTS.get(checkpoint, checkpoint), *flags))


def retrieved(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return in words of which checkpoints the retrievals are, and which keys their rows have.

    Where each group has retrievals of one checkpoint, all are told together, without keys.
    """
    whats = sorted(set(rows["when"]))
    if len(whats) > 1 and (rows.groupby("group")["when"].nunique() == 1).all():
        together = " and ".join(map(tested_text, whats)) if len(whats) == 2 else "one of each group"
        return {together: {}}
    return {tested_text(what): {"when": what} for what in whats}


def kinds_text(kind: str) -> str:
    """Return in words of what kind a number is, such as `videos, 5 crops`."""
    of, *crops = kind.split(", ")
    return ", ".join((f"{of}s", *crops))


def metric_name(metric: str) -> str:
    """Return a number's name in words."""
    decoded = metric.removeprefix(DECODED)
    if decoded != metric:
        target = decoded.removesuffix(SHUFFLED)
        return f"{target} decoded" + ", shuffled" * (target != decoded)
    return NAMES.get(metric, metric)


def is_share(metric: str) -> bool:
    """Whether a number is a share, shown in per cent."""
    return metric.startswith(SHARES)


def value_text(mean: float, sd: float, metric: str) -> str:
    """Return a mean with its standard deviation, if it has one."""
    factor, digits = (100, 1) if is_share(metric) else (1, 1 if metric == "best_epoch" else 3)
    text = f"{factor * mean:.{digits}f}"
    return text if np.isnan(sd) else f"{text} ± {factor * sd:.{digits}f}"
