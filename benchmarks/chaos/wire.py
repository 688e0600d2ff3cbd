"""Which report a journaled message is: read from its bytes, not by the node's own decoders."""

import msgspec

from benchmarks.chaos.traffic import Key


class _Head(msgspec.Struct):
    """What of a report is needed; the rest is passed over."""

    sensor: str
    boot: str
    seq: int


_json = msgspec.json.Decoder(_Head)
_msgpack = msgspec.msgpack.Decoder(_Head)
_frame = msgspec.msgpack.Decoder(tuple[str, int, int, bytes])


def key_of(topic: str, payload: bytes) -> Key:
    """The report in a message.

    Parameters
    ----------
    topic, payload
        As published.

    Raises
    ------
    ValueError
        It is no message of a source.
    """
    levels = topic.split("/")
    if levels[-1] == "framed":
        boot, seq, _, inner = _frame.decode(payload)
        head = _json.decode(inner)
        if (head.boot, head.seq) != (boot, seq):
            raise ValueError(f"frame {boot} {seq} holds the report {head.boot} {head.seq}")
    else:
        head = (_json if payload[:1] == b"{" else _msgpack).decode(payload)
    if head.sensor != levels[3]:
        raise ValueError(f"report of {head.sensor} on the topic {topic}")
    return Key(head.sensor, head.boot, head.seq)
