"""What a new process can know of the messages that the one before it journaled."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from link.ackmark import Acked
from link.redelivery import MAX_DOUBTFUL, Seen
from model.records import Kind, Record


class ReadBack(NamedTuple):
    """Arguments of `Redelivery.recover`."""

    unacked: list[Seen]
    anchors: list[Seen]
    doubtful: list[Seen]


def read_back(
    acked: Acked, end: int, read: Callable[[int], Iterator[Record]], start: int = 0
) -> ReadBack:
    """Sort the journal's tail by what is known of its acks.

    Parameters
    ----------
    acked
        From `link.ackmark.AckMark`.
    end
        The journal's end; a mark that speaks of more was written for another journal.
    read
        Gives the journal's records from an offset on.
    start
        Offset of the oldest record held.

    Returns
    -------
    ReadBack
        Messages never acked, those of them from the last connection, and those of that connection
        that may have been acked.
    """
    known = ReadBack([], [], [])
    if acked.floor > end or acked.first > end:
        return known
    stop = end if acked.stop < 0 else acked.stop
    oldest = acked.floor
    if acked.first >= 0:
        oldest = min(oldest, max(acked.first, acked.floor - MAX_DOUBTFUL))
    for record in read(max(oldest, start)):
        if record.offset >= end:
            break
        digest = digest_of(record)
        if digest is None or not record.mid:
            continue
        seen = Seen(record.mid, record.topic, digest)
        together = 0 <= acked.first <= record.offset < stop
        if record.offset >= acked.floor:
            (known.anchors if together else known.unacked).append(seen)
        elif together:
            known.doubtful.append(seen)
    return known


def digest_of(record: Record) -> bytes | None:
    """SHA-256 of the message that a record holds; None: it holds none."""
    if record.kind == Kind.MESSAGE:
        return sha256(record.payload).digest()
    if record.kind == Kind.OVERSIZE:
        return bytes.fromhex(json.loads(record.payload)["sha256"])
    return None
