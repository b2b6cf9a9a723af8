"""Lists of videos as publishers write them and as spreadsheets save them again.

All of these are read alike: lines that end with LF, CRLF or CR; UTF-8, with a mark (BOM) or without
one, and UTF-16 with one; quoted fields; commas, semicolons or tabs between fields and after the
last one; `1.0` for 1.
"""

import csv
import os
import re
from pathlib import Path
from typing import NamedTuple

from command_line import first_few, log
from dataset.split_files import SEPARATORS, class_folder
from folders import fault_of_name
from utils.errors import UsageError
from utils.files import read_lines

LONGEST_NAME = 255  # bytes
QUOTED = re.compile(r'"((?:[^"]|"")*)"[\s,;]*(.*)')
NUMBER = r'"?(\d{1,9})(?:[.,]0+)?"?'
NUMBER_BEHIND = re.compile(rf"[\s,;]{NUMBER}\Z")

Video = tuple[str, str]
"""Class folder, name without ending."""


class Line(NamedTuple):
    """A line's number in its file, its name, and the number behind the name, if there is one."""

    line: int
    name: str
    number: int | None


class Entry(NamedTuple):
    """A video in a list: the line, its class as written there, its name, and what it is for."""

    line: int
    class_name: str
    name: str
    use: str = ""

    @property
    def video(self) -> Video:
        """The video as it is named on the disk."""
        return class_folder(self.class_name), self.name


def read_names(path: Path) -> list[Line]:
    """Read lines with a name and perhaps a number behind it; raises UsageError for no lines."""
    lines = []
    for line, text in _full_lines(path):
        name, behind = text, ""
        if field := QUOTED.fullmatch(text):
            name, behind = field[1].replace('""', '"').strip(), field[2]
        if number := re.fullmatch(NUMBER, behind):
            lines.append(Line(line, name, int(number[1])))
        elif number := NUMBER_BEHIND.search(name):
            lines.append(
                Line(line, name[: number.start()].strip().strip(SEPARATORS), int(number[1]))
            )
        else:
            lines.append(Line(line, name, None))
    return lines


def read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[int, list[str]]]:
    """Return the line and these columns of each row; headers may have capitals and blanks.

    Raises UsageError for a file without rows, without these columns, or with a shorter row.
    """
    lines = _text_lines(path)
    separator = max(",;\t", key=next(filter(str.strip, lines), "").count)
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    table = []
    try:
        places = None
        for row in rows:
            if not any(map(str.strip, row)):
                continue
            if places is None:
                header = [cell.strip().lower().replace(" ", "_") for cell in row]
                places = [header.index(column) for column in columns]
            else:
                table.append((rows.line_num, [row[place].strip() for place in places]))
    except (csv.Error, ValueError, IndexError) as error:
        needed = ", ".join(columns)
        raise UsageError(
            f"{path}, line {rows.line_num}: has no {needed}; put the published file there"
        ) from error
    if not table:
        raise UsageError(f"{path}: has no rows; put the published file there")
    return table


def sound(path: Path, entries: list[Entry]) -> list[Entry]:
    """Return the entries whose names can be written to split files, each once; log the others.

    Raises UsageError for a name that can't be a folder.
    """
    kept: dict[tuple[Video, str], Entry] = {}
    bad = []
    for entry in entries:
        for name in entry.video:
            if fault := misplaced(name):
                raise UsageError(f"{path}, line {entry.line}: the name {name!r} {fault}")
        if all(map(writable, entry.video)):
            kept.setdefault((entry.video, entry.use), entry)
        else:
            bad.append(f"line {entry.line}")
    if bad:
        log.warning("%s: left out %d rows %s: %s", path, len(bad), UNWRITABLE, first_few(bad))
    if repeated := len(entries) - len(bad) - len(kept):
        log.warning("%s: %d rows repeat earlier ones and are left out", path, repeated)
    return list(kept.values())


def misplaced(name: str) -> str:
    """Return why a name can't be that of a folder; empty for one that can."""
    if "/" in name:
        return "holds a slash"
    if len(os.fsencode(name)) > LONGEST_NAME:
        return "is too long"
    return "is no name" if name in ("", ".", "..") else ""


UNWRITABLE = "whose names aren't UTF-8, or hold a control character or a backslash"


def writable(name: str) -> bool:
    """Return whether split files can hold a name; see UNWRITABLE."""
    return not fault_of_name(name)


def _text_lines(path: Path) -> list[str]:
    """Return all lines; raises UsageError for what is no text."""
    lines = read_lines(path, errors="surrogateescape")
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise UsageError(f"{path}, line {number}: holds a zero byte; save the list as UTF-8")
    return lines


def _full_lines(path: Path) -> list[tuple[int, str]]:
    """Return number and text of each line that isn't empty; raises UsageError if all are."""
    lines = [line.strip().strip(SEPARATORS) for line in _text_lines(path)]
    if not any(lines):
        raise UsageError(f"{path}: is empty; put the published file there")
    return [(number, line) for number, line in enumerate(lines, 1) if line]
