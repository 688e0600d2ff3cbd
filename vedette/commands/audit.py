"""``vedette audit``: the log of what was done with identities, and of what was refused."""

import argparse
import json
from pathlib import Path

from config import load_site
from model.errors import InputFileError
from model.time import iso_from_ns
from vedette.audit import OWN, AuditError, AuditLog
from vedette.broker.refusals import follower_needed


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "audit",
        help="list and verify audit logs",
        epilog="Example: vedette audit verify data/audit.jsonl",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser(
        "verify",
        help="walk the chain; status 1 if an entry is not as it was written",
        description=(
            "Prints the number and hash of the last entry. Note them elsewhere: with --head a "
            "later verification also finds that the end was cut off since."
        ),
        epilog="Example: vedette audit verify data/audit.jsonl --head 5f1c…",
    )
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument("--head", metavar="HASH", help="noted before; it must be in the chain")
    verify.add_argument("--json", action="store_true")
    verify.set_defaults(run=_verify)
    listing = actions.add_parser(
        "list", help="entries, a line each", epilog="Example: vedette audit list pki/audit.jsonl"
    )
    listing.add_argument("file", type=Path, metavar="FILE")
    listing.add_argument("--action", default="", dest="only", help="those that begin with this")
    listing.add_argument("--json", action="store_true", help="the entries themselves")
    listing.set_defaults(run=_list)
    follow = actions.add_parser(
        "follow",
        help="take new refusals out of the broker's log, once (a running node does so by itself)",
        epilog="Example: vedette audit follow site.toml",
    )
    follow.add_argument("site", type=Path, metavar="SITE.toml")
    follow.set_defaults(run=_follow)


def _verify(args: argparse.Namespace) -> int:
    try:
        head = AuditLog(args.file).verify(args.head)
    except AuditError as error:
        if not args.file.exists():
            raise
        print(json.dumps({"ok": False, "problem": str(error)}) if args.json else str(error))
        return 1
    if args.json:
        print(json.dumps({"ok": True, "n": head.n, "hash": head.hash}))
    else:
        print(f"{args.file}: {head.n} entries, whole; head {head.hash}")
    return 0


def _list(args: argparse.Namespace) -> int:
    for entry in AuditLog(args.file).entries():
        if not str(entry["action"]).startswith(args.only):
            continue
        if args.json:
            print(json.dumps(entry, sort_keys=True))
            continue
        facts = " ".join(f"{key}={value}" for key, value in entry.items() if key not in OWN)
        print(f"{iso_from_ns(entry['time_ns'])} {entry['action']} {facts}")
    return 0


def _follow(args: argparse.Namespace) -> int:
    follower = follower_needed(load_site(args.site))
    try:
        while follower.look():
            pass
    except OSError as error:
        raise InputFileError(f"{error.filename}: {error.strerror or error}") from error
    print(f"{follower.refused} refusals")
    return 0
