"""The members of an archive, whatever its format."""

from typing import NamedTuple

FILE, FOLDER, OTHER = "file", "folder", "link or device"


class ArchiveError(Exception):
    """An archive that cannot be read, in one line."""


class Member(NamedTuple):
    """A file or folder in an archive; `size`: the bytes that it says it has."""

    name: str
    kind: str
    size: int = 0
