"""The partner *south*: takes what *north* gives it, as a node does, and remembers every row."""

import threading
import time
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks.chaos.traffic import NODE, SIDE, SPACING_M
from benchmarks.reports import REGION
from link.client import Subscriber
from link.messages import Received
from link.settings import ClientSettings
from model.detections import Mode
from model.foreign import ForeignUpdates
from model.time import NS_PER_S, iso_from_ns
from sharing.agreement import Agreement, parse_agreement
from sharing.answers import encode_back
from sharing.receive import Receiver
from sharing.release import Parties

PARTNER = "south"
AGREEMENT = "faults"
PARTIES = Parties(NODE, PARTNER)

ACK_S = 0.3
"""Pause between two answers to the giver, s."""

VALID_NS = 86_400 * NS_PER_S
"""The agreement holds from a day ago for two days."""


def agreement_text(now_ns: int) -> str:
    """The agreement: the eastern half of the field, so that movers on its edge are withdrawn.

    Parameters
    ----------
    now_ns
        UTC ns.
    """
    half = SPACING_M * SIDE
    corners = np.array([[0.0, -half], [half, -half], [half, half], [0.0, half]])
    places = np.degrees(
        REGION.geodetic_from_plane(corners[:, 0], corners[:, 1], np.zeros(len(corners)))[:, :2]
    )
    since, until = iso_from_ns(now_ns - VALID_NS), iso_from_ns(now_ns + VALID_NS)
    return f"""\
[agreement]
id = "{AGREEMENT}"
giver = "{NODE}"
receiver = "{PARTNER}"
purpose = "fault tests"
valid_from = {since}
valid_until = {until}
classes = ["land_vehicle", "unknown"]
mode = "live"

[[area]]
polygon = {places.round(6).tolist()}
"""


class Partner:
    """Connects to the giver's broker with a session of its own; nothing is done to it.

    Parameters
    ----------
    agreement
        The agreement's file.
    host, port, protocol
        The giver's broker.
    """

    def __init__(self, agreement: Path, broker: ClientSettings) -> None:
        self.agreement: Agreement = parse_agreement(agreement.read_text(), agreement.name)
        self._receiver = Receiver({NODE: self.agreement}, PARTNER, Mode.LIVE)
        self._lock = threading.Lock()
        self._parts: list[ForeignUpdates] = []
        self._messages = 0
        self.refused: list[str] = []
        root = f"vedette/{NODE}/shared/{PARTNER}/+"
        self._subscriber = Subscriber(broker, [f"{root}/live", f"{root}/backfill"], self._take)
        self._stopping = threading.Event()
        self._acks = threading.Thread(target=self._answer, name="partner", daemon=True)

    def __enter__(self) -> Self:
        self._subscriber.start()
        self._acks.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._acks.join()
        self._subscriber.stop(2.0)

    def _take(self, batch: Received) -> None:
        with self._lock:
            for message in batch.messages:
                found = self._receiver.take(
                    message.payload, message.topic, message.received_ns, self._messages
                )
                self._messages += 1
                self._parts.append(found.rows)
                self.refused += [f"{one.reason}: {one.detail}" for one in found.refused]
        self._subscriber.ack(batch.tokens)

    def _answer(self) -> None:
        while not self._stopping.wait(ACK_S):
            with self._lock:
                self._receiver.expire(time.time_ns(), self._messages)
                topic, ack = self._receiver.ack_message(NODE)
            if self._subscriber.status.connected:
                self._subscriber.publish(topic, encode_back(ack))

    @property
    def contiguous(self) -> int:
        """Sequence number up to which every row has arrived."""
        with self._lock:
            return int(self._receiver.ack(NODE)["contiguous"])

    @property
    def rows(self) -> ForeignUpdates:
        """All rows taken, in order of arrival."""
        with self._lock:
            return ForeignUpdates.concat(self._parts)
