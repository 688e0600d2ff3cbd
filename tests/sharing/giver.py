"""`Giver`: makes messages as a partner's publisher does, or one that breaks the agreement."""

from dataclasses import replace

import numpy as np

from model.detections import Mode
from sharing.closing import OpenTracks, close
from sharing.rows import digests_of, genesis, heads_of
from sharing.wire import Batch, encode_batch
from tests.sharing.samples import NOW_NS


class Giver:
    """Makes the messages of an honest giver, or of one that breaks the agreement."""

    def __init__(self, name="a-1", giver="north") -> None:
        self.name, self.giver = name, giver
        self.head = genesis(giver, "south", name)
        self.last = 0
        self.held = OpenTracks()

    def batch(self, rows, *, void=(), sent_ns=NOW_NS, **changes) -> Batch:
        digests = digests_of(rows)
        mask = np.zeros(len(rows), dtype=bool)
        mask[list(void)] = True
        made = Batch(
            self.giver, "south", self.name, Mode.LIVE, (self.giver,), self.last + 1, rows, mask,
            digests, self.head, sent_ns,
        )  # fmt: skip
        self.head = heads_of(self.head, self.last + 1, digests)[-1]
        self.last += len(rows)
        self.held.take(rows)
        return replace(made, **changes)

    def message(self, rows, **changes) -> bytes:
        return encode_batch(self.batch(rows, **changes))

    def close(self, **changes) -> bytes:
        everything = np.ones(len(self.held), dtype=bool)
        made = close(self.held, everything, np.ones(len(self.held), dtype=np.uint8))
        return self.message(made.rows, **changes)
