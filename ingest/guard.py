"""Decoding so that a decoder that breaks its contract harms nobody else.

A batch that fails is taken back and decoded again message by message: what can be decoded is,
with the outcome it would have had, and only the culprits are refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.common import refusal
from adapters.contract import check
from adapters.state import BoundedState
from ingest.watchdog import DecodeTimeout, time_limit
from model.detections import Detections
from model.errors import Quarantined, Reason
from model.ports import Adapter, Decoded, Messages
from model.sensors import Sensors

TIMEOUT_DETAIL = "decoding took longer than it may"
"""Detail of a refusal for time; the same live and on replay."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
"""Addresses in messages of exceptions: they differ from run to run."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """What came of a batch.

    Parameters
    ----------
    decoded
        All that could be decoded, and all that was refused.
    timed_out
        Offsets of messages that ran out of time, rising: to be journaled as shed.
    """

    decoded: Decoded
    timed_out: tuple[int, ...] = ()


def decode(
    adapter: Adapter,
    messages: Messages,
    sensors: Sensors,
    state: BoundedState,
    timeout_s: float,
) -> Guarded:
    """Decode a batch with the state committed; never raises for what the adapter does.

    Parameters
    ----------
    adapter
        Whose bytes these are.
    messages
        At least one.
    sensors, state
        As the adapter takes them.
    timeout_s
        Limit for the batch, and for each message when the batch failed; 0: none.
    """
    try:
        with time_limit(timeout_s):
            decoded = adapter.decode(messages, sensors, state)
            check(decoded, messages, sensors)
    except DecodeTimeout:
        state.rollback()
        reason, detail = Reason.DECODER_TIMEOUT, TIMEOUT_DETAIL
    except Exception as error:  # noqa: BLE001 - whatever foreign code raises is its own fault
        state.rollback()
        text = _ADDRESS.sub("0x…", f"{type(error).__name__}: {error}")
        reason, detail = Reason.DECODER_RAISED, text
    else:
        state.commit()
        return Guarded(decoded)
    if len(messages) > 1:
        return join(
            [decode(adapter, one, sensors, state, timeout_s) for one in _singly(messages)],
        )
    offset = int(messages.offset[0])
    culprit = refusal(offset, -1, sensors[int(messages.sensor[0])].id, reason, detail)
    return Guarded(
        Decoded(Detections.empty(), (culprit,), 0, np.zeros(1, dtype=np.int32)),
        (offset,) if reason is Reason.DECODER_TIMEOUT else (),
    )


def join(parts: Sequence[Guarded]) -> Guarded:
    """Several outcomes, one after another, as one."""
    known = all(part.decoded.decoded_each is not None for part in parts)
    return Guarded(
        Decoded(
            Detections.concat([part.decoded.detections for part in parts]),
            tuple(entry for part in parts for entry in part.decoded.refused),
            sum(part.decoded.decoded for part in parts),
            np.concatenate([part.decoded.decoded_each for part in parts]) if known else None,
        ),
        tuple(offset for part in parts for offset in part.timed_out),
    )


def _singly(messages: Messages) -> list[Messages]:
    return [take(messages, [row]) for row in range(len(messages))]


def take(messages: Messages, rows: Sequence[int]) -> Messages:
    """Chosen messages of a batch."""
    return Messages(
        messages.offset[rows],
        messages.received[rows],
        messages.sensor[rows],
        [messages.payload[row] for row in rows],
        messages.boot[rows],
        messages.seq[rows],
    )


def shed_refusal(offset: int, sensor: str, reason: Reason) -> Quarantined:
    """What stands in quarantine for a message that a journaled decision sheds."""
    detail = TIMEOUT_DETAIL if reason is Reason.DECODER_TIMEOUT else "shed"
    return refusal(offset, -1, sensor, reason, detail)
