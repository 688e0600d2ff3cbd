"""What a node has stored, by sensor and boot, and the receipt that says so.

A receipt is a statement about the journal: these sequence numbers of this boot of this sensor are
in it. It is never taken back, so an old one is as true as a new one, and a lost one costs nothing
but a repetition. `Stored` follows the journal and never claims more than it has seen; beyond its
bounds it claims less.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from ingest.dedup import Intervals
from ingest.identities import Form
from model.errors import VedetteError

VERSION = 1
"""Of the receipt's form; a gateway passes over one that it does not know."""

MAX_BOOTS = 8
"""Boots remembered for a sensor and form, as `ingest.limits.Limits.max_boots`: what is no longer
told apart from a new report need not be receipted either."""

MAX_INTERVALS = 512
"""Intervals remembered for a boot. A gateway has at most `ingest.gateway.WINDOW` numbers under
way, which make at most half as many gaps: so all of them are always told exactly."""

ENTRIES_IN_RECEIPT = 64
"""Boots told in one receipt at most; more make more receipts."""

ENTRIES_RETAINED = 32
"""Boots told at least, as far as there are so many: the broker keeps the last receipt for a gateway
that comes back, and it should find itself in it."""


class Key(NamedTuple):
    """Whose numbers they are."""

    sensor: str
    form: str
    boot: str


Spans = list[tuple[int, int]]
"""Sequence numbers as closed intervals [first, last], rising, not touching."""


class Entry(msgspec.Struct, frozen=True):
    """What is stored of one boot of one sensor.

    Parameters
    ----------
    sensor, form, boot
        Whose numbers.
    seqs
        Stored whole, byte for byte.
    cut
        Too long for the node: of these only length, SHA-256 and first bytes are stored, and sending
        them again gives the same.
    """

    sensor: str
    form: str
    boot: str
    seqs: Spans
    cut: Spans = []


class Receipt(msgspec.Struct, frozen=True):
    """One message on ``receipts/<source>``.

    Parameters
    ----------
    version
        `VERSION`.
    source
        To whom.
    through
        Journal offset below which everything is taken into account.
    stored
        What is stored; boots that are not named may be stored too.
    """

    version: int
    source: str
    through: int
    stored: tuple[Entry, ...]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Receipt)


def encode_receipt(receipt: Receipt) -> bytes:
    """A receipt as JSON without spaces, keys in the order of `Receipt` and `Entry`."""
    return _ENCODER.encode(receipt)


def decode_receipt(payload: bytes) -> Receipt | str:
    """The receipt in a payload, or what is wrong with it."""
    try:
        receipt = _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)
    if receipt.version != VERSION:
        return f"version {receipt.version}, not {VERSION}"
    for entry in receipt.stored:
        if not (_rising(entry.seqs) and _rising(entry.cut)):
            return f"sensor {entry.sensor!r}, boot {entry.boot!r}: intervals do not rise"
    return receipt


def _rising(spans: Spans) -> bool:
    last = -2
    for low, high in spans:
        if low < 0 or low <= last + 1 or high < low:
            return False
        last = high
    return True


@dataclass(slots=True)
class _Numbers:
    seqs: Intervals
    cut: Intervals


class Stored:
    """Which (sensor, form, boot, seq) are in the journal.

    Work is bounded by what is noted, memory by sensors times `MAX_BOOTS` times `MAX_INTERVALS`.
    """

    def __init__(self, max_boots: int = MAX_BOOTS, max_intervals: int = MAX_INTERVALS) -> None:
        self._max_boots = max_boots
        self._max_intervals = max_intervals
        self._all: dict[Key, _Numbers] = {}
        """The last one is the one heard last."""
        self._boots: dict[tuple[str, str], dict[str, None]] = {}
        self._last: Key | None = None
        self.noted = 0
        """Messages noted so far."""
        self.changed: dict[Key, None] = {}
        """Heard of since `settled` was called last: also by a repetition, whose sender does not
        know."""

    def __len__(self) -> int:
        return len(self._all)

    def note(self, sensor: str, form: Form, boot: str, seq: int, *, cut: bool = False) -> None:
        """A message is in the journal; `cut`: only its length and digest are."""
        key = Key(sensor, form, boot)
        if key != self._last:
            self._move_to_end(key)
        self.noted += 1
        self.changed[key] = None
        numbers = self._all[key]
        (numbers.cut if cut else numbers.seqs).add(seq)

    def _move_to_end(self, key: Key) -> None:
        numbers = self._all.pop(key, None)
        boots = self._boots.setdefault((key.sensor, key.form), {})
        if numbers is None:
            numbers = _Numbers(Intervals(self._max_intervals), Intervals(self._max_intervals))
            if len(boots) >= self._max_boots:
                oldest = next(iter(boots))
                del boots[oldest]
                gone = Key(key.sensor, key.form, oldest)
                del self._all[gone]
                self.changed.pop(gone, None)
        boots.pop(key.boot, None)
        boots[key.boot] = None
        self._all[key] = numbers
        self._last = key

    def settled(self) -> None:
        """What has changed so far was told."""
        self.changed = {}

    def entry(self, key: Key) -> Entry:
        """What is stored under a key."""
        numbers = self._all[key]
        return Entry(*key, seqs=_spans(numbers.seqs), cut=_spans(numbers.cut))

    def entries(self) -> list[Entry]:
        """All that is known, in the order in which it was heard of last."""
        return [self.entry(key) for key in self._all]

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take over entries, later ones in place of earlier ones."""
        for entry in entries:
            key = Key(entry.sensor, entry.form, entry.boot)
            self._move_to_end(key)
            numbers = self._all[key]
            numbers.seqs.restore([list(span) for span in entry.seqs])
            numbers.cut.restore([list(span) for span in entry.cut])

    def receipts(
        self, source: str, sensors: frozenset[str], through: int, *, all_of: bool = False
    ) -> list[Receipt]:
        """What is to be told to a source: what has changed, filled up with what was heard last.

        Parameters
        ----------
        source, sensors
            To whom, and for which sensors it speaks.
        through
            Journal offset below which everything was noted.
        all_of
            Tell it even if nothing has changed.
        """
        changed = [key for key in self.changed if key.sensor in sensors]
        if not changed and not all_of:
            return []
        told = dict.fromkeys(reversed(changed))
        if len(told) < ENTRIES_RETAINED:
            for key in reversed(self._all):
                if key.sensor in sensors:
                    told[key] = None
                    if len(told) >= ENTRIES_RETAINED:
                        break
        keys = list(told)
        pieces = [
            keys[at : at + ENTRIES_IN_RECEIPT] for at in range(0, len(keys), ENTRIES_IN_RECEIPT)
        ]
        # The last one stays at the broker: it holds what was heard last.
        return [
            Receipt(VERSION, source, through, tuple(self.entry(key) for key in piece))
            for piece in reversed(pieces)
        ]


def _spans(numbers: Intervals) -> Spans:
    return [(first, last) for first, last in numbers.export()]


class Round(msgspec.Struct, array_like=True, frozen=True):
    """One record of the receipt log: what was receipted since the record before.

    Parameters
    ----------
    through
        Journal offset below which everything is taken into account.
    whole
        All that is known, not only what has changed: records before it are not needed.
    entries
        What is stored.
    """

    through: int
    whole: bool
    entries: tuple[Entry, ...]


_ROUND_ENCODER = msgspec.msgpack.Encoder()
_ROUND_DECODER = msgspec.msgpack.Decoder(Round)


def pack_round(one: Round) -> bytes:
    """A record of the receipt log as MessagePack."""
    return _ROUND_ENCODER.encode(one)


def unpack_round(payload: bytes) -> Round:
    """What `pack_round` packed.

    Raises
    ------
    VedetteError
        The bytes are not from it.
    """
    try:
        return _ROUND_DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise VedetteError(f"no record of receipts: {error}") from error


def fold(rounds: Iterable[Round]) -> tuple[int, Stored]:
    """Highest offset receipted, and what is known, from the records of a receipt log."""
    through, stored = 0, Stored()
    for one in rounds:
        if one.whole:
            stored = Stored()
        stored.restore(one.entries)
        through = max(through, one.through)
    stored.settled()
    return through, stored


def source_sensors(sensors: Iterable[str], sources: Iterable[Any]) -> dict[str, frozenset[str]]:
    """Sensors by source; a sensor of no source is a source of its own name.

    Parameters
    ----------
    sensors
        Names of all.
    sources
        Tables with `id` and `sensors`.
    """
    found: dict[str, set[str]] = {}
    for source in sources:
        found.setdefault(source.id, set()).update(source.sensors)
    spoken_for = set().union(*found.values()) if found else set()
    for sensor in sensors:
        if sensor not in spoken_for:
            found.setdefault(sensor, set()).add(sensor)
    return {source: frozenset(names) for source, names in found.items()}
