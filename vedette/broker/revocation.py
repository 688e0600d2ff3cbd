"""A revocation that ends sessions, with a stock Mosquitto.

Mosquitto reads its revocation lists at SIGHUP and asks them at handshakes only: who is connected
stays so. But whoever connects under the same client id takes the session over (MQTT-3.1.4-3), and
with ``use_username_as_clientid`` that takes a certificate of the same identity, which the authority
can make. In this order:

1. a *canary*, a certificate for a moment, connects: the broker takes this authority's certificates;
2. the new lists, with the canary in them, are put in place; an identity of which nothing holds any
   more also leaves the access list; SIGHUP;
3. the canary is refused as *revoked*: the lists are in force, nobody revoked comes in any more;
4. a certificate for a moment of the identity itself connects and disconnects: the session is gone.

Others are not disturbed. A holder of a certificate that still holds (the renewed one) connects
again by itself and finds its session as it was.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vedette.broker.folder import BrokerFolder, Facts
from vedette.broker.handshake import Outcome, connect
from vedette.pki.authority import Authority, Momentary
from vedette.pki.index import Issued
from vedette.pki.names import Identity, PkiError, Role

IN_FORCE_S = 10.0
"""Longest wait for a broker to read its lists, s; it does so in its next turn (milliseconds)."""

LOOK_S = 0.01
"""Pause between two looks whether it has, s."""

SETTLE_S = 100.0
"""After so long no connection is left that shook hands before the lists were in force and has not
spoken yet: Mosquitto 2.0.11 closes those after 96 s (measured; 1.5 times a keep-alive of 60 s)."""

CANARY = Identity(Role.PROBE, "canary")


@dataclass(frozen=True, slots=True)
class Done:
    """What a revocation did.

    Parameters
    ----------
    revoked
        Certificates.
    broker
        Where, ``host:port``.
    in_force_s
        From the beginning until nobody revoked could connect any more, s.
    ended_s
        From the beginning until the sessions were gone, s.
    """

    revoked: list[Issued]
    broker: str
    in_force_s: float
    ended_s: float


def revoke(
    authority: Authority,
    identity: Identity,
    broker: Path,
    *,
    reason: str = "unspecified",
    serial: int | None = None,
    but_newest: bool = False,
    settle: Callable[[float], object] | None = None,
) -> Done:
    """Revoke certificates, and end the sessions that were opened with them.

    Parameters
    ----------
    authority
        Whose certificates.
    identity, reason, serial, but_newest
        As of `Authority.revoke`.
    broker
        The folder that ``vedette broker config`` wrote.
    settle
        Waits for seconds; then the session is taken over once more (see below). None: not so.

    Raises
    ------
    PkiError
        If there is nothing to revoke, or (then it is revoked all the same, and the message says
        so) if the broker does not run or does not obey.

    Notes
    -----
    Who had shaken hands before the lists were in force, and says CONNECT only after the session was
    taken over, is in. The access list grants him nothing, unless the identity has another
    certificate that holds; then only `settle` ends him.
    """
    began = time.monotonic()
    folder = BrokerFolder(broker)
    facts = folder.facts()
    generation = _known_to_brokers(authority, identity)
    canary = authority.momentary(CANARY, generation)
    successor = authority.momentary(identity, generation)
    problem = _untaken(facts, folder, canary)  # which must not keep us from revoking
    revoked = authority.revoke(
        identity, reason=reason, serial=serial, but_newest=but_newest, also=canary
    )
    folder.put_crl(authority.folder.crl.read_bytes())
    left = any(one.holds(authority.now) for one in authority.index.of(identity))
    if not left:
        folder.take_from_acl(identity)
    try:
        in_force_s = _enforce(facts, folder, canary, problem, began)
        connect(facts.host, facts.port, folder.trust, successor, clean=not left)
    except PkiError as error:
        authority.audit.add("broker.revoke_failed", identity=str(identity), why=str(error))
        raise PkiError(
            f"{identity}: revoked, and {folder.crl} says so, but the broker was not made to obey: "
            f"{error}; restart it"
        ) from error
    ended_s = time.monotonic() - began
    if settle is not None:
        settle(SETTLE_S)
        again = authority.momentary(identity, generation)
        connect(facts.host, facts.port, folder.trust, again, clean=not left)
    authority.audit.add("broker.session_ended", identity=str(identity), after_s=round(ended_s, 3))
    return Done(revoked, f"{facts.host}:{facts.port}", in_force_s, ended_s)


def _known_to_brokers(authority: Authority, identity: Identity) -> int | None:
    """Generation of the oldest believed authority that signed for an identity; None: there is none.

    The newest of all may be so new that the broker does not know it yet.
    """
    index = authority.index
    generations = [one.generation for one in index.of(identity) if one.holds(authority.now)]
    return min((one for one in generations if not index.authorities[one].retired), default=None)


def _enforce(
    facts: Facts, folder: BrokerFolder, canary: Momentary, problem: PkiError | None, began: float
) -> float:
    """Have the lists in force; returns after how many seconds since `began` they are seen to be."""
    reload_broker(facts)
    if problem is not None:
        raise problem
    while connect(facts.host, facts.port, folder.trust, canary) is not Outcome.REVOKED:
        if time.monotonic() - began > IN_FORCE_S:
            raise PkiError(f"after {IN_FORCE_S:.0f} s it has not read its revocation lists")
        time.sleep(LOOK_S)
    return time.monotonic() - began


def reload_broker(facts: Facts) -> None:
    """Have the broker read its lists again (SIGHUP).

    Raises
    ------
    PkiError
        If it does not run, or we may not.
    """
    try:
        pid = int(Path(facts.pid_file).read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise PkiError(f"{facts.pid_file}: no process id in it: does the broker run?") from error
    name = Path(f"/proc/{pid}/comm")
    if Path("/proc/self").exists() and not (
        name.exists() and name.read_text(encoding="utf-8").startswith("mosquitto")
    ):
        raise PkiError(f"{facts.pid_file}: process {pid} is no Mosquitto: does the broker run?")
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise PkiError(f"process {pid}: {error.strerror}") from error


def _untaken(facts: Facts, folder: BrokerFolder, canary: Momentary) -> PkiError | None:
    try:
        connect(facts.host, facts.port, folder.trust, canary)
    except PkiError as error:
        return error
    return None
