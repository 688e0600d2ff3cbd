"""From detections to track updates: pure functions on arrays, no I/O and no clock.

======================  ==========================================================
`fusion.tracker`        `Tracker`: step, tick, picture, snapshot, restore
`fusion.history`        late reports: go back, insert, go forward again
`fusion.registration`   how far each sensor is wrong (`fusion.registration_near`,
                        `fusion.registration_pairs`, `fusion.registration_ways`,
                        `fusion.registration_filter`)
`fusion.measure`        detections of any kind -> measurements in the region's plane
                        (how: `fusion.measure_kernels`, `fusion.geodesy`)
`fusion.gathered`       ... what does not change of sensors, in arrays
`fusion.names`          ... identities as integers
`fusion.pd_kernel`      ... what a miss is worth, for many tracks at once
`fusion.jit`            ... how all kernels are compiled, and how long they are kept
`fusion.scan`           one report against the table, step by step:
`fusion.reach`          ... which tracks it can say anything about, predicted to its time
`fusion.pairs`          ... which detection could belong to which track (`fusion.gate`)
`fusion.associate`      ... global nearest neighbour, exact in each cluster
`fusion.update`         ... tracks take in what belongs to them (`fusion.kalman`)
`fusion.existence`      ... what hits and misses say about a track being real
`fusion.initiate`       ... new tentative tracks from what is left
`fusion.doubles`        ... two tracks that bear one identity
`fusion.classes`        what kind of mover
`fusion.silence`        when a track coasts, when it is lost
`fusion.table`          the tracks, struct-of-arrays
`fusion.heads`          what was published, and what must be said next
`fusion.settings`       every constant, with its unit and its source
======================  ==========================================================
"""

from fusion.settings import Settings
from fusion.tracker import Tracker

__all__ = ["Settings", "Tracker"]
