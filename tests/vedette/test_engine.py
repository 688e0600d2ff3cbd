"""The engine is a function of the records: no cut and no snapshot changes a bit."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.registry import load_all
from config import engine_config
from config.engine import engine_payload
from config.schema import LimitsTable, RegionTable, SensorTable
from fusion.history import _compact
from model.detections import Detections, Mode
from model.errors import Quarantined, SnapshotError
from model.ports import OutputBatch
from model.records import Kind, Record
from model.tracks import Status, TrackUpdates
from vedette.after import after
from vedette.commands.track import _head
from vedette.engine import Engine

START_S = 1_772_366_400.0
LAT, LON = 59.4, 24.0
M_LAT = 1.0 / 111_412.0
M_LON = 1.0 / (111_412.0 * math.cos(math.radians(LAT)))

RADAR = {
    "id": "radar",
    "position": {"lat": LAT, "lon": LON, "alt_m": 10.0},
    "coverage": {"range_m": [0.0, 9000.0]},
    "clutter_density_m2": 1e-7,
}
AIS = {"id": "ais", "cooperative": True, "sensing": "event", "period_s": 3.0}
MAST = {**RADAR, "id": "mast", "latency_s": 0.4, "position": {"lat": LAT + 0.01, "lon": LON}}
LATER = {**RADAR, "id": "later", "sensing": "event"}


def payload(
    sensors: Sequence[dict[str, Any]],
    region: tuple[float, float, float] | None = (LAT, LON, 30.0),
    mode: str = "live",
    **limits: Any,
) -> bytes:
    table = None
    if region is not None:
        table = RegionTable(lat=region[0], lon=region[1], radius_km=region[2])
    return engine_payload(
        "post",
        mode,
        table,
        [SensorTable(**sensor) for sensor in sensors],
        LimitsTable(**limits),
        {"report": "1"},
    )


CONFIGS = (
    payload([RADAR, AIS, MAST, LATER]),
    payload([AIS, RADAR, LATER]),
    payload([RADAR, AIS, MAST], max_age_s=1.0),
    payload([RADAR, AIS, MAST], late_window_s=0.5),
    payload([RADAR, AIS, MAST], region=(LAT + 0.05, LON - 0.1, 25.0)),
    payload([RADAR, AIS, MAST], region=(LAT + 10.0, LON, 25.0)),
    payload([RADAR, AIS, MAST], region=None),
    payload([RADAR, AIS, MAST], mode="exercise"),
)


def line(sensor: str, second: float, places: Sequence[tuple[float, float]], **more: Any) -> bytes:
    detections = []
    for number, (east, north) in enumerate(places):
        detection: dict[str, Any] = {
            "kind": "position",
            "lat": LAT + north * M_LAT,
            "lon": LON + east * M_LON,
            "sigma_m": 10.0,
        }
        if sensor == "ais":
            detection["identity"] = {"mmsi": str(230_000_001 + number)}
        detections.append(detection)
    body = {"sensor": sensor, "time": START_S + second, "detections": detections, **more}
    return msgspec.json.encode(body)


def records(seed: int, middle: bytes | None = None, first: bytes = CONFIGS[0]) -> list[Record]:
    """Ticks, reports some of which come late, garbage, and a configuration in the middle."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(-3000, 3000, (4, 2)), rng.uniform(-15, 15, (4, 2))
    arrivals: list[tuple[float, str, bytes]] = []
    polygon = [[LAT - 0.2, LON - 0.3], [LAT - 0.2, LON + 0.3], [LAT + 0.2, LON]]
    for step, sensor in itertools.product(range(14), ("radar", "ais", "mast", "later")):
        second = step + rng.uniform(0, 0.3)
        if sensor == "ais" and step % 3:
            continue
        seen = start + speed * second + rng.normal(0, 8, (4, 2))
        places = [tuple(place) for place in seen[rng.random(4) < 0.9].tolist()]
        more: dict[str, Any] = {"looked": {"polygon": polygon}} if rng.random() < 0.3 else {}
        late = rng.choice([0.0, 0.0, 0.5, 2.5])
        body = line(sensor, second, places, **more)
        if rng.random() < 0.1:  # two reports in one input
            body += b"\n" + line(sensor, second + 0.1, places[:1])
        arrivals.append((second + late, sensor, body))
        if rng.random() < 0.1:
            arrivals.append((second, sensor, rng.bytes(20)))
    arrivals.extend((second + 0.9, "", b"") for second in range(14))
    arrivals.sort(key=lambda entry: entry[0])
    out = [Record(0, Kind.CONFIG, _ns(0.0), "", first)]
    root = "vedette"
    for index, (second, sensor, body) in enumerate(arrivals):
        if index == len(arrivals) // 2 and middle is not None:
            out.append(Record(len(out), Kind.CONFIG, _ns(second), "", middle))
            root = "vedette" if b'"live"' in middle else "vedette-exercise"
        kind = Kind.MESSAGE if sensor else Kind.TICK
        topic = f"{root}/post/sensors/{sensor}/reports" if sensor else ""
        out.append(Record(len(out), kind, _ns(second), topic, body))
    for second in range(20, 60, 5):
        out.append(Record(len(out), Kind.TICK, _ns(float(second)), "", b""))
    return out


def _ns(second: float) -> int:
    return round((START_S + second) * 1e6) * 1000


def engine() -> Engine:
    return Engine(engine_config, load_all())


def whole(batches: Sequence[OutputBatch]) -> dict[str, Any]:
    """Everything that some batches say, as bytes; vertices in the order of those who speak."""
    detections = _compact(Detections.concat([batch.detections for batch in batches]))
    updates = TrackUpdates.concat([batch.updates for batch in batches])
    quarantined: list[Quarantined] = [item for batch in batches for item in batch.quarantined]
    return {
        **{f"d.{name}": column.tobytes() for name, column in detections.columns().items()},
        **{f"u.{name}": column.tobytes() for name, column in updates.columns().items()},
        "quarantined": quarantined,
        "ids": batches[-1].sensor_ids,
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def pieces(count: int, cuts: Sequence[int]) -> list[slice]:
    edges = sorted({0, count, *(cut % (count + 1) for cut in cuts)})
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


inputs = st.builds(records, st.integers(0, 10_000), st.sampled_from([None, *CONFIGS[1:]]))
SOME = settings(deadline=None, max_examples=12)


@SOME
@given(inputs, st.lists(st.integers(0, 500), max_size=8))
def test_the_cut_into_calls_changes_no_bit(stream, cuts):
    expected = engine().process(stream)
    assert len(expected.updates)
    assert expected.quarantined
    subject = engine()
    got = [subject.process(stream[piece]) for piece in pieces(len(stream), cuts)]
    assert differences(whole([expected]), whole(got)) == []


@SOME
@given(inputs, st.integers(1, 500), st.lists(st.integers(0, 500), max_size=3))
def test_a_snapshot_at_any_point_changes_no_bit(stream, cut, cuts):
    cut = 1 + cut % (len(stream) - 1)
    running = engine()
    first = running.process(stream[:cut])
    restored = engine()
    restored.process(records(1)[:30])  # whatever it was before
    restored.restore(running.snapshot())
    assert restored.next_offset == running.next_offset == cut
    assert restored.counters() == running.counters()
    rest = stream[cut:]
    expected = running.process(rest)
    got = [restored.process(rest[piece]) for piece in pieces(len(rest), cuts)]
    assert first.through == cut - 1
    assert differences(whole([expected]), whole(got)) == []
    assert restored.counters() == running.counters()


@SOME
@given(inputs, st.integers(0, 500))
def test_after_keeps_exactly_what_lies_behind_an_offset(stream, cut):
    cut = cut % len(stream)
    subject = engine()
    batch = subject.process(stream)
    kept = after(batch, cut)
    assert kept.through == batch.through
    for table, column in ((batch.detections, "offset"), (batch.updates, "known_offset")):
        wanted = (getattr(table, column) > cut).sum()
        part = kept.detections if table is batch.detections else kept.updates
        assert (getattr(part, column) > cut).all()
        assert len(getattr(part, column)) == wanted
    again = engine()
    again.process(stream[: cut + 1])
    if cut + 1 < len(stream):
        assert kept.first == cut + 1
        assert differences(whole([again.process(stream[cut + 1 :])]), whole([kept])) == []
    assert after(batch, -1) is batch


@pytest.mark.parametrize("middle", CONFIGS[1:])
def test_updates_stay_in_order_and_tracks_are_closed_whatever_changes(middle):
    batch = engine().process(records(5, middle))
    updates = batch.updates
    keys = list(zip(updates.known_offset.tolist(), updates.n.tolist(), strict=True))
    assert keys == sorted(set(keys))
    for track in np.unique(updates.track_id):
        own = updates.take(updates.track_id == track)
        assert own.revision.tolist() == list(range(1, len(own) + 1))
        assert len(set(own.number.tolist())) == 1
        assert own.status[-1] == Status.DELETED


def test_a_track_survives_another_region():
    stream = records(5, CONFIGS[4])
    cut = next(r.offset for r in stream[1:] if r.kind == Kind.CONFIG)
    subject = engine()
    subject.process(stream[:cut])
    now = stream[cut].received_ns
    before = subject.tracker.picture(now)
    subject.process(stream[cut : cut + 1])
    again = subject.tracker.picture(now)
    assert len(before) >= 3
    assert before.track_id.tolist() == again.track_id.tolist()
    # Degrees of the globe, 1e-7 rad being 0.6 m: the planes differ in scale by 1e-6.
    assert np.abs(before.state[:, :2] - again.state[:, :2]).max() < 1e-7
    assert np.abs(before.state[:, 3:5] - again.state[:, 3:5]).max() < 1e-3
    assert np.allclose(
        before.covariance[:, [0, 1, 6]], again.covariance[:, [0, 1, 6]], rtol=1e-3, atol=0.1
    )


def test_a_region_elsewhere_closes_the_tracks_it_does_not_hold():
    stream = records(5, CONFIGS[5])
    cut = next(r.offset for r in stream[1:] if r.kind == Kind.CONFIG)
    subject = engine()
    subject.process(stream[: cut + 1])
    assert len(subject.tracker.picture(stream[cut].received_ns)) == 0
    said = subject.process(stream[cut + 1 :]).updates
    assert (said.status == Status.DELETED).all()
    assert len(said) >= 3


def test_changed_limits_are_in_force_from_the_next_record_on():
    stream = records(5, CONFIGS[2])
    batch = engine().process(stream)
    past = [item for item in batch.quarantined if item.reason == "time_past"]
    middle = next(r.offset for r in stream[1:] if r.kind == Kind.CONFIG)
    assert past
    assert all(item.offset > middle for item in past)


def test_modes_never_mix():
    batch = engine().process(records(5, CONFIGS[7]))
    detections, updates = batch.detections, batch.updates
    assert set(detections.mode.tolist()) == {Mode.LIVE, Mode.EXERCISE}
    for track in np.unique(updates.track_id):
        assert len(set(updates.mode[updates.track_id == track].tolist())) == 1


def test_a_sensor_taken_out_keeps_its_index_and_is_deaf():
    stream = records(5, CONFIGS[1])
    middle = next(r.offset for r in stream[1:] if r.kind == Kind.CONFIG)
    batch = engine().process(stream)
    assert batch.sensor_ids == ("radar", "ais", "mast", "later")
    later = batch.detections.offset > middle
    assert set(batch.detections.sensor[later].tolist()) == {0, 1, 3}


@pytest.mark.parametrize(
    "text",
    [
        b'{"sensor":"a","time_ns":1000000000000000000000000000000}',
        b'{"sensor":"a","time_ns":-5}',
        b'{"sensor":"a","time":1e300}',
        b'{"sensor":"a","time":"yesterday"}',
        b'{"sensor":"a"}',
    ],
)
def test_a_line_with_a_time_that_is_none_keeps_its_sensor_and_moves_no_clock(text):
    assert _head(text) == ("a", 0)


def test_a_snapshot_of_another_version_is_refused():
    engine = Engine(engine_config, load_all())
    state = engine.snapshot() | {"version": 0}
    with pytest.raises(SnapshotError, match="version 0"):
        engine.restore(state)
    with pytest.raises(SnapshotError, match="1 motion models"):
        engine.restore(engine.snapshot() | {"modes": 1})
