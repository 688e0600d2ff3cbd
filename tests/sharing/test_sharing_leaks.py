"""The eyes of the acceptance test: they see what leaks, and nothing else."""

import json

import numpy as np
import pytest

from sharing.release import transform
from sharing.wire import encode_json
from tests.sharing.giver import Giver
from tests.sharing.leaks import leaks_for_people, leaks_in_ledger
from tests.sharing.samples import IN_HOLE, INSIDE, OUTSIDE, agreement, of_class, updates

AGREED = agreement()
NAMED = agreement(more="share_identity = true")


def seen(rows) -> tuple[list[str], list[str]]:
    message = json.loads(encode_json(Giver().batch(rows)))
    return leaks_for_people(message, AGREED), leaks_in_ledger([rows], AGREED)


def test_what_is_agreed_is_no_leak() -> None:
    rows = transform(updates(3), AGREED)
    assert seen(rows) == ([], [])
    giver = Giver()
    giver.batch(rows)
    giver.close()
    assert giver.last == 6


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"state": [*np.radians(OUTSIDE), 0, 0, 0, 0]}, "outside"),
        ({"state": [*np.radians(IN_HOLE), 0, 0, 0, 0]}, "excluded"),
        ({"classes": of_class("human")}, "a human"),
        ({"classes": 0}, "a unknown"),
        ({"identity_kind": 2, "identity": b"276000001"}, "an identity"),
    ],
)
def test_what_leaks_is_seen(columns, word) -> None:
    rows = updates(3)
    rows.state[:, :2] = np.radians(INSIDE)
    for name, value in columns.items():
        getattr(rows, name)[1] = value
    rows = transform(rows, NAMED)
    if word == "an identity":
        assert rows.identity_kind[1]
    told, written = seen(rows)
    assert len(told) == len(written) == 1
    assert word in told[0]
    assert word in written[0]


def test_where_it_came_from_is_seen() -> None:
    rows = updates(2)
    rows.known_offset[:] = 4
    assert len(seen(rows)[1]) == 2
