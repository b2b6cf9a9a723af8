"""Check the pages: make docs-check

Each *.md file that git tracks is read: its links resolve, nothing is told twice, README.md is
short, flags in sentences are those of a program, and every command in a block of bash runs, in
order, in a sandbox of its own with small data (see docs_sandbox.py). In a block with the mark
`plan` (```bash plan), programs end when they have understood their flags. Blocks of Python are
parsed, and with the mark `run` they run in the same sandbox. All faults are printed; with any, the
exit status is 1.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "process_data"), str(ROOT / "tests")]

import docs_data  # noqa: E402
import docs_text  # noqa: E402
from docs_pages import Page, read_pages  # noqa: E402
from docs_sandbox import Ran, end_all, run_page  # noqa: E402

AT_ONCE = 2  # pages


def main(arguments: Sequence[str]) -> int:
    """Check the pages and print what is wrong; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("pages", nargs="*", help="of which the commands are run; all, if left out")
    add("--no_run", action="store_true", help="run no command")
    add("--times", action="store_true", help="print the seconds of each command")
    add("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    root, begin = asked.root.resolve(), time.monotonic()
    pages = read_pages(root)
    chosen = [page for page in pages if not asked.pages or page.name in asked.pages]
    if unknown := set(asked.pages) - {page.name for page in chosen}:
        parser.error(f"{', '.join(sorted(unknown))}: no page that git tracks")
    links = docs_text.check_links(root, pages)
    known = docs_text.known_flags(root)
    faults = [
        *links.faults,
        *docs_text.check_outside(pages),
        *docs_text.check_repeated(pages),
        *docs_text.check_length(pages),
        *docs_text.check_blocks(root, pages),
        *docs_text.check_flags(pages, known.__contains__),
    ]
    results = [] if asked.no_run else run_pages(root, chosen)
    for result in results:
        faults += result.faults
    if asked.times:
        for seconds, command in sorted(time for result in results for time in result.times):
            print(f"{seconds:6.1f} s  {command}")
    for fault in sorted(faults):
        print(fault)
    commands, run = sum(r.commands for r in results), sum(r.commands > 0 for r in results)
    print(
        f"{commands} commands on {run} pages run, {links.count - len(links.faults)} links resolve; "
        f"{len(faults)} faults; {time.monotonic() - begin:.0f} s"
    )
    return 1 if faults else 0


def run_pages(root: Path, pages: Sequence[Page]) -> list[Ran]:
    """Run the commands of pages, those of two at once, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="docs_check_") as temporary:
        data = Path(temporary) / "data"
        data.mkdir()
        docs_data.make_data(data)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        docs_data.prepare(root, data, environment)
        order = sorted(pages, key=lambda page: -len(docs_data.commands_of(page)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            calls = []
            for number, page in enumerate(order):
                folder = Path(temporary) / f"page{number}"
                folder.mkdir()
                calls.append(pool.submit(run_page, root, page, data, folder))
            try:
                return [call.result() for call in calls]
            except BaseException:  # such as Ctrl-C or SIGTERM: nothing goes on, nothing is left
                pool.shutdown(wait=False, cancel_futures=True)
                end_all()
                raise


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
