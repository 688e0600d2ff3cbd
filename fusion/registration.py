"""Registration: how far each sensor is wrong in range, azimuth, time and place.

What is learnt
--------------
Of a few movers the detections of all sensors are gathered as they were measured, up to 32
within some seconds. They lie along a straight way. Wherever that way lies and however fast it is
gone, what the detections of different sensors do not agree in is due to noise and to the sensors'
biases: so the way is eliminated, and what is left is one measurement of the biases of those
sensors together. One Kalman filter over all sensors takes it. Each detection counts once, the
tracker's estimates do not count at all.

So nothing can oscillate: the whole bias is estimated, from measurements that nobody has corrected,
and what is corrected changes at most who is held to belong to whom.

What holds it in place
----------------------
Cooperative sensors are right by definition. Where there are none, sensors are held against each
other and against what is thought of a sensor that nothing is known of (nil, `bias_sigmas`): what
overlap cannot show, such as a lag that all have, or which of two clocks is wrong, stays as
uncertain as it was before.

What is done with it
--------------------
A sensor's detections stay as they are, to the bit, until its bias is certain. Then the bias is
taken off, and its covariance added to theirs. What is taken off changes only where it differs
noticeably from what is known now.

Late reports
------------
Registration learns from reports in the order in which they arrive, each once, and a report is
corrected once, when it arrives. What is fused again keeps the correction that it had. So nothing of
this is rolled back.

References
----------
X. Lin, Y. Bar-Shalom, T. Kirubarajan, "Multisensor multitarget bias estimation for general
asynchronous sensors", IEEE Trans. AES 41(3), 2005, doi:10.1109/TAES.2005.1541438: measurements of
biases that do not depend on where the targets are. There they come from the gains of local
trackers; here from the detections themselves, so no sensor needs a tracker of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusion.measure import Scan
from fusion.records import PARTS
from fusion.registration_kernels import (
    DETECTIONS,
    FIXED,
    RANGE,
    TIME,
    Biases,
    Followed,
    Limits,
    take_off,
)
from fusion.registration_pairs import NOBODY, register
from fusion.registration_ways import close_all
from fusion.settings import MOST_REGISTERED, Settings
from fusion.table import TrackTable
from model.arrays import Array, Floats
from model.sensors import Sensor, Sensors
from model.time import NS_PER_S

SLOTS = 64
"""Movers followed at a time: the work stays the same however many there are."""

LEAST_APART_NS = NS_PER_S // 2
"""Reports of a sensor that follow one another more closely are not all learnt from: biases change
over minutes, and so it costs little however often a sensor looks."""

PATIENCE, SELDOM = 16, 8
"""After so many reports of a sensor that nothing could be held against, one of so many is looked
into, until there is something again."""

NAMES = ("range_m", "azimuth_rad", "time_s", "east_m", "north_m")


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What is taken off a sensor's detections.

    Parameters
    ----------
    bias
        (5,) m, rad, s, m, m: range, azimuth, time, east, north.
    covariance
        (5, 5)
    speed
        Mean squared speed of movers, m²/s².
    """

    bias: Floats
    covariance: Floats
    speed: float

    def packed(self) -> Floats:
        """All of it in one row (31,)."""
        return np.concatenate([self.bias, self.covariance.ravel(), [self.speed]])

    @classmethod
    def of(cls, row: Floats) -> "Correction | None":
        """What `packed` gave; None: a row of NaN."""
        if np.isnan(row[0]):
            return None
        return cls(row[:PARTS].copy(), row[PARTS:-1].reshape(PARTS, PARTS).copy(), float(row[-1]))

    def take_off(self, scan: Scan) -> Scan:
        """The report without the bias; the one given stays as it is."""
        time = scan.time - round(float(self.bias[TIME]) * NS_PER_S)
        taken = replace(scan, time=time, rows=scan.rows.copy())
        take_off(taken.rows, scan.origin, self.bias, self.covariance, self.speed)
        return taken


def packed_corrections(corrections: Sequence[Correction | None]) -> dict[str, Array]:
    """Rows of all that differ, and which is whose (-1: none); `taken_off` takes them back."""
    found: dict[int, int] = {}
    rows: list[Floats] = []
    for one in corrections:
        if one is not None and id(one) not in found:
            found[id(one)] = len(rows)
            rows.append(one.packed())
    which = [-1 if one is None else found[id(one)] for one in corrections]
    return {
        "corrections": np.array(rows, dtype=np.float64).reshape(-1, PARTS + PARTS * PARTS + 1),
        "corrected": np.array(which, dtype=np.int64),
    }


def taken_off(
    scans: Sequence[Scan], saved: dict[str, Array]
) -> list[tuple[Scan, Correction | None]]:
    """Reports as they were fused, of reports as measured, and what was taken off each."""
    kinds = [Correction.of(np.array(row)) for row in saved["corrections"]]
    found: list[tuple[Scan, Correction | None]] = []
    for scan, which in zip(scans, saved["corrected"].tolist(), strict=True):
        one = kinds[which] if which >= 0 else None
        found.append((scan if one is None else one.take_off(scan), one))
    return found


class Registration:
    """What is known of the biases of all sensors.

    Parameters
    ----------
    sensors
        Those that indices are about.
    settings
        Constants.
    """

    def __init__(self, sensors: Sensors, settings: Settings) -> None:
        self.sensors = sensors
        self._settings = settings
        self._limits = Limits(
            np.array(settings.bias_sigmas),
            np.array(settings.bias_drift),
            round(settings.bias_span_s * NS_PER_S),
            max(settings.acceleration_density),
            settings.bias_contradiction,
            settings.bias_refusals,
        )
        self._comparable = [_comparable(sensor) for sensor in sensors]
        self._rows: dict[int, int] = {}  # of sensors, in the order in which they were met
        self._heard: set[int] = set()  # sensors whose places may be held against others'
        self._idle: dict[int, int] = {}  # reports of each since one could be held against others
        self._last: dict[int, int] = {}  # time of the report of each that was learnt from last, ns
        self._applied: dict[int, Correction] = {}
        self._followed = _nobody()
        self._biases = _nothing()

    def take(self, table: TrackTable, scan: Scan, records: Array) -> Correction | None:
        """Learn from a report that has just arrived.

        Parameters
        ----------
        table
            The present tracks, before the report is fused.
        scan
            The report as measured: nothing of this is taken off yet.
        records
            (S,) `fusion.gathered.SENSOR`.

        Returns
        -------
        Correction or None
            What to take off it; None: nothing.
        """
        if self._comparable[scan.sensor] and len(scan.rows):
            self._heard.add(scan.sensor)
            if len(self._heard) > 1 and table.count:
                self._learn(table, scan, records)
        return self._applied.get(scan.sensor)

    def _learn(self, table: TrackTable, scan: Scan, records: Array) -> None:
        if abs(scan.time - self._last.get(scan.sensor, -(1 << 62))) < LEAST_APART_NS:
            return
        row = self._row(scan.sensor)
        if row is None:
            return
        self._last[scan.sensor] = scan.time
        idle = self._idle.get(scan.sensor, 0)
        if idle > PATIENCE and idle % SELDOM:
            self._idle[scan.sensor] = idle + 1
            return
        before = int(self._biases.clock[1])
        found = register(
            (table.rows, table.near, table.count), scan.rows, scan.origin, scan.mode, scan.sensor,
            row, scan.time, records, self._settings.record, self._followed, self._biases,
            self._limits,
        )  # fmt: skip
        self._idle[scan.sensor] = idle + 1 if found == NOBODY else 0
        if int(self._biases.clock[1]) != before:
            self._decide()

    def _row(self, index: int) -> int | None:
        """The row of a sensor in the filter, made if need be; None: there are too many."""
        if self.sensors[index].cooperative:
            return FIXED
        row = self._rows.get(index)
        if row is None and len(self._rows) < MOST_REGISTERED:
            row = self._rows[index] = len(self._rows)
            self._biases = _with_one_more(self._biases, self._settings)
        return row

    def _decide(self) -> None:
        """What is taken off from now on."""
        for index, row in self._rows.items():
            bias, P = self._known(row)
            certain = float(bias @ np.linalg.solve(P, bias))
            applied = self._applied.get(index)
            if applied is None:
                if certain > self._settings.bias_apply and self._matters(index, bias):
                    self._applied[index] = self._correction(row)
                continue
            if certain < self._settings.bias_release:
                del self._applied[index]
                continue
            away = bias - applied.bias
            moved = float(away @ np.linalg.solve(applied.covariance, away))
            narrower = bool((np.diag(P) < 0.8 * np.diag(applied.covariance)).any())
            if moved > 0.1 or narrower:
                self._applied[index] = self._correction(row)

    def _matters(self, index: int, bias: Floats) -> bool:
        """Whether a bias is a noticeable part of the sensor's own noise."""
        sigmas = self.sensors[index].sigmas
        part = self._settings.bias_least
        speed = float(np.sqrt(self._biases.speed[self._rows[index]]))
        along = np.hypot(bias[3], bias[4]) + abs(bias[RANGE]) + abs(bias[TIME]) * speed
        least = part * min(sigmas.range_m, sigmas.horizontal_m)
        return bool(along > least or abs(bias[1]) > part * sigmas.azimuth_rad)

    def _known(self, row: int) -> tuple[Floats, Floats]:
        return _part_of(self._biases, row)

    def _correction(self, row: int) -> Correction:
        bias, P = self._known(row)
        return Correction(bias.copy(), P.copy(), float(self._biases.speed[row]))

    def report(self) -> dict[str, dict[str, float]]:
        """What is known of each sensor; see `fusion.Tracker.registration`."""
        said = {}
        biases = Biases(**_copies(self._biases))
        close_all(Followed(**_copies(self._followed)), biases, self._limits)
        for index, row in self._rows.items():
            bias, P = _part_of(biases, row)
            one: dict[str, float] = {}
            for part, name in enumerate(NAMES):
                one[name] = float(bias[part])
                one[f"sigma_{name}"] = float(np.sqrt(P[part, part]))
            one["detections"] = int(self._biases.used[row])
            one["refused"] = int(self._biases.refused[row])
            one["applied"] = index in self._applied
            said[self.sensors[index].id] = one
        return said

    def reconfigure(self, sensors: Sensors, *, moved: bool) -> None:
        """Take over a changed sensors table.

        Parameters
        ----------
        sensors
            The old ones at their indices, new ones behind.
        moved
            Whether the plane is another: what was gathered in the old one is forgotten.
        """
        changed = [
            index
            for index, sensor in enumerate(self.sensors)
            if _stands_so(sensor) != _stands_so(sensors[index])
        ]
        self.sensors = sensors
        self._comparable = [_comparable(sensor) for sensor in sensors]
        if moved or changed:
            self._followed.number[:] = 0
        for index in changed:
            # It stands otherwise: nothing is known of it now.
            self._applied.pop(index, None)
            self._heard.discard(index)
            if index in self._rows:
                _forget(self._biases, self._rows[index], self._limits.prior)

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides later answers, as plain data and arrays."""
        return {
            "rows": list(self._rows),
            "heard": sorted(self._heard),
            "idle": [[index, count] for index, count in self._idle.items()],
            "last": [[index, time] for index, time in self._last.items()],
            "applied": list(self._applied),
            "corrections": np.array([one.packed() for one in self._applied.values()]),
            "followed": _copies(self._followed),
            "biases": _copies(self._biases),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave."""
        self._rows = {int(index): row for row, index in enumerate(state["rows"])}
        self._heard = {int(index) for index in state["heard"]}
        self._idle = {int(index): int(count) for index, count in state["idle"]}
        self._last = {int(index): int(time) for index, time in state["last"]}
        found = [Correction.of(np.array(row)) for row in state["corrections"]]
        self._applied = {
            int(index): one for index, one in zip(state["applied"], found, strict=True) if one
        }
        self._followed = Followed(**{k: np.array(v) for k, v in state["followed"].items()})
        self._biases = Biases(**{k: np.array(v) for k, v in state["biases"].items()})


def _copies(arrays: Followed | Biases) -> dict[str, Array]:
    return {name: part.copy() for name, part in arrays._asdict().items()}


def _part_of(biases: Biases, row: int) -> tuple[Floats, Floats]:
    """Bias (5,) of a sensor, and its covariance (5, 5)."""
    span = slice(PARTS * row, PARTS * (row + 1))
    return biases.mean[span], biases.covariance[span, span]


def _comparable(sensor: Sensor) -> bool:
    """Whether a sensor's detections are places of movers: those of a trip wire are its own."""
    return sensor.cooperative or sensor.sensing == "scan"


def _stands_so(sensor: Sensor) -> tuple[Any, ...]:
    return (sensor.position, sensor.heading_rad, sensor.latency_s, sensor.cooperative)


def _nobody() -> Followed:
    shape = (SLOTS, DETECTIONS)
    return Followed(
        track=np.zeros(SLOTS, np.int64),
        at=np.zeros(SLOTS, np.int64),
        number=np.zeros(SLOTS, np.int64),
        time=np.zeros(shape, np.int64),
        sensor=np.zeros(shape, np.int64),
        row=np.zeros(shape, np.int64),
        z=np.zeros((*shape, 2)),
        R=np.zeros((*shape, 3)),
        stand=np.zeros((*shape, 3)),
        cursor=np.zeros(1, np.int64),
    )


def _nothing() -> Biases:
    none = np.zeros(0, np.int64)
    return Biases(
        np.zeros(0), np.zeros((0, 0)), none, none.copy(), none.copy(), none.copy(), np.zeros(0),
        np.zeros(2, np.int64),
    )  # fmt: skip


def _with_one_more(old: Biases, settings: Settings) -> Biases:
    width = len(old.mean)
    covariance = np.zeros((width + PARTS, width + PARTS))
    covariance[:width, :width] = old.covariance
    covariance[width:, width:] = np.diag(np.square(settings.bias_sigmas))

    def longer(column: Array, by: int = 1) -> Array:
        return np.concatenate([column, np.zeros(by, column.dtype)])

    return Biases(
        longer(old.mean, PARTS), covariance, longer(old.used), longer(old.refused),
        longer(old.streak), longer(old.astray), longer(old.speed), old.clock,
    )  # fmt: skip


def _forget(biases: Biases, row: int, prior: Floats) -> None:
    span = slice(PARTS * row, PARTS * (row + 1))
    biases.mean[span] = 0.0
    biases.covariance[span, :] = biases.covariance[:, span] = 0.0
    biases.covariance[span, span] = np.diag(np.square(prior))
    for column in (biases.used, biases.refused, biases.streak, biases.astray, biases.speed):
        column[row] = 0
