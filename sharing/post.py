"""`Post`: a publisher's dealings with the node's own broker; keeps a `Line` up."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from link.publisher import Published
from link.settings import ClientSettings
from sharing.answers import Ack, Control, decode_ack, decode_control
from sharing.line import Line
from sharing.release import Parties
from sharing.wire import Batch, Refused, Shared, encode_batch, encode_json, parse_topic

UNHEARD_S = 1.0
"""Who subscribes to the form for people gets it from so much later on at the latest, s."""

STOP_S = 0.5
"""How long a broken line may take to end, s."""


class Post:
    """Sends batches, and collects answers; nothing that was not delivered is kept.

    Parameters
    ----------
    settings
        The broker, and the publisher's own client id and credentials there.
    parties
        Who gives to whom.
    """

    def __init__(self, settings: ClientSettings, parties: Parties) -> None:
        self._settings = settings
        self._filters = [
            Shared(parties.mode, parties.giver, parties.receiver, "+", answer).topic
            for answer in ("ack", "control")
        ]
        self._line: Line | None = None
        self._sent = Published()
        self._away = 0
        self._unheard_s = 0.0
        self._heard = False
        self.bad_answers = 0
        """Answers that could not be used."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._line is not None and not self._line.over and self._line.status.connected

    def connect(self) -> None:
        """Have a line; a broken one is replaced. Does not wait."""
        if self._line is not None and (self._line.over or self._line.failed is not None):
            self._line.stop(STOP_S)
            self._line = None
        if self._line is None:
            self._line = Line(self._settings, self._filters)
            self._line.start()

    def close(self) -> None:
        """Disconnect."""
        if self._line is not None:
            self._line.stop()
            self._line = None

    def send(self, batch: Batch, lane: str) -> bool:
        """Send a batch; returns whether the broker has it and somebody has subscribed."""
        published = self._deliver(batch.topic(lane), encode_batch(batch))
        if published is None:
            self._away += 1
            return False
        self._sent = Published(*map(sum, zip(self._sent, published, strict=True)))
        return published.stored == 1

    def tell(self, batch: Batch, now_s: float) -> None:
        """Send a batch in the form for people, best effort.

        It costs twice what all the rest of giving costs, and mostly nobody reads it. So as long as
        nobody does, no more than one row is tried, once in `UNHEARD_S`; where the broker has
        somebody for that, the others follow.

        Parameters
        ----------
        batch
            What was sent.
        now_s
            A clock that never goes back, s.
        """
        if not self.connected or batch.void.all() or now_s < self._unheard_s:
            return
        start = 0
        if not self._heard:
            start = int(np.flatnonzero(~batch.void)[0]) + 1
            self._heard = self._told(encode_json(batch, 0, start), batch, now_s)
        if self._heard and not batch.void[start:].all():
            self._heard = self._told(encode_json(batch, start), batch, now_s)

    def _told(self, payload: bytes, batch: Batch, now_s: float) -> bool:
        """Send the form for people; returns whether there are any."""
        published = self._deliver(batch.topic("live.json"), payload)
        if published is not None and published.unmatched:
            self._unheard_s = now_s + UNHEARD_S
        return published is not None and not published.unmatched

    def _deliver(self, topic: str, payload: bytes) -> Published | None:
        return None if self._line is None else self._line.deliver([(topic, payload)])

    def answers(self) -> Iterator[Ack | Control]:
        """What receivers have answered; what makes no sense is counted and left out."""
        while self._line is not None and self._line.inbox:
            topic, payload = self._line.inbox.popleft()
            said = parse_topic(topic)
            answer: Ack | Control | Refused | None = None
            if said is not None:
                answer = decode_ack(payload) if said.lane == "ack" else decode_control(payload)
            if (
                said is None
                or not isinstance(answer, Ack | Control)
                or answer.agreement != said.agreement
            ):
                self.bad_answers += 1
            else:
                yield answer

    def status(self) -> dict[str, Any]:
        """How it is doing, plain data; counts are of batches since the start."""
        return {
            "broker": self._settings.name,
            "connected": self.connected,
            "reason": "" if self._line is None else self._line.status.reason,
            "stored": self._sent.stored,
            "unmatched": self._sent.unmatched,
            "refused_by_broker": self._sent.refused,
            "not_sent": self._away,
            "bad_answers": self.bad_answers,
        }
