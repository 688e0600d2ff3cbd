"""What the broker really delivers, held against what it should.

Every identity whose certificate is at hand connects, subscribes to everything, and publishes a
probe on every topic of the node. Then each must have received what the grants say, no more and no
less. What the broker answers (SUBACK, PUBACK) is not asked.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from config import Site
from link.prober import Prober
from link.settings import ClientSettings, Tls
from vedette.broker.grants import ANSWERS, GIVEN, SENSOR_LEAVES, covers
from vedette.local.broker_files import Grant
from vedette.pki.names import Identity

EVERYTHING = ("#", "$SYS/#")
"""Filters that match every topic (MQTT 5.0, 4.7.2: the first does not match those with $)."""

AGREEMENT = "probe"
"""An agreement that nobody has."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One probe that was delivered, or should have been.

    Parameters
    ----------
    sender, topic, receiver
        Who published, where, and who received.
    """

    sender: Identity
    topic: str
    receiver: Identity

    def __str__(self) -> str:
        return f"{self.sender} -> {self.topic} -> {self.receiver}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What probes showed.

    Parameters
    ----------
    probes
        How many were published.
    right
        How many deliveries there were that should be.
    leaked, missing
        Deliveries that should not be, and those that were not.
    """

    probes: int
    right: int
    leaked: tuple[Delivery, ...]
    missing: tuple[Delivery, ...]


def topics_of(site: Site) -> list[str]:
    """Every topic of a node that somebody has business with, each once, wildcards filled in."""
    root = site.topic_root
    found = [f"{root}/commands", f"{root}/receipts/nobody", f"{root}/quarantine/nothing"]
    for sensor in site.engine.sensors:
        found += [f"{root}/sensors/{sensor.id}/{leaf}" for leaf in SENSOR_LEAVES]
        found.append(f"{root}/quarantine/{sensor.id}")
        found += [fill(topic) for topic in sensor.topics]
    found += [f"{root}/receipts/{source.id}" for source in site.sources]
    for partner in site.partners:
        shared = f"{root}/shared/{partner.id}/{AGREEMENT}"
        found += [f"{shared}/{leaf}" for leaf in (*GIVEN, *ANSWERS)]
    return list(dict.fromkeys(found))


def fill(topic_filter: str) -> str:
    """Some topic that a filter matches."""
    return "/".join("probe" if level in ("+", "#") else level for level in topic_filter.split("/"))


def settings_of(site: Site, who: Identity, tls: Tls) -> ClientSettings:
    """How a prober goes to the broker as somebody."""
    broker = site.broker
    return ClientSettings(broker.host, broker.port, f"probe-{who}", tls=tls, protocol="5")


def prove(
    site: Site,
    grants: Mapping[Identity, Grant],
    certificates: Mapping[Identity, Tls],
    topics: Sequence[str] = (),
) -> Delivered:
    """Publish as everybody on everything, and look who receives what.

    It takes over the sessions of all that it connects as, so the node must not run.

    Parameters
    ----------
    site
        The site file.
    grants
        What should be; who is not in it may do nothing.
    certificates
        Whom it can be.
    topics
        Besides those of the site.

    Raises
    ------
    LinkError
        If somebody cannot connect.
    """
    everything = list(dict.fromkeys([*topics_of(site), *topics]))
    seen: set[Delivery] = set()
    with ExitStack() as stack:
        probers: dict[Identity, Prober] = {}
        for who, tls in certificates.items():
            prober = Prober(settings_of(site, who, tls))
            stack.callback(prober.stop)
            prober.connect()
            prober.subscribe(EVERYTHING)
            probers[who] = prober
        for who, prober in probers.items():
            for topic in everything:
                prober.publish(topic, str(who).encode())
        for who, prober in probers.items():
            prober.fence()
            for topic, payload in prober.inbox:
                if not topic.startswith("$"):
                    seen.add(Delivery(Identity.parse(payload.decode()), topic, who))
                else:
                    seen.add(Delivery(who, topic, who))
    nothing = Grant()
    due = {
        Delivery(sender, topic, receiver)
        for sender in probers
        for topic in everything
        if covers(grants.get(sender, nothing).publish, topic)
        for receiver in probers
        if covers(grants.get(receiver, nothing).subscribe, topic)
    }
    return Delivered(
        len(probers) * len(everything),
        len(seen & due),
        tuple(sorted(seen - due, key=str)),
        tuple(sorted(due - seen, key=str)),
    )
