"""A broker's side of one QoS 1 session as MQTT demands it, and a node before it that may be killed.

The broker chooses identifiers in the worst way that it may: whichever is free. Every message has a
hidden number, which only the checks look at; topics and payloads are few, so that different
messages look the same. Packets on a connection keep their order and may be lost at its end.
"""

import itertools
import json
from collections import deque
from hashlib import sha256
from typing import Any

from link.ackmark import AckMark
from link.acks import HOLD_NS, Acks
from link.messages import Carried, Incoming, Token
from link.recover import read_back
from link.redelivery import Redelivery
from link.settings import ClientSettings
from model.records import Kind, Record

FRESH_FIRST = 3
"""Choice with which the broker sends a new message before it has resent all old ones."""

SETTINGS = ClientSettings("broker", client_id="core")


class ModelBroker:
    def __init__(self, window: int, identifiers: int) -> None:
        self.window = window
        self.identifiers = identifiers
        self.queue: deque[Any] = deque()  # (number, topic, payload) not sent yet
        self.unacked: dict[int, Any] = {}  # mid -> message, in the order of first sending
        self.sent_before: set[int] = set()
        self.resend: deque[int] = deque()
        self.session = False

    def publish(self, message) -> Any:
        if self.session:
            self.queue.append(message)
            return True
        return False  # no session: nobody has subscribed

    def connect(self) -> Any:
        present, self.session = self.session, True
        self.resend = deque(self.unacked)
        return present

    def lose_session(self) -> Any:
        lost = [*self.unacked.values(), *self.queue]
        self.unacked, self.queue, self.session = {}, deque(), False
        return lost

    def next_packet(self, choose) -> Any:
        """(mid, dup, message) that it sends next, or None."""
        fresh_first = choose == FRESH_FIRST and self._free() and self.queue
        if self.resend and not fresh_first:
            mid = self.resend.popleft()
            dup = mid in self.sent_before
            self.sent_before.add(mid)
            return mid, dup, self.unacked[mid]
        free = self._free()
        if not self.queue or not free:
            return None
        mid = free[choose % len(free)]
        self.unacked[mid] = self.queue.popleft()
        self.sent_before.add(mid)
        return mid, False, self.unacked[mid]

    def _free(self) -> Any:
        if len(self.unacked) >= self.window:
            return []
        return [m for m in range(1, self.identifiers + 1) if m not in self.unacked]

    def puback(self, mid) -> Any:
        self.sent_before.discard(mid)
        return self.unacked.pop(mid, None)


class Rig:
    """Broker, network, node and journal; `journal` and `numbers` survive a kill."""

    def __init__(self, folder, window=4, identifiers=5) -> None:
        self.broker = ModelBroker(window, identifiers)
        self.path = folder / "acked"
        self.journal: list[Record] = []  # Records
        self.numbers: list[int] = []  # hidden number of each record, -1 for a tick
        self.names = itertools.count()
        self.promised: set[int] = set()  # numbers the broker took over and still owes us
        self.acked_unjournaled: list[Any] = []
        self.known_redelivered = 0
        self.mark = AckMark(self.path, SETTINGS, boot_id="same")
        self.connected = False
        self.now = 0
        self.boot()

    # the node

    def boot(self) -> Any:
        self.mark.close()
        self.mark = AckMark(self.path, SETTINGS, boot_id="same")
        self.redelivery = Redelivery()
        self.redelivery.recover(*read_back(self.mark.now, len(self.journal), self.read))
        self.acks = Acks(self, self.mark)
        self.epoch = 0
        self.queue: deque[Any] = deque()  # handed over, not journaled: (Received, numbers)
        self.durable: deque[tuple[int, list[Carried]]] = deque()  # journaled, not acked
        self.loose: list[Token] = []
        self.connected = False
        self.of_mid: dict[int, int] = {}
        self.to_node: deque[Any] = deque()
        self.to_broker: deque[int] = deque()

    def read(self, offset) -> Any:
        return iter(self.journal[offset:])

    def connect(self) -> Any:
        self.cut()
        self.epoch += 1
        present = self.broker.connect()
        self.to_node = deque()
        self.to_broker = deque()
        self.connected = True
        self.of_mid = {}
        self.redelivery.connected(self.epoch, session_present=present)
        self.mark.connected(self.epoch, len(self.journal), session_present=present)

    def cut(self) -> Any:
        self.connected = False
        self.to_node = deque()
        self.to_broker = deque()

    def kill(self) -> Any:
        self.cut()
        self.boot()

    def ack(self, tokens) -> Any:
        live = [t for t in tokens if self.connected and t.epoch == self.epoch]
        self.redelivery.acked(live)
        self.to_broker.extend(t.mid for t in live)

    # steps

    def publish(self, topic, payload) -> Any:
        number = next(self.names)
        if self.broker.publish((number, topic, payload)):
            self.promised.add(number)

    def lose_session(self) -> Any:
        self.cut()
        for number, _, _ in self.broker.lose_session():
            self.promised.discard(number)

    def send(self, choose) -> Any:
        if self.connected and (packet := self.broker.next_packet(choose)):
            self.to_node.append(packet)

    def take(self, count) -> Any:
        """The node reads up to `count` packets and hands them over as a batch."""
        if not self.connected:
            return
        batch = []
        for _ in range(min(count, len(self.to_node))):
            mid, dup, (number, topic, payload) = self.to_node.popleft()
            message = Incoming(Token(self.epoch, mid, 1), topic, payload, self.now, dup)
            self.of_mid[mid] = number
            batch.append(message)
        self._hand_over(self.redelivery.receive(batch))

    def _hand_over(self, received) -> Any:
        if received.messages or received.tokens:
            numbers = [self.of_mid[m.token.mid] for m in received.messages]
            self.queue.append((received, numbers))

    def overdue(self) -> Any:
        self.now += 2_000_000_000
        if self.connected:
            self._hand_over(self.redelivery.overdue(self.now))

    def commit(self) -> Any:
        """Everything handed over becomes durable in one go."""
        first, carried = len(self.journal), []
        while self.queue:
            received, numbers = self.queue.popleft()
            rows = received.carry(self.loose)
            for (message, tokens), number in zip(rows, numbers, strict=True):
                self._journal(Kind.MESSAGE, message.topic, message.payload, message.token.mid)
                self.numbers.append(number)
                carried.append(tokens)
        self.durable.append((first, carried))

    def _journal(self, kind, topic="", payload=b"", mid=0) -> Any:
        self.journal.append(Record(len(self.journal), kind, 0, topic, payload, mid))

    def oversize(self) -> Any:
        """The same with payloads replaced by their hashes, as an oversize record has them."""
        before = len(self.journal)
        self.commit()
        for index in range(before, len(self.journal)):
            r = self.journal[index]
            payload = json.dumps({"sha256": sha256(r.payload).hexdigest()}).encode()
            self.journal[index] = Record(r.offset, Kind.OVERSIZE, 0, r.topic, payload, r.mid)

    def tick(self) -> Any:
        self.commit()
        self.durable.append((len(self.journal), [Carried(tuple(self.loose))]))
        self.loose.clear()
        self._journal(Kind.TICK)
        self.numbers.append(-1)

    def acknowledge(self) -> Any:
        while self.durable:
            first, carried = self.durable.popleft()
            self.acks.durable(first, carried, self.now)

    def release(self) -> Any:
        self.now += HOLD_NS
        self.acknowledge()
        self.acks.tick(self.now)

    def deliver_acks(self, count) -> Any:
        for _ in range(min(count, len(self.to_broker)) if self.connected else 0):
            message = self.broker.puback(self.to_broker.popleft())
            if message is not None and message[0] not in self.numbers:
                self.acked_unjournaled.append(message)

    def settle(self) -> Any:
        """Let everything come to rest without further faults."""
        if not self.connected:
            self.connect()
        for step in range(10_000):
            if not (self.broker.queue or self.broker.unacked or self.to_node):
                break
            self.send(step)
            self.take(3)
            if step % 50 == 49:
                self.overdue()
            self.tick()
            self.release()
            self.deliver_acks(9)
        assert not self.broker.unacked
        assert not self.broker.queue
