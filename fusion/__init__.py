"""From detections to track updates: pure functions on arrays, no I/O and no clock.

======================  ==========================================================
`fusion.tracker`        `Tracker`: step, tick, picture, snapshot, restore
`fusion.history`        late reports: go back, insert, go forward again
`fusion.scan`           one report against the table: predict ... confirm / delete
`fusion.measure`        detections of any kind -> measurements in the region's plane
`fusion.table`          the tracks, struct-of-arrays
`fusion.kalman`         constant-velocity prediction and updates in batches
`fusion.associate`      gate, clusters, global nearest neighbour
`fusion.existence`      what hits and misses say about a track being real
`fusion.silence`        when a track coasts, when it is lost
`fusion.heads`          what was published, and what must be said next
`fusion.settings`       every constant, with its unit and its source
======================  ==========================================================
"""

from fusion.settings import Settings
from fusion.tracker import Tracker

__all__ = ["Settings", "Tracker"]
