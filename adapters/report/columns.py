"""From columns as on the wire (degrees) to `Detections` (radians), whole batches at a time.

Both forms of the report, objects and arrays, meet here: one place turns units, fills in what the
sensor's entry gives, and hides the fields that a kind of detection does not have.
"""

from dataclasses import dataclass

import numpy as np

from model.arrays import Array, Floats, Int32s, Int64s
from model.detections import DetectionKind, Detections
from model.ports import Messages
from model.sensors import Sensors, Sigmas


@dataclass(slots=True, eq=False)
class Rows:
    """Reports (M) and detections (N) in the units of the wire; NaN: not given.

    Parameters
    ----------
    message
        (M,) int64, row of the message that held the report.
    time, boot, seq, mode
        (M,) as in `Detections`.
    origin, heading, origin_velocity
        (M, 3) degrees, degrees, metres; (M,) degrees; (M, 3) m/s.
    looked_range, looked_azimuth
        (M, 2) metres; (M, 2) degrees.
    looked_start, looked_count
        (M,) first vertex and number of vertices of the polygon looked at.
    report, item, detection_time, kind
        (N,) as in `Detections`.
    latitude, longitude, height, sigma, sigma_height
        (N,) degrees and metres.
    covariance
        (N, 6) m².
    polar, polar_sigma
        (N, 4) m, degrees, degrees, m/s.
    radius
        (N,) m.
    line_start, line_count, direction
        (N,) vertices of a line, and its direction.
    velocity, velocity_sigma, snr
        (N, 3) m/s; (N,) m/s; (N,) dB.
    identity_kind, identity, classes
        As in `Detections`.
    vertices
        (V, 2) degrees.
    """

    message: Int64s
    time: Int64s
    boot: Array
    seq: Int64s
    mode: Array
    origin: Floats
    heading: Floats
    origin_velocity: Floats
    looked_range: Floats
    looked_azimuth: Floats
    looked_start: Int64s
    looked_count: Int64s
    report: Int32s
    item: Int32s
    detection_time: Int64s
    kind: Array
    latitude: Floats
    longitude: Floats
    height: Floats
    sigma: Floats
    sigma_height: Floats
    covariance: Floats
    polar: Floats
    polar_sigma: Floats
    radius: Floats
    line_start: Int64s
    line_count: Int64s
    direction: Array
    velocity: Floats
    velocity_sigma: Floats
    snr: Floats
    identity_kind: Array
    identity: Array
    classes: Array
    vertices: Floats


def assemble(rows: Rows, messages: Messages, sensors: Sensors) -> Detections:
    """Detections of the rows, with the defaults of the sensors that sent them."""
    sensor = np.asarray(messages.sensor, dtype=np.int32)[rows.message]
    present, place = np.unique(sensor, return_inverse=True)
    entries = [sensors[int(index)] for index in present]
    of_row = place[rows.report]
    sigmas = _sigma_table([entry.sigmas for entry in entries])[of_row]

    geodetic = (rows.kind == DetectionKind.POSITION) | (rows.kind == DetectionKind.ZONE)
    position = np.empty((len(rows.report), 3))
    position[:, 0] = np.where(geodetic, np.deg2rad(rows.latitude), np.nan)
    position[:, 1] = np.where(geodetic, np.deg2rad(rows.longitude), np.nan)
    position[:, 2] = np.where(geodetic, rows.height, np.nan)

    classes = rows.classes
    if any(entry.classes is not None for entry in entries):
        prior = np.zeros((len(entries), classes.shape[1]), dtype=np.float32)
        for index, entry in enumerate(entries):
            if entry.classes is not None:
                prior[index] = entry.classes
        classes = np.where((classes == 0).all(axis=1)[:, None], prior[of_row], classes)

    polar, polar_sigma = _polar(rows, sigmas)
    moving = np.isfinite(rows.velocity[:, 0])
    return Detections(
        sensor=sensor,
        time=rows.time,
        received=np.asarray(messages.received, dtype=np.int64)[rows.message],
        offset=np.asarray(messages.offset, dtype=np.int64)[rows.message],
        boot=rows.boot,
        seq=rows.seq,
        mode=rows.mode,
        origin=_origin(rows.origin, sensor, sensors),
        heading=np.deg2rad(rows.heading),
        origin_velocity=rows.origin_velocity,
        looked=_looked(rows, sensor, sensors),
        looked_vertices=_span(rows.looked_start, rows.looked_count),
        report=rows.report,
        item=rows.item,
        detection_time=rows.detection_time,
        kind=rows.kind,
        position=position,
        covariance=_covariance(rows, sigmas, geodetic),
        polar=polar,
        polar_sigma=polar_sigma,
        radius=np.where(rows.kind == DetectionKind.ZONE, rows.radius, np.nan),
        line_vertices=_span(rows.line_start, rows.line_count),
        direction=rows.direction,
        velocity=rows.velocity,
        velocity_sigma=np.where(
            moving & np.isnan(rows.velocity_sigma), sigmas[:, 6], rows.velocity_sigma
        ),
        snr_db=rows.snr,
        identity_kind=rows.identity_kind,
        identity=rows.identity,
        classes=np.ascontiguousarray(classes, dtype=np.float32),
        vertices=np.deg2rad(rows.vertices),
    )


def _sigma_table(sigmas: list[Sigmas]) -> Floats:
    """(S, 7): horizontal, vertical, range, azimuth, elevation, range rate, velocity; SI."""
    return np.array(
        [
            (
                entry.horizontal_m,
                entry.vertical_m,
                entry.range_m,
                entry.azimuth_rad,
                entry.elevation_rad,
                entry.range_rate_mps,
                entry.velocity_mps,
            )
            for entry in sigmas
        ]
    ).reshape(-1, 7)


def _covariance(rows: Rows, sigmas: Floats, geodetic: Array) -> Floats:
    """(N, 6) m² from the covariance given, else the sigma given, else the sensor's."""
    # x·|x| keeps the sign of a sigma, so that the gate sees a negative one
    sigma = np.where(
        np.isnan(rows.sigma) & (rows.kind == DetectionKind.POSITION), sigmas[:, 0], rows.sigma
    )
    sigma_height = np.where(np.isnan(rows.sigma_height), sigmas[:, 1], rows.sigma_height)
    made = np.zeros((len(sigma), 6))
    made[:, 0] = made[:, 2] = sigma * np.abs(sigma)
    made[:, 1] = np.where(np.isnan(sigma), np.nan, 0.0)
    made[:, 5] = sigma_height * np.abs(sigma_height)
    given = ~np.isnan(rows.covariance[:, 0])
    vertical = ~np.isnan(rows.covariance[:, 5])
    covariance = np.where(given[:, None], rows.covariance, made)
    covariance[given & ~vertical, 3:5] = 0.0
    covariance[given & ~vertical, 5] = made[given & ~vertical, 5]
    # without a height, or without a horizontal sigma (a zone), there is no vertical one either
    covariance[np.isnan(rows.height) | np.isnan(covariance[:, 0]), 3:] = np.nan
    covariance[~geodetic] = np.nan
    return covariance


def _polar(rows: Rows, sigmas: Floats) -> tuple[Floats, Floats]:
    """(N, 4) quantities and sigmas, of the kinds that have them."""
    is_polar = rows.kind == DetectionKind.POLAR
    angular = is_polar | (rows.kind == DetectionKind.BEARING)
    has = np.stack([is_polar, angular, angular, is_polar], axis=1)
    polar = np.where(has, rows.polar, np.nan)
    polar[:, 1:3] = np.deg2rad(polar[:, 1:3])
    sigma = rows.polar_sigma.copy()
    sigma[:, 1:3] = np.deg2rad(sigma[:, 1:3])
    sigma = np.where(np.isnan(sigma), sigmas[:, 2:6], sigma)
    return polar, np.where(np.isnan(polar), np.nan, sigma)


def _origin(origin: Floats, sensor: Int32s, sensors: Sensors) -> Floats:
    """(M, 3) radians and HAE; a height left out is that of the configured place, else 0."""
    made = origin.copy()
    made[:, :2] = np.deg2rad(made[:, :2])
    for row in np.flatnonzero(~np.isnan(made[:, 0]) & np.isnan(made[:, 2])):
        place = sensors[int(sensor[row])].position
        made[row, 2] = 0.0 if place is None else place[2]
    return made


def _looked(rows: Rows, sensor: Int32s, sensors: Sensors) -> Floats:
    """(M, 4); a sector without a range reaches as far as the sensor's coverage."""
    looked = np.concatenate([rows.looked_range, np.deg2rad(rows.looked_azimuth)], axis=1)
    for row in np.flatnonzero(np.isnan(looked[:, 0]) & ~np.isnan(looked[:, 2])):
        looked[row, :2] = sensors[int(sensor[row])].coverage.range_m
    return looked


def _span(start: Int64s, count: Int64s) -> Int32s:
    """(…, 2) [start, stop); none is 0, 0."""
    some = count > 0
    first = np.where(some, start, 0)
    return np.stack([first, np.where(some, start + count, 0)], axis=1).astype(np.int32)
