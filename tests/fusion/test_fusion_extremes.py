"""Hard places, hard numbers and hard inputs: poles, date line, far side, crowds."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Tracker, gate
from fusion.marginals import marginals
from fusion.measure import Scan, scans_of
from fusion.motion import unpacked
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.frames import Region, ecef_from_geodetic, enu_rotation, geodetic_from_ecef
from model.sensors import Sensor, Sensors
from model.tracks import Status
from tests.fusion.test_fusion_late import radar, report
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at, sensors

PLACES = {
    "pole": (math.radians(90.0), 0.0),
    "near pole": (math.radians(-89.99), math.radians(120.0)),
    "date line": (math.radians(52.0), math.pi),
    "equator": (0.0, 0.0),
}


def geodetic(place: tuple[float, float], east: float, north: float, height: float) -> np.ndarray:
    """A point by east and north of a place, lifted to a height."""
    region = Region(*place)
    row: np.ndarray = region.geodetic_from_plane(
        np.array([east]), np.array([north]), np.array([height])
    )[0]
    return row


def one(sensor: int = 0, offset: int = 0, second: float = 0.0, **values: Any) -> DetectionsBuilder:
    builder = DetectionsBuilder()
    moment = START_NS + round(second * SECOND)
    builder.report(sensor=sensor, time=moment, received=moment, offset=offset, **values)
    return builder


def scan(batch: Detections, sensor: Sensor, region: Region) -> Scan:
    return scans_of(batch, Sensors([sensor]), region)[0]


@pytest.mark.parametrize("name", PLACES)
def test_a_straight_mover_keeps_its_course_where_meridians_meet(name):
    place = PLACES[name]
    region = Region(*place, 50_000.0)
    sensor = Sensor("s", clutter_density_m2=1e-7, sensing="event")
    subject = Tracker(Sensors([sensor]), region)
    for second in range(20):
        builder = one(second=second, offset=second)
        at_now = geodetic(place, -200.0 + 20.0 * second, 30.0, 0.0)
        builder.detection(
            kind=DetectionKind.POSITION,
            position=(at_now[0], at_now[1], NAN),
            covariance=(25.0, 0.0, 25.0, NAN, NAN, NAN),
        )
        subject.step(builder.build())
    shown = subject.picture(START_NS + 19 * SECOND)
    assert len(shown) == 1
    # The direction of motion in space, whatever east is here.
    state = shown.state[0]
    local = np.array([state[3], state[4], 0.0])
    along = region.rotation @ enu_rotation(state[0], state[1]).T @ local
    assert along[:2] == pytest.approx([20.0, 0.0], abs=0.5)
    where = region.enu_from_geodetic(np.array([state[0], state[1], 0.0]))
    assert where[:2] == pytest.approx([180.0, 30.0], abs=1.0)
    assert abs(state[1]) <= math.pi


@pytest.mark.parametrize("name", PLACES)
def test_a_velocity_without_a_position_is_in_the_axes_of_its_sensor(name):
    # A radar 100 km from the region's centre, whose north is not the centre's.
    place = PLACES[name]
    region = Region(*place)
    stand = geodetic(place, 70_000.0, 70_000.0, 10.0)
    sensor = Sensor("s", position=tuple(stand.tolist()))
    builder = one()
    builder.detection(
        kind=DetectionKind.POLAR,
        polar=(1000.0, 0.0, NAN, NAN),
        polar_sigma=(10.0, 0.003, NAN, NAN),
        velocity=(0.0, 10.0, NAN),
        velocity_sigma=1.0,
    )
    made = scan(builder.build(), sensor, region)
    away = made.z[0] - made.origin
    course = away / np.hypot(*away)
    assert made.velocity[0, :2] == pytest.approx(10.0 * course, abs=0.02)


def test_the_far_side_of_the_earth_is_outside_the_region():
    subject = Tracker(sensors(), REGION)
    builder = one(sensor=4)
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(-REGION.latitude, REGION.longitude - math.pi, NAN),
        covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
    )
    assert len(subject.step(builder.build())) == 0
    assert subject.counters.refused == 1


def test_the_first_region_may_come_of_a_sensor_or_a_line():
    cases: list[tuple[Sensor, dict[str, Any]]] = [
        (radar(), {"kind": DetectionKind.POLAR, "polar": (900.0, 0.3, NAN, NAN)}),
        (
            Sensor("wire", sensing="event"),
            {"kind": DetectionKind.LINE, "line": [at(0, 0)[:2], at(0, 50)[:2]]},
        ),
    ]
    for sensor, detection in cases:
        subject = Tracker(Sensors([sensor]))
        builder = one()
        builder.detection(polar_sigma=(10.0, 0.003, NAN, NAN), **detection)
        subject.step(builder.build())
        assert subject.counters.refused == 0
        assert subject.census()["tentative"] == 1


@pytest.mark.parametrize("sigma", [0.003, 0.3, 1.0, 3.0])
def test_polar_measurements_are_where_their_movers_may_be(sigma):
    """Against drawing: given the measurement, the mover lies on an arc about it."""
    sensor = radar(heading_rad=0.0)
    builder = one()
    builder.detection(
        kind=DetectionKind.POLAR,
        polar=(2000.0, 0.7, 0.0, NAN),
        polar_sigma=(10.0, sigma, 0.001, NAN),
    )
    made = scan(builder.build(), sensor, REGION)
    rng = np.random.default_rng(5)
    angle = 0.7 + rng.normal(0, sigma, 400_000)
    far = 2000.0 + rng.normal(0, 10.0, len(angle))
    drawn = np.stack([far * np.sin(angle), far * np.cos(angle)], axis=1)
    assert np.hypot(*(made.z[0] - made.origin - drawn.mean(axis=0))) < 12.0
    assert made.R[0] == pytest.approx(np.cov(drawn.T), rel=0.02, abs=0.005 * np.trace(made.R[0]))


def test_the_climb_of_a_moving_sensor_is_in_its_range_rates():
    # A drone dives at what stands still on the ground: the range rate is all its own.
    origin = at(0, 0, 500.0)
    builder = one(origin=origin, origin_velocity=(0.0, 20.0, -10.0))
    slant, elevation = 1000.0, -math.asin(0.5)
    rate = -(20.0 * math.cos(elevation) - 10.0 * math.sin(elevation))
    builder.detection(
        kind=DetectionKind.POLAR,
        polar=(slant, 0.0, elevation, rate),
        polar_sigma=(5.0, 0.003, 0.003, 0.5),
    )
    made = scan(builder.build(), Sensor("drone"), REGION)
    assert made.range_rate[0] == pytest.approx(0.0, abs=0.01)


def test_a_report_with_a_bearing_and_a_position_uses_both():
    subject = Tracker(sensors(), REGION)
    for second in range(5):
        subject.step(report(second, [(1000.0, 1000.0)], second))
    builder = one(sensor=2, second=5, offset=5)
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(*at(1000.0, 1000.0)[:2], NAN),
        covariance=(4.0, 0.0, 4.0, NAN, NAN, NAN),
    )
    from tests.fusion.world import polar_of

    _, azimuth = polar_of(sensors()[2], np.array([1000.0, 1000.0]))
    builder.detection(
        kind=DetectionKind.BEARING,
        polar=(NAN, azimuth, NAN, NAN),
        polar_sigma=(NAN, 0.01, NAN, NAN),
    )
    subject.step(builder.build())
    shown = subject.picture(START_NS + 5 * SECOND)
    assert shown.covariance[0, [0, 6]].max() < 5.0  # and what if neither were its own?


def test_a_detection_of_another_moment_is_looked_for_where_the_mover_was():
    # Three seconds before its report; the mover makes 20 m/s that the track does not know well.
    subject = Tracker(Sensors([radar(sensing="event")]), REGION)
    for second in (0, 1):
        subject.step(report(second, [(20.0 * second, 0.0)], second))
    builder = one(second=5.0, offset=2)
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(*at(40.0, 0.0)[:2], NAN),
        covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
        detection_time=START_NS + 2 * SECOND,
    )
    subject.step(builder.build())
    assert subject.census()["tentative"] + subject.census()["confirmed"] == 1


# -- identity


def vessels(names: list[bytes], places: list[tuple[float, float]], second: float, offset: int):
    builder = one(sensor=4, second=second, offset=offset)
    for name, place in zip(names, places, strict=True):
        builder.detection(
            kind=DetectionKind.POSITION,
            position=(*at(*place)[:2], NAN),
            covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
            identity_kind=IdentityKind.MMSI,
            identity=name,
        )
    return builder.build()


def test_one_identity_starts_one_track_however_often_a_report_names_it():
    subject = Tracker(sensors(), REGION)
    for step in range(4):
        subject.step(
            vessels([b"230000001"] * 3, [(0.0, 0.0), (3.0, 0.0), (6.0, 0.0)], 3.0 * step, step)
        )
        assert subject.census()["confirmed"] == 1


def test_a_vessel_that_turns_hard_keeps_the_track_that_bears_its_name():
    subject = Tracker(sensors(), REGION)
    for step in range(8):
        subject.step(vessels([b"230000001"], [(10.0 * step, 0.0)], float(step), step))
    updates = subject.step(vessels([b"230000001"], [(150.0, 130.0)], 8.0, 8))
    assert (updates.status == Status.CONFIRMED).all()
    assert subject.census()["confirmed"] == 1


def test_a_cooperative_report_confirms_nobody_else():
    quiet = radar(clutter_density_m2=1e-9)
    ais = Sensor("ais", cooperative=True, sensing="event")
    subject = Tracker(Sensors([quiet, ais]), REGION)
    for second in (0, 1):
        subject.step(report(second, [(1000.0, 1000.0)], second))
        if second == 0:
            assert subject.census()["tentative"] == 1
            subject.step(report(0.5, [(-4000.0, 0.0)], 7, sensor=1))
            assert subject.census() == {"tentative": 1, "confirmed": 1, "coasting": 0}


def test_ids_differ_within_and_between_large_inputs():
    # 1,100 reports in one input, one of them with 20,000 detections, then the next input.
    rng = np.random.default_rng(2)
    builder = DetectionsBuilder()
    lone = radar(sensing="event")
    many = of_crowd(rng.uniform(-30_000, 30_000, (20_000, 2)), 0.0, 7)
    for number in range(1, 1_100):
        builder.report(sensor=0, time=START_NS, received=START_NS, offset=7)
        if number in (1, 1024):
            builder.detection(
                kind=DetectionKind.POSITION,
                position=(*at(-35_000.0 - number, 0)[:2], NAN),
                covariance=(1.0, 0.0, 1.0, NAN, NAN, NAN),
            )
    builder.report(sensor=0, time=START_NS + 1, received=START_NS + 1, offset=8)
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(*at(-40_000, 0)[:2], NAN),
        covariance=(1.0, 0.0, 1.0, NAN, NAN, NAN),
    )
    subject = Tracker(Sensors([lone]), REGION)
    subject.step(Detections.concat([many, builder.build()]))
    ids = subject.snapshot()["table"]["track_id"]
    assert len(ids) > 20_000
    assert len(np.unique(ids)) == len(ids)


# -- numbers


@st.composite
def reports_of_extremes(draw) -> tuple[Detections, int]:
    """Whatever passes the gate of ingest, at its bounds."""
    sigma_m = st.sampled_from([1e-3, 1.0, 30.0, 1e5])
    sigma_rad = st.sampled_from([1e-6, 1e-3, 0.3, math.pi])
    sigma_mps = st.sampled_from([1e-4, 1.0, 3000.0])
    builder = DetectionsBuilder()
    second = 0.0
    count = draw(st.integers(1, 8))
    for offset in range(count):
        second += draw(st.sampled_from([0.0, 0.0, 1e-9, 1.0, 11.0, -2.0, 3600.0]))
        moment = START_NS + round(second * SECOND)
        moving = draw(st.booleans())
        builder.report(
            sensor=draw(st.integers(0, 4)),
            time=moment,
            received=moment,
            offset=offset,
            origin=at(draw(st.sampled_from([0.0, 100.0])), 0, 5000.0) if moving else (NAN,) * 3,
            origin_velocity=(3000.0, -3000.0, 3000.0) if moving else (NAN,) * 3,
        )
        for _ in range(draw(st.integers(0, 5))):
            values: dict[str, Any] = {}
            kind = draw(st.sampled_from(list(DetectionKind)))
            if draw(st.booleans()):
                values["velocity"] = (draw(st.sampled_from([0.0, 2999.0])), 1.0, NAN)
                values["velocity_sigma"] = draw(sigma_mps)
            if draw(st.booleans()):
                values["detection_time"] = moment + draw(
                    st.sampled_from([-60 * SECOND, 2 * SECOND, 0])
                )
            if draw(st.booleans()):
                values["identity_kind"] = IdentityKind.MMSI
                values["identity"] = draw(st.sampled_from([b"1", b"2"]))
            spot = at(
                draw(st.sampled_from([0.0, 1.0, 49_000.0])),
                draw(st.sampled_from([0.0, -2.0])),
                draw(st.sampled_from([-500.0, 0.0, 100_000.0])),
            )
            s, t, u = draw(sigma_m), draw(sigma_m), draw(sigma_m)
            rho = draw(st.sampled_from([-1.0, 0.0, 1.0])) * math.sqrt(1.0 - 1e-8)
            angles = (draw(sigma_rad), draw(sigma_rad))
            if kind in (DetectionKind.POSITION, DetectionKind.ZONE):
                lifted = draw(st.booleans())
                values["position"] = spot if lifted else (*spot[:2], NAN)
                high = (0.0, 0.0, u * u) if lifted else (NAN, NAN, NAN)
                values["covariance"] = (s * s, rho * s * t, t * t, *high)
                values["radius"] = 100_000.0
            elif kind in (DetectionKind.POLAR, DetectionKind.BEARING):
                values["polar"] = (
                    draw(st.sampled_from([1e-3, 1.0, 1000.0, 48_000.0])),
                    draw(st.sampled_from([0.0, math.pi / 4, math.pi, 6.28])),
                    draw(st.sampled_from([NAN, 0.0, math.pi / 2, -math.pi / 2])),
                    draw(st.sampled_from([NAN, 3000.0, -3000.0])),
                )
                values["polar_sigma"] = (s, *angles, draw(sigma_mps))
            else:
                values["line"] = [spot[:2], at(0, 0)[:2]]
            builder.detection(kind=kind, **values)
    return builder.build().check(), round(second)


@settings(deadline=None, max_examples=150)
@given(reports_of_extremes())
def test_nothing_that_is_not_a_number_gets_into_a_track(world):
    batch, seconds = world
    subject = Tracker(sensors(), REGION, late_window_s=10.0)
    updates = subject.step(batch)
    table = subject.snapshot()["table"]
    assert np.isfinite(table["x"]).all()
    assert np.isfinite(table["llr"]).all()
    full = unpacked(table["P"].reshape(-1, 10))
    scale = np.sqrt(np.einsum("pii->pi", full))
    assert (scale > 0).all()
    relative = full / scale[:, :, None] / scale[:, None, :]
    assert (np.linalg.eigvalsh(relative) > -1e-9).all()
    known = ~np.isnan(table["h"][:, 0])
    assert (table["Ph"][known][:, [0, 2]] > 0).all()
    assert np.isfinite(updates.state[:, [0, 1, 3, 4]]).all()
    subject.tick(START_NS + (seconds + 100) * SECOND, 99)
    far = subject.picture(START_NS + 70 * 365 * 86_400 * SECOND)
    assert np.isfinite(far.state[:, [0, 1, 3, 4]]).all()


# -- crowds


def crowd(count: int, spread_m: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread_m, (count, 2))


def of_crowd(points: np.ndarray, second: float, offset: int, wide: int = 0) -> Detections:
    flat = REGION.geodetic_from_plane(points[:, 0], points[:, 1], np.full(len(points), 10.0))
    moment = START_NS + round(second * SECOND)
    count = len(points)
    single = one(second=second, offset=offset)
    single.detection(kind=DetectionKind.POSITION)
    base = single.build()
    rows = {
        name: np.repeat(array, count, axis=0)
        for name, array in base.columns().items()
        if len(array) == 1 and name in ("item", "report", "detection_time", "kind", "position",
        "covariance", "polar", "polar_sigma", "radius", "line_vertices", "direction", "velocity",
        "velocity_sigma", "snr_db", "identity_kind", "identity", "classes")
    }  # fmt: skip
    rows["item"] = np.arange(count, dtype=np.int32)
    rows["position"] = np.column_stack([flat[:, :2], np.full(count, np.nan)])
    rows["covariance"] = np.tile([100.0, 0.0, 100.0, NAN, NAN, NAN], (count, 1))
    rows["covariance"][:wide, [0, 2]] = 1e10
    rows["detection_time"] = np.full(count, moment)
    return base.replace(**rows).check()


@pytest.mark.parametrize("extent_m", [0.0, 5.0])
def test_a_crowd_that_nobody_can_resolve_is_fused_in_bounded_memory(extent_m):
    subject = Tracker(Sensors([radar(extent_m=extent_m)]), REGION)
    tracemalloc.start()
    for second in range(3):
        subject.step(of_crowd(crowd(6_000, 40.0, second), second, second))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500e6


def test_one_detection_that_knows_nothing_does_not_make_everything_a_pair():
    rng = np.random.default_rng(4)
    points = rng.uniform(-30_000, 30_000, (6_000, 2))
    subject = Tracker(Sensors([radar(sensing="event")]), REGION)
    tracemalloc.start()
    for second in range(3):
        subject.step(of_crowd(points + rng.normal(0, 5, points.shape), second, second, wide=1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000e6
    assert subject.census()["confirmed"] > 5_500


def test_a_report_of_100_000_detections():
    rng = np.random.default_rng(4)
    points = rng.uniform(-30_000, 30_000, (100_000, 2))
    subject = Tracker(Sensors([radar(sensing="event", extent_m=20.0)]), REGION)
    subject.step(of_crowd(points, 0.0, 0))
    assert subject.census()["tentative"] > 50_000


def test_a_large_cluster_is_still_shared_out():
    rng = np.random.default_rng(9)
    i = np.repeat(np.arange(3_000), 6)
    j = (i + np.tile(np.arange(6), 3_000)) % 3_000
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    psi = rng.uniform(0.1, 9.0, len(i))
    prob, left = marginals(i, j, psi, np.ones(3_000), 3_000, 3_000)
    assert np.bincount(i, prob).max() <= 1.0 + 1e-6
    assert np.allclose(np.bincount(j, prob) + left, 1.0, atol=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999))
def test_when_there_are_too_many_pairs_the_nearest_are_kept(seed):
    rng = np.random.default_rng(seed)
    points, targets = rng.normal(0, 50, (300, 2)), rng.normal(0, 50, (300, 2))
    reach = np.full(300, 200.0)
    whole, gate.MAX_PAIRS = gate.MAX_PAIRS, 5_000
    try:
        i, j = gate.pairs_within(points, reach, targets)
    finally:
        gate.MAX_PAIRS = whole
    assert len(i) <= 5_000
    assert (np.lexsort((j, i)) == np.arange(len(i))).all()
    distance = np.hypot(*(points[:, None] - targets[None]).transpose(2, 0, 1))
    nearest = distance.argmin(axis=0)
    assert set(zip(nearest.tolist(), range(300), strict=True)) <= set(
        zip(i.tolist(), j.tolist(), strict=True)
    )


def test_frames_at_the_poles():
    for latitude in (math.pi / 2, -math.pi / 2):
        point = np.array([latitude, 1.0, 100.0])
        again = geodetic_from_ecef(ecef_from_geodetic(point))
        assert again[[0, 2]] == pytest.approx(point[[0, 2]], abs=1e-6)
