"""What a node that cannot keep up lets go: which messages are not decoded, and how that is said.

Everything is journaled first, so nothing is ever shed from the store: what is shed is not decoded
and not fused, stands in quarantine under its reason, and can be decoded again. The order is

1. *superseded*: looks of a scanning sensor of which a newer one waits already;
2. *stale*: messages that have waited longer than anybody would want to see them;
3. *low priority*: by `Sensor.priority`, the lowest first.

Ticks, commands, configurations and partners' tracks are never shed. Within a step the sources that
have most waiting lose first, down to a common level (max-min fairness), the oldest of each first: a
source that floods pays for it by itself.

The choice hangs on the clock and on the machine, so it is journaled (SHED) before any output that
rests on it; every replay decides alike.

References
----------
D. Bertsekas, R. Gallager, "Data Networks", 2nd ed., Prentice Hall 1992, section 6.5.2: max-min
fairness.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.arrays import Array, Bools, Int64s
from model.errors import JournalError, Reason
from model.sensors import Sensors

MOST_INTERVALS = 4_096
"""Intervals of offsets in one SHED record: some 80 kB."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """Messages that are journaled and not processed, oldest first, column by column.

    Parameters
    ----------
    offset
        (N,) int64 in the journal, rising.
    received
        (N,) int64, UTC ns.
    sensor
        (N,) int64, index of the sensor; -1: of none, and not to be shed.
    """

    offset: Int64s
    received: Int64s
    sensor: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What may be shed of each sensor.

    Parameters
    ----------
    source
        (S,) int64, who speaks for it; sensors of one source share what they may use.
    superseded
        (S,) bool, whether an older look is worth little once a newer one is there.
    priority
        (S,) int64, the lowest is shed first.
    """

    source: Int64s
    superseded: Bools
    priority: Int64s

    @classmethod
    def of(cls, sensors: Sensors, sources: dict[str, str]) -> "Rules":
        """Rules of these sensors; `sources` names the source of a sensor, if it has one."""
        names = [sources.get(sensor.id, f"\0{sensor.id}") for sensor in sensors]
        number = {name: row for row, name in enumerate(dict.fromkeys(names))}
        return cls(
            np.array([number[name] for name in names], dtype=np.int64),
            # A message of a cooperative sensor, or of a tracker, may be about anybody.
            np.array(
                [s.sensing == "scan" and not s.cooperative and not s.tracks for s in sensors],
                dtype=np.bool_,
            ),
            np.array([sensor.priority for sensor in sensors], dtype=np.int64),
        )


def choose(
    waiting: Waiting, rules: Rules, keep: int, now_ns: int, stale_ns: int
) -> list[tuple[Reason, Int64s]]:
    """Which messages are to be shed, so that no more than `keep` are left, as far as may be.

    Parameters
    ----------
    waiting
        What waits.
    rules
        What may be shed of each sensor.
    keep
        How many can be processed in good time.
    now_ns, stale_ns
        The time, and how long a message may have waited before it is stale.

    Returns
    -------
    list of tuple
        Reasons with the offsets shed for each, rising; every offset once.
    """
    own = waiting.sensor >= 0
    sensor, offset = waiting.sensor[own], waiting.offset[own]
    need = len(sensor) - keep
    if need <= 0:
        return []
    left = np.ones(len(sensor), dtype=np.bool_)
    source = rules.source[sensor]
    stale = now_ns - waiting.received[own] > stale_ns
    steps: list[tuple[Reason, Bools]] = [
        (Reason.SHED_SUPERSEDED, rules.superseded[sensor] & ~_newest(sensor)),
        (Reason.SHED_STALE, stale),
    ]
    priority = rules.priority[sensor]
    steps += [(Reason.SHED_PRIORITY, priority == p) for p in np.unique(priority).tolist()]
    chosen: dict[Reason, Bools] = {}
    for reason, candidates in steps:
        if need <= 0:
            break
        shed = _fairly(candidates & left, left, source, need)
        left &= ~shed
        need -= int(shed.sum())
        chosen[reason] = chosen[reason] | shed if reason in chosen else shed
    return [(reason, offset[shed]) for reason, shed in chosen.items() if shed.any()]


def _newest(sensor: Int64s) -> Bools:
    """Which of the messages (N,), oldest first, are the newest of their sensors."""
    newest = np.zeros(len(sensor), dtype=np.bool_)
    _, first = np.unique(sensor[::-1], return_index=True)
    newest[len(sensor) - 1 - first] = True
    return newest


def _fairly(candidates: Bools, left: Bools, source: Int64s, need: int) -> Bools:
    """Which candidates go: of the sources that have most left, down to one level, oldest first."""
    count = int(source.max()) + 1
    have = np.bincount(source[left], minlength=count)
    may = np.bincount(source[candidates], minlength=count)
    low, high = 0, int(have.max())  # the highest level at which enough goes
    while low < high:
        level = (low + high + 1) // 2
        if np.minimum(may, np.maximum(have - level, 0)).sum() >= need:
            low = level
        else:
            high = level - 1
    goes = np.minimum(may, np.maximum(have - low, 0))
    spare = int(goes.sum()) - need
    for row in np.flatnonzero(goes):  # those at the level have one to spare each, at most
        if spare <= 0:
            break
        if goes[row] == have[row] - low:
            goes[row] -= 1
            spare -= 1
    shed = np.zeros(len(source), dtype=np.bool_)
    rows = np.flatnonzero(candidates)
    order = np.argsort(source[rows], kind="stable")
    rows = rows[order]
    begins = np.searchsorted(source[rows], np.arange(count))
    rank = np.arange(len(rows)) - begins[source[rows]]
    shed[rows[rank < goes[source[rows]]]] = True
    return shed


def decisions(reason: Reason, offsets: Int64s) -> list[bytes]:
    """Payloads of SHED records that say that the inputs at these rising offsets are not decoded."""
    breaks = np.flatnonzero(np.diff(offsets) != 1)
    first = offsets[np.concatenate([[0], breaks + 1])]
    last = offsets[np.concatenate([breaks, [len(offsets) - 1]])]
    spans = np.column_stack([first, last]).tolist()
    return [
        json.dumps({"reason": reason, "offsets": spans[start : start + MOST_INTERVALS]}).encode()
        for start in range(0, len(spans), MOST_INTERVALS)
    ]


def decided(payload: bytes, offset: int) -> list[tuple[int, str]]:
    """Offsets, each with its reason, that the SHED record at `offset` is about.

    Raises
    ------
    JournalError
        It is no SHED record.
    """
    try:
        document = json.loads(payload)
        reason = str(Reason(document["reason"]))
        if "offset" in document:  # of one input, as formerly written
            return [(int(document["offset"]), reason)]
        spans = [(int(first), int(last)) for first, last in document["offsets"]]
    except (ValueError, TypeError, KeyError) as error:
        raise JournalError(f"journal offset {offset}: no SHED record: {error}") from error
    for first, last in spans:
        if not 0 <= first <= last < offset:
            raise JournalError(f"journal offset {offset}: sheds {first} to {last}, not before it")
    return [(of, reason) for first, last in spans for of in range(first, last + 1)]


def columns(offset: Sequence[int], received: Sequence[int], sensor: Sequence[int]) -> Waiting:
    """`Waiting` of lists."""

    def column(values: Sequence[int]) -> Array:
        return np.array(values, dtype=np.int64)

    return Waiting(column(offset), column(received), column(sensor))
