"""What the program prints at its end."""

from pathlib import Path

from utils.errors import RunError


def report(folder: Path, result: str, what: str = "run folder") -> None:
    """Print the folder, the result and the names of the pictures; raises RunError."""
    pictures = sorted(path.name for path in folder.glob("*.png"))
    text = f"{what}: {folder}\nresult: {result}\npictures: {', '.join(pictures) or 'none'}"
    try:
        print(text, flush=True)
    except OSError as error:  # the reader has gone, or the disk is full
        raise RunError(f"{folder} is whole; can't print its result: {error.strerror}") from None
