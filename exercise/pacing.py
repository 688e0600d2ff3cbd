"""From messages that are due to messages that the broker has: the publishing part of `replay`.

Clock, sleep and the MQTT client are given in. `link.publisher.Publisher` fits `Sender`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from exercise.replaying import Due
from model.errors import LinkError
from model.time import NS_PER_S


class Outcome(Protocol):
    """What became of messages; counts since the sender was made."""

    @property
    def sent(self) -> int:
        """Given to the network."""

    @property
    def stored(self) -> int:
        """Acknowledged by the broker."""

    @property
    def unmatched(self) -> int:
        """Acknowledged, but nobody had subscribed: gone."""

    @property
    def refused(self) -> int:
        """Refused by the broker."""

    @property
    def resent(self) -> int:
        """Sent again on a new connection."""


class Sender(Protocol):
    """Publishes at QoS 1."""

    @property
    def counts(self) -> Outcome:
        """What became of everything so far."""

    @property
    def failed(self) -> BaseException | None:
        """Why it will never send again, or None."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Take one message over; it is kept until it is answered, also where this raises."""

    def flush(self) -> Outcome:
        """Wait until everything has been answered."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as the caller has it.

    Parameters
    ----------
    now_ns
        Monotonic nanoseconds.
    sleep
        Waits for some seconds.
    """

    now_ns: Callable[[], int]
    sleep: Callable[[float], None]


def paced(
    messages: Iterable[Due], clock: Clock, speed: float, begin_ns: tuple[int, int] | None = None
) -> Iterator[Due]:
    """Messages, each when it is due; of those that are late, each at once.

    Parameters
    ----------
    messages
        In the order of their due times.
    clock
        To wait with.
    speed
        How much faster than recorded; 0: at once.
    begin_ns
        A due time, and when that is by the clock; None: that of the first message, and then.
    """
    first_ns, started = (None, None) if begin_ns is None else begin_ns
    for message in messages:
        if speed > 0.0:
            if started is None or first_ns is None:
                started, first_ns = clock.now_ns(), message.due_ns
            due = started + round((message.due_ns - first_ns) / speed)
            wait_ns = due - clock.now_ns()
            if wait_ns > 0:
                clock.sleep(wait_ns / NS_PER_S)
        yield message


def publish(
    messages: Iterable[Due],
    sender: Sender,
    *,
    on_sent: Callable[[], None] = lambda: None,
    on_trouble: Callable[[LinkError], None] = lambda _: None,
) -> Outcome:
    """Publish messages and wait until the broker has answered all of them.

    A broker that is away is waited for, as long as the caller lets it.

    Parameters
    ----------
    messages
        In order, each when it is due.
    sender
        Publishes them.
    on_sent
        Called after each message.
    on_trouble
        Called whenever the broker has been away or silent for the sender's patience.

    Raises
    ------
    LinkError
        If the sender has ended for good.
    """
    for message in messages:
        try:
            sender.publish(message.topic, message.payload)
        except LinkError as error:
            _outlast(sender, error, on_trouble)
        on_sent()
    try:
        return sender.flush()
    except LinkError as error:
        return _outlast(sender, error, on_trouble)


def _outlast(sender: Sender, error: LinkError, on_trouble: Callable[[LinkError], None]) -> Outcome:
    """Wait until what the sender holds has been answered after all."""
    while sender.failed is None:
        on_trouble(error)
        try:
            return sender.flush()
        except LinkError as again:
            error = again
    raise error
