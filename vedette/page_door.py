"""The door of a node's page: HTTPS where the site file says so; whom it turns away is audited."""

import logging
import time

from config import Site
from console.door import Door, Keys
from model.errors import ConfigError
from vedette.audit import AuditError, AuditLog

log = logging.getLogger("vedette.serve")

AGAIN_S = 10.0
"""The same refusal is written down once in so long, s: others choose how often they try."""

MOST = 256
"""Different refusals remembered for that."""


class Refusals:
    """Writes down who was turned away.

    Parameters
    ----------
    audit
        Where.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._told: dict[tuple[str, str], float] = {}

    def __call__(self, who: str, why: str) -> None:
        """Note one refusal."""
        now = time.monotonic()
        last = self._told.get((who, why))
        if last is not None and now - last < AGAIN_S:
            return
        if len(self._told) >= MOST:
            self._told.clear()
        self._told[who, why] = now
        log.warning("page refused who=%s why=%s", who, why)
        try:
            self._audit.add("page.refused", who=who, why=why)
        except AuditError as error:
            log.error("audit: %s", error)  # noqa: TRY400 - one line says it all


def door_of(site: Site) -> Door | None:
    """Door of a site's page; None: it answers in the clear.

    Raises
    ------
    ConfigError
        A file cannot be used; the line names it.
    """
    tls = site.tls(site.serve.tls)
    if tls is None or tls.certificate is None or tls.key is None:
        return None
    keys = Keys(tls.certificate, tls.key, tls.ca, tls.crl)
    try:
        return Door(keys, Refusals(AuditLog(site.data_dir / "audit.jsonl")))
    except OSError as error:
        raise ConfigError([f"{site.path}: serve.tls: {error}"]) from error
