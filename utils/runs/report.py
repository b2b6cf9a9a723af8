"""What the program tells: what it reads, and what came of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import RunError
from utils.logs import log

if TYPE_CHECKING:
    from utils.samples import Loader


def tell_loaders(
    loaders: "Mapping[str, Loader]", require_equal: Callable[[str, object], None]
) -> None:
    """Log the size of each mode's data set, which `require_equal` compares between the ranks."""
    for mode, loader in loaders.items():
        unit = "videos" if loader.samples.whole_videos else "clips"
        log.info("%s: %d %s in %d batches", mode, len(loader.samples), unit, len(loader))
        require_equal(f"{mode} sets", len(loader.samples))


def report(folder: Path, result: str, what: str = "run folder") -> None:
    """Print the folder, the result, the pictures and the page of it all; raises RunError."""
    pictures = sorted(path.name for path in folder.glob("*.png"))
    text = f"{what}: {folder}\nresult: {result}\npictures: {', '.join(pictures) or 'none'}"
    if (page := folder / "report.html").exists():
        text += f"\nreport: {page}"
    tell(text, f"{folder} is whole; can't print its result")


def tell(text: str, otherwise: str) -> None:
    """Print a text to stdout; raises RunError, which says `otherwise`, if that can't be."""
    try:
        print(text, flush=True)
    except OSError as error:  # the reader has gone, or the disk is full
        raise RunError(f"{otherwise}: {error.strerror}") from None
