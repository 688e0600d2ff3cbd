"""What simulated sensors say in one stretch of time, and its way into `Detections`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.arrays import Array, Floats, Int64s
from model.detections import SCHEMA, Detections, Mode
from model.taxonomy import CLASS_INDEX, N_CLASSES, UNKNOWN


@dataclass(frozen=True, slots=True, eq=False)
class Reports:
    """Reports of one sensor, S of them, with K detections in all.

    Parameters
    ----------
    stamp_ns
        (S,) int64 ns since the start: the time that each report carries.
    send_ns
        (S,) int64 ns since the start: when it is handed to the broker; never falls.
    of
        (K,) int64, report of each detection; never falls.
    columns
        Columns of `Detections` along its detections, (K, ...), by name.
    looked
        (4,) sector searched, as in `Detections`; None: not said.
    lines
        Per detection the points (V, 2) of its line, for line sensors.
    """

    stamp_ns: Int64s
    send_ns: Int64s
    of: Int64s
    columns: dict[str, Array]
    looked: Floats | None = None
    lines: Sequence[Floats] = field(default=())


@dataclass(frozen=True, slots=True, eq=False)
class Natives:
    """Messages in a sensor's own bytes, S of them.

    Parameters
    ----------
    send_ns
        (S,) int64 ns since the start, never falls.
    payloads
        The bytes.
    """

    send_ns: Int64s
    payloads: Sequence[bytes]


def detections_of(
    sensor: int, reports: Reports, *, start_ns: int, boot: bytes, first_seq: int, mode: Mode
) -> Detections:
    """Reports of one sensor as `Detections`, ready for an encoder.

    Parameters
    ----------
    sensor
        Index of the sensor.
    reports
        What it says.
    start_ns
        The exercise's start, UTC ns.
    boot, first_seq
        Of the sender, and the number of the first report.
    mode
        Mode of the node that will take them in.
    """
    count = len(reports.stamp_ns)
    rows = {"report": count, "detection": len(reports.of), "vertex": 0}
    values: dict[str, Any] = {name: c.empty(rows[c.axis]) for name, c in SCHEMA.items()}
    time = start_ns + reports.stamp_ns
    values["sensor"][:] = sensor
    values["time"][:] = time
    values["received"][:] = time
    values["boot"][:] = boot
    values["seq"][:] = first_seq + np.arange(count)
    values["mode"][:] = int(mode)
    if reports.looked is not None:
        values["looked"][:] = reports.looked
    values["report"][:] = reports.of
    starts = np.searchsorted(reports.of, reports.of)
    values["item"][:] = np.arange(len(reports.of)) - starts
    values["detection_time"][:] = time[reports.of]
    for name, column in reports.columns.items():
        values[name][:] = column
    if reports.lines:
        counts = np.array([len(line) for line in reports.lines])
        stops = np.cumsum(counts)
        values["line_vertices"][:, 0] = stops - counts
        values["line_vertices"][:, 1] = stops
        values["vertices"] = np.concatenate(reports.lines)
    return Detections(**values)


def class_rows(labels: Sequence[str], chosen: Array, certainty: float) -> Array:
    """Class columns (K, C) float32 of movers `chosen` (K,); -1 is clutter and gives none.

    Parameters
    ----------
    labels
        Class of every mover.
    chosen
        (K,) mover of each detection, or -1.
    certainty
        What the right class gets; the rest is ``unknown``.
    """
    table = np.zeros((len(labels) + 1, N_CLASSES), dtype=np.float32)
    table[:-1, UNKNOWN] = 1.0 - certainty
    for row, label in enumerate(labels):
        table[row, CLASS_INDEX[label]] += certainty
    return table[chosen]  # -1 is the last row: nothing said
