"""Split files, class lists and the folder that paths start from: written whole, read in all the
conventions in circulation."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from command_line import UsageError
from video_datasets import VideoDataset, class_folder

CLASSES_FILE, ROOT_FILE = "classInd.txt", "root.txt"
NAMED = 3  # videos or classes, in a message


class Row(NamedTuple):
    """`path`: of a video's frames, absolute or from the dataset's root."""

    path: str
    frames: int

    @property
    def class_name(self) -> str:
        """As a folder."""
        return class_folder(PurePosixPath(self.path).parent.name)

    @property
    def label(self) -> str:
        return "/".join(PurePosixPath(self.path).parts[-2:])


def split_names(dataset: VideoDataset) -> list[str]:
    """`train_split01` and so on: its split files without `.csv`."""
    numbers = ("",) if dataset.splits is None else tuple(f"{n:02}" for n in dataset.splits)
    return [f"{mode}_split{number}" for number in numbers for mode in dataset.modes]


def first_few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


# ------------------------------------------------------------------ writing


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """To a temporary name that is then moved."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
    os.replace(temporary, path)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    write_lines(path, (f"{row.path},{row.frames}" for row in rows))


def write_classes(folder: Path, names: Iterable[str]) -> None:
    write_lines(folder / CLASSES_FILE, (f"{i} {name}" for i, name in enumerate(sorted(names))))


def write_root(folder: Path, root: Path) -> None:
    write_lines(folder / ROOT_FILE, [os.path.abspath(root)])


# ------------------------------------------------------------------ reading


def read_rows(path: Path) -> list[Row]:
    """Raises UsageError for a line that is no row."""
    rows = []
    for number, line in _numbered_lines(path):
        name, _, count = line.rpartition(",")  # paths may hold commas
        name = name.replace("\\", "/").rstrip("/")
        if not count.strip().isdecimal() or "/" not in name:
            raise UsageError(
                f"{path}, line {number}: is not 'path to the frames,number of frames': {line!r}; "
                "make it anew with process_data/write_csvs.py"
            )
        rows.append(Row(name, int(count)))
    return rows


def read_classes(path: Path) -> list[str]:
    """The names, in the order of their numbers, which start at 0 or 1 and are parted from the names
    by a space or a comma; raises UsageError."""
    names = {}
    for number, line in _numbered_lines(path):
        index, name = _split_at_first(line)
        if not index.isdecimal() or not name or int(index) in names:
            raise UsageError(f"{path}, line {number}: is not 'index name': {line!r}")
        names[int(index)] = name
    first = min(names, default=0)
    if first > 1 or sorted(names) != list(range(first, first + len(names))):
        raise UsageError(f"{path}: classes must be numbered one by one, from 0 or 1")
    return [names[index] for index in sorted(names)]


def _split_at_first(line: str) -> tuple[str, str]:
    place = min((i for i in (line.find(" "), line.find(",")) if i >= 0), default=len(line))
    return line[:place], line[place + 1 :].strip()


def read_root(folder: Path) -> Path | None:
    """The folder that paths start from, if the folder of split files says."""
    path = folder / ROOT_FILE
    return Path(next(_numbered_lines(path), (0, ""))[1]) if path.is_file() else None


def _numbered_lines(path: Path) -> Iterable[tuple[int, str]]:
    """Without empty ones; raises UsageError."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read ({error})") from error
