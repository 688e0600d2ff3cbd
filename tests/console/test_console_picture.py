"""Whoever applies the messages holds the picture, however seldom he looks."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from console.feed import FeedMessage, Kind
from console.picture import DELETIONS_KEPT, Picture
from console.source import ForeignTracks, Giver
from model.tracks import Status, TrackUpdates
from tests.console.moving import SENSORS, MovingSource

NOW = 1_772_366_400_000_000_000


class Reader:
    """Applies messages as the page does."""

    def __init__(self) -> None:
        self.heads: dict[tuple[int, int], bytes] = {}
        self.labels: dict[tuple[int, int], bytes] = {}
        self.sequence: int | None = None
        self.text = b""

    def take(self, message: FeedMessage) -> None:
        if message.kind is Kind.SNAPSHOT:
            self.heads, self.labels = {}, {}
        for row in message.deleted:
            self.heads.pop(name(row), None)  # it may have come and gone unseen
            self.labels.pop(name(row), None)
        self.heads.update({name(row): row.tobytes() for row in message.heads})
        self.labels.update({name(row): row.tobytes() for row in message.labels})
        self.text = message.text or self.text
        self.sequence = message.sequence


def name(row: Any) -> tuple[int, int]:
    return int(row["giver"]), int(row["track_id"])


def given_by(node: str, rows: dict[int, tuple[int, int]]) -> ForeignTracks:
    updates = some_tracks(rows)
    return ForeignTracks(Giver(node), updates, updates.valid + 1)


def some_tracks(rows: dict[int, tuple[int, int]]) -> TrackUpdates:
    """Tracks by id: (status, revision)."""
    updates = TrackUpdates.empty(len(rows))
    updates.track_id[:] = list(rows)
    updates.status[:] = [status for status, _ in rows.values()]
    updates.revision[:] = [revision for _, revision in rows.values()]
    updates.valid[:] = [NOW + revision for _, revision in rows.values()]
    updates.authority_epoch[:] = 1
    updates.affiliation[:] = [revision % 2 for _, revision in rows.values()]
    return updates


pictures = st.dictionaries(
    st.integers(1, 6), st.tuples(st.sampled_from([0, 1, 2]), st.integers(1, 3))
)


foreign = st.dictionaries(st.sampled_from(["south", "east"]), pictures)


@given(st.lists(st.tuples(pictures, foreign, st.booleans(), st.sampled_from([0, 1, 2]))))
def test_a_reader_that_looks_at_any_times_holds_the_whole_picture(steps):
    picture, reader = Picture("n"), Reader()
    for rows, partners, looks, sensors in steps:
        given = [given_by(node, heads) for node, heads in partners.items()]
        picture.update(some_tracks(rows), SENSORS[:sensors], given)
        if not looks:
            continue
        reader.take(picture.message(reader.sequence, NOW, NOW))
        fresh = Reader()
        fresh.take(picture.message(None, NOW, NOW))
        assert (reader.heads, reader.labels, reader.text) == (
            fresh.heads,
            fresh.labels,
            fresh.text,
        )
        nodes = [one["node"] for one in json.loads(fresh.text)["nodes"]]
        wanted = {"n": rows} | partners
        assert {(nodes[giver], track) for giver, track in fresh.heads} == {
            (node, i) for node in wanted for i, (status, _) in wanted[node].items() if status != 0
        }


def test_the_same_id_of_two_nodes_is_two_tracks():
    picture, reader = Picture("n"), Reader()
    both = {1: (1, 1)}
    picture.update(some_tracks(both), SENSORS, [given_by("south", both), given_by("east", both)])
    reader.take(picture.message(None, NOW, NOW))
    assert set(reader.heads) == {(0, 1), (1, 1), (2, 1)}
    picture.update(some_tracks(both), SENSORS, [given_by("east", both)])
    reader.take(picture.message(reader.sequence, NOW, NOW))
    assert set(reader.heads) == {(0, 1), (2, 1)}


def test_a_new_giver_is_named_and_keeps_its_number():
    picture = Picture("n")
    picture.update(some_tracks({}), SENSORS)
    picture.update(some_tracks({}), SENSORS, [given_by("south", {4: (1, 1)})])
    message = picture.message(1, NOW, NOW)
    assert json.loads(message.text)["nodes"][1]["node"] == "south"
    picture.update(some_tracks({}), SENSORS)
    picture.update(some_tracks({}), SENSORS, [given_by("south", {5: (1, 1)})])
    message = picture.message(2, NOW, NOW)
    assert message.text == b""
    assert message.heads[["giver", "track_id"]].tolist() == [(1, 5)]
    assert message.deleted.tolist() == [(4, 1)]


def test_the_newest_time_and_the_tentative_count_are_of_own_tracks():
    picture = Picture("n")
    picture.update(some_tracks({1: (0, 1)}), SENSORS, [given_by("south", {1: (0, 3), 2: (1, 3)})])
    message = picture.message(None, NOW, NOW)
    assert (message.newest, message.tentative) == (NOW + 1, 1)


def test_only_what_changed_is_sent():
    picture = Picture("n")
    picture.update(some_tracks({1: (1, 1), 2: (1, 1), 3: (1, 1)}), SENSORS)
    picture.update(some_tracks({1: (1, 3), 2: (1, 2), 4: (1, 1)}), SENSORS)
    message = picture.message(1, NOW, NOW)
    assert message.kind is Kind.DELTA
    assert message.heads["track_id"].tolist() == [1, 2, 4]
    assert message.labels["track_id"].tolist() == [2, 4]  # 1 kept its affiliation
    assert message.deleted.tolist() == [(3, 0)]
    assert message.text == b""


def test_the_same_picture_again_is_an_empty_message():
    source = MovingSource(40, clock=lambda: NOW)
    picture = Picture("n")
    for _ in range(2):
        picture.update(source.tracks(), SENSORS)  # holds NaN, which equals itself here
    message = picture.message(1, NOW, NOW)
    assert (len(message.heads), len(message.labels), len(message.deleted)) == (0, 0, 0)
    assert message.newest == source.tracks().valid.max()
    assert message.tentative == np.count_nonzero(source.tracks().status == Status.TENTATIVE)


def test_a_track_twice_counts_once_with_its_last_row():
    picture = Picture("n")
    twice = TrackUpdates.concat([some_tracks({1: (1, 1)}), some_tracks({1: (2, 2)})])
    picture.update(twice, SENSORS)
    heads = picture.message(None, NOW, NOW).heads
    assert heads["revision"].tolist() == [2]


def test_a_reader_behind_the_remembered_deletions_gets_a_snapshot():
    picture = Picture("n")
    picture.update(some_tracks({1: (1, 1)}), SENSORS)
    for _ in range(DELETIONS_KEPT):
        picture.keep()
    assert picture.message(1, NOW, NOW).kind is Kind.DELTA
    picture.update(some_tracks({}), SENSORS)
    assert picture.message(2, NOW, NOW).deleted.tolist() == [(1, 0)]
    assert picture.message(0, NOW, NOW).kind is Kind.SNAPSHOT
    far: Any = picture.sequence + 5
    assert picture.message(far, NOW, NOW).kind is Kind.SNAPSHOT  # of another life of the server


def test_when_the_last_track_goes_the_newest_time_stays():
    picture = Picture("n")
    picture.update(some_tracks({1: (1, 2)}), SENSORS)
    picture.update(some_tracks({}), SENSORS)
    assert picture.message(None, NOW, NOW).newest == NOW + 2
