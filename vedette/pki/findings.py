"""What is wrong with an authority, or will be within two weeks."""

import stat
from datetime import datetime
from pathlib import Path

from cryptography import x509

from vedette.pki.authority import Authority
from vedette.pki.folder import read_certificate, serial_text
from vedette.pki.index import SOON, State
from vedette.pki.names import PkiError

LIST_BEGINS = b"-----BEGIN X509 CRL-----"
"""RFC 7468, section 7."""


def findings(authority: Authority) -> list[str]:
    """Everything that somebody should do something about, a line each."""
    return [*_authorities(authority), *_lists(authority), *_certificates(authority),
            *_open_secrets(authority)]  # fmt: skip


def broker_findings(authority: Authority, trust: Path, crl: Path) -> list[str]:
    """What a broker has not been given yet, a line each.

    Parameters
    ----------
    authority
        Whose certificates.
    trust, crl
        Authorities and revocation lists as the broker has them.
    """
    found = []
    try:
        believed = x509.load_pem_x509_certificates(trust.read_bytes())
        lists = [
            x509.load_pem_x509_crl(LIST_BEGINS + part)
            for part in crl.read_bytes().split(LIST_BEGINS)[1:]
        ]
    except (OSError, ValueError) as error:
        return [f"{trust}, {crl}: cannot be read: {error}"]
    ours = x509.load_pem_x509_certificates(authority.folder.trust.read_bytes())
    if {one.serial_number for one in believed} != {one.serial_number for one in ours}:
        found.append(
            f"{trust}: other authorities than are believed: vedette broker config, restart"
        )
    listed = {one.serial_number for signed in lists for one in signed}
    found += [
        f"{crl}: {one.identity} ({serial_text(one.serial)}) is revoked and not in it: "
        "vedette broker config, SIGHUP"
        for one in authority.index.certificates.values()
        if one.revoked is not None
        and authority.now < one.not_after
        and one.serial not in listed
        and not authority.index.authorities[one.generation].retired
    ]
    for signed in lists:
        until = signed.next_update_utc
        if until is None or authority.now >= until - SOON:
            found.append(
                f"{crl}: after {until and _day(until)} the broker refuses everybody: "
                "vedette pki crl, vedette broker config, SIGHUP"
            )
    return found


def _authorities(authority: Authority) -> list[str]:
    found = []
    for ca in authority.index.believed():
        path = authority.folder.ca(ca.generation, "crt")
        try:
            read_certificate(path)
        except PkiError as error:
            found.append(str(error))
        if authority.now >= ca.not_after - SOON:
            verb = "has ended" if authority.now >= ca.not_after else "ends"
            found.append(f"{path}: {verb} {_day(ca.not_after)}: vedette pki rotate-ca")
    return found


def _lists(authority: Authority) -> list[str]:
    found = []
    for ca in authority.index.believed():
        path = authority.folder.ca(ca.generation, "crl")
        try:
            signed = x509.load_pem_x509_crl(path.read_bytes())
        except (OSError, ValueError):
            found.append(f"{path}: no revocation list: vedette pki crl")
            continue
        until = signed.next_update_utc
        if until is None or authority.now >= until - SOON:
            found.append(
                f"{path}: to be signed anew by {until and _day(until)}, after that the broker "
                "refuses everybody: vedette pki crl"
            )
        listed = {one.serial_number for one in signed}
        found += [
            f"{path}: {one.identity} ({serial_text(one.serial)}) is revoked and not in it: "
            "vedette pki crl"
            for one in authority.index.certificates.values()
            if one.generation == ca.generation
            and one.revoked is not None
            and authority.now < one.not_after
            and one.serial not in listed
        ]
    return found


def _certificates(authority: Authority) -> list[str]:
    """Of each identity the newest: what comes before it ends as it should."""
    newest = {
        one.identity: one for one in authority.index.certificates.values() if not one.momentary
    }
    found = []
    for identity, one in sorted(newest.items()):
        state = one.state(authority.now)
        if state in {State.SOON, State.EXPIRED}:
            verb = "has ended" if state is State.EXPIRED else "ends"
            found.append(
                f"{identity}: {verb} {_day(one.not_after)}: "
                f"vedette pki renew --kind {identity.role} {identity.name}"
            )
        if one.holds(authority.now) and authority.index.authorities[one.generation].retired:
            found.append(f"{identity}: its authority {one.generation} is retired: renew it")
    return found


def _open_secrets(authority: Authority) -> list[str]:
    root = authority.folder.root
    keys = [*root.glob("ca/*.key"), *root.glob("issued/*/*/*/key.pem")]
    return [
        f"{path}: others may read it: chmod 600 {path}"
        for path in sorted(keys)
        if "current" not in path.parts and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]


def _day(time: datetime) -> str:
    return time.strftime("%Y-%m-%d")
