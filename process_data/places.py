"""Which members of an archive are unpacked, and to which places."""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from archives import Plan

Endings = str | tuple[str, ...]


def flat_places(endings: Endings) -> Plan:
    """Plan to unpack files without their folders."""
    return lambda names: {name: PurePosixPath(name).name for name in visible(names, endings)}


def class_places(endings: Endings, names: list[str]) -> dict[str, str]:
    """Plan to unpack videos; the class is the folder's name, however deep that lies."""
    paths = {name: PurePosixPath(name) for name in visible(names, endings)}
    return {n: f"{p.parent.name}/{p.name}" for n, p in paths.items() if p.parent.name}


def visible(names: list[str], endings: Endings) -> list[str]:
    """Return the names with these endings that don't start with a dot."""
    shown = [name for name in names if not PurePosixPath(name).name.startswith(".")]
    return [name for name in shown if name.lower().endswith(endings)]


def labelled_places(
    endings: Endings,
    classes: dict[str, str],
    most: int | None,
    there: Mapping[str, str],
    names: list[str],
) -> dict[str, str]:
    """Plan to unpack videos of known classes, at most `most` of each.

    Their places are those where they are `there`, by their names, or else folders of their classes.
    """
    places: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name in visible(names, endings):
        path = PurePosixPath(name)
        label = classes.get(path.stem)
        if label is not None and (most is None or counts[label] < most):
            counts[label] += 1
            places[name] = there.get(path.name, f"{label}/{path.name}")
    return places
