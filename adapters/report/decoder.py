"""The adapter of the product's own report format."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.common import refusal, unknown_options
from adapters.report import arrays, gather, objects
from adapters.report.columns import assemble
from model.arrays import Int64s
from model.detections import Detections
from model.errors import Quarantined, Reason
from model.ports import Decoded, KeyedState, Messages
from model.sensors import Sensors

_BOM = b"\xef\xbb\xbf"
_JSON_START = frozenset(b"{[\"' \t\r\n")
_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
"""First bytes of a MessagePack map (msgpack spec: fixmap, map 16, map 32)."""

_ARRAYS_MARK = b"\xa6arrays"
"""The key ``arrays`` as MessagePack writes it (fixstr of 6 bytes)."""

_MARK_WITHIN = 32
"""The key ``arrays`` comes first: the bytes in which it is looked for."""


class ReportAdapter:
    """Reports as JSON, JSON Lines, MessagePack, or MessagePack around arrays.

    The first byte tells them apart: a JSON object begins with a brace, a MessagePack map does
    not. The arrays form begins with the key ``arrays``. Nothing is remembered between messages.
    """

    name = "report"
    version = "1"

    def check_options(self, options: Mapping[str, Any]) -> list[str]:
        """Mistakes in a sensor's `options`, a line each; there are none to take."""
        return unknown_options(options, ())

    def decode(self, messages: Messages, sensors: Sensors, state: KeyedState) -> Decoded:  # noqa: ARG002 - part of the port
        """Decode a batch; see `model.ports.Adapter`."""
        ids = sensors.ids
        refused: list[Quarantined] = []
        read = objects.Objects()
        blocks = arrays.Blocks()
        each = np.zeros(len(messages), dtype=np.int32)
        for row, payload in enumerate(messages.payload):
            offset, sensor = int(messages.offset[row]), ids[int(messages.sensor[row])]
            first = payload[0] if payload else 0
            if first in _MAPS:
                if _ARRAYS_MARK in payload[:_MARK_WITHIN]:
                    each[row] = arrays.read_arrays(payload, row, offset, sensor, blocks, refused)
                else:
                    each[row] = objects.read_msgpack(payload, row, offset, sensor, read, refused)
            elif first in _JSON_START or payload.startswith(_BOM):
                text = payload.removeprefix(_BOM)
                each[row] = objects.read_json(text, row, offset, sensor, read, refused)
            else:
                text_like = 0x20 <= first < 0x7F or not payload
                reason = Reason.NOT_JSON if text_like else Reason.NOT_MSGPACK
                what = f"begins with byte 0x{first:02x}" if payload else "empty"
                refused.append(refusal(offset, -1, sensor, reason, f"no report: {what}"))
        tables: list[Detections] = []
        order: list[Int64s] = []
        with np.errstate(all="ignore"):  # what overflows is infinite, and the gate refuses that
            columns = [gather.to_rows(read)] if read.heads else []
            columns += [arrays.to_rows(blocks)] if blocks.parts else []
            for rows in columns:
                tables.append(assemble(rows, messages, sensors))
                order.append(rows.message)
        detections = Detections.concat(tables)
        if len(tables) > 1:
            detections = detections.take_reports(np.argsort(np.concatenate(order), kind="stable"))
        return Decoded(detections, tuple(refused), int(each.sum()), each)
