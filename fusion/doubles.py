"""Two tracks that bear one identity: the elder keeps it.

A mover is one track. A second one of the same identity arises where a mover reports itself far from
where it is held to be, or where a detection of it was first given to a track without a name. If
both may be one mover, the younger is closed. If not, the elder keeps the identity, the younger goes
on without, and the identity of both is doubted from then on (`fusion.doubts`). An elder that
silence would have closed, had its name not been said, is closed now: the name is said somewhere
else. If its mover cannot have come there, the identity is doubted there.
"""

import numpy as np

from fusion.doubts import doubt
from fusion.jit import kernel
from fusion.motion import combine
from fusion.near import names_said
from fusion.records import PACKED, WORDS, Record
from fusion.settings import NANO
from model.arrays import Array, Int64s

CLOSE, UNNAME, DOUBT = range(3)
"""What becomes of a row; the last: its identity is newly doubted, and it keeps it."""


@kernel
def doubles(
    rows: Array, names: Int64s, gone: Int64s, count: int, scan: Array, now: int, liveliest: float,
    s: Record,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Rows of which something is to become, as their name is said twice, and what.

    That an identity is doubted is already noted in the rows.

    Parameters
    ----------
    rows, names, gone, count
        Of the table, after the report was fused.
    scan
        (m,) `fusion.records.MEASURED`.
    now
        Time of the report, ns.
    liveliest
        Greatest acceleration density of a mode, m²/s³.
    s
        Constants.
    """
    said = names_said(scan)
    if not len(said):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    found, fate = np.empty(2 * count, np.int64), np.empty(2 * count, np.int64)
    first = np.full(len(said), -1)
    k = 0
    for row in range(count):  # in order of birth
        if names[row] == 0:
            continue
        at = np.searchsorted(said, names[row])
        if at == len(said) or said[at] != names[row]:
            continue
        elder = first[at]
        if elder < 0:
            first[at] = row
        elif rows[elder].mode == rows[row].mode:
            if gone[elder] < now:
                found[k], fate[k] = elder, CLOSE
                first[at] = row
                reached = _alike(rows[elder], rows[row], liveliest, s.identity_gate)
                if not reached and doubt(rows[row], now):
                    k += 1
                    found[k], fate[k] = row, DOUBT
            elif _alike(rows[elder], rows[row], liveliest, s.gate):
                found[k], fate[k] = row, CLOSE
            else:
                found[k], fate[k] = row, UNNAME
                begins = doubt(rows[elder], now)
                if doubt(rows[row], now):
                    # One of many places of a doubt that lasts bears no name, and is let be.
                    rows[row].aloud = begins
                if begins:
                    k += 1
                    found[k], fate[k] = elder, DOUBT
            k += 1
    return found[:k], fate[:k]


@kernel
def unname(track: Record) -> None:
    """Take its identity from a track."""
    track.name = track.identity_kind = 0
    for w in range(WORDS):
        track.words[w] = 0


@kernel
def _alike(one: Record, two: Record, liveliest: float, gate: float) -> bool:
    """Whether two tracks may be at one place, at the later of their times.

    `gate` is the greatest squared distance in units of both covariances.
    """
    newest = max(one.time, two.time)
    x, P = np.empty((2, 4)), np.empty((2, PACKED))
    ee = en = nn = 0.0
    combine(one.x, one.P, one.mu, x[0], P[0])
    combine(two.x, two.P, two.mu, x[1], P[1])
    for i in range(2):
        dt = (newest - (one.time if i == 0 else two.time)) * NANO
        bend = liveliest * dt * dt * dt / 3.0
        x[i, 0] += dt * x[i, 2]
        x[i, 1] += dt * x[i, 3]
        ee += P[i, 0] + dt * (2.0 * P[i, 2] + dt * P[i, 7]) + bend
        en += P[i, 1] + dt * (P[i, 3] + P[i, 5] + dt * P[i, 8])
        nn += P[i, 4] + dt * (2.0 * P[i, 6] + dt * P[i, 9]) + bend
    de, dn = x[0, 0] - x[1, 0], x[0, 1] - x[1, 1]
    inside: bool = nn * de * de - 2.0 * en * de * dn + ee * dn * dn <= gate * (ee * nn - en * en)
    return inside
