"""Partners' tracks out of the output log: of each the newest head, and none for ever."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from journal.codec import pack_output
from journal.log import SegmentedLog
from journal.reader import LogReader
from model.detections import Detections
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.records import Kind
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates, UpdateReason
from vedette.foreign_picture import FADE_S, FIRST_SLOTS, ForeignPicture
from vedette.tail import LOOKBACK_S, Tail

START = 1_790_000_000 * NS_PER_S
FADE, KEPT = round(FADE_S * NS_PER_S), round(LOOKBACK_S * NS_PER_S)


@dataclass(frozen=True)
class Row:
    """A row as a test says it; times in s from `START`."""

    giver: str = "south"
    track: int = 1
    agreement: str = "a/1"
    deleted: bool = False
    head: bool = True
    received: int = 0
    life: int = 10
    """From `received` to the stale time; 0: no stale time is given."""

    @property
    def end(self) -> int:
        """Until when it may be shown, UTC ns; without a stale time from its state on."""
        received = START + self.received * NS_PER_S
        return min(received + self.life * NS_PER_S + FADE, received + KEPT)


def table(rows: Sequence[Row], first: int = 0, names: Sequence[str] = ()) -> ForeignUpdates:
    """Rows numbered from `first`; `names` stand first among the nodes and agreements."""
    nodes = tuple(dict.fromkeys([*names, *(row.giver for row in rows)]))
    agreements = tuple(dict.fromkeys([*names, *(row.agreement for row in rows)]))
    made = ForeignUpdates.empty(len(rows), nodes, agreements)
    made.giver[:] = made.path[:, 0] = [nodes.index(row.giver) for row in rows]
    made.agreement[:] = [agreements.index(row.agreement) for row in rows]
    made.seq[:] = first + np.arange(len(rows))
    made.received[:] = [START + row.received * NS_PER_S for row in rows]
    made.head[:] = [row.head for row in rows]
    updates = made.updates
    updates.track_id[:] = [row.track for row in rows]
    updates.status[:] = [Status.DELETED if row.deleted else Status.CONFIRMED for row in rows]
    updates.valid[:] = made.received
    updates.stale[:] = [
        (START + (row.received + row.life) * NS_PER_S) if row.life else 0 for row in rows
    ]
    return made.check()


def held(heads: ForeignUpdates) -> dict[tuple[str, int], tuple[str, str, int]]:
    """Agreement, path and number of the row that is shown of each track."""
    heads.check()
    found = {}
    for row in range(len(heads)):
        path = [heads.nodes[node] for node in heads.path[row].tolist() if node >= 0]
        key = heads.nodes[heads.giver[row]], int(heads.updates.track_id[row])
        assert key not in found
        found[key] = heads.agreements[heads.agreement[row]], path[0], int(heads.seq[row])
    return found


def reference(rows: Sequence[Row], now_ns: int) -> dict[tuple[str, int], tuple[str, str, int]]:
    """The same, one row at a time."""
    newest: dict[tuple[str, int], tuple[int, Row]] = {}
    for number, row in enumerate(rows):
        key = row.giver, row.track
        if not row.head:
            continue
        if not row.deleted:
            newest[key] = number, row
        elif key in newest and newest[key][1].agreement == row.agreement:
            del newest[key]
    return {
        key: (row.agreement, row.giver, number)
        for key, (number, row) in newest.items()
        if row.end >= now_ns
    }


ROWS = st.lists(
    st.builds(
        Row,
        giver=st.sampled_from(["south", "east"]),
        track=st.integers(1, 4),
        agreement=st.sampled_from(["a/1", "a/2"]),
        deleted=st.booleans(),
        head=st.sampled_from([True, True, True, False]),
        life=st.sampled_from([0, 1, 10, 200, 5_000]),
        received=st.just(0),
    ),
    max_size=40,
)
PAUSES = st.lists(st.sampled_from([0, 0, 0, 1, 40, 250, 320]), min_size=40, max_size=40)
CUTS = st.lists(st.integers(0, 40), max_size=8)


def paced(rows: Sequence[Row], pauses: Sequence[int]) -> list[Row]:
    """Rows that came one after another."""
    at = np.cumsum(pauses[: len(rows)]).tolist()
    return [
        Row(r.giver, r.track, r.agreement, r.deleted, r.head, t, r.life)
        for r, t in zip(rows, at, strict=True)
    ]


def pieces(rows: Sequence[Row], cuts: Sequence[int]) -> list[tuple[int, Sequence[Row]]]:
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    return [(low, rows[low:high]) for low, high in pairwise(edges)]


@given(ROWS, PAUSES, CUTS, st.sampled_from([0, 5, 299, 301, 330, 599, 601]))
def test_the_picture_is_that_of_one_row_at_a_time(rows, pauses, cuts, later) -> None:
    came = paced(rows, pauses)
    picture = ForeignPicture(LOOKBACK_S)
    now_ns = START
    for number, (first, piece) in enumerate(pieces(came, cuts)):
        picture.take([table(piece, first, ["x", "east"][: number % 3])])  # names in any order
        now_ns = START + piece[-1].received * NS_PER_S
        picture.forget(now_ns)
        assert held(picture.heads(now_ns)) == reference(came[: first + len(piece)], now_ns)
    now_ns += later * NS_PER_S
    wanted = reference(came, now_ns)
    assert held(picture.heads(now_ns)) == wanted  # also while nothing comes
    picture.forget(now_ns)
    assert held(picture.heads(now_ns)) == wanted
    assert len(picture) == len(wanted)


@given(ROWS, PAUSES, CUTS)
def test_several_tables_at_once_are_the_same_as_one_after_another(rows, pauses, cuts) -> None:
    came = paced(rows, pauses)
    picture = ForeignPicture(LOOKBACK_S)
    picture.take([table(piece, first) for first, piece in pieces(came, cuts)])
    now_ns = START + (came[-1].received if came else 0) * NS_PER_S
    assert held(picture.heads(now_ns)) == reference(came, now_ns)


def test_rows_come_out_as_they_went_in_however_many_there_are() -> None:
    rng = np.random.default_rng(3)
    count = 3 * FIRST_SLOTS + 7
    rows = table([Row(track=1 + i, giver="se"[i % 2]) for i in range(count)])
    rows.updates.state[:] = rng.normal(size=(count, 6))
    rows.updates.number[:] = [f"A{i:04d}".encode() for i in range(count)]
    rows.sent[:] = rng.integers(1, 10**18, count)
    picture = ForeignPicture(LOOKBACK_S)
    picture.take([rows])
    picture.take([table([Row(track=5, giver="s", deleted=True)])])
    heads = picture.heads(START)
    order = np.argsort(heads.seq)
    wanted = rows.take(np.arange(count) != 4)
    for name, column in {**wanted.columns(), **wanted.updates.columns()}.items():
        part = heads if name in wanted.columns() else heads.updates
        assert np.array_equal(
            getattr(part, name)[order], column, equal_nan=column.dtype.kind == "f"
        ), name
    assert heads.nodes == ("s", "e")
    heads.updates.state[:] = 0.0  # a copy: nobody's picture but the reader's
    assert picture.heads(START).updates.state.any()


def test_a_new_agreement_keeps_its_tracks_when_the_old_one_is_closed() -> None:
    picture = ForeignPicture(LOOKBACK_S)
    picture.take([table([Row(track=1), Row(track=2)])])
    picture.take([table([Row(track=1, agreement="a/2")], 2)])
    over = table([Row(track=1, deleted=True), Row(track=2, deleted=True)])
    over.updates.reason[:] = UpdateReason.WITHDRAWN
    picture.take([over])
    assert held(picture.heads(START)) == {("south", 1): ("a/2", "south", 2)}


def test_rows_of_long_ago_that_are_caught_up_on_are_not_shown() -> None:
    """After an outage the ledger is read again: each row is the newest of its track as it comes."""
    rows = table([Row(received=5_000)])
    rows.updates.valid[:], rows.updates.stale[:] = START, START + 10 * NS_PER_S
    picture = ForeignPicture(LOOKBACK_S)
    picture.take([rows])
    assert not len(picture.heads(START + 5_000 * NS_PER_S))


# -- out of the log


def output(number: int, rows: Sequence[Row], first: int) -> bytes:
    foreign = table(rows, first)
    foreign.updates.known_offset[:] = number
    foreign.updates.n[:] = np.arange(len(rows))
    batch = OutputBatch(
        first=number,
        through=number,
        sensor_ids=("radar",),
        detections=Detections.empty(),
        updates=TrackUpdates.empty(),
        foreign=foreign,
    )
    return pack_output(batch)


def write(log: SegmentedLog, came: Sequence[Row], cuts: Sequence[int] = ()) -> int:
    """Write rows as outputs, stamped when their last row came in; returns that time."""
    now_ns = START
    for number, (first, piece) in enumerate(pieces(came, cuts)):
        now_ns = START + piece[-1].received * NS_PER_S + 7
        log.append([(Kind.OUTPUT, now_ns, "", output(number, piece, first), 0)])
    return now_ns


def followed(reader: LogReader, now_ns: int) -> Tail:
    tail = Tail(reader)
    while tail.look(now_ns):
        pass
    return tail


@given(ROWS, PAUSES, CUTS, st.sampled_from([0, 100, 300, 599]))
def test_a_serve_started_late_shows_what_one_shows_that_was_always_there(
    tmp_path_factory, rows, pauses, cuts, later
) -> None:
    folder = tmp_path_factory.mktemp("outputs")
    came = paced(rows, pauses)
    with SegmentedLog(folder, durable=False) as log, LogReader(folder) as reader:
        # Rows of one record came in together, as one input: so they do from a core.
        came = [
            Row(r.giver, r.track, r.agreement, r.deleted, r.head, piece[-1].received, r.life)
            for _, piece in pieces(came, cuts)
            for r in piece
        ]
        now_ns = write(log, came, cuts) + later * NS_PER_S
        always, late = followed(reader, START), followed(reader, now_ns)
        wanted = reference(came, now_ns)
        assert held(always.foreign(now_ns)) == wanted
        assert held(late.foreign(now_ns)) == wanted
        always.look(now_ns)
        assert len(always._foreign) == len(wanted)  # what is not shown any more is let go


def test_the_picture_begins_anew_with_the_log(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path / "log", durable=False) as log:
        write(log, [Row(track=1), Row(track=2)], [1])
    reader = LogReader(tmp_path / "log")
    tail = followed(reader, START)
    assert set(held(tail.foreign(START))) == {("south", 1), ("south", 2)}
    reader.close()
    for file in (tmp_path / "log").iterdir():
        file.unlink()
    with SegmentedLog(tmp_path / "log", durable=False) as log:
        write(log, [Row(track=3)])
        again: Any = LogReader(tmp_path / "log")
        tail._reader = again
        assert tail.look(START) == 0
        assert not len(tail.foreign(START))
        assert tail.resets == 1
        assert tail.look(START) == 1
        assert set(held(tail.foreign(START))) == {("south", 3)}
        assert not len(tail.tracks)  # never an own track
        again.close()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(1, 8))
def test_of_too_many_the_ones_that_came_in_longest_ago_are_dropped(tracks, limit) -> None:
    picture = ForeignPicture(LOOKBACK_S, limit)
    expected: dict[int, None] = {}
    for number, track in enumerate(tracks):
        part = table([Row(track=track, received=number)], number)
        part.updates.known_offset[:] = number
        picture.take([part])
        expected.pop(track, None)
        expected[track] = None
        expected = dict.fromkeys(list(expected)[-limit:])
        assert len(picture) <= limit
        shown = picture.heads(START + number * NS_PER_S).updates.track_id
        assert set(shown.tolist()) == set(expected)


def test_a_picture_is_bounded_whatever_partners_give() -> None:
    picture = ForeignPicture(LOOKBACK_S, 500)
    for first in range(0, 3_000, 1_000):
        part = table([Row(track=track) for track in range(first, first + 1_000)], first)
        part.updates.known_offset[:] = first
        part.updates.n[:] = range(1_000)
        picture.take([part])
    assert sorted(picture.heads(START).updates.track_id.tolist()) == list(range(2_500, 3_000))
