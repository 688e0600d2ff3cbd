"""What a report says of its sensor's surroundings: recalled before it is fused, learned after.

Sensors without a place, cooperative ones and those of events learn nothing.
"""

import math

import numpy as np

from fusion.clutter import count_false, densities
from fusion.gathered import OTHER, SILENT
from fusion.jit import kernel
from fusion.measure import Scan
from fusion.records import Record
from fusion.seeing import count_seen
from fusion.silence import stands
from fusion.surroundings import blank, look_round, range_of
from fusion.table import NOTHING, TrackTable
from model.arrays import Array, Floats
from model.frames import Region
from model.sensors import Sensor

_NOWHERE = np.zeros(5)


def memories(
    table: TrackTable, scan: Scan, sensor: Sensor, region: Region
) -> tuple[Floats, Floats, Floats]:
    """What the report's sensor has learned, a copy to learn into, and the sector that it searched.

    Each is empty, or says nothing, where the sensor learns nothing; the first also where it begins.
    """
    reach = float(min(sensor.coverage.range_m[1], region.radius_m))
    view = scan.view
    if view[0] == SILENT or math.isnan(scan.origin[0]) or not reach > 0.0:
        return NOTHING, NOTHING, _NOWHERE
    sector = view[1:6]
    if view[0] == OTHER:  # a polygon: all about it, where nothing is counted does no harm
        sector = np.array([*sensor.coverage.range_m, 0.0, 1.0, -2.0])
    memory = table.learned[scan.sensor]
    # A sensor that now looks farther, or less far, has other blocks: it begins anew.
    if not len(memory) or range_of(memory) != reach:
        return NOTHING, blank(reach), sector
    return memory, memory.copy(), sector


@kernel
def clutter_of(
    memory: Floats, predicted: Array, scan: Array, sensor: Record, s: Record, out: Floats
) -> None:
    """Fill clutter (m,) of a report at each of its detections, per square metre.

    Parameters
    ----------
    memory
        What its sensor has learned before; nothing: as described.
    predicted, scan
        (n,) `fusion.records.PREDICTED`, (m,) `fusion.records.MEASURED`.
    sensor, s
        `fusion.gathered.SENSOR`, and constants.
    out
        Filled.
    """
    out[:] = sensor.density
    if len(memory) == 0 or len(scan) == 0:
        return
    known = 0.0
    for i in range(len(predicted)):
        known += predicted[i].prior * predicted[i].pd
    densities(
        memory, scan, sensor.density, s.clutter_worth, s.clutter_prior_looks,
        s.clutter_least_part, known, out,
    )  # fmt: skip


@kernel
def learn(
    memory: Floats, sector: Floats, origin: Floats, predicted: Array, pairs: Array, rows: Array,
    scan: Array, free: Floats, fresh: Floats, sensor: Record, now: int, s: Record,
) -> None:  # fmt: skip
    """Learn from a report, in place; tracks have taken in what is theirs.

    Parameters
    ----------
    memory, sector, origin
        To learn into, what was searched (`fusion.surroundings.look_round`), and from where.
    predicted, pairs, rows, scan
        As `fusion.associate.associate` left them.
    free, fresh
        (m,) probability that a detection belongs to no track, and movers not known yet that the
        report brings out there, against its clutter.
    sensor, now, s
        `fusion.gathered.SENSOR`, time of the report, ns, and constants.
    """
    clutter = np.zeros(len(scan))
    for j in range(len(scan)):
        clutter[j] = free[j] / (1.0 + fresh[j])
    for i in range(len(predicted)):
        to = predicted[i]
        if to.count > 0 and stands(rows[to.row], now, s):
            for p in range(to.first, to.first + to.count):
                clutter[pairs[p].item] += pairs[p].share * to.there  # claimed by what is no mover
    kept = math.exp(-sensor.period / s.learned_s)
    look_round(memory, origin[0], origin[1], sector, kept)
    count_false(memory, scan, clutter)
    weight = min(1.0, sensor.period / s.miss_correlation_s)
    count_seen(memory, predicted, rows, origin, weight, s.sure_hits)
