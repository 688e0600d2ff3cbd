"""MAVLink 1 and 2, as a stream of frames or a telemetry log.

==========================  ====================================================
`adapters.mavlink.decoder`  the adapter: streams of sensors, `Detections`
`adapters.mavlink.frames`   where frames begin and end, and whether they hold
`adapters.mavlink.vehicle`  what the messages of one vehicle say
`adapters.mavlink.encode`   frames for simulators and tests
==========================  ====================================================
"""

from adapters.mavlink.decoder import MavlinkAdapter

ADAPTER = MavlinkAdapter()

__all__ = ["ADAPTER", "MavlinkAdapter"]
