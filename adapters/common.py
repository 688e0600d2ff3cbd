"""The few things that all decoders need."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from model.arrays import Array, Int32s
from model.detections import SCHEMA, Detections
from model.errors import Quarantined, Reason

MODE_NOT_SAID = 255
"""Value of `Detections.mode` where a format has no word for it: the topic decides, in ingest."""

DETAIL_CHARS = 160
"""Longest detail of a refusal, characters: bytes from the field do not write long lines."""


def refusal(offset: int, item: int, sensor: str, reason: Reason, detail: str) -> Quarantined:
    """A refusal whose detail is one short printable line."""
    line = (
        detail if detail.isprintable() else "".join(c if c.isprintable() else "?" for c in detail)
    )
    return Quarantined(int(offset), int(item), sensor, reason, line[:DETAIL_CHARS])


def unknown_options(options: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """A line for each option that an adapter does not have."""
    names = sorted(known)
    takes = f"it takes {', '.join(names)}" if names else "it takes none"
    return [f"options.{name}: no such option; {takes}" for name in options if name not in names]


def table(reports: int, rows: Int32s | Array, **columns: Array) -> Detections:
    """Detections from the columns given; every other column says *not measured*.

    Parameters
    ----------
    reports
        Number of reports, M.
    rows
        (N,) the report of each detection, never falling.
    columns
        Columns by the names of `model.detections.SCHEMA`; cast to their dtypes.
    """
    lengths = {"report": reports, "detection": len(rows), "vertex": 0}
    values = {
        name: np.ascontiguousarray(columns[name], dtype=column.dtype)
        if name in columns
        else column.empty(lengths[column.axis])
        for name, column in SCHEMA.items()
        if name != "report"
    }
    return Detections(report=np.asarray(rows, dtype=np.int32), **values)
