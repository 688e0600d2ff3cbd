"""Protocols by which rooms of one floor meet, wired together in `vedette`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from model.arrays import Array, Int32s, Int64s
from model.detections import Detections
from model.errors import Quarantined
from model.foreign import ForeignUpdates
from model.records import Kind, Record
from model.sensors import Sensors
from model.tracks import TrackUpdates


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """A batch of raw messages for one adapter, M of them, in journal order.

    Parameters
    ----------
    offset
        (M,) int64, journal offsets.
    received
        (M,) int64 ns, when the node (or the gateway that framed it) took it in.
    sensor
        (M,) int32, index of the sensor that the topic names.
    payload
        M byte strings.
    boot, seq
        (M,) bytes24 and int64 that a gateway's frame gave; empty and -1: none.
    """

    offset: Int64s
    received: Int64s
    sensor: Int32s
    payload: Sequence[bytes]
    boot: Array
    seq: Int64s

    def __len__(self) -> int:
        return len(self.payload)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What a decoder made of a batch.

    Parameters
    ----------
    detections
        Reports in the order of their messages; `offset`, `received` and `sensor` are those of the
        message (a decoder that reads a sensor id in the payload puts mismatches in `refused`).
    refused
        Items that could not be decoded, each with a reason.
    decoded
        Items (messages, sentences, frames) that were understood, with or without a detection.
    decoded_each
        (M,) int32, the same for each message of the batch; None: not told.
    """

    detections: Detections
    refused: tuple[Quarantined, ...] = ()
    decoded: int = 0
    decoded_each: Int32s | None = None


class KeyedState(Protocol):
    """What a decoder remembers between batches: bounded, keyed, and part of the snapshot.

    Values are plain data (None, bool, int, float, str, bytes, and lists and dicts of them).
    Changes count only once the whole batch has been decoded.
    """

    def get(self, key: str) -> Any | None:
        """Value put under a key, or None (never seen, or forgotten because of the bound)."""

    def put(self, key: str, value: Any) -> None:
        """Remember a value."""

    def drop(self, key: str) -> None:
        """Forget a key."""


class Adapter(Protocol):
    """From a device's bytes to detections: a pure function over batches.

    `decode` never raises on bytes, reads no clock and does no I/O. The outcome must not depend on
    how messages are cut into batches.
    """

    @property
    def name(self) -> str:
        """Name in the site file."""

    @property
    def version(self) -> str:
        """Changes whenever the same bytes decode differently."""

    def check_options(self, options: Mapping[str, Any]) -> list[str]:
        """Mistakes in a sensor's `options`, a line each."""

    def decode(self, messages: Messages, sensors: Sensors, state: KeyedState) -> Decoded:
        """Decode a batch."""


class Log(Protocol):
    """An append-only log that others read by cursor."""

    @property
    def end(self) -> int:
        """Offset that the next record will get."""

    def append(self, records: Sequence[tuple[Kind, int, str, bytes, int]]) -> int:
        """Append (kind, received_ns, topic, payload, mid) rows; returns the first offset."""

    def sync(self) -> None:
        """Make everything appended so far durable."""

    def read(self, offset: int) -> Iterator[Record]:
        """Records from `offset` to the present end."""


@dataclass(frozen=True, slots=True, eq=False)
class OutputBatch:
    """What a run of inputs gave: one record of the output log.

    Parameters
    ----------
    first, through
        Offsets of the first and the last input it covers.
    sensor_ids
        Names behind the sensor indices in the arrays.
    detections
        Gated detections, stored as received.
    updates
        Track updates.
    quarantined
        What was refused.
    published_ns
        When the core wrote it (not a function of the inputs; for latency only).
    foreign
        What partners gave.
    """

    first: int
    through: int
    sensor_ids: tuple[str, ...]
    detections: Detections
    updates: TrackUpdates
    quarantined: tuple[Quarantined, ...] = field(default=())
    published_ns: int = 0
    foreign: ForeignUpdates = field(default_factory=ForeignUpdates.empty)
