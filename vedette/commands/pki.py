"""``vedette pki``: the node's own authority, and the certificates that it signs."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from vedette.broker.folder import BrokerFolder
from vedette.pki.authority import Authority
from vedette.pki.findings import broker_findings, findings
from vedette.pki.folder import read_passphrase, serial_text
from vedette.pki.index import Issued
from vedette.pki.names import ISSUABLE, LIFETIME_DAYS, MEANING, Identity, PkiError, Role
from vedette.pki.signing import REASONS
from vedette.plainly import plainly

EXAMPLES = """\
Example, a node with one source:
  vedette pki init north
  vedette pki issue --kind broker north --san broker.north.example
  vedette pki issue --kind node north
  vedette pki issue --kind source gateway-1
  vedette pki list
"""

KINDS = "kinds:\n" + "\n".join(
    f"  {role:10s} {MEANING[role]}; {LIFETIME_DAYS[role]} days" for role in ISSUABLE
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "pki",
        help="the node's authority: certificates, renewal, revocation",
        description="Certificates for everything that connects to a node.",
        epilog=f"{EXAMPLES}\n{KINDS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    init = _action(actions, "init", "make the authority of a node", "vedette pki init north")
    init.add_argument("node", metavar="NODE", help="name of the node")
    init.set_defaults(run=plainly(_init))

    issue = _action(
        actions,
        "issue",
        "sign a first certificate",
        "vedette pki issue --kind broker north --san broker.north.example",
    )
    _who(issue)
    issue.add_argument(
        "--san", action="append", default=[], metavar="HOST", help="name or address of a server"
    )
    _how(issue)
    issue.set_defaults(run=plainly(_issue))

    renew = _action(
        actions,
        "renew",
        "sign another certificate, with a new key; the old one holds until it ends",
        "vedette pki renew --kind source gateway-1",
    )
    _who(renew)
    _how(renew)
    renew.set_defaults(run=plainly(_renew))

    revoke = _action(
        actions,
        "revoke",
        "revoke an identity's certificates; with --broker its sessions end at once",
        "vedette pki revoke --kind source gateway-1 --broker /etc/vedette/broker",
    )
    _who(revoke)
    which = revoke.add_mutually_exclusive_group()
    which.add_argument("--serial", metavar="HEX", help="this certificate alone")
    which.add_argument("--but-newest", action="store_true", help="all but the newest")
    revoke.add_argument("--reason", choices=sorted(REASONS), default="unspecified")
    revoke.add_argument(
        "--broker", type=Path, metavar="DIR", help="folder that vedette broker config wrote"
    )
    revoke.add_argument(
        "--settle",
        action="store_true",
        help="with --broker: end the session once more after 100 s, against who connected before "
        "and spoke after; needed where another certificate of the identity still holds",
    )
    revoke.set_defaults(run=plainly(_revoke))

    rotate = _action(
        actions,
        "rotate-ca",
        "make a new authority beside the old one, which is still believed",
        "vedette pki rotate-ca",
    )
    rotate.set_defaults(run=plainly(_rotate))

    retire = _action(
        actions, "retire-ca", "believe an old authority no more", "vedette pki retire-ca 1"
    )
    retire.add_argument("generation", type=int, metavar="GENERATION")
    retire.set_defaults(run=plainly(_retire))

    crl = _action(actions, "crl", "sign the revocation lists anew", "vedette pki crl")
    crl.set_defaults(run=plainly(_crl))

    listing = _action(
        actions, "list", "every certificate, until when, its state", "vedette pki list --json"
    )
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=plainly(_list))

    check = _action(
        actions,
        "check",
        "what is wrong or soon will be; status 1 if anything is",
        "vedette pki check",
    )
    check.add_argument("--json", action="store_true")
    check.add_argument(
        "--broker", type=Path, metavar="DIR", help="also what this broker was not given yet"
    )
    check.set_defaults(run=plainly(_check))


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text, epilog=f"Example: {example}")
    parser.add_argument(
        "--pki", type=Path, default=Path("pki"), metavar="DIR", help="the authority's folder (pki)"
    )
    parser.add_argument(
        "--passphrase-file", type=Path, metavar="FILE", help="passphrase of the authority's key"
    )
    return parser


def _who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", required=True, choices=[str(role) for role in ISSUABLE])
    parser.add_argument("name", metavar="NAME")


def _how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, help="how long it holds")
    parser.add_argument(
        "--csr", type=Path, metavar="FILE", help="request of a holder who keeps the key (PEM)"
    )


def _identity(args: argparse.Namespace) -> Identity:
    return Identity(Role(args.kind), args.name)


def _passphrase(args: argparse.Namespace) -> bytes | None:
    return None if args.passphrase_file is None else read_passphrase(args.passphrase_file)


def _open(args: argparse.Namespace) -> Authority:
    return Authority.open(args.pki, passphrase=_passphrase(args))


def _init(args: argparse.Namespace) -> int:
    authority = Authority.create(args.pki, args.node, passphrase=_passphrase(args))
    print(f"{authority.folder.ca(1, 'key')}: keep it; whoever has it is everybody")
    print(f"{authority.folder.trust}: give it to all that connect")
    return 0


def _request(args: argparse.Namespace) -> bytes | None:
    try:
        return None if args.csr is None else args.csr.read_bytes()
    except OSError as error:
        raise PkiError(f"{args.csr}: {error.strerror or error}") from error


def _issue(args: argparse.Namespace) -> int:
    authority = _open(args)
    request = _request(args)
    issued = authority.issue(_identity(args), hosts=args.san, days=args.days, request=request)
    return _told(authority, issued)


def _renew(args: argparse.Namespace) -> int:
    authority = _open(args)
    issued = authority.renew(_identity(args), days=args.days, request=_request(args))
    return _told(authority, issued)


def _told(authority: Authority, issued: Issued) -> int:
    folder = authority.folder.current(issued.identity)
    print(f"{issued.identity}: {folder}, until {issued.not_after:%Y-%m-%d}")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    authority, identity = _open(args), _identity(args)
    try:
        serial = None if args.serial is None else int(args.serial, 16)
    except ValueError:
        raise PkiError(f"--serial {args.serial!r}: no hexadecimal number") from None
    which: dict[str, Any] = {"reason": args.reason, "serial": serial, "but_newest": args.but_newest}
    if args.broker is None:
        revoked = authority.revoke(identity, **which)
        print(f"{authority.folder.crl}: give it to the broker and reload it (or use --broker)")
    else:
        from vedette.broker.revocation import revoke

        settle = time.sleep if args.settle else None
        done = revoke(authority, identity, args.broker, settle=settle, **which)
        revoked = done.revoked
        print(f"broker {done.broker}: list in force after {done.in_force_s:.2f} s, "
              f"sessions ended after {done.ended_s:.2f} s")  # fmt: skip
    for one in revoked:
        print(f"{identity}: {serial_text(one.serial)} is revoked")
    return 0


def _rotate(args: argparse.Namespace) -> int:
    authority = _open(args)
    generation = authority.rotate()
    print(f"authority {generation} signs from now on; {authority.folder.trust} holds all of them:")
    print("give it to everybody, restart the broker with it, then renew every certificate,")
    print(f"then vedette pki retire-ca {generation - 1}")
    return 0


def _retire(args: argparse.Namespace) -> int:
    authority = _open(args)
    authority.retire(args.generation)
    print(f"{authority.folder.trust}: without authority {args.generation}")
    return 0


def _crl(args: argparse.Namespace) -> int:
    authority = _open(args)
    authority.renew_lists()
    print(f"{authority.folder.crl}: signed anew")
    return 0


def _list(args: argparse.Namespace) -> int:
    authority = Authority.open(args.pki)
    now = authority.now
    rows = [
        {
            "identity": str(one.identity),
            "serial": serial_text(one.serial),
            "authority": one.generation,
            "not_before": one.not_before.isoformat(),
            "not_after": one.not_after.isoformat(),
            "state": str(one.state(now)),
            "reason": one.reason,
            "hosts": list(one.hosts),
        }
        for one in authority.index.certificates.values()
        if not one.momentary
    ]
    if args.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(
            f"{row['identity']:30s} {str(row['not_after'])[:10]} {row['state']:8s} {row['serial']}"
        )
    return 0


def _check(args: argparse.Namespace) -> int:
    authority = Authority.open(args.pki)
    problems = findings(authority)
    if args.broker is not None:
        folder = BrokerFolder(args.broker)
        folder.facts()
        problems += broker_findings(authority, folder.trust, folder.crl)
    if args.json:
        print(json.dumps({"ok": not problems, "problems": problems}))
    elif problems:
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    else:
        print(f"{args.pki}: nothing wrong")
    return 1 if problems else 0
