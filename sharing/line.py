"""`Line`: one connection to the node's own broker, both ways; when it breaks it is over.

It publishes at QoS 1 like every `Publisher`. A `Publisher` sends what was unanswered again on its
next connection, whenever that comes; a row must not go out after its agreement has ended, so a
line has no next connection: what was not delivered on it is left to the ledger, and a new line is
made. Answers are subscribed at QoS 0: each repeats all that the one before said.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from link.publisher import Published, Publisher
from link.settings import ClientSettings
from model.errors import LinkError

PATIENCE_S = 2.0
"""How long to wait for the PUBACKs of some messages, s."""

INBOX = 256
"""Answers kept at most; of more the oldest are dropped, since newer ones say more."""


class Line(Publisher):
    """Publishes and hears answers on one connection.

    Parameters
    ----------
    settings
        Where and how.
    filters
        Topic filters of the answers.
    """

    def __init__(self, settings: ClientSettings, filters: Sequence[str]) -> None:
        super().__init__(settings, patience_s=PATIENCE_S)
        self._filters = tuple(filters)
        self.inbox: deque[tuple[str, bytes]] = deque(maxlen=INBOX)
        self.over = False
        """The connection has ended; make a new line."""

    def deliver(self, messages: Sequence[tuple[str, bytes]]) -> Published | None:
        """Publish messages and wait for the answers; None: the line is over, or was never up."""
        if self.over or not self.status.connected:
            return None
        try:
            return self.publish_all(messages)
        except LinkError:
            self.over = True
            return None

    def _connected(self, client: Any, properties: Any) -> None:
        super()._connected(client, properties)
        client.subscribe([(topic_filter, 0) for topic_filter in self._filters])

    def _message(self, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # nothing of ours is named so
            return
        if not message.retain:
            self.inbox.append((topic, bytes(message.payload)))

    def _disconnected(self) -> None:
        self.over = True
        self._failed = LinkError("the line is over")  # so that nobody waits for an answer
        self._stopping.set()
