"""The chain of one report step by step from Python, so that each step can be timed.

The same kernels in the same order as `fusion.chain`, so the same bits; a little slower, for each
step is called by itself.
"""

from collections.abc import Callable

import numpy as np

from fusion.associate import associate
from fusion.chain import (
    About,
    Place,
    Report,
    begin_tracks,
    choose_rows,
    close,
    exist,
    expect,
    gate,
    point,
    point_on,
    predict_rows,
)
from fusion.habits import judge
from fusion.learn import learn
from fusion.near import names_said
from fusion.pairs import gated
from fusion.update import take_in
from model.arrays import Array, Int64s

Lap = Callable[[str], None]
"""Called at the end of each step with its name."""


def begin_staged(
    place: Place, report: Report, about: About, lap: Lap
) -> tuple[Array, Array, Int64s, Int64s, int]:
    """As `fusion.chain.begin`."""
    said = names_said(report[0])
    why, chosen = choose_rows(place, report, about, said)
    lap("choose")
    predicted, window = predict_rows(place, report, about, said, chosen)
    lap("predict")
    i, paired, found = gate(window)
    lap("gate")
    return why, predicted, i, paired, found


def finish_staged(
    place: Place, report: Report, about: About, why: Array, predicted: Array, i: Int64s,
    items: Int64s, lap: Lap,
) -> tuple[Int64s, int, int, Array]:  # fmt: skip
    """As `fusion.chain.finish`."""
    rows = place[0]
    scan, origin, _, _, index, now, mode, _ = report
    sensors, _, _, settings, looks, memory, fresh_memory, sector, habits, _ = about
    s, sensor = settings[0], sensors[index]
    density, fresh = expect(memory, predicted, scan, sensor, looks, s)
    pairs = gated(predicted, rows, scan, i, items, sensor, density, now, mode, s)
    lap("weigh")
    free = np.empty(len(scan))
    associate(predicted, pairs, fresh, free)
    lap("associate")
    judge(predicted, pairs, rows, scan, s, habits)
    take_in(predicted, pairs, rows, scan, sensor, now, index, s)
    lap("update")
    if len(fresh_memory):
        learn(
            fresh_memory, sector, origin, predicted, pairs, rows, scan, free, fresh, sensor, now, s
        )
    lap("learn")
    gain, alone = point(predicted, rows, scan, origin, sensor, now, index, mode, s)
    lap("bearings")
    exist(predicted, rows, sensor, s, why)
    lap("existence")
    end = begin_tracks(place, report, about, predicted, free, fresh, why)
    end, loose = point_on(place, report, about, predicted, gain, alone, why, end)
    lap("initiate")
    touched, emptied = close(place, report, about, predicted, why, end)
    lap("confirm and drop")
    return touched, end, emptied, loose
