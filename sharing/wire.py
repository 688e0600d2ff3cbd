"""What crosses the border: topics, and the messages under them.

Below ``vedette/<giver>/shared/<receiver>/<agreement>/`` (``vedette-exercise/...`` in an exercise),
on the giver's broker:

============  =========  ==================================================================
topic         direction  payload
============  =========  ==================================================================
`live`        out        MessagePack: a batch of rows, as they are released
`backfill`    out        the same, rows that the receiver misses
`live.json`   out        JSON, one object a batch: the rows of `live` for people, best effort
`ack`         back       JSON: what the receiver has (`sharing.answers`)
`control`     back       JSON: what it asks for
============  =========  ==================================================================

A batch is a MessagePack map: ``version`` 1, ``giver``, ``receiver``, ``agreement``, ``mode``,
``path`` (nodes passed, the giver first), ``first`` (sequence number of the first row), ``count``,
``columns`` (name to bytes, little-endian, as in `sharing.rows`), ``void`` (a byte a row: 1 where
the row is stood for by its digest; empty: nowhere), ``digests`` (of those rows, 32 bytes each),
``before`` and ``after`` (heads of the chain), ``sent_ns``. Bytes from outside never raise: they
give a `Refused`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np

from model.arrays import Bools
from model.detections import IdentityKind, Mode
from model.errors import Reason
from model.taxonomy import CLASSES
from model.time import iso_from_ns
from model.tracks import Affiliation, Status, TrackUpdates, UpdateReason
from sharing.agreement import NAME
from sharing.rows import DIGEST_BYTES, column_bytes, digests_of, heads_of, rows_of

VERSION = 1
"""Of the batch."""

MAX_ROWS = 2_500
"""Rows that one batch may have: 0.83 MB, so none is longer than a receiver takes (1 MiB)."""

MAX_SEQ = 2**62
"""Above every sequence number."""

LANES = ("live", "backfill")
"""Last topic levels under which batches come."""

STATUSES, REASONS, AFFILIATIONS, IDENTITIES = (
    [member.name.lower() for member in names]
    for names in (Status, UpdateReason, Affiliation, IdentityKind)
)

POSITION_BLOCK = (0, 1, 6, 2, 7, 11)
"""Where EE, EN, NN, EU, NU, UU stand in the upper triangle by rows of the 6 x 6 covariance."""


class Refused(NamedTuple):
    """Why bytes or a topic were not taken."""

    reason: Reason
    detail: str


class Shared(NamedTuple):
    """What a topic says."""

    mode: Mode
    giver: str
    receiver: str
    agreement: str
    lane: str

    @property
    def topic(self) -> str:
        """The topic."""
        root = "vedette-exercise" if self.mode == Mode.EXERCISE else "vedette"
        return f"{root}/{self.giver}/shared/{self.receiver}/{self.agreement}/{self.lane}"


def parse_topic(topic: str) -> Shared | None:
    """What a topic of this room says, or None."""
    levels = topic.split("/")
    if len(levels) != 6 or levels[2] != "shared":
        return None
    mode = {"vedette": Mode.LIVE, "vedette-exercise": Mode.EXERCISE}.get(levels[0])
    names = (levels[1], levels[3], levels[4])
    if mode is None or not all(NAME.fullmatch(name) for name in names):
        return None
    return Shared(mode, *names, levels[5])


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive rows on their way.

    Parameters
    ----------
    giver, receiver, agreement, mode
        Under which they are given.
    path
        Nodes that they passed, the giver first.
    first
        Sequence number of the first row.
    rows
        (U,) the rows; those that are void are empty.
    void
        (U,) bool: rows that may not be given any more, and are stood for by their digests.
    digests
        U digests, of every row.
    before
        Head of the chain before the first row.
    sent_ns
        When they were sent, UTC ns of the giver.
    chain
        `heads`, where they are known already.
    """

    giver: str
    receiver: str
    agreement: str
    mode: Mode
    path: tuple[str, ...]
    first: int
    rows: TrackUpdates
    void: Bools
    digests: list[bytes]
    before: bytes
    sent_ns: int
    chain: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def last(self) -> int:
        """Sequence number of the last row."""
        return self.first + len(self) - 1

    @cached_property
    def heads(self) -> list[bytes]:
        """Head of the chain after each row."""
        return self.chain or heads_of(self.before, self.first, self.digests)

    def topic(self, lane: str) -> str:
        """Topic of a lane for this batch."""
        return Shared(self.mode, self.giver, self.receiver, self.agreement, lane).topic


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    giver: str
    receiver: str
    agreement: str
    mode: str
    path: list[str]
    first: int
    count: int
    columns: dict[str, bytes]
    void: bytes
    digests: bytes
    before: bytes
    after: bytes
    sent_ns: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)

_FAILURES = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


def encode_batch(batch: Batch) -> bytes:
    """A batch as bytes."""
    void = batch.void
    rows = batch.rows
    if void.any():  # nothing of such a row may be in the message, not even by mistake
        rows = TrackUpdates.concat([rows])
        blank = TrackUpdates.empty(1)
        for name, values in rows.columns().items():
            values[void] = getattr(blank, name)[0]
    return _encoder.encode(
        _Wire(
            version=VERSION,
            giver=batch.giver,
            receiver=batch.receiver,
            agreement=batch.agreement,
            mode=batch.mode.name.lower(),
            path=list(batch.path),
            first=batch.first,
            count=len(batch),
            columns=column_bytes(rows),
            void=void.astype(np.uint8).tobytes() if void.any() else b"",
            digests=b"".join(batch.digests[row] for row in np.flatnonzero(void).tolist()),
            before=batch.before,
            after=batch.heads[-1],
            sent_ns=batch.sent_ns,
        )
    )


def decode_batch(payload: bytes) -> Batch | Refused:
    """The batch that bytes hold, its chain checked within itself; or why they hold none."""
    try:
        wire = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        return Refused(Reason.BAD_SHAPE, str(error)[:200])
    except _FAILURES as error:
        return Refused(Reason.NOT_MSGPACK, str(error)[:200])
    if wire.version != VERSION:
        return Refused(Reason.UNSUPPORTED, f"version {wire.version}; this node knows {VERSION}")
    mode = {"live": Mode.LIVE, "exercise": Mode.EXERCISE}.get(wire.mode)
    if mode is None:
        return Refused(Reason.BAD_FIELD, f"mode {wire.mode[:32]!r}")
    if not 1 <= wire.count <= MAX_ROWS:
        return Refused(Reason.OUT_OF_RANGE, f"count {wire.count} does not lie in 1..{MAX_ROWS}")
    if not 1 <= wire.first <= MAX_SEQ - wire.count:
        return Refused(Reason.OUT_OF_RANGE, f"first {wire.first} is no sequence number")
    if not 0 <= wire.sent_ns < 2**63:
        return Refused(Reason.OUT_OF_RANGE, f"sent_ns {wire.sent_ns} is no time")
    if not 1 <= len(wire.path) <= 64 or not all(NAME.fullmatch(name) for name in wire.path):
        return Refused(Reason.BAD_FIELD, "path holds no names of nodes")
    if len(wire.before) != DIGEST_BYTES or len(wire.after) != DIGEST_BYTES:
        return Refused(Reason.BAD_FIELD, f"before and after must have {DIGEST_BYTES} bytes")
    void = np.zeros(wire.count, dtype=np.bool_)
    if wire.void:
        flags = np.frombuffer(wire.void, np.uint8)
        if len(flags) != wire.count or flags.max() > 1:
            return Refused(Reason.BAD_FIELD, f"void must have {wire.count} bytes of 0 or 1")
        void = flags.astype(np.bool_)
    if len(wire.digests) != DIGEST_BYTES * int(void.sum()):
        return Refused(Reason.BAD_FIELD, "digests do not fit void")
    try:
        rows = rows_of(wire.columns, wire.count)
    except ValueError as error:
        return Refused(Reason.BAD_SHAPE, str(error))
    digests = digests_of(rows)
    for index, row in enumerate(np.flatnonzero(void).tolist()):
        digests[row] = wire.digests[DIGEST_BYTES * index : DIGEST_BYTES * (index + 1)]
    batch = Batch(
        giver=wire.giver,
        receiver=wire.receiver,
        agreement=wire.agreement,
        mode=mode,
        path=tuple(wire.path),
        first=wire.first,
        rows=rows,
        void=void,
        digests=digests,
        before=wire.before,
        sent_ns=wire.sent_ns,
    )
    if batch.heads[-1] != wire.after:
        return Refused(Reason.BAD_CHAIN, "the rows do not lead from before to after")
    return batch


def encode_json(batch: Batch, low: int = 0, high: int | None = None) -> bytes:
    """A batch for people: degrees, ISO times, one object on one line; void rows are left out.

    Parameters
    ----------
    batch
        What was sent.
    low, high
        Of it, the rows from `low` on and before `high`.
    """
    high = len(batch) if high is None else high
    return msgspec.json.encode(
        {
            "version": VERSION,
            "giver": batch.giver,
            "receiver": batch.receiver,
            "agreement": batch.agreement,
            "mode": batch.mode.name.lower(),
            "first": batch.first + low,
            "last": batch.first + high - 1,
            "sent": iso_from_ns(batch.sent_ns),
            "tracks": _tracks(batch, low, high),
        }
    )


def _tracks(batch: Batch, low: int, high: int) -> list[dict[str, Any]]:
    """Rows for people; columns become plain numbers first, which is faster than row by row."""
    index = low + np.flatnonzero(~batch.void[low:high])
    rows = batch.rows.take(index)
    plain = {name: values.tolist() for name, values in rows.columns().items()}
    degrees = np.degrees(rows.state[:, :2]).tolist()
    found = []
    for row, seq in enumerate((batch.first + index).tolist()):
        track = {
            "seq": seq,
            "id": str(plain["track_id"][row]),  # text: JavaScript's numbers end at 2**53
            "number": plain["number"][row].decode("ascii", "replace"),
            "revision": plain["revision"][row],
            "status": STATUSES[plain["status"][row]],
            "reason": REASONS[plain["reason"][row]],
            "time": iso_from_ns(plain["valid"][row]),
        }
        if track["reason"] != "withdrawn":
            track |= _state(plain, degrees[row], row)
        found.append(track)
    return found


def _state(plain: dict[str, list[Any]], place: list[float], row: int) -> dict[str, Any]:
    state, covariance = plain["state"][row], plain["covariance"][row]
    kind, stale = plain["identity_kind"][row], plain["stale"][row]
    identity = plain["identity"][row].decode("utf-8", "replace")
    # NaN, which means not measured, becomes null: JSON has no other word.
    return {
        "lat": place[0],
        "lon": place[1],
        "alt_m": state[2],
        "east_mps": state[3],
        "north_mps": state[4],
        "up_mps": state[5],
        "existence": plain["existence"][row],
        "covariance_m2": [covariance[place] for place in POSITION_BLOCK],
        "class": {
            label: round(value, 4)
            for label, value in zip(CLASSES, plain["classes"][row], strict=True)
            if value > 0
        },
        "affiliation": AFFILIATIONS[plain["affiliation"][row]],
        "identity": {IDENTITIES[kind]: identity} if kind else None,
        "stale": iso_from_ns(stale) if stale > 0 else None,
    }
