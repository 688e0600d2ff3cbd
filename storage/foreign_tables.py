"""The columns of `vedette.foreign_updates`: what partners gave us, written and read by one list.

A row is a track update without its sensors, which no partner tells, and beside it where it came
from.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.foreign import ForeignUpdates
from storage.copy import Encoded, booleans, coded, text_bytes, timestamps
from storage.tables import (
    STATE_COLUMNS,
    decode_states,
    encode_states,
    fill_scalars,
    name_arrays,
    scalars,
)

FOREIGN_SCALARS = scalars("i8", "seq", sent_ns="sent", received_ns="received")
FOREIGN_OTHERS = ("received", "giver", "agreement", "path", "head")
FOREIGN_COLUMNS = (
    *STATE_COLUMNS,
    *(scalar.column for scalar in FOREIGN_SCALARS),
    *FOREIGN_OTHERS,
)


def encode_foreign(foreign: ForeignUpdates) -> list[Encoded]:
    """Columns of `FOREIGN_COLUMNS`.

    Parameters
    ----------
    foreign
        Checked (`ForeignUpdates.check`): an index of -1 would take the last of the names.
    """
    return [
        *encode_states(foreign.updates),
        *(scalar.encode(getattr(foreign, scalar.source)) for scalar in FOREIGN_SCALARS),
        timestamps(foreign.received),
        coded(foreign.giver, [text_bytes(name) for name in foreign.nodes]),
        coded(foreign.agreement, [text_bytes(name) for name in foreign.agreements]),
        name_arrays(foreign.path, foreign.nodes),
        booleans(foreign.head),
    ]


def decode_foreign(rows: Sequence[tuple[Any, ...]]) -> ForeignUpdates:
    """Rows of `FOREIGN_COLUMNS` back as they were; names in the order in which they turn up.

    Parameters
    ----------
    rows
        As the driver gives them.
    """
    if not rows:
        return ForeignUpdates.empty()
    columns = dict(zip(FOREIGN_COLUMNS, zip(*rows, strict=True), strict=True))
    nodes: dict[str, int] = {}
    agreements: dict[str, int] = {}
    values = ForeignUpdates.empty(len(rows)).columns()
    fill_scalars(values, FOREIGN_SCALARS, columns)
    values["head"][:] = np.array(columns["head"], dtype=np.bool_)
    values["giver"][:] = [nodes.setdefault(name, len(nodes)) for name in columns["giver"]]
    values["agreement"][:] = [
        agreements.setdefault(name, len(agreements)) for name in columns["agreement"]
    ]
    for row, path in enumerate(columns["path"]):
        values["path"][row, : len(path)] = [nodes.setdefault(name, len(nodes)) for name in path]
    updates = decode_states(columns, len(rows))
    return ForeignUpdates(
        updates, **values, nodes=tuple(nodes), agreements=tuple(agreements)
    ).check()
