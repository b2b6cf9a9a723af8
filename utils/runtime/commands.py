"""What the commands of `python -m` share: messages of one line, exit statuses, and signals."""

import signal
from collections.abc import Callable, Iterable
from types import FrameType
from typing import NoReturn, TypeVar

from utils.errors import RunError, Stopped, UsageError
from utils.logs import open_streams, say
from utils.machine import machine_told
from utils.runtime.interrupts import heard, stopped
from utils.runtime.temporary import own_temporary_folder

Flags = TypeVar("Flags")


def run_command(
    name: str, parse: Callable[[], Flags], act: Callable[[Flags], Iterable[object]], to_lower: str
) -> int:
    """Parse the flags, print what the command returns, a line each, and return the exit status.

    0: done; 1: failed; 2: wrong input; 130 or 75: stopped by a signal, at once. `to_lower` names
    what saves memory.
    """
    open_streams()
    try:
        flags = parse()
        for number in heard():
            signal.signal(number, _stop)
        with machine_told(to_lower), own_temporary_folder():
            print(*act(flags), sep="\n")
    except (UsageError, RunError, Stopped) as error:
        say(f"{name}: {error}")
        return error.status
    except SystemExit as shown:  # --help
        return int(shown.code or 0)
    return 0


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise stopped(number, "run the same command again")
