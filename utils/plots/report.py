"""The report of a run, a test or a retrieval: one page with its numbers, pictures and next steps.

It is made from the files in the folder alone, and equal files give equal bytes.
"""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from utils.config.flags import FIELDS
from utils.files import writing
from utils.plots import breakdowns, key_numbers, page, words
from utils.plots.account import (
    Account,
    changed_flags,
    command_words,
    read_account,
    start_lines,
)
from utils.plots.captions import PARTS, UNEXPECTED, Part
from utils.plots.figures import written_whole
from utils.plots.going_on import LAST, list_checkpoints, list_steps
from utils.plots.page import Table
from utils.plots.tables import Records

NAME = "report.html"
EVALUATED = ("test_*", "retrieve_*")  # folders with a report in that of a run
MIB = 2**20


class Section(NamedTuple):
    """A part of the page with its heading, the anchor of links to it, and its HTML."""

    title: str
    anchor: str
    lines: list[str]


class Subject(NamedTuple):
    """What a page is about; `records` are those of a run or a test, None of a retrieval."""

    folder: Path
    account: Account
    records: Records | None

    @property
    def epochs(self) -> pd.DataFrame:
        """The rows of epochs.csv; a retrieval has none."""
        return pd.DataFrame() if self.records is None else self.records.epochs

    @property
    def is_test(self) -> bool:
        """Whether it is a test."""
        return self.account.evaluation == "test" or (
            len(self.epochs) > 0 and bool((self.epochs["mode"] == "test").any())
        )

    @property
    def is_run(self) -> bool:
        """Whether it is a training run."""
        return self.records is not None and not self.is_test


def write_report(folder: Path, records: Records | None, drawn: Sequence[Path]) -> Path:
    """Write the page with the pictures in `drawn`, and return its path.

    What can't be read beside the pictures is left out, and the page says why. Raises UsageError for
    a picture that can't be read again, RunError where the disk fails.
    """
    subject = Subject(folder, read_account(folder), records)
    sections = [
        Section("Results", "results", results(subject)),
        *(show(part, subject, drawn) for part in PARTS),
        Section("The last epochs", "epochs", last_epochs(subject)),
        Section("Checkpoints", "checkpoints", checkpoints(subject)),
        Section("Files that could not be read", "faults", faults(subject)),
        Section("How to go on", "go-on", steps(subject)),
        Section("Configuration", "configuration", configuration(subject.account)),
        Section("Files", "files", files(subject, drawn)),
    ]
    title = Path(os.path.abspath(folder)).name
    body = head(title, subject, [one for one in sections if one.lines])
    for one in sections:
        if one.lines:
            body += [page.heading(one.title, one.anchor), *one.lines]
    text = page.whole_page(title, ["<main>", *body, "</main>"])
    path = folder / NAME
    with writing(path), written_whole(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


# ---- what it is ----


def head(title: str, subject: Subject, sections: Sequence[Section]) -> list[str]:
    """Return the top of the page: the name, what it is, where it ran, and the contents."""
    account = subject.account
    lines = [f"<h1>{page.escaped(title)}</h1>"]
    if told := words.describe(account):
        lines.append(page.paragraph(told))
    if account.fault:
        lines.append(page.paragraph(f"What this folder is of is not known: {account.fault}"))
    if account.starts:
        more = len(account.starts) - 1
        told = f"Where it ran, of the last of {more + 1} starts:" if more else "Where it ran:"
        lines += [
            page.paragraph(told, "note"),
            page.definitions(start_lines(account.starts[-1]), "short"),
        ]
    links = [page.link(f"#{one.anchor}", one.title) for one in sections]
    return [*lines, f"<nav>{page.bullets(links)}</nav>"]


def results(subject: Subject) -> list[str]:
    """Return how far it has come, and the key numbers with chance."""
    folder, records = subject.folder, subject.records
    if records is None:
        return told_tables(lambda: key_numbers.of_retrieval(folder))
    if subject.is_run:
        state = words.tell_state(folder, records.epochs, subject.account.config)
        return [page.paragraph(state), *map(page.table, key_numbers.of_run(records.epochs))]

    def of_test() -> list[Table]:
        whole, _ = key_numbers.of_test(folder, records)
        return whole

    def of_classes() -> list[Table]:
        _, each = key_numbers.of_test(folder, records)
        return each

    lines, each = told_tables(of_test), told_tables(of_classes)
    return [*lines, page.folded("The accuracy of each class", each)] if each else lines


def told_tables(make: Callable[[], list[Table]]) -> list[str]:
    """Return tables as HTML, or why there are none."""
    try:
        return [page.table(one) for one in make()]
    except ValueError as error:
        return [page.paragraph(f"The numbers can't be shown: {error}", "note")]


def show(part: Part, subject: Subject, drawn: Sequence[Path]) -> Section:
    """Return the pictures of a part that are drawn, and how to read them."""
    paths = {path.stem: path for path in drawn}
    found = {name: told for name, told in part.pictures.items() if name in paths}
    if not found:
        return Section(part.title, "", [])
    text = part.of_test if subject.is_test and part.of_test else part.text
    if part is PARTS[0] and breakdowns.first_unexpected(subject.epochs) is not None:
        text += "" if subject.is_test else f" {UNEXPECTED}"
    pictures = [
        page.picture(paths[name], f"{part.title}: {told}", f"{told} ({name}.png)")
        for name, told in found.items()
    ]
    return Section(part.title, next(iter(part.pictures)), [page.paragraph(text), *pictures])


# ---- tables ----


def last_epochs(subject: Subject) -> list[str]:
    """Return the last rows of a run's epochs."""
    if not subject.is_run:
        return []
    return told_tables(lambda: key_numbers.last_epochs(subject.folder))


def checkpoints(subject: Subject) -> list[str]:
    """Return a table of a run's checkpoints; of a run without any, what that means."""
    if not subject.is_run:
        return []
    model = subject.folder / "model"
    rows: list[list[str | float]] = [
        [f"model/{one.path.name}", one.epoch, one.size / MIB]
        for one in list_checkpoints(subject.folder)
    ]
    if (last := model / LAST).exists():
        rows.append([f"model/{LAST}", "within an epoch", last.stat().st_size / MIB])
    if not rows:
        return [page.paragraph("There are no checkpoints in model/.")]
    caption = "The best of a phase is a second name of the checkpoint of its epoch."
    return [page.table(Table(caption, ["File", "After epoch", "MiB"], rows))]


def faults(subject: Subject) -> list[str]:
    """Return how many files could not be read, and which; nothing where there are none."""
    try:
        number, tables = key_numbers.of_faults(subject.folder)
    except ValueError as error:
        return [page.paragraph(f"The faults can't be shown: {error}", "note")]
    if not number:
        return []
    there = words.counted(number, "file")
    told = f"{there} could not be read; the clips with them were left out. faults.csv has all."
    return [page.paragraph(told), *map(page.table, tables)]


# ---- what can be done ----


def steps(subject: Subject) -> list[str]:
    """Return the commands to go on with."""
    done = words.last_whole(subject.epochs) if subject.is_run else 0
    lines = [page.paragraph("These commands are typed in the folder of the program.")]
    for step in list_steps(subject.folder, subject.account, done):
        lines += [page.paragraph(step.told), page.command(step.line)]
    return lines


def configuration(account: Account) -> list[str]:
    """Return the commands that were typed, the flags that aren't the defaults, and all flags."""
    lines = []
    for number, start in enumerate(account.starts):
        if typed := command_words(start):
            when = f" ({start['started']})" if start.get("started") else ""
            told = "Resumed with" if number else "Started with"
            line = shlex.join(["python", *typed])
            lines += [page.paragraph(f"{told}{when}:"), page.command(line)]
    changed = changed_flags(account)
    if changed:
        rows = [[f"--{name}", as_text(value), default_of(name)] for name, value in changed.items()]
        table = Table(
            "The flags that are not at their defaults.", ["Flag", "Value", "Default"], rows
        )
        lines.append(page.table(table))
    if account.resolved:
        every = {name: as_text(value) for name, value in account.resolved.items()}
        rows = [[f"--{name}", text, help_of(name)] for name, text in every.items()]
        table = Table("All flags.", ["Flag", "Value", "What it is"], rows)
        lines.append(page.folded(f"All {len(rows)} flags", [page.table(table)]))
    return lines


def as_text(value: object) -> str:
    """Return a flag's value in a table."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"


def default_of(name: str) -> str:
    """Return a flag's default in a table; of an unknown one, nothing."""
    return as_text(FIELDS[name].default) if name in FIELDS else ""


def help_of(name: str) -> str:
    """Return what a flag is; of an unknown one, nothing."""
    return FIELDS[name].metadata["help"] if name in FIELDS else ""


def files(subject: Subject, drawn: Sequence[Path]) -> list[str]:
    """Return links to the records, to other pictures, and to the pages beside this one."""
    folder = subject.folder
    links = []
    if not subject.is_run and (folder.absolute().parent / NAME).exists():
        links.append(page.link(f"../{NAME}", f"../{NAME}") + ": the run of the checkpoint")
    for pattern in EVALUATED:
        for path in sorted(folder.glob(f"{pattern}/{NAME}")):
            name = f"{path.parent.name}/{NAME}"
            links.append(page.link(name, name))
    for path in sorted(folder.glob(f"analysis*/{NAME}")):
        name = f"{path.parent.name}/{NAME}"
        links.append(page.link(name, name) + ": the analysis of its responses")
    shown = {path.name for path in drawn}
    kinds = (".csv", ".json", ".npz", ".txt", ".png")
    names = sorted(path.name for path in folder.iterdir() if path.suffix in kinds)
    links += [
        page.link(name, name) for name in names if name not in shown and not name.startswith(".")
    ]
    what = "The files are described in utils/README.md of the program."
    return [page.bullets(links), page.paragraph(what, "note")] if links else []
