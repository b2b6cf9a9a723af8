"""What a machine denies to a program, told in one line: memory, disks, processes, packages."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from utils.errors import RunError, Stopped, UsageError, failed_import
from utils.files import with_file
from utils.logs import log

NO_MEMORY = (
    *("can't allocate memory", "annot allocate memory", "nable to allocate", "out of memory"),
    *("Insufficient memory", "_STATUS_ALLOC_FAILED", "nable to mmap", "failed to map segment"),
)
BUGS_ON_GPUS = ("device-side assert", "illegal memory access", "misaligned address")


@contextmanager
def machine_told(to_lower: str) -> Iterator[None]:
    """Raise RunError, of one line, for what the machine denies; errors of the program stay.

    `to_lower` names the flags that save memory. --log_level debug shows the traceback too.
    """
    try:
        yield
    except (UsageError, RunError, Stopped):
        raise
    except Exception as error:
        line = denied(error, to_lower)
        if line is None:
            raise
        log.debug("what follows has led to: %s", line, exc_info=error)
        raise RunError(line) from error


def denied(error: Exception, to_lower: str) -> str | None:
    """Return what the machine has denied, in one line, or None for an error of the program."""
    text = str(error).strip()
    # a data worker's error comes with its traceback
    text = text.split("\n")[-1 if "Original Traceback" in text else 0]
    if isinstance(error, MemoryError) or any(word in text for word in NO_MEMORY):
        return f"memory ran out ({text or 'MemoryError'}): lower {to_lower}"
    if isinstance(error, RecursionError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{text}, in {place.filename}:{place.lineno}: something is nested too deeply"
    if not getattr(error, "errno", None) and (line := failed_import(error)):
        return line
    if isinstance(error, OSError):
        return with_file(error) if error.errno else text
    if "can't start new thread" in text:
        return "the system allows no more threads: raise the limit (ulimit -u)"
    if text.startswith("CUDA error") and not any(word in text for word in BUGS_ON_GPUS):
        return f"the GPU failed ({text}); another one can be named by --gpu"
    return None
