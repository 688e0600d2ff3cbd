"""The command line: ``vedette COMMAND``."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from model.errors import ConfigError, VedetteError

COMMANDS = (
    "demo", "run", "check", "database", "track", "score", "record", "replay", "gateway",
    "adapters", "pki", "broker", "audit", "doctor",
)  # fmt: skip


def build_parser(chosen: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of some commands, or of all: importing a command costs time."""
    parser = argparse.ArgumentParser(
        prog="vedette",
        description="Sensors and UAVs in, one honest picture of tracks out.",
        epilog="Example: vedette demo",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in chosen:
        import_module(f"vedette.commands.{name}").add_parser(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; mistakes go to stderr, a line each, with exit status 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    first = arguments[0] if arguments else ""
    args = build_parser([first] if first in COMMANDS else COMMANDS).parse_args(arguments)
    try:
        return int(args.run(args))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 2
    except VedetteError as error:
        sys.stderr.write(f"vedette {args.command}: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    sys.exit(main())
