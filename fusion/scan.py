"""One report against the table: the whole of what happens to it, step by step.

All of it is one chain of compiled kernels (`fusion.chain`). Where a step needs what cannot be
compiled (polygons of coverage, a crowd that nobody can tell apart), the chain is left after its
first half and taken up again with the second.
"""

import math

import numpy as np

from fusion.chain import finish, through
from fusion.classes import class_probability
from fusion.gate import MAX_PAIRS, nearest_pairs
from fusion.gathered import OTHER, gathered
from fusion.jit import kernel
from fusion.learn import memories
from fusion.measure import Scan
from fusion.near import names_said
from fusion.pairs import reach_of, targets_of
from fusion.reach import shade, weigh_all
from fusion.records import Record
from fusion.settings import Settings
from fusion.staged import Lap, begin_staged, finish_staged
from fusion.table import TrackTable
from model.arrays import Array, Floats, Int64s
from model.coverage import pd
from model.frames import Region
from model.sensors import Sensors
from model.taxonomy import N_CLASSES


def fuse(
    table: TrackTable, scan: Scan, sensors: Sensors, records: Array, region: Region,
    settings: Settings, lap: Lap | None = None,
) -> tuple[Int64s, Array]:  # fmt: skip
    """Fuse one report into the table, in place.

    Parameters
    ----------
    table
        The tracks.
    scan
        The report in the plane of the region.
    sensors, records
        Those that the indices are about, and the same as `fusion.gathered.SENSOR`.
    region, settings
        The plane, and the constants.
    lap
        Called at the end of each step with its name; None: nobody asks.

    Returns
    -------
    tuple
        Rows that changed, rising, and why each row in use did (`UpdateReason`, or `NOT_TOUCHED`).
        Rows that are now empty are among them.
    """
    table.look_at(scan.sensor)
    table.reserve(len(scan))
    known = gathered(sensors)
    index = scan.sensor
    high = math.nan if scan.look.sector is None else float(scan.look.sector[1])
    place = (
        table.rows, table.near, table.names, table.gone, table.count, len(table), table.room,
    )  # fmt: skip
    report = (scan.rows, scan.origin, scan.view, high, index, scan.time, scan.mode, scan.offset)
    memory, fresh, sector = memories(table, scan, sensors[index], region)
    about = (
        records, known.ranges[index], known.chances[index], settings.record,
        int(table.looks[index]), memory, fresh, sector, table.habits, table.loose,
    )  # fmt: skip
    ask = scan.view[0] == OTHER
    if lap is None:
        why, predicted, i, items, count, touched, end, emptied, loose = through(
            place, report, about, ask
        )
    else:
        why, predicted, i, items, count = begin_staged(place, report, about, lap)
    if lap is not None or ask or count > MAX_PAIRS:
        if ask and len(predicted):
            predicted["described"] = _pd_of(table, predicted, scan, sensors, region)
            said = (
                predicted, table.rows, memory, scan.origin, records, records[index], scan.time,
                settings.record[0],
            )  # fmt: skip
            weigh_all(*said)
            if sensors[index].extent_m > 0.0 and not math.isnan(scan.origin[0]):
                shade(*said)
        if count > MAX_PAIRS:
            i, items = _crowd(table, predicted, scan, settings)
        else:
            i, items = i[:count], items[:count]
        rest = (place, report, about, why, predicted, i, items)
        touched, end, emptied, loose = finish(*rest) if lap is None else finish_staged(*rest, lap)
    table.count = end
    table.empty += emptied
    table.looks[index] += 1
    table.learned[index], table.loose = fresh, loose
    return touched, why


def _pd_of(
    table: TrackTable, predicted: Array, scan: Scan, sensors: Sensors, region: Region
) -> Floats:
    """Probability (n,) that the sensor detects each prediction, by the model itself."""
    sensor = sensors[scan.sensor]
    assumed = 0.0 if sensor.assumed_height_m is None else sensor.assumed_height_m
    rows = table.rows[predicted["row"]]
    height = np.where(np.isnan(rows["h"][:, 0]), assumed, rows["h"][:, 0])
    mean = predicted["mean"]
    classes = np.zeros((len(rows), N_CLASSES))
    _classes_of(rows, classes)
    ecef = region.ecef_from_plane(mean[:, 0], mean[:, 1], height)
    return pd(sensor, ecef, scan.time, scan.look, classes)


@kernel
def _classes_of(rows: Array, out: Floats) -> None:
    for i in range(len(rows)):
        class_probability(rows[i].classes, out[i])


def _crowd(
    table: TrackTable, predicted: Array, scan: Scan, settings: Settings
) -> tuple[Array, Array]:
    """Pairs within reach where there are too many of them to be told apart."""
    said = names_said(scan.rows)
    targets, items, lag, widest, _ = targets_of(scan.rows)
    reach = np.empty(len(predicted))
    _reach_all(predicted, table.rows, said, lag, widest, settings.record[0], reach)
    i, j = nearest_pairs(predicted["mean"][:, :2], reach, targets)
    return i, items[j]


@kernel
def _reach_all(
    predicted: Array, rows: Array, said: Int64s, lag: float, widest: float, s: Record, out: Floats
) -> None:
    for i in range(len(predicted)):
        out[i] = reach_of(predicted[i], rows[predicted[i].row].name, said, lag, widest, s)
