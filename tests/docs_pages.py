"""What a Markdown page holds: its fenced blocks, commands, headings, links, sentences and rows."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^( *)```(.*)$")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)")
INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
SENTENCE_END = re.compile(r"(?<=[.!?])[)*_'\"]*\s+(?=[A-Z*_`\[('\"])")
ABBREVIATIONS = re.compile(r"\b(?:e\.g|i\.e|al|vs|Fig|Sec|cf|[A-Z])\.$")


class Block(NamedTuple):
    """A fenced block: what follows its fence, the number of its first line, and its lines."""

    language: str
    mark: str
    line: int
    lines: list[str]


class Statement(NamedTuple):
    """A whole statement of the shell, and the number of its first line on the page."""

    line: int
    text: str

    @property
    def commands(self) -> int:
        """Return how many of its lines start a program."""
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        none = re.compile(r"\s*(#|(for|do|done|if|then|fi)\b|\w+=(\"[^\"]*\"|'[^']*'|\S*)\s*(#|$))")
        return sum(bool(line.strip()) and not none.match(line) for line in lines)


class Place(NamedTuple):
    """A line of a page."""

    page: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Page:
    """A page of the repository, read once.

    `prose`: its lines, numbered from 1, without fenced blocks.
    """

    def __init__(self, root: Path, name: str):
        self.name = name
        self.folder = (root / name).parent
        self.lines = (root / name).read_text().splitlines()
        self.blocks: list[Block] = []
        self.prose: list[tuple[int, str]] = []
        indent = None
        for number, line in enumerate(self.lines, 1):
            fence = FENCE.match(line)
            if fence and indent is None:
                indent = len(fence[1])
                language, _, mark = fence[2].strip().partition(" ")
                self.blocks.append(Block(language, mark.strip(), number + 1, []))
            elif fence:
                indent = None
            elif indent is not None:
                self.blocks[-1].lines.append(line[min(indent, len(line) - len(line.lstrip())) :])
            else:
                self.prose.append((number, line))
        self.open_fence = indent is not None

    def place(self, line: int) -> Place:
        return Place(self.name, line)

    @property
    def prose_text(self) -> str:
        """Return the page with its fenced blocks made empty, so that lines keep their numbers."""
        lines = dict(self.prose)
        return "\n".join(lines.get(n, "") for n in range(1, len(self.lines) + 1))

    def links(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the target of each link and image."""
        hidden = INLINE.sub(lambda code: re.sub(r"[\[\]]", " ", code[0]), self.prose_text)
        for link in LINK.finditer(hidden):
            yield hidden.count("\n", 0, link.start(3)) + 1, link[3]
            for inner in LINK.finditer(link[2]):  # an image that is a link
                yield hidden.count("\n", 0, link.start(2)) + 1, inner[3]
        for image in re.finditer(r"""(?:src|href)=["']([^"']*)["']""", hidden):
            yield hidden.count("\n", 0, image.start()) + 1, image[1]

    def anchors(self) -> set[str]:
        """Return the names of the page's headings, as GitHub makes them."""
        seen: Counter[str] = Counter()
        found = set(re.findall(r"""<a (?:id|name)=["']([^"']*)["']""", self.prose_text))
        for _, line in self.prose:
            if heading := re.match(r"#{1,6} +(.*?)[ #]*$", line):
                title = LINK.sub(lambda link: link[2], heading[1])
                kept = re.sub(r"[^\w\- ]", "", title.replace("`", "").lower())
                slug = kept.strip().replace(" ", "-")
                found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
                seen[slug] += 1
        return found

    def code_words(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the text of each piece of code within sentences and tables."""
        text = self.prose_text
        for code in INLINE.finditer(text):
            yield text.count("\n", 0, code.start()) + 1, code[1]

    def sentences(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the text of each sentence and of each row of a table."""
        paragraph: list[tuple[int, str]] = []
        for number, line in [*self.prose, (len(self.lines) + 1, "")]:
            text = line.strip()
            starts = bool(re.match(r"([-*+]|\d+\.) |#|\||>", text))
            gap = bool(paragraph) and number > paragraph[-1][0] + 1
            if (not text or starts or gap) and paragraph:
                yield from _split(paragraph)
                paragraph = []
            if text.startswith("|"):
                yield number, text
            elif text:
                paragraph.append((number, text))


def _split(paragraph: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    text = "\n".join(line for _, line in paragraph)
    first, start = paragraph[0][0], 0
    for end in [*SENTENCE_END.finditer(text), None]:
        stop = end.start() if end else len(text)
        if end and ABBREVIATIONS.search(text[start:stop]):
            continue
        yield first + text.count("\n", 0, start), text[start:stop].replace("\n", " ")
        start = end.end() if end else stop


def statements(block: Block) -> list[Statement]:
    """Split a block of the shell into whole statements, such as a loop; the last may be broken."""
    found: list[Statement] = []
    pending: list[str] = []
    for number, line in enumerate(block.lines, block.line):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending.append(line)
        text = "\n".join(pending)
        if not line.endswith("\\") and is_whole(text):
            found.append(Statement(number - len(pending) + 1, text))
            pending = []
    if pending:
        found.append(Statement(block.line + len(block.lines) - len(pending), "\n".join(pending)))
    return found


def is_whole(text: str) -> bool:
    """Whether bash can parse the text."""
    done = subprocess.run(["bash", "-n"], input=text + "\n", text=True, capture_output=True)
    return done.returncode == 0


def tracked(root: Path) -> list[str]:
    """Return the tracked files that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def read_pages(root: Path) -> list[Page]:
    return [Page(root, name) for name in tracked(root) if name.endswith(".md")]
