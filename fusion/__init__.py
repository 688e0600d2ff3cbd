"""From detections to track updates: pure functions on arrays, no I/O and no clock.

======================  ==========================================================
`fusion.tracker`        `Tracker`: step, tick, picture, snapshot, export, adopt
`fusion.history`        late reports: go back and forward again, or taken in where they stand
`fusion.registration`   how far each sensor is wrong (`fusion.registration_near`,
                        `fusion.registration_pairs`, `fusion.registration_ways`,
                        `fusion.registration_filter`)
`fusion.measure`        detections of any kind -> measurements in the region's plane
                        (how: `fusion.measure_kernels`, `fusion.geodesy`)
`fusion.gathered`       ... what does not change of sensors, in arrays
`fusion.names`          ... identities as integers
`fusion.pd_kernel`      ... where a sensor looked, and what a miss is worth there
`fusion.scan`           one report against the table: `fusion.chain`, compiled whole
                        (step by step, to be timed: `fusion.staged`)
`fusion.near`           ... which tracks it can say anything about
`fusion.reach`          ... predicted to its time (`fusion.motion`)
`fusion.gate`           ... pairs within reach, over a grid
`fusion.pairs`          ... what each pair is worth
`fusion.associate`      ... who belongs to whom (`fusion.marginals`)
`fusion.update`         ... tracks take in what is theirs (`fusion.weigh`, `fusion.bearings`)
`fusion.crossings`      ... bearings of two places that cross start a tentative track
`fusion.existence`      ... what hits and misses say (`fusion.rivals`: one mover, two tracks)
`fusion.initiate`       ... new tentative tracks from what is left
`fusion.doubles`        ... two tracks that bear one identity
`fusion.learn`          what is learned of each sensor: `fusion.clutter`, `fusion.seeing` and
                        `fusion.shadow`, kept in `fusion.surroundings`
`fusion.habits`         what is learned of the movers
`fusion.classes`        what kind of mover
`fusion.silence`        when a track coasts, when it is lost
`fusion.table`          the tracks (`fusion.records`: a row of a track, of a measurement, of a pair)
`fusion.heads`          what was published, and what must be said next (`fusion.describe`,
                        `fusion.outbox`: in columns)
`fusion.handover`       tracks given to another tracker
`fusion.counters`       what was done, counted
`fusion.jit`            how all kernels are compiled, and how long they are kept
`fusion.settings`       every constant, with its unit and its source
======================  ==========================================================
"""

from fusion.records import MODES
from fusion.settings import Settings
from fusion.tracker import Tracker

__all__ = ["MODES", "Settings", "Tracker"]
