"""The numbers by which ingest judges; those of the site file have the same names there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of time and memory.

    Parameters
    ----------
    max_age_s
        Oldest report or detection, against its reception.
    max_future_s
        Newest, against its reception: clocks of sensors may run ahead by this.
    max_backlog_s
        Oldest reception that a gateway may tell in a frame, against the node's own.
    decode_timeout_s
        Longest that a decoder may take for a batch, and for an item of a batch that failed; 0: no
        limit.
    max_sensor_states
        Keys that each adapter may remember; every adapter here uses one for each sensor.
    max_boots
        Boots of a sensor whose sequence numbers are remembered.
    max_intervals
        Gaps in the sequence numbers of a boot that are remembered.
    """

    max_age_s: float = 60.0
    max_future_s: float = 2.0
    max_backlog_s: float = 7 * 86_400.0
    decode_timeout_s: float = 1.0
    max_sensor_states: int = 4096
    max_boots: int = 8
    max_intervals: int = 1024
