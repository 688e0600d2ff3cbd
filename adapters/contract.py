"""What every outcome of a decoder must fulfil, whoever wrote the decoder."""

import numpy as np

from model.errors import DecoderError
from model.ports import Decoded, Messages
from model.sensors import Sensors


def check(decoded: Decoded, messages: Messages, sensors: Sensors) -> None:
    """Raise `DecoderError` or `ValueError` where an adapter broke its contract."""
    found = decoded.detections.check()
    offsets = np.asarray(messages.offset)
    if found.n_reports:
        row = np.searchsorted(offsets, found.offset)
        row = np.minimum(row, len(offsets) - 1)
        if (offsets[row] != found.offset).any() or (np.diff(found.offset) < 0).any():
            raise DecoderError("offset: not of the batch, or out of order")
        if (np.asarray(messages.sensor)[row] != found.sensor).any():
            raise DecoderError("sensor: not that of the message")
        if (np.asarray(messages.received)[row] != found.received).any():
            raise DecoderError("received: not that of the message")
    last = int(offsets[-1])
    for entry in decoded.refused:
        if not 0 <= entry.offset <= last or sensors.index(entry.sensor) is None:
            raise DecoderError("refused: an offset or a sensor that was not given")
    if decoded.decoded < 0 or (
        decoded.decoded_each is not None and len(decoded.decoded_each) != len(messages)
    ):
        raise DecoderError("decoded: a count that cannot be")
