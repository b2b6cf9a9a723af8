"""The page of an analysis: what was recorded, its pictures in reading order, and key numbers."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.analysis.drawing import numbers
from utils.analysis.drawing.results import COLUMNS, Results
from utils.analysis.drawing.sections import SECTIONS, Section, define
from utils.analysis.recorded import MODULES, PRE
from utils.files import write_whole
from utils.plots import page

PAGE = "report.html"
SHOWN_SETTINGS = {  # in the line of the configuration
    "model": "{}", "dataset": "{}", "net": "{}", "gabor_design": "design {}", "img_dim": "{} px",
    "seq_len": "{} frames in a block", "num_seq_in": "{} blocks seen", "pred_step": "{} predicted",
    "batch_size": "batch {}", "lr": "learning rate {}", "train_len": "{} clips in an epoch",
    "unexp_epoch": "U from epoch {}", "U_prob": "U_prob {}", "seed": "seed {}",
}  # fmt: skip
OF_GABORS = ("gabor_design", "unexp_epoch", "U_prob", "train_len")


def write_report(
    results: Results, run: Path, drawn: Mapping[str, Path], lacking: Mapping[str, str]
) -> Path:
    """Write the page with the pictures in `drawn`; `lacking` has the reasons for the other ones.

    Raises RunError where the disk fails.
    """
    name = Path(os.path.abspath(run)).name
    sections = [one for one in SECTIONS if any(name in drawn for name in one.pictures)]
    body = head(results, name, sections, lacking)
    for section in sections:
        body += show(section, results, drawn)
    body += ['<h2 id="files">Files</h2>', *list_files(results)]
    path = results.folder / PAGE
    write_whole(path, page.whole_page(f"Analysis of {name}", ["<main>", *body, "</main>"]))
    return path


def head(
    results: Results, name: str, sections: Sequence[Section], lacking: Mapping[str, str]
) -> list[str]:
    """Return the top of the page: the run, what was recorded, what lacks, and what words mean."""
    settings = tell_settings(results)
    links = [page.link(f"#{anchor(section)}", section.title) for section in sections]
    lines = [f"<h1>{page.escaped(name)}</h1>"]
    lines += [page.paragraph(settings, "config")] if settings else []
    lines += [f"<nav>{page.bullets([*links, page.link('#files', 'Files')])}</nav>"]
    lines += [page.heading("What was recorded", "recorded"), page.paragraph(tell_passes(results))]
    lines += [page.table(one) for one in numbers.passes(results)]
    if missing := tell_lacking(results, lacking):
        lines += [page.paragraph("What is not here, and why:"), page.bullets(missing)]
    return [*lines, page.heading("Definitions", "definitions"), page.definitions(define(results))]


def tell_settings(results: Results) -> str:
    """Return the configuration in one line."""
    left_out = () if results.are_gabors else OF_GABORS
    if results.settings.get("model") == "lc-rnn":
        left_out = (*left_out, "pred_step")
    told = {n: results.settings.get(n) for n in SHOWN_SETTINGS if n not in left_out}
    known = {n: value for n, value in told.items() if value not in (None, "")}
    return " · ".join(SHOWN_SETTINGS[n].format(value) for n, value in known.items())


def tell_passes(results: Results) -> str:
    """Return in sentences what was recorded, and since when the network was trained with U."""
    if not results.passes:
        return "The recorded files are not there; what was computed of them is shown."
    batch = results.settings.get("batch_size")
    of = f" in batches of {batch} clips" if batch else ""
    modules = ", ".join(results.modules)
    text = f"{len(results.passes)} passes{of}; modules: {modules}."
    if results.onset is not None:
        is_reached = results.onset <= results.epochs[-1]
        where = "shaded in the pictures" if is_reached else "later than all passes"
        text += f" Training has U images from epoch {results.onset} on ({where})."
    return text


def tell_lacking(results: Results, lacking: Mapping[str, str]) -> list[str]:
    """Return, as HTML, what is left out, and why; pictures with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for name, why in lacking.items():
        by_reason.setdefault(why, []).append(name)
    items = [
        f"{', '.join(f'{name}.png' for name in names)}: {why}" for why, names in by_reason.items()
    ]
    if missing := [module for module in MODULES if module not in results.modules]:
        items.append(f"{', '.join(missing)}: the network has no such module.")
    if results.passes and not any(of.when == PRE for of in results.passes):
        items.append("pre: no pass was recorded with the weights from before an epoch.")
    return [page.escaped(item) for item in items]


def show(section: Section, results: Results, drawn: Mapping[str, Path]) -> list[str]:
    """Return a section: its text, its pictures that are drawn, and its numbers."""
    lines = [page.heading(section.title, anchor(section)), page.paragraph(section.text(results))]
    for name, caption in section.pictures.items():
        if name in drawn:
            alt = f"{section.title}: {caption}"
            lines.append(page.picture(drawn[name], alt, f"{caption} ({name}.png)"))
    lines += [page.table(one) for one in section.tables(results)]
    files = [name for name in section.files if (results.folder / name).exists()]
    links = ", ".join(page.link(name, name) for name in files)
    return [*lines, f'<p class="note">All numbers: {links}</p>'] if files else lines


def anchor(section: Section) -> str:
    """Return the name that a link to the section has."""
    return next(iter(section.pictures))


def list_files(results: Results) -> list[str]:
    """Return links to the computed files and the folder of the recorded ones."""
    names = [*(f"{stem}.csv" for stem in COLUMNS), "conditions.csv"]
    names += ["usi_nodes.npz", "tuning_channels.npz", "rsm.npz"]
    there = [name for name in names if (results.folder / name).exists()]
    items = [page.link(name, name) for name in there]
    if results.passes:
        items.append(page.link("recorded/", "recorded/") + page.escaped(": what was recorded"))
    what = "The columns are described in utils/analysis/README.md of the code."
    return [page.bullets(items), page.paragraph(what, "note")]
