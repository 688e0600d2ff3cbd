"""A child process that gives without end, until it is killed. ``python -m ... LEDGER SOURCE``.

SOURCE is a folder of JSON lines, a line for each input that was "sent"; what stands there was
durable in the ledger before.
"""

import sys
from pathlib import Path

from sharing.lane import Lane
from sharing.ledger import Ledger
from tests.sharing.samples import NOW_NS, PARTIES, agreement, updates
from vedette.local.process import watch_parent


def inputs(offset: int):
    """What the node's fusion gives for one input: a function of its offset alone."""
    rows = updates(1 + offset % 3)
    rows.known_offset[:] = offset
    rows.n[:] = range(len(rows))
    rows.track_id[:] = 1 + (offset * 7 + rows.n) % 11
    rows.revision[:] = offset + 1
    if offset % 5 == 4:
        rows.state[:, 0] = 0.0  # outside: what is held is withdrawn
    return rows


def main() -> None:
    watch_parent()
    ledger = Ledger(Path(sys.argv[1]), PARTIES, "a-1", segment_bytes=200_000)
    lane = Lane(ledger, PARTIES)
    lane.put(agreement())
    with Path(sys.argv[2]).open("a") as sent:
        while True:
            offset = ledger.through + 1
            lane.review(NOW_NS)
            entry = lane.take(inputs(offset), offset, NOW_NS)
            if entry is not None:
                sent.write(f"{entry.first} {entry.last} {entry.heads[-1].hex()}\n")
                sent.flush()


if __name__ == "__main__":
    main()
