"""Partners' tracks, parted by giver, agreement and path."""

import numpy as np

from console.foreign import by_giver
from console.source import Giver
from model.foreign import ForeignUpdates


def test_each_giver_agreement_and_path_is_a_table_of_its_own():
    heads = ForeignUpdates.empty(5, nodes=("south", "east"), agreements=("a/1", "b/1"))
    heads.updates.track_id[:] = [1, 2, 3, 4, 5]
    heads.giver[:] = [0, 1, 0, 0, 1]
    heads.agreement[:] = [0, 1, 0, 1, 1]
    heads.path[:, 0] = [0, 1, 0, 0, -1]
    heads.received[:] = [11, 12, 13, 14, 15]
    heads.sent[:] = [1, 2, 3, 4, 5]
    tables = by_giver(heads)
    found = {one.giver: one.updates.track_id.tolist() for one in tables}
    assert found == {
        Giver("south", "a/1", ("south",)): [1, 3],
        Giver("south", "b/1", ("south",)): [4],
        Giver("east", "b/1", ("east",)): [2],
        Giver("east", "b/1"): [5],
    }
    first = next(one for one in tables if one.giver == Giver("south", "a/1", ("south",)))
    assert first.received.tolist() == [11, 13]
    assert first.sent is not None
    assert first.sent.tolist() == [1, 3]


def test_nothing_given_is_no_table():
    assert by_giver(ForeignUpdates.empty()) == []
    heads = ForeignUpdates.empty(1, nodes=("south",), agreements=("a/1",))
    heads.giver[:], heads.agreement[:] = 0, 0
    assert by_giver(heads.take(np.zeros(0, np.int64))) == []
