"""As whom a command goes to a node's broker: ``--ca``, ``--certificate`` and ``--key``.

For those that are not the node: gateways, recorders, players. What the site file names under
``broker.tls`` is the core's own, and never taken: who shows it pushes the core out.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from cryptography.x509.oid import NameOID

from config import Site
from link.settings import ClientSettings, Tls
from model.errors import ConfigError, LinkError
from vedette.broker.grants import contains, grants_of
from vedette.local.broker_files import Grant
from vedette.pki.folder import read_certificate
from vedette.pki.names import PROCESSES, Identity, PkiError


def add_tls_options(parser: argparse.ArgumentParser, whose: str) -> None:
    """Add the options to a command.

    Parameters
    ----------
    parser
        Of the command.
    whose
        Of whom the certificate is, for the help.
    """
    parser.add_argument("--ca", type=Path, metavar="FILE", help="authorities of the broker: TLS")
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help=f"of the {whose}, with --ca"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="of the certificate")


def tls_of(args: argparse.Namespace) -> Tls | None:
    """What the options say; None: nothing.

    Raises
    ------
    ConfigError
        Options that do not go together, files that cannot be used, or the certificate of one of
        the node's own processes.
    """
    if args.ca is None:
        if args.certificate is not None or args.key is not None:
            raise ConfigError(["--ca: is missing (--certificate and --key go with it)"])
        return None
    if (args.certificate is None) != (args.key is None):
        raise ConfigError(["--certificate and --key belong together"])
    named = [name for name in ("username", "password_file") if getattr(args, name, None)]
    if named and args.certificate is not None:
        option = named[0].replace("_", "-")
        raise ConfigError([f"--{option}: must go, as the certificate says who we are"])
    tls = Tls(args.ca, args.certificate, args.key)
    try:
        tls.context()
    except LinkError as error:
        raise ConfigError([str(error)]) from error
    who = identity_of(tls)
    if who is not None and who.role in PROCESSES:
        raise ConfigError(
            [f"--certificate: {who} is a process of the node, which would be pushed out"]
        )
    return tls


def identity_of(tls: Tls | None) -> Identity | None:
    """Whom a certificate names; None: there is none, or it is not of a node's authority.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    if tls is None or tls.certificate is None:
        return None
    try:
        subject = read_certificate(tls.certificate).subject
    except PkiError as error:
        raise ConfigError([str(error)]) from error
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        return Identity.parse(str(names[0].value)) if names else None
    except PkiError:
        return None  # of an authority that names people in its own way


def settings_for(site: Site, client_id: str, tls: Tls | None) -> ClientSettings:
    """How somebody other than the node goes to the broker of a site file.

    Parameters
    ----------
    site
        The site file.
    client_id
        Names the session. A broker that goes by certificates puts the identity in its place.
    tls
        As `tls_of` gives it.

    Raises
    ------
    ConfigError
        If the broker speaks TLS, and options are missing.
    """
    core = site.broker.tls
    if core is not None and tls is None:
        raise ConfigError([f"--ca: is missing, as the broker of {site.path} speaks TLS"])
    certified = tls is not None and tls.certificate is not None
    if core is not None and core.certificate is not None and not certified:
        raise ConfigError(
            [f"--certificate: is missing, as the broker of {site.path} asks for certificates"]
        )
    return ClientSettings(
        host=site.broker.host,
        port=site.broker.port,
        client_id=client_id,
        username=None if certified else site.broker.username,
        password=None if certified else site.password,
        tls=tls,
        protocol=site.broker.protocol,
    )


def must_read(site: Site, tls: Tls | None, filters: Iterable[str]) -> None:
    """See that the site file grants somebody what it will subscribe to.

    The broker would say yes to everything, and deliver nothing.

    Raises
    ------
    ConfigError
        If it does not.
    """
    who = identity_of(tls)
    if who is None:
        return
    granted = grants_of(site).get(who, Grant()).subscribe
    problems = [
        f"--certificate: {site.path} does not let {who} read {one}"
        for one in filters
        if not contains(granted, one)
    ]
    if problems:
        raise ConfigError(problems)


def must_publish(site: Site, tls: Tls | None) -> None:
    """See that the site file lets somebody publish at all.

    Raises
    ------
    ConfigError
        If it does not.
    """
    who = identity_of(tls)
    if who is not None and not grants_of(site).get(who, Grant()).publish:
        raise ConfigError(
            [f"--certificate: {site.path} (mode {site.mode!r}) lets {who} publish nothing"]
        )
