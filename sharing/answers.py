"""What a receiver sends back: acks and requests, as JSON; bytes from outside never raise.

An ack, and a request::

    {"agreement": "a-1", "contiguous": 80, "highest": 95, "gaps": [[81, 90]], "head": "5f0c..."}
    {"agreement": "a-1", "backfill": [[81, 90]]}
"""

from typing import TypeVar

import msgspec

from model.errors import Reason
from sharing.rows import DIGEST_BYTES
from sharing.wire import MAX_SEQ, Refused

MAX_RANGES = 1_000
"""Ranges that one ack or request may name."""

MAX_BYTES = 64 * 1024
"""Longest ack or request, bytes."""

Range = tuple[int, int]
"""Sequence numbers from .. to, both included."""

_FAILURES = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


class Ack(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a receiver says that it has.

    Parameters
    ----------
    agreement
        Its id.
    contiguous
        Everything up to this sequence number has arrived; 0: nothing.
    highest
        Highest sequence number that has arrived.
    gaps
        Ranges below `highest` that have not, from the lowest; at most `MAX_RANGES` of them.
    head
        Head of the chain at `contiguous`, hexadecimal.
    """

    agreement: str
    contiguous: int
    highest: int
    gaps: list[Range]
    head: str


class Control(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a receiver asks for: ranges of sequence numbers once more."""

    agreement: str
    backfill: list[Range]


Message = TypeVar("Message", Ack, Control)

_ack_decoder = msgspec.json.Decoder(Ack)
_control_decoder = msgspec.json.Decoder(Control)


def encode_back(message: Ack | Control) -> bytes:
    """An ack or a request as JSON."""
    return msgspec.json.encode(message)


def decode_ack(payload: bytes) -> Ack | Refused:
    """The ack that bytes hold, or why they hold none."""
    ack = _back(payload, _ack_decoder)
    if isinstance(ack, Refused):
        return ack
    if not 0 <= ack.contiguous <= ack.highest < MAX_SEQ:
        return Refused(Reason.OUT_OF_RANGE, "contiguous and highest do not rise from 0")
    if problem := _ranges_problem(ack.gaps, ack.contiguous, ack.highest):
        return Refused(Reason.OUT_OF_RANGE, problem)
    try:
        sound = len(bytes.fromhex(ack.head)) == DIGEST_BYTES
    except ValueError:
        sound = False
    return ack if sound else Refused(Reason.BAD_FIELD, "head is no SHA-256 in hexadecimal")


def decode_control(payload: bytes) -> Control | Refused:
    """The request that bytes hold, or why they hold none."""
    control = _back(payload, _control_decoder)
    if isinstance(control, Refused):
        return control
    if problem := _ranges_problem(control.backfill, 0, MAX_SEQ):
        return Refused(Reason.OUT_OF_RANGE, problem)
    return control


def _back(payload: bytes, decoder: "msgspec.json.Decoder[Message]") -> Message | Refused:
    if len(payload) > MAX_BYTES:
        return Refused(Reason.OVERSIZE, f"{len(payload)} bytes; at most {MAX_BYTES}")
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        return Refused(Reason.BAD_SHAPE, str(error)[:200])
    except _FAILURES as error:
        return Refused(Reason.NOT_JSON, str(error)[:200])


def _ranges_problem(ranges: list[Range], above: int, up_to: int) -> str:
    if len(ranges) > MAX_RANGES:
        return f"{len(ranges)} ranges; at most {MAX_RANGES}"
    for low, high in ranges:
        if not above < low <= high <= up_to:
            return f"range {low}..{high} does not lie behind {above} in order"
        above = high
    return ""
