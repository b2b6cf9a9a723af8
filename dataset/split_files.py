"""Split files and class lists.

A folder of split files holds `train_split01.csv` or `train_split.csv` and so on, with rows `path to
the frames,number of frames`; `classInd.txt` with rows `index name`; and `root.txt` with the folder
that relative paths start from. A video's class is the name of the folder it lies in.
"""

import os
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from utils.config.command_line import typed_path
from utils.config.datasets import DatasetInfo, Variant
from utils.errors import UsageError
from utils.files import csv_text, read_lines, write_whole

CLASSES_FILE, ROOT_FILE, VIDEOS_FILE = "classInd.txt", "root.txt", "videos.csv"
SEPARATORS = ",; \t"
# also as spreadsheets save them: in quotes, 1.0 for 1, other separators, separators at the end
NUMBER = r'"?([0-9]{1,9})(?:\.0*)?"?'
ROW = re.compile(rf"(.+)[,;\t] *{NUMBER}[,;\s]*")  # paths may hold commas
CLASS = re.compile(rf"{NUMBER}([ ,;\t])(.+)")
NO_NAMES = ("", ".", "..")


class Row(NamedTuple):
    """A row of a split file; the path is absolute or starts at the data set's root."""

    path: str
    frames: int

    @property
    def class_name(self) -> str:
        """The class as the name of a folder."""
        return class_folder(self.path.rsplit("/", 2)[-2])

    @property
    def label(self) -> str:
        """The class and the video, as messages name them."""
        return "/".join(self.path.rsplit("/", 2)[-2:])


@cache  # a split file has few classes and many rows
def class_folder(name: str) -> str:
    """Return a class's name as a folder: `playing guitar (solo)` → `playing_guitar_solo`."""
    return name.strip().replace(" ", "_").replace("(", "").replace(")", "")


def how_to_make(info: DatasetInfo, variant: Variant) -> str:
    """Return the advice to make the split files, with the flags that this takes."""
    flags = f"--d_root DIR --dataset {info.name}{variant.flags}"
    return f"make it with process_data/write_csvs.py {flags}"


# ------------------------------------------------------------------ writing


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file whole or not at all; raises RunError."""
    write_whole(path, "".join(f"{line}\n" for line in lines))


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a split file."""
    write_lines(path, (f"{row.path},{row.frames}" for row in rows))


def write_classes(folder: Path, names: Iterable[str]) -> None:
    """Write the class list, numbered from 0."""
    write_lines(folder / CLASSES_FILE, (f"{i} {name}" for i, name in enumerate(names)))


def write_root(folder: Path, root: Path) -> None:
    """Write root.txt."""
    write_lines(folder / ROOT_FILE, [os.path.abspath(root)])


def write_video_files(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write videos.csv: for paths in split files the video files, both from the root on."""
    write_whole(folder / VIDEOS_FILE, csv_text(files))


# ------------------------------------------------------------------ reading


def read_classes(path: Path) -> tuple[str, ...]:
    """Return the names of a class list in the order of their numbers.

    An index, from 0 or 1 on, and a name are separated by a space or a comma. Raises UsageError.
    """
    names: dict[int, str] = {}
    folders = set()
    for number, line in _numbered_lines(path):
        match = CLASS.fullmatch(line.strip(SEPARATORS))
        name = match[3].strip() if match else ""
        if not match or not name:
            raise _bad_line(path, number, line, "is not 'index name'")
        if match[2] != " ":
            name = _unquoted(name)
        index, folder = int(match[1]), class_folder(name)
        if index in names or folder in folders:
            raise _bad_line(path, number, line, "is there twice")
        names[index] = name
        folders.add(folder)
    first = min(names)
    if first > 1 or len(names) != max(names) + 1 - first:
        raise UsageError(f"{path}: classes must be numbered one by one, from 0 or 1")
    return tuple(names[index] for index in sorted(names))


def read_class_list(csv_root: Path, info: DatasetInfo, variant: Variant) -> tuple[str, ...]:
    """Return the names in the split folder's class list, or else in that of the plain folder.

    Raises UsageError if there is none.
    """
    own, plain = (
        csv_root / name / CLASSES_FILE for name in (info.name + variant.suffix, info.name)
    )
    path = own if os.path.exists(own) else plain
    if not os.path.exists(path):
        raise UsageError(f"{own}: no such file; {how_to_make(info, variant)}")
    return read_classes(path)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a split file; raises UsageError for a line that is none."""
    return [row for _, row in numbered_rows(path)]


def read_root(folder: Path) -> Path | None:
    """Return the folder that root.txt names, None without that file; raises UsageError for none."""
    path = folder / ROOT_FILE
    if not os.path.lexists(path):
        return None
    line = next(filter(str.strip, read_lines(path, errors="surrogateescape")), "").strip()
    told = "is empty"
    try:
        if line:
            return typed_path(line)
    except ArgumentTypeError as error:
        told = str(error)
    raise UsageError(f"{path}: {told}; run process_data/write_csvs.py again")


def numbered_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield a split file's rows with their lines' numbers; raises UsageError."""
    for number, line in _numbered_lines(path):
        match = ROW.fullmatch(line)
        name = _unquoted(match[1]).replace("\\", "/").rstrip("/") if match else ""
        folder, _, video = name.rpartition("/")
        class_name = folder.rpartition("/")[2]
        if not match or class_name in NO_NAMES or video in NO_NAMES or "\0" in name:
            what = "is not 'path to the frames,number of frames'"
            remedy = "make it anew with process_data/write_csvs.py"
            raise _bad_line(path, number, line, what, remedy)
        yield number, Row(name, int(match[2]))


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, without empty ones; raises UsageError, also for no lines."""
    lines = read_lines(path, errors="surrogateescape")
    if not any(line.strip(SEPARATORS) for line in lines):
        raise UsageError(f"{path}: is empty; remove it, or make it anew")
    for number, line in enumerate(lines, 1):
        try:
            line.encode()
        except UnicodeEncodeError as error:
            raise _bad_line(path, number, line, "is no UTF-8 text") from error
        if line.strip(SEPARATORS):
            yield number, line.strip()


def _bad_line(path: Path, number: int, line: str, what: str, remedy: str = "") -> UsageError:
    return UsageError(f"{path}, line {number}: {what}: {line!r}" + (remedy and f"; {remedy}"))


def _unquoted(text: str) -> str:
    in_quotes = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if in_quotes else text
