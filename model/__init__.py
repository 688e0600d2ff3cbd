"""The nouns that every room speaks: arrays of detections and tracks, frames, time, coverage.

Nothing here does I/O, reads a clock or knows a protocol; it imports numpy and pyproj only.

==================  ================================================================
`model.errors`      the error tree and the quarantine reasons
`model.time`        int64 UTC nanoseconds, and parsing them
`model.frames`      geodetic, ECEF and regional ENU coordinates in batches
`model.arrays`      the struct-of-arrays base of the two nouns below
`model.detections`  `Detections`: reports and their detections, and a builder for them
`model.tracks`      `TrackUpdates`: the one output of fusion; statuses and reasons
`model.foreign`     `ForeignUpdates`: track updates that partner nodes shared with us
`model.sensors`     `Sensor`, `Sensors`: what a sensor is, where it stands, what it can see
`model.coverage`    `pd(sensor, position, time)`: what a miss is worth
`model.taxonomy`    the classes of movers
`model.records`     what the journal holds
`model.ports`       Protocols by which rooms of one floor meet
==================  ================================================================
"""
