"""Until when the certificates hold that a node uses: metrics, status, health.

Read from the files that the site file names, as they are now: what was renewed is seen at once.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from prometheus_client import CollectorRegistry, Gauge

from config import Site
from config.schema import TlsTable
from link.settings import Tls
from model.errors import LinkError
from vedette.pki.findings import LIST_BEGINS
from vedette.pki.folder import read_certificate
from vedette.pki.index import SOON
from vedette.pki.names import PkiError

LOOK_S = 60.0
"""How long what was read is believed, s: certificates change a few times a year."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Use:
    """A certificate and where the site file names it.

    Parameters
    ----------
    key
        Where, as people write it.
    path
        The file.
    """

    key: str
    path: Path


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when a certificate holds.

    Parameters
    ----------
    key
        Where the site file names it.
    days
        From now; negative: it has ended; None: it cannot be read.
    problem
        What somebody should do something about; empty: nothing.
    """

    key: str
    days: float | None
    problem: str

    @property
    def ended(self) -> bool:
        """Whether nobody believes it any more, or it is not there."""
        return self.days is None or self.days <= 0


def tables(site: Site) -> Iterator[tuple[str, TlsTable]]:
    """Every ``tls`` of a site file, with its key."""
    if site.broker.tls is not None:
        yield "broker.tls", site.broker.tls
    if site.serve.tls is not None:
        yield "serve.tls", site.serve.tls
    for partner in site.partners:
        if partner.tls is not None:
            yield f"partner {partner.id!r}.tls", partner.tls
        if partner.broker is not None and partner.broker.tls is not None:
            yield f"partner {partner.id!r}.broker.tls", partner.broker.tls


def uses(site: Site) -> list[Use]:
    """Every certificate that a site file names, authorities too."""
    base = site.path.parent
    found = []
    for key, table in tables(site):
        found.append(Use(f"{key}.ca", base / table.ca))
        if table.certificate is not None:
            found.append(Use(f"{key}.certificate", base / table.certificate))
        if table.crl is not None:
            found.append(Use(f"{key}.crl", base / table.crl))
    return found


def expiries(site: Site, now: datetime) -> list[Expiry]:
    """Until when each certificate of a site holds.

    Parameters
    ----------
    site
        The site file.
    now
        UTC.
    """
    found = []
    for use in uses(site):
        try:
            until = _until(use)
        except PkiError as error:
            found.append(Expiry(use.key, None, f"{use.key}: {error}"))
            continue
        days, problem = (until - now).total_seconds() / DAY_S, ""
        if until <= now:
            problem = f"{use.key}: ended {until:%Y-%m-%d}: {use.path}"
        elif until - now < SOON:
            problem = f"{use.key}: ends in {days:.0f} days, {until:%Y-%m-%d}: {use.path}"
        found.append(Expiry(use.key, days, problem))
    return found


def _until(use: Use) -> datetime:
    """When a certificate ends, or the first of several lists must have been signed anew."""
    if not use.key.endswith(".crl"):
        return read_certificate(use.path).not_valid_after_utc
    try:
        parts = use.path.read_bytes().split(LIST_BEGINS)[1:]
        ends = [x509.load_pem_x509_crl(LIST_BEGINS + part).next_update_utc for part in parts]
    except (OSError, ValueError) as error:
        raise PkiError(f"{use.path}: {error}") from error
    known = [end for end in ends if end is not None]
    if not known:
        raise PkiError(f"{use.path}: no revocation list in it")
    return min(known)


def tls_problems(site: Site) -> list[str]:
    """What is wrong with the TLS files that a site names, a line each."""
    problems = []
    for key, table in tables(site):
        tls: Tls | None = site.tls(table)
        try:
            if tls is not None:
                tls.context()
        except LinkError as error:
            problems.append(f"{site.path}: {key}: {error}")
    return problems


class ExpiryWatch:
    """Expiries, read again now and then, and their gauges.

    Parameters
    ----------
    site
        Whose.
    registry
        Where the gauges stand.
    """

    def __init__(self, site: Site, registry: CollectorRegistry) -> None:
        self._site = site
        self._read_s = -LOOK_S
        self._now: list[Expiry] = []
        self._days = Gauge(
            "vedette_certificate_expires_days",
            "Days until a certificate that the node uses ends; negative: it has",
            ["use"],
            registry=registry,
        )

    def expiries(self) -> list[Expiry]:
        """As they are, at most `LOOK_S` old."""
        if time.monotonic() - self._read_s >= LOOK_S:
            self._now = expiries(self._site, datetime.now(UTC))
            self._read_s = time.monotonic()
        return self._now

    def put(self) -> None:
        """Set the gauges; what cannot be read has none."""
        self._days.clear()
        for one in self.expiries():
            if one.days is not None:
                self._days.labels(one.key).set(round(one.days, 3))

    def problems(self) -> list[str]:
        """What ends within two weeks, has ended, or cannot be read; a line each."""
        return [one.problem for one in self.expiries() if one.problem]

    def ended(self) -> list[str]:
        """Of these, what keeps the node from connecting."""
        return [one.problem for one in self.expiries() if one.ended]

    def rows(self) -> list[dict[str, Any]]:
        """Plain data for the status."""
        return [
            {
                "use": one.key,
                "days": None if one.days is None else round(one.days, 1),
                "problem": one.problem,
            }
            for one in self.expiries()
        ]
