"""``vedette database``: make the tables and the roles of least privilege."""

import argparse
import json
import sys
from pathlib import Path

from config import load_site
from model.errors import ConfigError
from storage.migrate import migrate
from storage.roles import ROLES, grant_roles
from storage.timescale import prepare


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "database",
        help="make a node's tables and its roles of least privilege",
        description=(
            "Run once by whoever owns the database: brings the tables up to date, makes the most "
            "of TimescaleDB where it is there, makes the roles, and gives them to users that exist "
            f"already. Roles: {', '.join(ROLES)}. The node then runs as a user who has the role "
            "vedette_writer and owns nothing."
        ),
        epilog=(
            "Example: vedette database site.toml --owner-dsn-file owner.dsn "
            "--member north=vedette_writer --member eve=vedette_auditor"
        ),
    )
    parser.add_argument("site", type=Path, metavar="SITE.toml")
    parser.add_argument(
        "--owner-dsn-file",
        type=Path,
        metavar="FILE",
        help="file with the owner's connection string; without it the site's own is used",
    )
    parser.add_argument(
        "--member",
        action="append",
        default=[],
        metavar="USER=ROLE",
        help="a login user that exists already, and the role it gets",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make, print, and return 0."""
    members = [_member(text) for text in args.member]
    dsn = load_site(args.site).database_dsn
    if args.owner_dsn_file is not None:
        try:
            dsn = args.owner_dsn_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{args.owner_dsn_file}: {error}"]) from error
    applied = migrate(dsn)
    capabilities = prepare(dsn)
    grant_roles(dsn, members)
    if args.json:
        document = {
            "migrations": applied,
            "timescale": capabilities.timescale,
            "lacks": list(capabilities.lacks),
            "roles": list(ROLES),
            "members": dict(members),
        }
        sys.stdout.write(json.dumps(document) + "\n")
        return 0
    sys.stdout.write(f"{applied} migrations applied; roles: {', '.join(ROLES)}\n")
    for line in capabilities.lacks:
        sys.stdout.write(f"lacks: {line}\n")
    for user, role in members:
        sys.stdout.write(f"{user} has {role}\n")
    return 0


def _member(text: str) -> tuple[str, str]:
    user, equals, role = text.partition("=")
    if not user or not equals or role not in ROLES:
        raise ConfigError([f"--member {text}: is not USER=ROLE with a role of {', '.join(ROLES)}"])
    return user, role
