"""``vedette broker``: Mosquitto's files for a node, and the proof that they do what they should."""

import argparse
import json
import sys
from pathlib import Path

from config import Site, load_site
from link.settings import Tls
from model.errors import ConfigError
from vedette.audit import AuditLog
from vedette.broker.delivery import prove
from vedette.broker.files import write_files
from vedette.broker.folder import BrokerFolder
from vedette.broker.grants import grants_of
from vedette.pki.authority import Authority
from vedette.pki.names import Identity, Role
from vedette.plainly import plainly


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "broker",
        help="Mosquitto's configuration for a node, and the proof of it",
        epilog="Example: vedette broker config site.toml --pki pki --out broker",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    config = actions.add_parser(
        "config",
        help="write mosquitto.conf, access list and TLS files",
        description=(
            "Write a folder with all that Mosquitto needs: every client shows a certificate, which "
            "is its user name and its client id, and may do what the site file grants it."
        ),
        epilog="Example: vedette broker config site.toml --pki pki --out broker --user mosquitto",
    )
    _common(config)
    config.add_argument("--out", type=Path, required=True, metavar="DIR")
    config.add_argument("--name", help="of the broker's certificate; the node's if left out")
    config.add_argument("--listen", default="", metavar="ADDRESS", help="every one if left out")
    config.add_argument("--user", default="", help="whom the broker runs as (root only)")
    config.add_argument("--check", action="store_true", help="then do what `check` does")
    config.set_defaults(run=plainly(_config))
    check = actions.add_parser(
        "check",
        help="publish as everybody on everything, and see who receives what",
        description=(
            "Connects as every identity whose certificate and key are in the authority's folder, "
            "publishes on every topic, and looks at what is delivered, not at what the broker "
            "answers. It takes the sessions of all of them over: do it before the node runs. "
            "Status 1 if anything is delivered that should not be, or is not that should."
        ),
        epilog="Example: vedette broker check site.toml --pki pki",
    )
    _common(check)
    check.add_argument("--json", action="store_true")
    check.set_defaults(run=plainly(_check))


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("site", type=Path, metavar="SITE.toml")
    parser.add_argument(
        "--pki", type=Path, default=Path("pki"), metavar="DIR", help="the authority's folder (pki)"
    )


def _config(args: argparse.Namespace) -> int:
    site = load_site(args.site)
    if site.broker.tls is None:
        raise ConfigError([f"{args.site}: broker.tls: missing: the core shows a certificate too"])
    authority = Authority.open(args.pki)
    if authority.node != site.node:
        whose = f"{args.pki}: is the authority of node {authority.node!r}"
        raise ConfigError([f"{whose}, and {args.site} is of {site.node!r}"])
    folder = BrokerFolder(args.out)
    name = Identity(Role.BROKER, args.name or site.node)
    grants = write_files(folder, site, args.pki, name, listen=args.listen, user=args.user)
    AuditLog(authority.folder.audit).add(
        "broker.config", folder=str(folder.root), identities=len(grants)
    )
    silent = {sensor.id for sensor in site.engine.sensors}
    silent -= {sensor for source in site.sources for sensor in source.sensors}
    for sensor in sorted(silent):
        sys.stderr.write(f"{args.site}: sensor {sensor!r}: no [[source]] may speak for it\n")
    for identity in sorted(grants):
        if not any(one.holds(authority.now) for one in authority.index.of(identity)):
            sys.stderr.write(f"{identity}: has no certificate yet\n")
    print(f"mosquitto -c {folder.configuration}")
    if args.check:
        return _prove(args, site, as_json=False)
    return 0


def _check(args: argparse.Namespace) -> int:
    return _prove(args, load_site(args.site), as_json=args.json)


def _prove(args: argparse.Namespace, site: Site, *, as_json: bool) -> int:
    authority = Authority.open(args.pki)
    grants = grants_of(site)
    certificates = {}
    for identity in {one.identity: one for one in authority.index.certificates.values()}:
        current = authority.folder.current(identity)
        holds = any(one.holds(authority.now) for one in authority.index.of(identity))
        client = identity.role not in {Role.BROKER, Role.PAGE, Role.PROBE}
        if holds and client and (current / "key.pem").exists():
            certificates[identity] = Tls(
                authority.folder.trust, current / "certificate.pem", current / "key.pem"
            )
    untried = sorted(str(identity) for identity in grants.keys() - certificates.keys())
    found = prove(site, grants, certificates)
    leaked, missing = map(str, found.leaked), map(str, found.missing)
    wrong = bool(found.leaked or found.missing)
    if as_json:
        print(
            json.dumps(
                {
                    "ok": not wrong,
                    "probes": found.probes,
                    "delivered": found.right,
                    "leaked": list(leaked),
                    "missing": list(missing),
                    "untried": untried,
                }
            )
        )
        return int(wrong)
    for line in leaked:
        sys.stderr.write(f"delivered, and should not be: {line}\n")
    for line in missing:
        sys.stderr.write(f"not delivered, and should be: {line}\n")
    for name in untried:
        sys.stderr.write(f"not tried, its key is not here: {name}\n")
    print(
        f"broker {site.broker.host}:{site.broker.port}: {len(certificates)} identities, "
        f"{found.probes} probes, {found.right} delivered as they should, "
        f"{len(found.leaked)} leaked, {len(found.missing)} missing"
    )
    return int(wrong)
