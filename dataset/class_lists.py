"""The order of a classifier's classes, as a file lists them."""

from collections.abc import Sequence
from pathlib import Path

from dataset.split_files import CLASS, SEPARATORS, class_folder, read_classes
from utils.errors import UsageError
from utils.files import read_lines
from utils.samples import ClassInfo


def read_class_names(path: Path, classes: Sequence[ClassInfo]) -> tuple[str, ...]:
    """Return the names in a list of `index name` lines, or of names alone, in its order.

    They are spelt as those of the data set's `classes` where they name the same folder. Raises
    UsageError.
    """
    try:
        lines = [line.strip(SEPARATORS) for line in read_lines(path) if line.strip(SEPARATORS)]
        numbered = all(map(CLASS.fullmatch, lines))
        names = read_classes(path) if numbered and lines else tuple(lines)
    except UsageError as error:
        raise UsageError(f"--class_index {error}") from error
    if len(set(names)) < len(names) or not names:
        raise UsageError(f"--class_index {path}: is empty, or lists a class twice")
    spelt = {class_folder(info.name): info.name for info in classes}
    found = tuple(spelt.get(class_folder(name), name) for name in names)
    if other := sorted(set(found) ^ set(spelt.values())):
        raise UsageError(
            f"--class_index {path}: its {len(found)} classes are not the {len(spelt)} of this "
            f"dataset, e.g. {other[0]!r}; name the list that the classifier was trained with"
        )
    return found
