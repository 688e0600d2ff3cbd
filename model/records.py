"""What the journal holds: every input, in one order."""

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """Kind of a journal record; the numbers are on disk: append only."""

    MESSAGE = 1
    """Bytes from an MQTT topic, as they came."""
    TICK = 2
    """A moment of the node's clock, by which silence becomes known; empty payload."""
    COMMAND = 3
    """An operator's command (JSON)."""
    PARTNER = 4
    """Bytes from a partner's broker."""
    CONFIG = 5
    """The sensors table in force from here on (MessagePack)."""
    SHED = 6
    """A decision not to use an input, with the input's offset and the reason (JSON)."""
    OVERSIZE = 7
    """A message over the size limit: JSON of its length, SHA-256 and first bytes."""
    OUTPUT = 16
    """Output log only: what a batch of inputs gave."""
    STATUS = 17
    """Output log only: how the core is doing (JSON); not a function of the inputs."""
    RECEIPTS = 18
    """Receipt log only: what was receipted since the record before (`ingest.receipts.Round`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of an append-only log.

    Parameters
    ----------
    offset
        Ordinal of the record in its log, from 0, without gaps.
    kind
        What the payload is.
    received_ns
        When the node took it in, UTC nanoseconds.
    topic
        MQTT topic, or empty.
    payload
        The bytes.
    mid
        MQTT packet identifier by which the broker knows the message; 0 if it has none.
    """

    offset: int
    kind: Kind
    received_ns: int
    topic: str
    payload: bytes
    mid: int = 0
