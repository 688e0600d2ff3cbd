"""A core's connections to its partners' brokers: what they give goes into the journal first.

A message that is redelivered after a restart is journaled again: the receiver knows rows by their
numbers and takes each once, so no note of the acks outlives the process here.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from config import Site
from config.schema import PartnerTable
from link.client import Subscriber
from link.messages import Received, Token
from link.settings import ClientSettings
from model.detections import Mode
from model.errors import ConfigError
from model.time import NS_PER_S
from sharing.agreement_file import AgreementFile
from sharing.answers import encode_back
from sharing.receive import Receiver
from sharing.release import Parties
from sharing.wire import Shared, parse_topic

log = logging.getLogger("vedette.core")

LANES = ("live", "backfill")
"""What is subscribed of each agreement; ``live.json`` is for people."""

FOREIGN_TOPIC = 200
"""Letters that are kept of a topic that a partner has no business with."""

BUDGET_BYTES_S = 2_000_000
"""What a partner may add to our journal, bytes a second for ever: 6,000 rows of 330 bytes, some ten
times what a busy border gives. At that rate 1 GB of journal takes over eight minutes to fill."""

BURST_BYTES = 16_000_000
"""What it may add at once, bytes, after a silence: more than the 20,000 rows of one refill."""


class Bucket:
    """A token bucket: how much a partner may add to our journal by now.

    It reads no clock: time is the arrival of messages. A clock that was set back gives nothing.

    Parameters
    ----------
    rate
        Bytes a second.
    burst
        Bytes in the full bucket; it begins full.
    """

    def __init__(self, rate: float = BUDGET_BYTES_S, burst: float = BURST_BYTES) -> None:
        self._rate, self._burst = rate, burst
        self._level = burst
        self._last_ns: int | None = None

    def take(self, size: int, received_ns: int) -> bool:
        """Take `size` bytes out for what came at a time; False: there are not as many."""
        self._fill(received_ns)
        if size > self._level:
            return False
        self._level -= size
        return True

    def owe(self, size: int) -> None:
        """Take out what must be written in any case; the bucket may owe it."""
        self._level -= size

    @property
    def debt_s(self) -> float:
        """Seconds until nothing is owed any more."""
        return max(0.0, -self._level / self._rate)

    def _fill(self, received_ns: int) -> None:
        if self._last_ns is not None:
            passed = max(0, received_ns - self._last_ns) / NS_PER_S
            self._level = min(self._burst, self._level + passed * self._rate)
        self._last_ns = received_ns


UNANSWERED = 50
"""Our acks that a partner's broker may leave unanswered; from then on it is not asked what it does
with them, since each that it does not answer is kept until the connection ends."""


Take = Callable[["PartnerLink", Received], None]
"""Takes a batch on the link's thread; sends the acks once all of it is durable."""


def filters_of(site: Site, giver: str) -> list[str]:
    """Topic filters of what a partner gives us; which agreements it names is judged later."""
    mode = Mode[site.mode.upper()]
    return [Shared(mode, giver, site.node, "+", lane).topic for lane in LANES]


def settings_of(site: Site, partner: PartnerTable) -> ClientSettings:
    """How the core speaks to a partner's broker.

    Raises
    ------
    ConfigError
        The site file names no broker of this partner, or its password cannot be read.
    """
    broker = partner.broker
    if broker is None:
        raise ConfigError([f"{site.path}: partner {partner.id!r}.broker: missing"])
    key = f"partner {partner.id!r}.broker.password_file"
    return ClientSettings(
        host=broker.host,
        port=broker.port,
        client_id=f"{site.topic_root.replace('/', '-')}-from-{partner.id}",
        username=broker.username,
        password=site.secret(broker.password_file, key),
        tls=site.tls(broker.tls),
        protocol=broker.protocol,
    )


class PartnerLink:
    """The connection to one partner's broker.

    Parameters
    ----------
    site
        Our site file.
    giver
        Name of the partner.
    settings
        Its broker, and our client id and credentials there.
    take
        Takes what comes, in order.

    Attributes
    ----------
    loose : list of Token
        Acks that no message carries; they go with whatever is journaled next.
    order : threading.Lock
        Held while what comes here is handed to the journal, and around `loose`.
    bucket : Bucket
        What the partner may add to the journal; only the link's own thread looks at it.
    cut : int
        Messages of which the journal got length and digest alone.
    """

    def __init__(self, site: Site, giver: str, settings: ClientSettings, take: Take) -> None:
        self.giver = giver
        self.loose: list[Token] = []
        self.order = threading.Lock()
        self.bucket = Bucket()
        self.cut = 0
        self.subscriber = Subscriber(
            settings, filters_of(site, giver), lambda received: take(self, received)
        )

    def topic_of(self, topic: str) -> str:
        """The topic under which a message of this link is journaled.

        A partner's broker may send what nobody subscribed to. Only its own node speaks there: with
        another's topic (another partner's, a sensor's of ours) it comes under one that nobody has.
        """
        said = parse_topic(topic)
        if said is not None and said.giver == self.giver:
            return topic
        return f"{self.giver}: {topic[:FOREIGN_TOPIC]}"

    def answer(self, receiver: Receiver) -> None:
        """Tell the giver what has arrived, best effort.

        It goes at QoS 1 for the broker's answer alone: of a subscription Mosquitto grants also what
        it will never deliver, so a refused ack is all that shows that we are somebody else there.
        """
        if self.giver in receiver.givers and self.subscriber.status.connected:
            topic, ack = receiver.ack_message(self.giver)
            qos = 1 if self.subscriber.unanswered < UNANSWERED else 0
            self.subscriber.publish(topic, encode_back(ack), qos=qos)

    @property
    def reason(self) -> str:
        """Why nothing can come, with the broker's name before it; empty: no reason is known."""
        status = self.subscriber.status
        why = status.reason
        if status.connected and self.subscriber.counts.refused_filters:
            why = "refuses our subscriptions"
        elif status.connected and self.subscriber.refusal:
            why = f"refuses our acks: {self.subscriber.refusal}"
        return f"{self.subscriber.settings.name}: {why}" if why else ""


class Partners:
    """All partners of a node, as its core deals with them.

    Parameters
    ----------
    site
        Our site file.
    take
        Takes what comes on a link.
    """

    def __init__(self, site: Site, take: Take) -> None:
        self._tables = site.partners
        self.agreements = site.received_agreements()
        self.links: list[PartnerLink] = []
        self._problems: dict[str, str] = {}
        for name, problem in self.agreements.problems.items():
            log.error("partner=%s no agreement: %s", name, problem)
        for partner in site.partners:
            if partner.broker is None:
                continue
            try:
                self.links.append(PartnerLink(site, partner.id, settings_of(site, partner), take))
            except ConfigError as error:  # a node works without its partners
                problem = "; ".join(error.problems)
                self._problems[partner.id] = problem
                log.error("partner=%s no link: %s", partner.id, problem)  # noqa: TRY400 - says it all

    def answer(self, receiver: Receiver | None) -> None:
        """Tell every giver what has arrived.

        Parameters
        ----------
        receiver
            After it has taken what is journaled; nothing else may be told to have arrived.
        """
        if receiver is not None:
            for link in self.links:
                link.answer(receiver)

    def status(self, receiver: Receiver | None) -> list[dict[str, Any]]:
        """Of each partner: its node, how the link stands, and what has come in; plain data."""
        links = {link.giver: link for link in self.links}
        counters = {} if receiver is None else receiver.counters()
        rows = []
        for table in self._tables:
            link = links.get(table.id)
            connected, reason = None, self._problems.get(table.id, "")
            if link is not None:
                connected, reason = link.subscriber.status.connected, link.reason
            counter = counters.get(table.id)
            ended = "" if counter is None else counter["not_in_force"]
            why = self.agreements.problems.get(table.id, "") or ended or reason
            row: dict[str, Any] = {"node": table.id, "connected": connected, "reason": reason}
            row["in"] = []
            if table.receive_agreement is not None:
                row["in"].append(_taken(counter, why))
            rows.append(row)
        return rows


def _taken(counter: dict[str, Any] | None, why_silent: str) -> dict[str, Any]:
    if counter is None:
        return {"agreement": "", "received": 0, "gaps": 0, "last_ns": None, "refused": {},
                "held": 0, "why_silent": why_silent or "no agreement is in force here"}  # fmt: skip
    return {
        "agreement": counter["agreement"],
        "received": counter["accepted"],
        "gaps": counter["gaps"],
        "last_ns": counter["latest_ns"] or None,
        "refused": counter["reasons"],
        "held": counter["held"],
        "why_silent": why_silent,
    }


def partner_problems(site: Site) -> list[str]:
    """What is wrong with the agreements and passwords that a site names, a line each."""
    problems = list(site.received_agreements().problems.values())
    for partner in site.partners:
        theirs = None if partner.broker is None else partner.broker.password_file
        files = (partner.password_file, "password_file"), (theirs, "broker.password_file")
        for file, key in files:
            try:
                site.secret(file, f"partner {partner.id!r}.{key}")
            except ConfigError as error:
                problems.extend(error.problems)
        if partner.agreement is not None:
            given = AgreementFile(
                site.path.parent / partner.agreement,
                Parties(site.node, partner.id, Mode[site.mode.upper()]),
            )
            given.look()
            problems.extend(given.problems)
    return problems
