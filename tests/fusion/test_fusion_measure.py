"""Batches of measurements against the plain way, one report at a time."""

import gc
import itertools
import math
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import geodesy, names
from fusion.gathered import gathered
from fusion.measure import PER_DETECTION, Scan, scans_of
from fusion.names import NO_NAME, names_of
from model.arrays import Bools
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.frames import Region, ecef_from_geodetic, enu_rotation, geodetic_from_ecef
from model.sensors import Sensor, Sensors
from tests.fusion import reference_measure
from tests.fusion.batches import batches, regions, several_sensors
from tests.fusion.world import NAN, REGION, START_NS, at, reports, sensors

EXACT = ("time", "reported", "received", "offset", "first", "sensor", "mode")
NUMBERS = {  # absolute tolerance, in the unit of each
    "z": 1e-6,
    "delta": 0.0,
    "height": 1e-6,
    "velocity": 1e-9,
    "velocity_variance": 0.0,
    "range_rate": 1e-9,
    "range_rate_variance": 0.0,
    "sight": 1e-9,
    "azimuth_variance": 0.0,
    "origin": 1e-6,
}


def plainly(batch: Detections, sensors: Sensors, region: Region) -> list[reference_measure.Scan]:
    """The plain way, and which reports are of the same input."""
    starts = batch.starts().tolist()
    scans, offset, first = [], -1, 0
    for row in range(batch.n_reports):
        rows = slice(starts[row], starts[row + 1])
        if batch.offset[row] != offset:
            offset, first = int(batch.offset[row]), rows.start
        sensor = sensors[int(batch.sensor[row])]
        with np.errstate(all="ignore"):
            scans.append(
                reference_measure.scan_of(batch, row, rows, rows.start - first, sensor, region)
            )
    return scans


def within(scan: reference_measure.Scan, region: Region) -> Bools:
    with np.errstate(all="ignore"):
        near: Bools = (scan.z * scan.z).sum(axis=1) <= region.radius_m**2
    return near | ~np.isnan(scan.azimuth)


def same(got: Scan, want: reference_measure.Scan) -> None:
    for name in EXACT:
        assert getattr(got, name) == getattr(want, name), name
        assert type(getattr(got, name)) is int
    for name in ("item", "identity_kind", "identity", "classes"):
        assert np.array_equal(getattr(got, name), getattr(want, name)), name
    for name, tolerance in NUMBERS.items():
        np.testing.assert_allclose(
            getattr(got, name), getattr(want, name), rtol=1e-9, atol=tolerance, err_msg=name
        )
    scale = np.nan_to_num(np.abs(want.R)).max(axis=(1, 2), initial=1.0)[:, None, None]
    np.testing.assert_allclose(got.R / scale, want.R / scale, rtol=0.0, atol=1e-8)
    np.testing.assert_allclose(got.height_variance, want.height_variance, rtol=1e-8)
    turned = (got.azimuth - want.azimuth + math.pi) % (2.0 * math.pi) - math.pi
    np.testing.assert_allclose(turned, np.where(np.isnan(want.azimuth), NAN, 0.0), atol=1e-9)
    look, plain = got.look, want.look
    assert (look.heading_rad, look.origin is None) == (plain.heading_rad, plain.origin is None)
    for name in ("origin", "sector", "polygon"):
        one, other = getattr(look, name), getattr(plain, name)
        assert (one is None) == (other is None), name
        assert one is None or np.array_equal(one, other, equal_nan=True), name


def bits(scans: Sequence[Scan]) -> list[tuple[object, ...]]:
    return [
        (
            *(getattr(scan, name) for name in (*EXACT, "refused")),
            *(getattr(scan, name).tobytes() for name in ("view", "origin", *PER_DETECTION)),
        )
        for scan in scans
    ]


@st.composite
def worlds(draw) -> tuple[Detections, Sensors, Region]:
    region = draw(regions())
    known = draw(several_sensors(region))
    return draw(batches(region, known)), known, region


@settings(max_examples=150)
@given(worlds())
def test_a_batch_is_measured_as_its_reports_are_one_at_a_time(world):
    batch, known, region = world
    made = scans_of(batch, known, region)
    wanted = plainly(batch, known, region)
    assert len(made) == len(wanted)
    for got, want in zip(made, wanted, strict=True):
        keep = within(want, region)
        assert got.refused == int((~keep).sum())
        assert len(got) == int(keep.sum())
        same(got, want.take(keep))


@settings(max_examples=60)
@given(worlds(), st.data())
def test_the_bits_are_the_same_however_a_batch_is_cut(world, data):
    batch, known, region = world
    whole = scans_of(batch, known, region)
    firsts = np.array([scan.first for scan in whole])
    cuts = sorted(data.draw(st.sets(st.integers(0, batch.n_reports), max_size=3)))
    edges = [0, *cuts, batch.n_reports]
    parts: list[Scan] = []
    for begin, end in itertools.pairwise(edges):
        rows = np.arange(begin, end)
        parts += scans_of(batch.take_reports(rows), known, region, firsts[rows])
    assert bits(parts) == bits(whole)
    order = np.array(data.draw(st.permutations(range(batch.n_reports))), dtype=np.int64)
    mixed = scans_of(batch.take_reports(order), known, region, firsts[order])
    assert bits(mixed) == bits([whole[row] for row in order])


def test_the_bits_are_the_same_however_the_columns_lie_in_memory():
    batch = reports(5)
    whole = bits(scans_of(batch, sensors(), REGION))
    apart = {name: np.repeat(column, 2, axis=0)[::2] for name, column in batch.columns().items()}
    assert bits(scans_of(batch.replace(**apart), sensors(), REGION)) == whole
    for column in apart.values():
        column.flags.writeable = False
    assert bits(scans_of(batch.replace(**apart), sensors(), REGION)) == whole


def test_a_batch_of_nothing():
    assert scans_of(Detections.empty(), sensors(), REGION) == []
    assert scans_of(Detections.empty(), Sensors(), REGION) == []
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=START_NS)
    (scan,) = scans_of(builder.build(), sensors(), REGION)
    assert len(scan) == 0
    assert scan.planar.shape == (0,)


@pytest.mark.parametrize("index", [-1, 5])
def test_a_report_of_no_known_sensor_is_an_error(index):
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=START_NS)
    builder.report(sensor=index, time=START_NS)
    with pytest.raises(IndexError, match=f"report 1 is of sensor {index}, of 5"):
        scans_of(builder.build(), sensors(), REGION)


def test_columns_that_do_not_belong_together_are_an_error():
    batch = reports(5)
    backwards = batch.replace(report=batch.report[::-1].copy())
    beyond = batch.replace(report=np.full_like(batch.report, batch.n_reports))
    for broken in (backwards, beyond):
        with pytest.raises(ValueError, match=r"Detections\.report: does not rise"):
            scans_of(broken, sensors(), REGION)
    for name in ("polar", "position", "identity", "classes", "heading", "time"):
        with pytest.raises(ValueError, match=f"Detections.{name}"):
            scans_of(batch.replace(**{name: batch.columns()[name][:-1]}), sensors(), REGION)


def test_what_is_hardly_a_line_says_nothing_of_place():
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=START_NS)
    builder.detection(kind=DetectionKind.LINE)
    builder.detection(kind=DetectionKind.LINE, line=[at(0, 0)[:2]])
    builder.detection(kind=DetectionKind.LINE, line=[at(0, 0)[:2], at(0, 60)[:2]])
    (scan,) = scans_of(builder.build(), sensors(), REGION)
    assert scan.refused == 2
    assert scan.item.tolist() == [2]
    assert scan.z[0] == pytest.approx([0.0, 30.0], abs=0.01)


def test_sensors_are_gathered_once_and_forgotten_with_their_table():
    table = Sensors([Sensor("a", position=at(0, 0))])
    assert gathered(table) is gathered(table)
    assert gathered(Sensors([Sensor("a")])) is not gathered(table)
    found = weakref.ref(gathered(table).stand)
    assert found() is not None
    del table
    gc.collect()
    assert found() is None


# -- names of identities


def plain_name(kind: int, identity: bytes) -> int:
    """In Python's integers."""
    if kind == IdentityKind.NONE:
        return NO_NAME

    def mixed(value: int) -> int:
        value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) % 2**64
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) % 2**64
        return value ^ value >> 31

    value = mixed(kind)
    padded = identity.ljust(24, b"\0")
    for start in (0, 8, 16):
        value = mixed(value ^ int.from_bytes(padded[start : start + 8], "little"))
    value = value or 1
    return value - 2**64 if value >= 2**63 else value


@given(st.lists(st.tuples(st.sampled_from(list(IdentityKind)), st.binary(max_size=24))))
def test_names_are_the_mix_that_they_are_said_to_be(said):
    kinds = np.array([kind for kind, _ in said], dtype=np.uint8)
    identities = np.array([identity for _, identity in said], dtype="S24")
    got = names_of(kinds, identities)
    assert got.dtype == np.int64
    assert got.tolist() == [plain_name(kind, identity) for kind, identity in said]


def test_names_differ_where_kind_or_identity_does():
    identities = np.array([b"%09d" % n for n in range(100_000)], dtype="S24")
    kinds = np.repeat(np.array([IdentityKind.MMSI, IdentityKind.ICAO24], np.uint8), 100_000)
    got = names_of(kinds, np.tile(identities, 2))
    assert len(np.unique(got)) == 200_000
    assert (got != NO_NAME).all()
    assert names_of(kinds[:2] * np.uint8(0), identities[:2]).tolist() == [NO_NAME, NO_NAME]


def test_a_name_is_never_that_of_nobody():
    # The words that lead the mix of kind 1 to zero: each step is a bijection of its word.
    first = names.mixed(np.uint64(1))
    second = names.mixed(np.uint64(0))
    assert second == 0
    words = np.array([first, 0, 0], dtype="<u8")
    assert names_of(np.array([1], np.uint8), words.view("S24")).tolist() == [1]


# -- frames


@given(
    st.floats(-math.pi / 2, math.pi / 2),
    st.floats(-2 * math.pi, 2 * math.pi),
    st.one_of(st.floats(-1_000.0, 100_000.0), st.floats(-5e6, 1e8)),
)
def test_scalar_frames_are_those_of_the_model(latitude, longitude, height):
    here = geodesy.sines(latitude, longitude)
    point = np.array([latitude, longitude, height])
    ecef = ecef_from_geodetic(point)
    reach = 6.4e6 + abs(height)
    np.testing.assert_allclose(geodesy.ecef_of(here, height), ecef, rtol=0, atol=1e-15 * reach)
    assert geodesy.height_of(tuple(ecef.tolist())) == pytest.approx(
        float(geodetic_from_ecef(ecef)[2]), abs=2e-15 * reach
    )
    local = enu_rotation(latitude, longitude)
    np.testing.assert_allclose(
        geodesy.ecef_of_local(here, 3.0, -4.0, 5.0), np.array([3.0, -4.0, 5.0]) @ local, atol=1e-14
    )
    turn = (REGION.rotation @ local.T)[:2, :2]
    np.testing.assert_allclose(geodesy.turn_of(here, REGION.rotation), turn.ravel(), atol=1e-15)
    np.testing.assert_allclose(
        geodesy.enu_of(tuple(ecef.tolist()), REGION.origin, REGION.rotation),
        REGION.enu_from_ecef(ecef),
        atol=3e-15 * reach,
    )
