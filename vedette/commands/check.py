"""``vedette check SITE.toml``: is the site file right?"""

import argparse
import json
import sys
from pathlib import Path

from adapters.registry import load_all
from config import load_site
from model.errors import ConfigError
from vedette.broker.grants import grants_of
from vedette.expiry import tls_problems
from vedette.local.installation import foreign_owners
from vedette.partners import partner_problems


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "check",
        help="check a site file: every mistake at once, a line each",
        epilog="Example: vedette check config/examples/site.toml",
    )
    parser.add_argument("site", type=Path, metavar="SITE.toml")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, print, and return 0 or 2."""
    problems = [f"installation: {problem}" for problem in foreign_owners()]
    try:
        site = load_site(args.site, load_all())
        problems.extend(partner_problems(site))
        problems.extend(tls_problems(site))
        if site.broker.tls is not None:
            grants_of(site)
    except ConfigError as error:
        problems.extend(error.problems)
    if args.json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    elif problems:
        for problem in problems:
            sys.stderr.write(f"{problem}\n")
    else:
        print(
            f"{args.site}: node {site.node} ({site.mode}), {len(site.engine.sensors)} sensors, "
            f"{len(site.sources)} sources: nothing wrong"
        )
    return 2 if problems else 0
