"""A command whose files cannot be used says so in one line."""

import argparse
from collections.abc import Callable

from model.errors import VedetteError

Run = Callable[[argparse.Namespace], int]


def plainly(run: Run) -> Run:
    """The same command; an `OSError` becomes a mistake that names the file."""

    def told(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise VedetteError(f"{where}{error.strerror or error}") from error

    return told
