"""The command line: ``vedette COMMAND``."""

import argparse
import sys
from importlib import import_module

from model.errors import ConfigError, VedetteError

COMMANDS = ("demo", "run", "check", "track", "score", "record", "replay", "adapters")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="vedette",
        description="Sensors and UAVs in, one honest picture of tracks out.",
        epilog="Example: vedette demo",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"vedette.commands.{name}").add_parser(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; mistakes go to stderr, a line each, with exit status 2."""
    args = build_parser().parse_args(arguments)
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
