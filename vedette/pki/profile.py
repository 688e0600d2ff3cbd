"""What stands in the certificates and revocation lists that we sign (RFC 5280).

Keys are P-256: Mosquitto's OpenSSL and every browser take them, which is not so of Ed25519.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vedette.pki.names import SERVERS, Identity, PkiError

SKEW = timedelta(hours=1)
"""Certificates and lists hold so long before they are signed: clocks in the field are slow."""

CA_DAYS = 3650
"""How long an authority holds, days: five lifetimes of a source's certificate, so that rotations
are rare and never urgent."""

CRL_DAYS = 90
"""Until a revocation list must be signed anew (nextUpdate, RFC 5280, 5.1.2.5), days. The broker
reads the file itself, so a new one is never late; but with an old one it refuses everybody."""

Key = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Revoked:
    """One line of a revocation list.

    Parameters
    ----------
    serial
        Of the certificate.
    time
        When it was revoked, UTC.
    reason
        Of RFC 5280, 5.3.1.
    """

    serial: int
    time: datetime
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


def new_key() -> Key:
    """A private key, P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def ca_certificate(node: str, generation: int, key: Key, now: datetime) -> x509.Certificate:
    """A self-signed authority of a node.

    Parameters
    ----------
    node
        Its name.
    generation
        From 1; authorities of a node that hold side by side have different names.
    key
        Its key.
    now
        UTC.
    """
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, node),
            x509.NameAttribute(NameOID.COMMON_NAME, f"authority {generation}"),
        ]
    )
    usage = _usage(key_cert_sign=True, crl_sign=True)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        # No authority below this one: whoever steals a leaf's key signs nothing with it.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def certificate(
    identity: Identity,
    node: str,
    public_key: PublicKey,
    hosts: Sequence[str],
    ca: x509.Certificate,
    ca_key: Key,
    now: datetime,
    holds: timedelta,
) -> x509.Certificate:
    """A certificate of an identity.

    Parameters
    ----------
    identity
        Whose: the common name, and the role also as organizational unit and in a URI.
    node
        Whose authority signs.
    public_key
        Of the key that its holder keeps.
    hosts
        Names and IP addresses by which a server is reached.
    ca, ca_key
        Who signs.
    now, holds
        From when, UTC (less `SKEW`), and for how long; never longer than the authority.

    Raises
    ------
    PkiError
        If a host cannot be one, or the authority has ended.
    """
    until = min(now + holds, ca.not_valid_after_utc)
    if until <= now:
        raise PkiError("the authority has expired: vedette pki rotate-ca makes a new one")
    server = identity.role in SERVERS
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, node),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(identity.role)),
            x509.NameAttribute(NameOID.COMMON_NAME, str(identity)),
        ]
    )
    uri = x509.UniformResourceIdentifier(f"urn:vedette:{node}:{identity}")
    names: list[x509.GeneralName] = [uri, *(_host(host) for host in hosts)]
    ca_public = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - SKEW, ca.not_valid_before_utc))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_public),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )


def revocation_list(
    revoked: Iterable[Revoked],
    ca: x509.Certificate,
    ca_key: Key,
    now: datetime,
    before: x509.CertificateRevocationList | None,
) -> x509.CertificateRevocationList:
    """A revocation list of an authority.

    Parameters
    ----------
    revoked
        What stands in it.
    ca, ca_key
        Who signs.
    now
        UTC.
    before
        The list that this one takes the place of.

    Raises
    ------
    PkiError
        If that one is of the future.

    Notes
    -----
    OpenSSL keeps the lists that it was given before, and of several takes the one whose thisUpdate
    is latest, in whole seconds (crypto/x509/x509_vfy.c, get_crl_sk). So this is always a second
    later than the last; and as it begins `SKEW` ago, it is not in the future even after many.
    """
    this_update, number = now.replace(microsecond=0) - SKEW, 1
    if before is not None:
        this_update = max(this_update, before.last_update_utc + timedelta(seconds=1))
        number += before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        if this_update > now:  # a list of the future is no list, and refuses everybody
            raise PkiError(
                f"the last revocation list is of {before.last_update_utc:%Y-%m-%d %H:%M}, and it "
                f"is {now:%Y-%m-%d %H:%M}: the clock is wrong, or there were too many at once"
            )
    ca_public = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(this_update)
        .next_update(now + timedelta(days=CRL_DAYS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_public),
            critical=False,
        )
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.time)
        if one.reason != x509.ReasonFlags.unspecified:  # which shall be left out (5.3.1)
            entry = entry.add_extension(x509.CRLReason(one.reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ca_key, hashes.SHA256())


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    labels = text.split(".")
    if not all(
        label and len(label) <= 63 and label.isascii() and label.replace("-", "a").isalnum()
        for label in labels
    ):
        raise PkiError(f"host {text!r} is neither a name (RFC 1123) nor an IP address")
    return x509.DNSName(text)


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    """Key usage (RFC 5280, 4.2.1.3); P-256 keys only sign."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
