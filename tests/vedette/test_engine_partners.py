"""Partners' tracks in the engine: journaled inputs like any other, and never detections."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.registry import load_all
from config import engine_config
from config.engine import engine_payload, with_agreements
from config.schema import LimitsTable, RegionTable, SensorTable
from journal.codec import pack, pack_output, unpack, unpack_output
from model.errors import Reason, VedetteError
from model.foreign import ForeignUpdates
from model.records import Kind, Record
from model.tracks import Status, UpdateReason
from sharing.release import transform
from tests.sharing.giver import Giver
from tests.sharing.samples import (
    INSIDE,
    NOW_NS,
    OUTSIDE,
    SECOND,
    UNTIL_NS,
    agreement,
    text,
    updates,
)
from vedette.after import after
from vedette.engine import Engine

LIVE = "vedette/north/shared/south/a-1/live"
ALONE = engine_payload(
    "south",
    "live",
    RegionTable(lat=59.2, lon=28.0, radius_km=50.0),
    [SensorTable(id="radar")],
    LimitsTable(),
    {"report": "1"},
)
AGREED = with_agreements(ALONE, {"north": text()})


def engine() -> Engine:
    return Engine(engine_config, load_all())


def given_rows(revision: int, tracks: int = 3, place=INSIDE) -> Any:
    rows = updates(tracks, revision=revision)
    rows.state[:, :2] = np.radians(place)
    rows.state[:, 3] = revision
    return transform(rows, agreement(more="share_identity = true"))


def stream(seed: int) -> list[Record]:
    """Messages in and out of order, some twice, some never, some wrong; ticks; a changed site."""
    rng = np.random.default_rng(seed)
    giver = Giver()
    inputs: list[tuple[Kind, str, bytes]] = [(Kind.CONFIG, "", AGREED)]
    waiting: list[bytes] = []
    for revision in range(1, 16):
        place = OUTSIDE if rng.random() < 0.1 else INSIDE
        waiting.append(giver.message(given_rows(revision, place=place)))
        if rng.random() < 0.3:
            continue
        rng.shuffle(waiting)
        for message in waiting:
            copies = 2 if rng.random() < 0.2 else 1
            inputs += [(Kind.PARTNER, LIVE, message)] * copies
        waiting = [] if rng.random() < 0.8 else waiting[:1]
        if rng.random() < 0.2:
            inputs.append((Kind.PARTNER, LIVE, rng.bytes(30)))
        if rng.random() < 0.3:
            place_text = ",".join(map(str, INSIDE))
            inputs.append(
                (Kind.MESSAGE, "vedette/south/sensors/radar/reports", place_text.encode())
            )
        inputs.append((Kind.TICK, "", b""))
        if rng.random() < 0.1:
            inputs += [(Kind.CONFIG, "", ALONE), (Kind.TICK, "", b""), (Kind.CONFIG, "", AGREED)]
    inputs += [(Kind.CONFIG, "", ALONE), (Kind.TICK, "", b"")]
    return [
        Record(offset, kind, NOW_NS + offset * SECOND // 10, topic, payload)
        for offset, (kind, topic, payload) in enumerate(inputs)
    ]


def whole(batches) -> dict[str, Any]:
    foreign = ForeignUpdates.concat([batch.foreign for batch in batches])
    names = np.array(foreign.nodes or [""])
    return {
        **{name: column.tobytes() for name, column in foreign.updates.columns().items()},
        **{
            name: column.tobytes()
            for name, column in foreign.columns().items()
            if name not in ("giver", "agreement", "path")
        },
        "givers": names[foreign.giver].tolist() if len(foreign) else [],
        "quarantined": [item for batch in batches for item in batch.quarantined],
        "own": sum(len(batch.updates) for batch in batches),
    }


@given(st.integers(0, 10_000), st.lists(st.integers(0, 200), max_size=6), st.integers(0, 200))
def test_neither_cut_nor_snapshot_nor_codec_changes_a_bit(seed, cuts, snapshot):
    inputs = stream(seed)
    expected = whole([engine().process(inputs)])
    assert expected["seq"]
    edges = sorted({0, len(inputs), *(cut % len(inputs) for cut in [*cuts, snapshot])})
    subject, got = engine(), []
    for first, stop in itertools.pairwise(edges):
        if first == snapshot % len(inputs):
            state = unpack(pack(subject.snapshot()))
            subject = engine()
            subject.restore(state)
        got.append(unpack_output(pack_output(subject.process(inputs[first:stop]))))
    assert whole(got) == expected


@given(st.integers(0, 10_000), st.integers(0, 200))
def test_after_keeps_exactly_what_lies_behind_an_offset(seed, cut):
    inputs = stream(seed)
    cut %= len(inputs)
    batch = engine().process(inputs)
    kept = after(batch, cut).foreign
    offsets = batch.foreign.updates.known_offset
    assert kept.seq.tolist() == batch.foreign.seq[offsets > cut].tolist()


@given(st.integers(0, 10_000))
def test_foreign_tracks_are_never_fused_and_all_closed_in_the_end(seed):
    batch = engine().process(stream(seed))
    assert len(batch.updates) == 0
    assert batch.detections.n_detections == 0
    rows = batch.foreign
    keys = list(zip(rows.updates.known_offset.tolist(), rows.updates.n.tolist(), strict=True))
    assert len(keys) == len(set(keys))
    numbered = rows.seq[rows.seq > 0].tolist()
    assert len(numbered) == len(set(numbered))
    for track in np.unique(rows.updates.track_id):
        heads = rows.updates.take((rows.updates.track_id == track) & rows.head)
        assert heads.status[-1] == Status.DELETED
        assert heads.reason[-1] == UpdateReason.WITHDRAWN


def test_rows_outside_of_the_agreement_are_refused_with_reason_and_offset() -> None:
    giver = Giver()
    message = giver.message(given_rows(1, place=OUTSIDE))
    records = [
        Record(0, Kind.CONFIG, NOW_NS, "", AGREED),
        Record(1, Kind.PARTNER, NOW_NS, LIVE, message),
    ]
    subject = engine()
    batch = subject.process(records)
    assert len(batch.foreign) == 0
    assert [(item.offset, item.reason) for item in batch.quarantined] == [
        (1, Reason.NOT_AGREED)
    ] * 3
    counter = subject.counters()["partners"]["north"]
    assert (counter["refused"], counter["reasons"]) == (3, {"not_agreed": 3})
    assert counter["latest_ns"] == NOW_NS


def test_the_end_of_an_agreement_closes_its_tracks_by_the_tick() -> None:
    records = [
        Record(0, Kind.CONFIG, NOW_NS, "", AGREED),
        Record(1, Kind.PARTNER, NOW_NS, LIVE, Giver().message(given_rows(1))),
        Record(2, Kind.TICK, UNTIL_NS - 1, "", b""),
        Record(3, Kind.TICK, UNTIL_NS, "", b""),
    ]
    rows = engine().process(records).foreign
    assert rows.updates.known_offset.tolist() == [1, 1, 1, 3, 3, 3]
    assert rows.seq.tolist() == [1, 2, 3, 0, 0, 0]
    assert (rows.updates.status[3:] == Status.DELETED).all()


def test_a_partner_is_not_heard_before_any_configuration() -> None:
    with pytest.raises(VedetteError, match="before any configuration"):
        engine().process([Record(0, Kind.PARTNER, NOW_NS, LIVE, b"")])


def test_an_agreement_that_follows_another_keeps_the_tracks_that_it_has_given() -> None:
    following = with_agreements(ALONE, {"north": text().replace("a-1", "a-2")})
    inputs = [
        (Kind.CONFIG, "", AGREED),
        (Kind.PARTNER, LIVE, Giver().message(given_rows(1, 2))),
        (Kind.CONFIG, "", following),
        (Kind.PARTNER, LIVE.replace("a-1", "a-2"), Giver(name="a-2").message(given_rows(2, 1))),
        (Kind.TICK, "", b""),
    ]
    rows = (
        engine()
        .process(
            [
                Record(offset, kind, NOW_NS, topic, payload)
                for offset, (kind, topic, payload) in enumerate(inputs)
            ]
        )
        .foreign
    )
    kept = rows.updates.track_id[rows.updates.known_offset == 3].tolist()
    closed = rows.updates.known_offset == 4
    heads = dict(
        zip(rows.updates.track_id[closed].tolist(), rows.head[closed].tolist(), strict=True)
    )
    assert len(heads) == 2
    assert [track for track, head in heads.items() if not head] == kept
