"""Which runs are repetitions of one experiment, and what tells the experiments apart."""

from collections.abc import Sequence
from typing import NamedTuple

from utils.compare.measures import Measured
from utils.compare.settings import (
    IDENTIFYING,
    Settings,
    common_text,
    has_splits,
    joined,
    rank,
    settings_of,
    told,
)
from utils.errors import UsageError
from utils.logs import log


class Group(NamedTuple):
    """Runs that differ in their seeds alone, or in what is pooled.

    `flags` has the text of each flag that tells the groups apart. `repeats` names each run by its
    seed and, where splits are pooled, its split.
    """

    flags: dict[str, str]
    measured: tuple[Measured, ...]
    repeats: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return a text such as `lr 0.001, without roll`; empty for a group that is alone."""
        return ", ".join(dict.fromkeys(told(name, text) for name, text in self.flags.items()))

    @property
    def onset(self) -> float | None:
        """The first epoch with U images in any of its runs."""
        return min((one.onset for one in self.measured if one.onset is not None), default=None)


class Grouping(NamedTuple):
    """The groups, sorted by their flags, and in words what all of their runs have in common."""

    groups: tuple[Group, ...]
    common: str


class _Member(NamedTuple):
    measured: Measured
    settings: Settings


def group_runs(measured: Sequence[Measured], by: Sequence[str] = ()) -> Grouping:
    """Group runs by what they are identified by, seed aside, or by the flags `by` alone.

    Splits are pooled like seeds where each one was used once. Of runs that are the same in all,
    one counts. Raises UsageError for runs of two kinds of model, whose numbers can't be compared.
    """
    if len({one.run.config.model for one in measured}) > 1:
        raise UsageError(
            "these are runs of dpc-rnn and of lc-rnn, whose losses and accuracies mean different "
            "things; name the folders of one of them, such as OUT/*_lc-rnn_*"
        )
    ordered = sorted(measured, key=_place)
    every = zip(ordered, settings_of([one.run for one in ordered]), strict=True)
    members = _without_copies([_Member(*pair) for pair in every], by)
    settings = [member.settings for member in members]
    names = list(by or IDENTIFYING)
    if not by and splits_are_repeats(settings):
        names.remove("split")
    by_values: dict[tuple, list[_Member]] = {}
    for member in members:
        by_values.setdefault(tuple(member.settings[n] for n in names), []).append(member)
    sorted_values = sorted(by_values, key=lambda values: list(map(rank, values)))
    parts = [by_values[values] for values in sorted_values]
    _warn_of_pooled(parts, by)
    groups = _tell_apart(parts, by)
    for group in groups:
        _warn_of_differences(group)
    return Grouping(groups, common_text(settings))


def _place(one: Measured) -> tuple[int, int, str]:
    return one.run.config.seed, one.run.config.split, str(one.run.folder)


def _without_copies(members: Sequence[_Member], by: Sequence[str]) -> list[_Member]:
    """Return the runs that count: of copies of a run, the last of those with the most epochs."""
    kept: dict[tuple, _Member] = {}
    for member in members:
        config = member.measured.run.config
        same = (*(member.settings[n] for n in (*IDENTIFYING, *by)), config.seed)
        same += (config.pretrained, config.test, config.retrieve)
        other = kept.setdefault(same, member)
        if other is not member:
            less, more = sorted((other, member), key=lambda one: one.measured.last)
            kept[same] = more
            told_of = less.measured.run.folder, more.measured.run.folder
            log.warning("%s: has the flags and the seed of %s; left out", *told_of)
    return sorted(kept.values(), key=lambda one: _place(one.measured))


def splits_are_repeats(settings: Sequence[Settings]) -> bool:
    """Whether runs that differ in nothing but the seed have one split, or another split each."""
    if not any(has_splits(one["dataset"]) for one in settings):
        return False
    splits: dict[tuple, list[int]] = {}
    for one in settings:
        key = tuple(one[name] for name in IDENTIFYING if name != "split")
        splits.setdefault(key, []).append(one["split"])
    return all(len(set(group)) in (1, len(group)) for group in splits.values())


def _tell_apart(parts: Sequence[Sequence[_Member]], by: Sequence[str]) -> tuple[Group, ...]:
    """Return the groups of these runs, with the flags in which they differ."""
    texts = [
        {name: joined(member.settings[name] for member in part) for name in by or IDENTIFYING}
        for part in parts
    ]
    differing = [name for name in texts[0] if len({text[name] for text in texts}) > 1]
    groups = []
    for part, text in zip(parts, texts, strict=True):
        configs = [member.measured.run.config for member in part]
        has_splits = len({config.split for config in configs}) > 1
        repeats = tuple(f"{c.seed}" + (f" split {c.split}" if has_splits else "") for c in configs)
        flags = {name: text[name] for name in differing}
        groups.append(Group(flags, tuple(member.measured for member in part), repeats))
    return tuple(groups)


def _warn_of_pooled(parts: Sequence[Sequence[_Member]], by: Sequence[str]) -> None:
    pooled = [
        name
        for name in IDENTIFYING
        if by and any(len({member.settings[name] for member in part}) > 1 for part in parts)
    ]
    if pooled:
        log.warning("--by %s: pools runs that differ in %s", " ".join(by), ", ".join(pooled))


def _warn_of_differences(group: Group) -> None:
    """Name runs with fewer epochs than others, and say where chance differs within a group."""
    most = max(one.last for one in group.measured)
    chances: dict[tuple, set[float]] = {}
    for one in group.measured:
        if -1 < one.last < most:
            told_of = one.run.folder, one.last, most
            log.warning("%s: has epochs up to %d, others of its group up to %d", *told_of)
        rows = one.values[(one.values["metric"] == "chance") & one.values["epoch"].notna()]
        for mode, epoch, value in rows[["mode", "epoch", "value"]].itertuples(index=False):
            chances.setdefault((mode, epoch), set()).add(value)
    if any(len(values) > 1 for values in chances.values()):
        name = f" ({group.label})" if group.label else ""
        log.warning(
            "chance differs between the runs of a group%s, perhaps as they had other numbers of "
            "processes; their accuracies can't be compared",
            name,
        )
