"""What ends the program with one line instead of a traceback; `status` is its exit status."""


class UsageError(Exception):
    """Wrong input: what is wrong, and how to mend it. Nothing is written."""

    status = 2


class RunError(Exception):
    """A run that can't go on. Its folder stays as it is."""

    status = 1


class Stopped(Exception):  # noqa: N818  (no error)
    """Ctrl-C."""

    status = 130
