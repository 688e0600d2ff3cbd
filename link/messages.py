"""What crosses from paho's thread to the rest of the core: batches, never single messages."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Token(NamedTuple):
    """By what a message is acknowledged; it is worth something on its own connection only.

    Parameters
    ----------
    epoch
        Ordinal of the connection it came on, from 1, in this process.
    mid
        MQTT packet identifier, 1..65535; 0 at QoS 0.
    qos
        0 or 1.
    """

    epoch: int
    mid: int
    qos: int


class Incoming(NamedTuple):
    """One message as it came.

    Parameters
    ----------
    token
        By what to acknowledge it.
    topic, payload
        As sent.
    received_ns
        Arrival, UTC nanoseconds.
    dup
        The broker says that it has tried to send it before.
    retained
        A copy that the broker kept, sent because of a subscription.
    """

    token: Token
    topic: str
    payload: bytes
    received_ns: int
    dup: bool = False
    retained: bool = False


class Carried(NamedTuple):
    """What may be acknowledged once one journal record is durable.

    Parameters
    ----------
    tokens
        In order of arrival.
    own
        The last of them is the record's own; the others are of messages before it that are not
        journaled (again).
    """

    tokens: tuple[Token, ...] = ()
    own: bool = False


NOTHING = Carried()
"""Nothing to acknowledge."""


class Received(NamedTuple):
    """A batch handed over by the link, in order of arrival.

    Parameters
    ----------
    messages
        To be journaled, in order.
    tokens
        To be acknowledged, in order, once `messages` *and everything handed over before* are
        durable: those of `messages`, of recognised redeliveries and of retained copies.
    """

    messages: Sequence[Incoming]
    tokens: Sequence[Token]

    def carry(self, loose: list[Token]) -> Iterator[tuple[Incoming, Carried]]:
        """Each message with what may be acknowledged once it is durable.

        Parameters
        ----------
        loose
            Tokens left over from before; those behind the last message are left in it, for
            whatever is journaled next.
        """
        tokens = iter(self.tokens)
        for message in self.messages:
            own = message.token.qos > 0
            if own:
                for token in tokens:
                    loose.append(token)
                    if token == message.token:
                        break
            yield message, Carried(tuple(loose), own)
            loose.clear()
        loose.extend(tokens)
