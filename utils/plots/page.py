"""The parts of a page in HTML that opens from disk: no scripts, and nothing from elsewhere."""

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from utils.errors import CONTROL, UsageError
from utils.files import reason

STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --gray: #595959; --line: #d8d8d8;
  --back: #fff; --shade: #f4f4f2; --link: #00578a; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e6; --gray: #a9a9a6; --line: #44443f;
  --back: #1b1b1a; --shade: #262625; --link: #7cc0ee; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--back);
  color: var(--text); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; padding-top: .9rem;
  border-top: 1px solid var(--line); }
p, ul, dl { max-width: 44rem; }
a { color: var(--link); }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin: 0; overflow-wrap: anywhere; }
dl.short { display: grid; font-size: .875rem; gap: .1rem 1rem; grid-template-columns: auto 1fr; }
dl.short dt { margin: 0; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: 4px;
  font: .8125rem/1.5 ui-monospace, monospace; margin: .4rem 0 1rem; overflow-wrap: anywhere;
  padding: .5rem .7rem; white-space: pre-wrap; }
pre span { display: inline-block; max-width: 100%; } /* a line ends between two words */
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
summary { color: var(--link); cursor: pointer; margin: .8rem 0; }
nav ul { columns: 15rem; padding-left: 1.2rem; }
.config, .note { color: var(--gray); font-size: .875rem; }
figure { margin: 1rem 0; }
.zoom { display: block; overflow-x: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 4px; cursor: zoom-in; }
.zoom input { position: absolute; opacity: 0; pointer-events: none; }
.zoom:focus-within { outline: 2px solid var(--link); }
.zoom:has(input:checked) { cursor: zoom-out; }
.zoom img { display: block; margin: auto; max-width: 100%; height: auto; }
@media (max-width: 40rem) { .zoom img { max-width: none; width: 36rem; } }
.zoom input:checked + img { max-width: none; width: auto; margin: 0; }
figcaption { color: var(--gray); font-size: .875rem; margin-top: .3rem; }
.table { overflow-x: auto; margin: 1rem 0; max-width: 100%; /* a shade where columns are hidden */
  background: linear-gradient(to left, var(--back) 50%, transparent) right / 3rem 100% no-repeat
    local, linear-gradient(to left, var(--line), transparent) right / 1rem 100% no-repeat; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--gray); padding-bottom: .3rem; }
caption span { display: inline-block; max-width: calc(100vw - 2rem); position: sticky; left: 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; white-space: nowrap; }
th { font-weight: 600; white-space: normal; min-width: 4rem; vertical-align: bottom;
  border-bottom: 1px solid var(--line); }
td { border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; }
td.long { min-width: 14rem; overflow-wrap: anywhere; white-space: normal; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; background: #fff;
    color: #000; }
  nav { display: none; } figure, table { break-inside: avoid; } .table { overflow: visible; }
  h2 { break-after: avoid; } .zoom { border: 0; } }
"""
LONG = 40  # characters of a cell that has more than one line where the screen is narrow
COLOURS = 256  # of a picture in the page, which is a quarter as large then
LEVEL = 6  # of compression; the highest one takes eight times as long, and saves an eighth


class Table(NamedTuple):
    """A small table; numbers are told in three digits, and text as it is."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | float]]


def whole_page(title: str, body: Iterable[str]) -> str:
    """Return the page with this title and these parts."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Return text as HTML shows it; control characters become spaces, and no line starts with %."""
    plain = CONTROL.sub(" ", text).replace(" %", "\u00a0%")
    return html.escape(plain.encode("utf-8", "replace").decode())


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    return f"<p{_class(kind)}>{escaped(text)}</p>"


def heading(text: str, anchor: str) -> str:
    """Return the heading of a section, which `link` can lead to."""
    return f'<h2 id="{escaped(anchor)}">{escaped(text)}</h2>'


def link(address: str, text: str) -> str:
    """Return a link to a file beside the page, or to an anchor in it (#…)."""
    mark, name = ("#", address[1:]) if address.startswith("#") else ("", address)
    target = mark + quote(name, errors="surrogateescape")
    return f'<a href="{escaped(target)}">{escaped(text)}</a>'


def command(line: str) -> str:
    """Return a command that can be copied; it has a line's end where the screen alone needs one."""
    plain = CONTROL.sub(" ", line).encode("utf-8", "replace").decode()
    words = (f"<span>{html.escape(word)}</span>" for word in plain.split(" "))
    return f"<pre><code>{' '.join(words)}</code></pre>"


def folded(summary: str, parts: Iterable[str]) -> str:
    """Return parts that are shown after a click on the summary."""
    lines = ["<details>", f"<summary>{escaped(summary)}</summary>", *parts, "</details>"]
    return "\n".join(lines)


def bullets(items: Iterable[str]) -> str:
    """Return a list of items, which are HTML."""
    return "\n".join(["<ul>", *(f"<li>{item}</li>" for item in items), "</ul>"])


def definitions(items: Iterable[tuple[str, str]], kind: str = "") -> str:
    """Return a list of terms and what they mean; of the kind "short", beside each other."""
    lines = (f"<dt>{escaped(term)}</dt><dd>{escaped(text)}</dd>" for term, text in items)
    return "\n".join([f"<dl{_class(kind)}>", *lines, "</dl>"])


def table(one: Table) -> str:
    """Return a table in a box of its own, which scrolls where the screen is narrow."""
    is_number = [
        any(not isinstance(row[i], str) for row in one.rows) for i in range(len(one.header))
    ]

    def line(cells: Sequence[str | float], tag: str) -> str:
        parts = []
        for cell, numeric in zip(cells, is_number, strict=True):
            text = told(cell)
            kind = "number" if numeric else "long" if tag == "td" and len(text) > LONG else ""
            parts.append(f"<{tag}{_class(kind)}>{escaped(text)}</{tag}>")
        return f"<tr>{''.join(parts)}</tr>"

    return "\n".join(
        [
            '<div class="table" tabindex="0"><table>',
            f"<caption><span>{escaped(one.caption)}</span></caption>",
            f"<thead>{line(one.header, 'th')}</thead>",
            "<tbody>",
            *(line(row, "td") for row in one.rows),
            "</tbody></table></div>",
        ]
    )


def told(cell: str | float) -> str:
    """Return a cell's text: integers whole, others in three digits, missing ones as a dash."""
    if isinstance(cell, str | int):
        return str(cell)
    return with_minus(f"{cell:#.3g}".removesuffix(".")) if math.isfinite(cell) else "–"


def with_minus(numbers: str) -> str:
    """Return numbers with minus signs in place of hyphens."""
    return numbers.replace("-", "−")


def picture(path: Path, alt: str, caption: str) -> str:
    """Return a picture that lies in the page; a tap shows it at full size, and another one fits it.

    Raises UsageError where it can't be read.
    """
    try:
        content, width, height = _small_png(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can't be read ({reason(error)})") from error
    data = base64.b64encode(content).decode("ascii")
    return "\n".join(
        [
            '<figure><label class="zoom"><input type="checkbox" aria-label="Full size">',
            f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
            f'alt="{escaped(alt)}"></label>',
            f"<figcaption>{escaped(caption)}</figcaption></figure>",
        ]
    )


def _small_png(path: Path) -> tuple[bytes, int, int]:
    """Return a picture with at most 256 colours as a PNG file, its width and its height."""
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    few = whole.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    content = io.BytesIO()
    few.save(content, "PNG", compress_level=LEVEL)
    return content.getvalue(), whole.width, whole.height


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
