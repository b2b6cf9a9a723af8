"""Faults of the pages that show without running anything: links, repetitions, blocks and flags."""

import ast
import importlib.util
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from docs_pages import Block, Page, Place, statements, tracked

LEAST_WORDS = 10
MOST_LINES = 200  # of README.md, which has fewer
LANGUAGES = ("bash", "python", "text", "json", "bibtex", "yaml", "csv")
PLAN = (
    "plan"  # the mark of a block of bash whose programs end when they have understood their flags
)
RUN = "run"  # the mark of a block of Python that is run, too
MARKS = {("bash", PLAN), ("python", RUN)}
OUTSIDE = re.compile(r"(?<![\w.:/~])/(?:home|root|tmp|work|Users|mnt)/[\w.]")
ANOTHERS = {  # flags of pytest, pip, git, sbatch, srun, torchrun and conda
    "--all-files", "--batch", "--collect-only", "--dist", "--durations", "--index-url", "--no-deps",
    "--mem", "--mem-per-gpu", "--nnodes", "--nproc_per_node", "--partition", "--qos", "--account",
    "--rdzv_backend", "--rdzv_endpoint", "--gpus-per-node", "--exclusive", "--depth", "--help",
}  # fmt: skip


class Fault(NamedTuple):
    """What is wrong at a line of a page."""

    place: Place
    told: str

    def __str__(self) -> str:
        return f"{self.place}: {self.told}"


class Links(NamedTuple):
    """The number of links of all pages, and those that lead nowhere."""

    count: int
    faults: list[Fault]


def check_links(root: Path, pages: Sequence[Page]) -> Links:
    """Follow the links within the repository; those to the outside have to be well-formed."""
    names = set(tracked(root))
    there = names | {str(parent) for name in names for parent in Path(name).parents}
    anchors = {page.name: page.anchors() for page in pages}
    count, faults = 0, []
    for page in pages:
        for line, target in page.links():
            count += 1
            if told := link_fault(root, page, target, there, anchors):
                faults.append(Fault(page.place(line), f"link {target or '()'}: {told}"))
    return Links(count, faults)


def link_fault(
    root: Path, page: Page, target: str, there: set[str], anchors: dict[str, set[str]]
) -> str:
    """Return what is wrong with a link, or nothing."""
    parts = urlsplit(target)
    if parts.scheme:
        if parts.scheme not in ("http", "https", "mailto"):
            return "is of an unknown kind"
        return "" if parts.scheme == "mailto" or "." in parts.netloc else "names no host"
    if not target or parts.netloc:
        return "names nothing"
    path = (page.folder / unquote(parts.path)).resolve() if parts.path else root / page.name
    if not path.is_relative_to(root.resolve()):
        return "leads out of the repository"
    name = str(path.relative_to(root.resolve()))
    if name not in there:
        return "is no tracked file or folder"
    if parts.fragment and parts.fragment not in anchors.get(name, set()):
        near = ", ".join(sorted(anchors.get(name, set()))[:60])
        return f"{name} has no such heading; it has {near}" if near else "has no headings"
    return ""


def check_outside(pages: Sequence[Page]) -> list[Fault]:
    """Find the names of folders of some machine."""
    return [
        Fault(page.place(number), f"names a path outside of the repository: {line.strip()}")
        for page in pages
        for number, line in enumerate(page.lines, 1)
        if OUTSIDE.search(line)
    ]


def check_repeated(pages: Sequence[Page]) -> list[Fault]:
    """Find sentences, and rows of tables, that are told twice."""
    places: dict[str, list[Place]] = defaultdict(list)
    for page in pages:
        for line, text in page.sentences():
            words = re.findall(r"[\w'’-]+", text.lower())
            if len(words) >= LEAST_WORDS:
                places[" ".join(words)].append(page.place(line))
    return [
        Fault(again, f"is told at {first} as well: {text[:70]} …")
        for text, (first, *others) in places.items()
        for again in others
    ]


def check_length(pages: Sequence[Page]) -> list[Fault]:
    """README.md is read in five minutes."""
    return [
        Fault(page.place(len(page.lines)), f"has {len(page.lines)} lines; take under {MOST_LINES}")
        for page in pages
        if page.name == "README.md" and len(page.lines) >= MOST_LINES
    ]


# ---- blocks


def check_blocks(root: Path, pages: Sequence[Page]) -> list[Fault]:
    """Find blocks without a language, without a command, and Python that can't be parsed."""
    found = []
    for page in pages:
        for told, line in _block_faults(root, page):
            found.append(Fault(page.place(line), told))
    return found


def _block_faults(root: Path, page: Page) -> Iterator[tuple[str, int]]:
    if page.open_fence:
        yield "a fenced block has no end", len(page.lines)
    for number, line in page.prose:
        if re.match(r"(    |\t)\s*(\.venv/bin/)?(python|torchrun|sbatch|make|pip) ", line):
            yield "an indented command; take a fenced block with the language bash", number
    for block in page.blocks:
        if block.language not in LANGUAGES:
            told = f"has the language {block.language}" if block.language else "has no language"
            yield f"a fenced block {told}; take one of {', '.join(LANGUAGES)}", block.line - 1
        if block.mark and (block.language, block.mark) not in MARKS:
            yield f"a fenced block has the unknown mark {block.mark}", block.line - 1
        if block.language == "bash" and not any(s.commands for s in statements(block)):
            yield "a block of bash holds no command; take the language text", block.line - 1
        if block.language == "python" and (told := python_fault(root, block)):
            yield told, block.line


def python_fault(root: Path, block: Block) -> str:
    """Return what is wrong with lines of Python; they may be one entry of a dictionary."""
    code = re.sub(r"^" + _indent(block.lines), "", "\n".join(block.lines), flags=re.M)
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        try:
            tree = ast.parse("{" + code + "}")
        except SyntaxError:
            return f"no Python: {error.msg} ({(error.text or '').strip()})"
    wanted = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted.append(node.module)
    missing = [name for name in wanted if not _is_there(root, name)]
    return f"imports {', '.join(missing)}, which is not there" if missing else ""


def _indent(lines: Sequence[str]) -> str:
    indents = [line[: len(line) - len(line.lstrip())] for line in lines if line.strip()]
    return min(indents, key=len, default="")


def _is_there(root: Path, module: str) -> bool:
    first, *rest = module.split(".")
    for folder in (root, root / "process_data", root / "tests"):
        if (folder / first).is_dir() or (folder / f"{first}.py").is_file():
            path = folder.joinpath(first, *rest)
            return path.is_dir() or path.with_suffix(".py").is_file()
    return importlib.util.find_spec(first) is not None


# ---- flags


def check_flags(pages: Sequence[Page], known: Callable[[str], bool]) -> list[Fault]:
    """Find flags in the pages' sentences and tables that no program has."""
    return [
        Fault(page.place(line), f"no program has the flag {flag}")
        for page in pages
        for line, code in page.code_words()
        for flag in re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", code)
        if not known(flag)
    ]


def known_flags(root: Path) -> set[str]:
    """Return the flags of our programs, those that our scripts give to others, and ANOTHERS."""
    from utils.config.command_line import build_parser

    found = {*ANOTHERS, *build_parser()._option_string_actions}
    for name in tracked(root):
        if name.endswith(".py"):
            for node in ast.walk(ast.parse((root / name).read_text())):
                if isinstance(node, ast.Call) and _name(node.func).startswith("add"):
                    given = [a.value for a in node.args if isinstance(a, ast.Constant)]
                    found |= {v for v in given if isinstance(v, str) and v.startswith("--")}
        elif name.endswith(".sh") or name == "Makefile":
            found |= set(re.findall(r"(?<![\w-])--[a-z][\w-]*", (root / name).read_text()))
    return found


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
