"""Which redelivered messages are in the journal already.

A message that was journaled but whose PUBACK never reached the broker is sent again on the next
connection. To journal it twice would be a second detection; to drop a message that only looks the
same (packet identifiers come round, and two equal AIS sentences are common) would be a loss. So a
redelivery is recognised only where it *must* be the same message, given what MQTT demands of the
broker (numbers of MQTT 5.0; 3.1.1 says the same):

* an identifier is not used for another message before its PUBACK has come (MQTT-2.2.1-3,
  MQTT-4.3.2-1);
* un-acked messages of a session are sent again on reconnect, flagged DUP, under their
  identifiers (MQTT-4.4.0-1, MQTT-3.3.1-1), in the order in which they were first sent
  (MQTT-4.6.0-1).

`docs/link.md` has the argument in full. Nothing here does I/O.
"""

import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from link.messages import Incoming, Received, Token

MAX_DOUBTFUL = 4_096
"""Messages whose PUBACK was sent but may be lost that are remembered, newest first."""

HOLD_S = 1.0
"""How long redeliveries that may be known wait for proof, s; then they count as new."""


class Seen(NamedTuple):
    """A journaled message of an earlier connection.

    Parameters
    ----------
    mid
        Packet identifier.
    topic
        Its topic.
    digest
        SHA-256 of its payload.
    """

    mid: int
    topic: str
    digest: bytes


class _Entry(NamedTuple):
    topic: str
    digest: bytes
    epoch: int


class Redelivery:
    """Sorts what comes into new messages and known ones, over all connections of a session.

    Three sets, all keyed by packet identifier:

    *unacked*
        received, and no PUBACK was ever handed to the network: while the session lives, the
        identifier belongs to that message, so a DUP with it is that message.
    *doubtful*
        received on one and the same earlier connection, PUBACK handed over but perhaps lost. A DUP
        that looks like one of them proves to be known when an unacked message of that same
        connection (the *anchor*) is redelivered behind it.
    *recent*
        what becomes *doubtful* when the present connection ends.

    Methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch = 0
        self._unacked: dict[int, _Entry] = {}
        self._doubtful: dict[int, _Entry] = {}
        self._doubtful_epoch = 0
        self._recent: dict[int, _Entry] = {}
        self._arrived = False
        self._held: list[Incoming] = []
        self._candidates = 0
        self._held_since_ns = 0
        self.redelivered = 0
        self.retained = 0
        self.undecided = 0

    def recover(
        self, unacked: Iterable[Seen], anchors: Iterable[Seen], doubtful: Iterable[Seen]
    ) -> None:
        """Take over from a process that died, before the first connection.

        Parameters
        ----------
        unacked
            Journaled, certainly never acked; received on any connection of the session.
        anchors
            Those of them that came on the session's last connection (of which the dead process
            wrote down where it began).
        doubtful
            Journaled from that same connection, perhaps acked. Of equal identifiers the later wins.
        """
        with self._lock:
            self._doubtful_epoch = 0
            self._unacked = {s.mid: _Entry(s.topic, s.digest, -1) for s in unacked}
            self._unacked |= {s.mid: _Entry(s.topic, s.digest, 0) for s in anchors}
            self._doubtful = {s.mid: _Entry(s.topic, s.digest, 0) for s in doubtful}

    def connected(self, epoch: int, *, session_present: bool) -> None:
        """A connection stands; nothing has come on it yet."""
        with self._lock:
            # What was held was neither journaled nor acked: the broker will send it again.
            self._held.clear()
            self._candidates = 0
            if not session_present:
                self._unacked.clear()
                self._doubtful.clear()
            elif self._arrived:
                self._doubtful, self._doubtful_epoch = self._recent, self._epoch
            self._recent = {}
            self._arrived = False
            self._epoch = epoch

    def receive(self, messages: Sequence[Incoming]) -> Received:
        """Sort a batch in order of arrival.

        Returns
        -------
        Received
            What is to be journaled and what to be acked by now; some of this batch may be held
            for a later call, and some of earlier ones may be in it.
        """
        fresh: list[Incoming] = []
        tokens: list[Token] = []
        with self._lock:
            for message in messages:
                if message.token.epoch == self._epoch:
                    self._sort(message, fresh, tokens)
        return Received(fresh, tokens)

    def overdue(self, now_ns: int) -> Received:
        """Give up on what was held for longer than `HOLD_S` at `now_ns`: it counts as new."""
        fresh: list[Incoming] = []
        tokens: list[Token] = []
        if self._held:
            with self._lock:
                if self._held and now_ns - self._held_since_ns > HOLD_S * 1e9:
                    self._release(fresh, tokens, known=False)
        return Received(fresh, tokens)

    def acked(self, tokens: Iterable[Token]) -> None:
        """PUBACKs of the present connection are *about to be* handed to the network."""
        with self._lock:
            for token in tokens:
                entry = self._unacked.get(token.mid)
                if entry is None or token.epoch != self._epoch or entry.epoch != token.epoch:
                    continue
                del self._unacked[token.mid]
                self._recent.pop(token.mid, None)  # the newest use of an identifier stands last
                self._recent[token.mid] = entry
                if len(self._recent) > MAX_DOUBTFUL:
                    del self._recent[next(iter(self._recent))]

    def _sort(self, message: Incoming, fresh: list[Incoming], tokens: list[Token]) -> None:
        """Decide about one message, or hold it."""
        mid = message.token.mid
        if message.dup and mid and not message.retained:
            digest = sha256(message.payload).digest()
            known = self._unacked.get(mid)
            if known is not None and known[:2] == (message.topic, digest):
                if self._candidates and known.epoch == self._doubtful_epoch:
                    self._release(fresh, tokens, known=True)
                elif self._candidates:
                    self._hold(message, candidate=False)
                    return
                self._know(message, digest, tokens)
                return
            if known is None and self._doubtful_matches(mid, message.topic, digest):
                self._hold(message, candidate=True)
                return
        # Anything else ends the run of redeliveries in which proof could come.
        self._release(fresh, tokens, known=False)
        self._admit(message, fresh, tokens)

    def _doubtful_matches(self, mid: int, topic: str, digest: bytes) -> bool:
        entry = self._doubtful.get(mid)
        if entry is None or entry[:2] != (topic, digest):
            return False
        return any(e.epoch == self._doubtful_epoch for e in self._unacked.values())

    def _hold(self, message: Incoming, *, candidate: bool) -> None:
        if not self._held:
            self._held_since_ns = message.received_ns
        self._held.append(message)
        self._candidates += candidate

    def _release(self, fresh: list[Incoming], tokens: list[Token], *, known: bool) -> None:
        """Decide about all that is held, in order."""
        held, self._held = self._held, []
        self._candidates = 0
        for message in held:
            digest = sha256(message.payload).digest()
            entry = self._unacked.get(message.token.mid)
            if known or (entry is not None and entry[:2] == (message.topic, digest)):
                self._know(message, digest, tokens)
            else:
                self.undecided += 1
                self._admit(message, fresh, tokens)

    def _know(self, message: Incoming, digest: bytes, tokens: list[Token]) -> None:
        self.redelivered += 1
        self._note(message, digest)
        tokens.append(message.token)

    def _admit(self, message: Incoming, fresh: list[Incoming], tokens: list[Token]) -> None:
        if message.retained:
            self.retained += 1
            self._doubtful.pop(message.token.mid, None)
            self._recent.pop(message.token.mid, None)
        else:
            if message.token.qos:
                self._note(message, sha256(message.payload).digest())
            fresh.append(message)
        if message.token.qos:
            tokens.append(message.token)

    def _note(self, message: Incoming, digest: bytes) -> None:
        """From here until our PUBACK its identifier belongs to this message."""
        mid = message.token.mid
        self._arrived = True
        self._doubtful.pop(mid, None)
        self._recent.pop(mid, None)
        self._unacked[mid] = _Entry(message.topic, digest, self._epoch)
