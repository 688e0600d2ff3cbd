"""Acks after durability, in order, with one held back as an anchor.

When a process is killed between handing PUBACKs to the network and the broker's reading them,
only a message that was *not* acked can prove which redeliveries are known (`link.redelivery`). So
the newest ack of a run of batches waits for the next batch, or for `HOLD_NS`. A batch of one
message with nothing waiting is acked at once: a broker whose window is a single message must not
be slowed down.
"""

import threading
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from link.ackmark import AckMark
from link.messages import Carried, Token

HOLD_NS = 200_000_000
"""Longest that an ack is held back as an anchor, ns."""


class Sends(Protocol):
    """Who sends acks: `link.client.Subscriber`."""

    def ack(self, tokens: Sequence[Token]) -> None:
        """Send PUBACKs."""


class Acks:
    """Sends the acks of batches once they are durable.

    Parameters
    ----------
    subscriber
        Who sends them.
    mark
        Where is written down, before they are sent, that they may have been.
    """

    def __init__(self, subscriber: Sends, mark: AckMark) -> None:
        self._subscriber = subscriber
        self._mark = mark
        self._lock = threading.Lock()
        self._anchor: tuple[int, Token] | None = None
        self._anchor_since_ns = 0

    def durable(self, first: int, carried: Sequence[Carried], now_ns: int) -> None:
        """Records from offset `first` on are durable: acknowledge what they carry.

        Parameters
        ----------
        first
            Offset of the first record.
        carried
            What each carries, in order.
        now_ns
            The clock.
        """
        with self._lock:
            waiting = [
                (offset, token)
                for offset, (tokens, _) in enumerate(carried, first)
                for token in tokens
            ]
            if not waiting:
                return
            if self._anchor is not None:
                waiting.insert(0, self._anchor)
                self._anchor = None
            last = carried[waiting[-1][0] - first]
            floor = waiting[-1][0] + 1
            if len(waiting) > 1 and last.own:
                self._anchor = waiting.pop()
                self._anchor_since_ns = now_ns
                floor -= 1
            for epoch, group in groupby(waiting, key=lambda one: one[1].epoch):
                rows = list(group)
                self._mark.durable(epoch, rows[0][0], floor)
                self._subscriber.ack([token for _, token in rows])

    def tick(self, now_ns: int) -> None:
        """Send the held ack if it has waited long enough; `now_ns` is the clock."""
        with self._lock:
            if self._anchor is not None and now_ns - self._anchor_since_ns >= HOLD_NS:
                self._release()

    def release(self) -> None:
        """Send the held ack now."""
        with self._lock:
            if self._anchor is not None:
                self._release()

    def _release(self) -> None:
        if self._anchor is not None:
            offset, token = self._anchor
            self._anchor = None
            self._mark.durable(token.epoch, offset, offset + 1)
            self._subscriber.ack([token])
