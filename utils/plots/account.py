"""What a folder's config.json tells: flags and starts, as far as it can be read."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from utils.config.checks import evaluation_in, from_stored
from utils.config.flags import FIELDS, Config
from utils.errors import UsageError
from utils.files import read_json

FILE = "config.json"
ROOT = Path(__file__).resolve().parents[2]  # where commands are typed
OF_A_START = {  # what is told of a start, with its name
    "started": "Started", "device": "Device", "processes": "Processes",
    "git_commit": "Commit", "versions": "Versions",
}  # fmt: skip


class Account(NamedTuple):
    """The flags as typed at first, all flags, and an entry for each start of the program.

    `config` is None where the flags can't be understood, and `fault` says why; what could be read
    is there all the same.
    """

    typed: dict[str, Any]
    resolved: dict[str, Any]
    starts: list[dict[str, Any]]
    config: Config | None = None
    fault: str = ""

    @property
    def evaluation(self) -> str:
        """The flag that named the checkpoint to evaluate, such as `test`; empty for a run."""
        return self.config.evaluation if self.config else evaluation_in(self.typed)


def read_account(folder: Path) -> Account:
    """Read the configuration file of a folder; a missing or damaged one tells little or nothing."""
    if not os.path.lexists(folder / FILE):
        return Account({}, {}, [], fault=f"{FILE} is not there.")
    try:
        kept = read_json(folder / FILE)
    except UsageError as error:
        return Account({}, {}, [], fault=str(error).removeprefix(f"{folder}{os.sep}"))
    kept = kept if isinstance(kept, dict) else {}
    typed, resolved, starts = (kept.get(name) for name in ("typed", "resolved", "starts"))
    known = Account(
        typed if isinstance(typed, dict) else {},
        resolved if isinstance(resolved, dict) else {},
        [one for one in starts if isinstance(one, dict)] if isinstance(starts, list) else [],
    )
    if not known.resolved:
        return known._replace(fault=f"{FILE} does not hold the flags.")
    try:
        return known._replace(config=from_stored(known.resolved))
    except UsageError as error:
        return known._replace(fault=f"{FILE}: {error}")


def changed_flags(account: Account) -> dict[str, Any]:
    """Return the flags whose values are not the defaults; those that are unknown count too."""
    return {
        name: value
        for name, value in account.resolved.items()
        if name not in FIELDS or value != FIELDS[name].default
    }


def start_lines(start: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is told of a start, as terms and texts."""
    lines = []
    for name, term in OF_A_START.items():
        value = start.get(name)
        if isinstance(value, dict):
            value = ", ".join(f"{package} {version}" for package, version in value.items())
        if value not in (None, ""):
            lines.append((term, str(value)))
    return lines


def command_words(start: dict[str, Any]) -> list[str]:
    """Return the words of the command that was typed; none where it wasn't kept."""
    words = start.get("command")
    return [str(word) for word in words] if isinstance(words, list) else []


def place_of(folder: Path) -> Path:
    """Return a folder's path from the repository's root; of one outside, the absolute path."""
    place = Path(os.path.abspath(folder))
    return place.relative_to(ROOT) if place.is_relative_to(ROOT) else place
