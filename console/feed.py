"""The feed's byte layout: flat typed arrays, little endian, no text parsing in the hot path.

A message is a header of 64 bytes, then the columns of three tables one after another, then text.
Every column, and the text, starts at the next multiple of 8; the gaps are zero. A reader needs the
counts of the header and the tables below, nothing else.

Header
------
======  ======  ==============  =========================================================
offset  type    name            meaning
======  ======  ==============  =========================================================
0       4 x u1  magic           ``VDTF``
4       u2      version         2; another number means another layout
6       u2      kind            1 snapshot (forget all, then read), 2 delta
8       u4      sequence        number of the picture; acknowledge it (below)
12      u4      heads           H, rows of the table of heads
16      u4      labels          L, rows of the table of labels
20      u4      deleted         D, tracks that are gone
24      u4      tentative       own tentative tracks, which are never sent
28      u4      text_bytes      bytes of UTF-8 JSON at the end, 0: none
32      i8      server          the server's time, UTC ns
40      i8      newest          newest valid time of any own track, UTC ns; 0: no track yet
48      i8      core            when the core last gave a sign of life, UTC ns; 0: not known
56      8 x u1  reserved        zero
======  ======  ==============  =========================================================

A track is named by ``giver`` and ``track_id`` together: two nodes may number alike.

Heads: a row for each confirmed or coasting track whose head changed
--------------------------------------------------------------------
===============  =======  =====================================================================
track_id         i8       > 0
valid            f8       ms since 1970 UTC with three decimals: the time of the state
lat, lon         i4, i4   1e-7 degrees (1.1 cm); -2147483648: no position
height           f4       m HAE; NaN: never measured
velocity         3 x f4   m/s east, north, up; NaN: never measured
covariance       10 x f4  upper triangle by rows, of (E, N, vE, vN): m², m²/s, m²/s²
existence        f4       probability that it is real
life             f4       s from valid until it should no longer be shown as current; NaN: not given
received         f4       s from valid until this node knew it; NaN: not known
sent             f4       s from valid until its giver sent it; NaN: own, or not known
revision         u4       updates of this track so far
giver            u2       index into ``nodes`` of the text; 0: a track of this node
status, reason   u1, u1   `model.tracks.Status`, `model.tracks.UpdateReason`
===============  =======  =====================================================================

Labels: a row for each such track of which one of these changed
---------------------------------------------------------------
===================  =======  ===================================================================
track_id             i8
number               8 x u1   spoken number in ASCII, padded with zeros
identity             24 x u1  what a cooperative mover says it is, UTF-8, padded with zeros
sensors              8 x i2   indices into ``sensors`` of the text, rising; -1: none (foreign: all)
giver                u2       as in heads
classification       u1       index into ``classes`` of the text
class_probability    u1       percent
affiliation          u1       `model.tracks.Affiliation`
identity_kind        u1       `model.detections.IdentityKind`
mode                 u1       `model.detections.Mode`
===================  =======  ===================================================================

Deleted: ``track_id`` i8, then ``giver`` u2, of each track that left the picture; also of one that
came and went between two messages, so that the reader never had it.

Text: a JSON object ``{"node", "sensors": [id, ...], "classes": [label, ...], "nodes": [{"node",
"agreement", "path": [node, ...]}, ...]}``; in every snapshot, and in a delta when one of them
changed. ``nodes[0]`` is this node; the list only grows.

A reader answers every message with 4 bytes, its ``sequence`` as u4. One message is under way to a
reader at a time; what happens meanwhile is folded into the next, so a slow reader gets the newest
picture when it can take it, and nothing queues for it, neither here nor in the kernel.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np

from console.source import Giver
from model.arrays import Array, Int64s
from model.detections import IDENTITY_BYTES
from model.taxonomy import UNKNOWN
from model.time import NS_PER_US
from model.tracks import MAX_SENSORS, TrackUpdates

MAGIC = b"VDTF"
VERSION = 2
ALIGN = 8
"""Bytes; JavaScript's typed arrays refuse to look at a buffer that is not aligned."""

NO_POSITION = -(2**31)
E7_PER_RAD = 1e7 * 180.0 / np.pi
"""1e-7 degrees per radian."""

US_PER_MS = 1000.0
"""Microseconds per millisecond."""

HORIZONTAL = (0, 1, 3, 4, 6, 8, 9, 15, 16, 18)
"""Where (E, N, vE, vN) stand in the upper triangle by rows of (E, N, U, vE, vN, vU)."""

HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("version", "<u2"),
        ("kind", "<u2"),
        ("sequence", "<u4"),
        ("heads", "<u4"),
        ("labels", "<u4"),
        ("deleted", "<u4"),
        ("tentative", "<u4"),
        ("text_bytes", "<u4"),
        ("server", "<i8"),
        ("newest", "<i8"),
        ("core", "<i8"),
        ("reserved", "V8"),
    ]
)
HEAD = np.dtype(
    [
        ("track_id", "<i8"),
        ("valid", "<f8"),
        ("lat", "<i4"),
        ("lon", "<i4"),
        ("height", "<f4"),
        ("velocity", "<f4", (3,)),
        ("covariance", "<f4", (10,)),
        ("existence", "<f4"),
        ("life", "<f4"),
        ("received", "<f4"),
        ("sent", "<f4"),
        ("revision", "<u4"),
        ("giver", "<u2"),
        ("status", "u1"),
        ("reason", "u1"),
    ]
)
LABEL = np.dtype(
    [
        ("track_id", "<i8"),
        ("number", "u1", (8,)),
        ("identity", "u1", (IDENTITY_BYTES,)),
        ("sensors", "<i2", (MAX_SENSORS,)),
        ("giver", "<u2"),
        ("classification", "u1"),
        ("class_probability", "u1"),
        ("affiliation", "u1"),
        ("identity_kind", "u1"),
        ("mode", "u1"),
    ]
)
DELETED = np.dtype([("track_id", "<i8"), ("giver", "<u2")])

OWN = 0
"""The giver of this node's own tracks."""

SERVER_AT = 32
"""Offset of the server's time, which is stamped on a message as it leaves."""

ACK = np.dtype("<u4")
"""What a reader sends back: the sequence that it has taken in."""


class Kind(IntEnum):
    """What a message replaces."""

    SNAPSHOT = 1
    DELTA = 2


@dataclass(frozen=True, slots=True, eq=False)
class FeedMessage:
    """One message of the feed.

    Parameters
    ----------
    kind, sequence, tentative, server, newest, core
        As in the header.
    heads, labels
        Rows of dtype `HEAD` (H,) and `LABEL` (L,).
    deleted
        Rows of dtype `DELETED` (D,).
    text
        UTF-8 JSON, or empty.
    """

    kind: Kind
    sequence: int
    tentative: int
    server: int
    newest: int
    core: int
    heads: Array
    labels: Array
    deleted: Array
    text: bytes = b""


def head_rows(
    updates: TrackUpdates,
    giver: int = OWN,
    received: Int64s | None = None,
    sent: Int64s | None = None,
) -> Array:
    """Heads (U,) of dtype `HEAD`.

    Parameters
    ----------
    updates
        Track updates in SI and radians.
    giver
        Index of the node that gave them.
    received, sent
        (U,) int64 UTC ns when this node knew each and when its giver sent it, 0: not known;
        None: `known` of the updates, and not sent by anybody.
    """
    rows = np.zeros(len(updates), HEAD)
    rows["track_id"] = updates.track_id
    rows["valid"] = updates.valid // NS_PER_US / US_PER_MS  # exact in a double, unlike * 1e-6
    lat, lon = updates.state[:, 0], updates.state[:, 1]
    known = (np.abs(lat) <= np.pi / 2) & np.isfinite(lon)  # NaN compares false
    wrapped = np.mod(np.where(known, lon, 0.0) + np.pi, 2 * np.pi) - np.pi
    rows["lat"] = np.where(known, np.rint(np.where(known, lat, 0.0) * E7_PER_RAD), NO_POSITION)
    rows["lon"] = np.where(known, np.rint(wrapped * E7_PER_RAD), NO_POSITION)
    rows["height"] = updates.state[:, 2]
    rows["velocity"] = updates.state[:, 3:]
    rows["covariance"] = updates.covariance[:, HORIZONTAL]
    rows["existence"] = updates.existence
    rows["life"] = np.where(updates.stale > 0, (updates.stale - updates.valid) * 1e-9, np.nan)
    rows["received"] = _since(updates.valid, updates.known if received is None else received)
    rows["sent"] = np.nan if sent is None else _since(updates.valid, sent)
    rows["revision"] = updates.revision
    rows["giver"] = giver
    rows["status"] = updates.status
    rows["reason"] = updates.reason
    return rows


def _since(valid: Int64s, times: Int64s) -> Array:
    """Seconds from `valid` to `times`; NaN where a time is not known."""
    return np.where(times > 0, (times - valid) * 1e-9, np.nan)


def label_rows(updates: TrackUpdates, giver: int = OWN) -> Array:
    """Labels (U,) of dtype `LABEL`, from track updates that `giver` gave.

    Sensor indices of a foreign track mean nothing here: it names none.
    """
    count = len(updates)
    rows = np.zeros(count, LABEL)
    rows["track_id"] = updates.track_id
    rows["number"] = updates.number.astype("S8").view("u1").reshape(count, 8)
    rows["identity"] = (
        updates.identity.astype(f"S{IDENTITY_BYTES}").view("u1").reshape(count, IDENTITY_BYTES)
    )
    # rising and without the order of hearing, so that a label changes only when the set does
    absent = np.iinfo(np.int32).max
    sensors = np.sort(np.where(updates.sensors < 0, absent, updates.sensors), axis=1)
    rows["sensors"] = np.where((sensors == absent) | (giver != OWN), -1, sensors)
    rows["giver"] = giver
    best = updates.classes.argmax(axis=1) if count else np.zeros(0, np.int64)
    probability = updates.classes[np.arange(count), best]
    rows["classification"] = np.where(probability > 0, best, UNKNOWN)
    rows["class_probability"] = np.rint(100 * np.clip(probability, 0.0, 1.0))
    rows["affiliation"] = updates.affiliation
    rows["identity_kind"] = updates.identity_kind
    rows["mode"] = updates.mode
    return rows


def deleted_rows(track_ids: Int64s, giver: int = OWN) -> Array:
    """Rows (D,) of dtype `DELETED`."""
    rows = np.zeros(len(track_ids), DELETED)
    rows["track_id"], rows["giver"] = track_ids, giver
    return rows


def text_of(
    node: str,
    sensors: tuple[str, ...],
    classes: tuple[str, ...],
    givers: tuple[Giver, ...] = (),
) -> bytes:
    """Names behind the indices, as the text of a message; `givers` are those from 1 on."""
    nodes = [Giver(node), *givers]
    return msgspec.json.encode(
        {"node": node, "sensors": sensors, "classes": classes, "nodes": nodes}
    )


def _padding(length: int) -> bytes:
    return bytes(-length % ALIGN)


def encode(message: FeedMessage) -> bytes:
    """Bytes of a message, as laid out above."""
    header = np.zeros(1, HEADER)
    header["magic"] = MAGIC
    header["version"] = VERSION
    header["kind"] = message.kind
    header["sequence"] = message.sequence
    header["heads"] = len(message.heads)
    header["labels"] = len(message.labels)
    header["deleted"] = len(message.deleted)
    header["tentative"] = message.tentative
    header["text_bytes"] = len(message.text)
    header["server"] = message.server
    header["newest"] = message.newest
    header["core"] = message.core
    parts = [header.tobytes()]
    for table in (message.heads, message.labels, message.deleted):
        for name in table.dtype.names or ():
            column = table[name].tobytes()  # a field of a packed row is strided: this packs it
            parts += (column, _padding(len(column)))
    parts.append(message.text)
    return b"".join(parts)


def decode(data: bytes) -> FeedMessage:
    """A message from its bytes: the reader's side, for programs and tests in Python.

    Raises
    ------
    ValueError
        If the bytes are no message of this version, or are cut short or too long.
    """
    if len(data) < HEADER.itemsize:
        raise ValueError(f"feed: {len(data)} bytes are less than a header")
    header: Any = np.frombuffer(data, HEADER, 1)[0]
    if header["magic"] != MAGIC or header["version"] != VERSION:
        raise ValueError(
            f"feed: magic {data[:4]!r} version {header['version']} is not {MAGIC!r} {VERSION}"
        )
    place = HEADER.itemsize

    def column(dtype: np.dtype[Any], rows: int) -> Array:
        nonlocal place
        length = rows * dtype.itemsize
        if place + length > len(data):
            raise ValueError(f"feed: {len(data)} bytes are less than the header announces")
        values = np.frombuffer(data, dtype, rows, place)
        place += length + (-length % ALIGN)
        return values

    def table(dtype: np.dtype[Any], rows: int) -> Array:
        values = np.zeros(rows, dtype)
        for name in dtype.names or ():
            values[name] = column(dtype[name], rows)
        return values

    heads = table(HEAD, int(header["heads"]))
    labels = table(LABEL, int(header["labels"]))
    deleted = table(DELETED, int(header["deleted"]))
    text = data[place : place + int(header["text_bytes"])]
    if len(data) != place + int(header["text_bytes"]):
        raise ValueError(f"feed: {len(data)} bytes are not what the header announces")
    try:
        kind = Kind(int(header["kind"]))
    except ValueError:
        raise ValueError(f"feed: kind {header['kind']} is not known") from None
    return FeedMessage(
        kind=kind,
        sequence=int(header["sequence"]),
        tentative=int(header["tentative"]),
        server=int(header["server"]),
        newest=int(header["newest"]),
        core=int(header["core"]),
        heads=heads,
        labels=labels,
        deleted=deleted,
        text=text,
    )
