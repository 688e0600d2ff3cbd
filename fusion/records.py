"""Records that kernels work on: one row of a track, of a measurement, of a prediction, of a pair.

A table is an array of records. What a kernel does with one track then touches memory that lies
together, and the shapes of a record's parts are known when it is compiled, so loops over modes and
axes are unrolled: predicting a track takes half the time it takes over arrays of one column each
(docs/decisions/010). What is searched through for all tracks at once stands in columns of its own
(`fusion.table.TrackTable.near`).
"""

import os
from typing import Any

import numpy as np

from model.detections import IDENTITY_BYTES
from model.taxonomy import N_CLASSES
from model.tracks import MAX_SENSORS

Record = Any
"""One record of an array, inside a kernel: its parts are attributes there, and only there."""

MODES_VARIABLE = "VEDETTE_FUSION_MODES"


def _modes() -> int:
    given = os.environ.get(MODES_VARIABLE, "2")
    if given not in ("1", "2"):
        raise ValueError(f"{MODES_VARIABLE}: 1 or 2, not {given!r}")
    return int(given)


MODES = _modes()
"""Modes of motion of every track: 2, or 1 where the environment says so.

Kernels are compiled for it, so it cannot change while a program runs. With one a report costs less,
and who manoeuvres is followed less well: each class keeps the livelier of its models.
"""

PARTS = 5
"""Parts of a sensor's bias: range, azimuth, time, east, north."""

NOT_TOUCHED = 255
"""In place of a `model.tracks.UpdateReason`: nothing happened to a row."""

NEVER = (1 << 63) - 1
"""A time that does not come, ns."""

PACKED = 10
"""Numbers of a packed covariance of four states: the upper triangle by rows."""

WORDS = IDENTITY_BYTES // 8
"""Words of 64 bits in an identity."""

TRACK = np.dtype(
    [
        # What is asked of every track lies at the beginning.
        ("track_id", "i8"),
        ("time", "i8"),  # ns, the newest detection fused
        ("llr", "f8"),  # log-odds of existence
        ("name", "i8"),  # of its identity (`fusion.names`); 0: none
        ("born", "i8"),  # ns, its first detection
        ("hits", "i4"),
        ("head", "i4"),  # slot in `fusion.heads.Heads`, if it is still its own; -1: not known
        ("status", "u1"),  # `model.tracks.Status`; DELETED: the row is empty
        ("identity_kind", "u1"),
        ("mode", "u1"),
        ("moved", "u1"),  # whether it ever went anywhere
        ("motion", "u1"),  # whose models of motion it follows: a class (`fusion.motions`)
        ("sensors", "i4", (MAX_SENSORS,)),  # heard last, newest first; -1: none
        ("heard", "i8", (MAX_SENSORS,)),  # ns, when each of them was
        ("by_angle", "u1", (MAX_SENSORS,)),  # whether it then gave a bearing, and no place
        ("crossed", "u1"),  # whether bearings alone have shown it
        ("placed", "i8"),  # ns, the newest place of its own; of the crossed: seen from elsewhere
        ("lift", "f8"),  # log-odds of existence that bearings gave since then
        ("look", "f8", (2,)),  # east, north m from where bearings that crossed in it came last
        ("mu", "f8", (MODES,)),  # probability of each mode
        ("x", "f8", (MODES, 4)),  # east, north m; their rates m/s; by mode
        ("P", "f8", (MODES, PACKED)),  # m², m²/s, m²/s²
        ("h", "f8", (2,)),  # HAE m; its rate m/s; NaN: never measured
        ("Ph", "f8", (3,)),  # variance of height, covariance, variance of rate
        ("h_time", "i8"),  # ns, the newest height fused
        ("classes", "f8", (N_CLASSES,)),  # log-likelihoods, relative
        ("anchor", "f8", (3,)),  # east, north m where it was born; variance m²
        ("words", "u8", (WORDS,)),  # the identity's bytes, little-endian
        ("doubted", "i8"),  # ns, since when its identity is doubted (`fusion.doubts`); 0: it is not
        ("vouched", "i8"),  # ns, first own word of it since it was last contradicted; 0: none
        ("aloud", "u1"),  # whether that is said of it also while it bears no name
    ],
    align=True,
)
"""One track."""

MEASURED = np.dtype(
    [
        # What is asked of every detection that a track could have lies at the beginning.
        ("z", "f8", (2,)),
        ("R", "f8", (2, 2)),
        ("delta", "f8"),
        ("height", "f8"),
        ("range_rate", "f8"),
        ("name", "i8"),
        ("across", "f8", (2,)),  # 0, 0: nothing is known of it
        ("azimuth", "f8"),
        ("velocity", "f8", (3,)),
        ("identity_kind", "u1"),
        ("classes", "f4", (N_CLASSES,)),
        ("height_variance", "f8"),
        ("velocity_variance", "f8"),
        ("range_rate_variance", "f8"),
        ("sight", "f8", (2,)),
        ("azimuth_variance", "f8"),
        ("item", "i8"),
        ("words", "u8", (WORDS,)),
    ],
    align=True,
)
"""One detection as `fusion.measure.Scan` describes it."""

LOOSE = np.dtype(
    [
        ("time", "i8"),  # ns
        ("sensor", "i4"),
        ("mode", "u1"),
        ("place", "f8", (2,)),  # east, north m of the sensor
        ("azimuth", "f8"),  # rad in the plane of the region
        ("variance", "f8"),  # rad²
    ],
    align=True,
)
"""A bearing that pointed at no track (`fusion.crossings`)."""

PREDICTED = np.dtype(
    [
        ("row", "i8"),  # of the table
        ("dt", "f8"),  # s from the track's time to the report's; negative: the report is late
        ("pd", "f8"),  # probability that the sensor detects it, if it is there
        ("described", "f8"),  # the same as described, shadows taken off
        ("prior", "f8"),  # probability that it is there, before the report is looked into
        ("unseen", "f8"),  # how much it says that the sensor did not see it: 0 nothing, 1 all
        ("claims", "f8"),  # probability that it is there and a detection is its own
        ("there", "f8"),  # probability that it is there, after the report
        ("first", "i4"),  # its pairs: the first of them, and how many
        ("count", "i4"),
        ("own", "i4"),  # the detection that is mostly its own; -1: none
        ("pointed", "i4"),  # whether bearings have changed it
        ("rivals", "i4"),  # whether another track could have one of its detections
        ("mu", "f8", (MODES,)),
        ("x", "f8", (MODES, 4)),  # at the report's time; updated in place
        ("P", "f8", (MODES, PACKED)),
        ("mean", "f8", (4,)),  # all modes together, as predicted
        ("spread", "f8", (PACKED,)),  # only if a detection is held against it
    ],
    align=True,
)
"""One track as the sensor should have seen it."""

PAIR = np.dtype(
    [
        ("row", "i8"),  # of the predictions
        ("item", "i8"),  # of the report's detections
        ("likelihood", "f8", (MODES,)),  # density of the detection under each mode, 1/m²
        ("both", "f8"),  # and under all of them
        ("ratio", "f8"),  # against clutter, if the track is there and is detected
        ("psi", "f8"),  # weight against the track having no detection
        ("share", "f8"),  # probability that it is the track's own, given that it is there
        ("named", "u1"),  # whether it bears the track's identity
    ],
    align=True,
)
"""A track and a detection that may be its own."""
