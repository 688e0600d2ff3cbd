"""Which AIS messages tell where a mover is, and how their fields and sentinels are read.

References
----------
ITU-R M.1371-5 (02/2014), annex 8: messages 1-3 (table 48), 4 (51), 9 (58), 18 (66), 19 (67),
21 (69), 27 (74 ff.): lengths, resolutions and the values that mean *not available*.
"""

import math
from typing import Any, NamedTuple

from model.taxonomy import CLASS_INDEX

KNOT_MPS = 1852.0 / 3600.0
"""One knot, m/s (ISO 80000-3: nautical mile of 1852 m)."""

HIGH_ACCURACY_M = 10.0
"""The position accuracy flag says better (1) or worse (0) than this (M.1371-5, table 48)."""

LONG_RANGE_SIGMA_M = 1852.0 / 10.0 / math.sqrt(12.0)
"""Message 27 has steps of 1/10 minute: standard deviation of rounding to 185 m, m."""

MIN_BITS: dict[int, int] = {
    1: 168, 2: 168, 3: 168, 4: 168, 9: 168, 18: 168, 19: 312, 21: 272, 27: 96,
}  # fmt: skip
"""Bits of a whole message (M.1371-5, annex 8); a shorter one was cut off."""

HEADER_BITS = 38
"""Message number, repeat indicator and MMSI: what every message begins with."""

POSITION_TYPES = frozenset({1, 2, 3, 9, 18, 19, 27})
"""Messages of movers; 4 and 21 are base stations and aids to navigation."""

_NOT_A_VESSEL = ("970", "972", "974")
"""Search and rescue transmitter, man overboard device, EPIRB (ITU-R M.585-8, annex 2)."""


class Fix(NamedTuple):
    """What one message says about a mover; NaN: not available."""

    latitude_deg: float
    longitude_deg: float
    east_mps: float
    north_mps: float
    sigma_m: float | None
    least_sigma_m: float
    mmsi: bytes
    class_index: int


def fix_of(message: Any) -> Fix | None:
    """The position in a decoded message, or None where it has none.

    Parameters
    ----------
    message
        As pyais decodes it: degrees, knots.
    """
    kind = int(message.msg_type)
    if kind not in POSITION_TYPES:
        return None
    latitude, longitude = float(message.lat), float(message.lon)
    if latitude == 91.0 or longitude == 181.0:
        return None
    sog, no_sog = float(message.speed), {9: 1023.0, 27: 63.0}.get(kind, 102.3)
    cog, no_cog = float(message.course), 511.0 if kind == 27 else 360.0
    east = north = math.nan
    if sog < no_sog and cog < no_cog:
        east = sog * KNOT_MPS * math.sin(math.radians(cog))
        north = sog * KNOT_MPS * math.cos(math.radians(cog))
    elif sog == 0.0:
        east = north = 0.0
    if kind == 27:
        sigma, least = None, LONG_RANGE_SIGMA_M
    elif message.accuracy:
        sigma, least = HIGH_ACCURACY_M, 0.0
    else:
        sigma, least = None, HIGH_ACCURACY_M
    mmsi = f"{int(message.mmsi):09d}"
    if kind == 9:
        label = "air_vehicle"
    elif mmsi.startswith(_NOT_A_VESSEL):
        label = "other"
    else:
        label = "sea_vessel"
    number = b"" if mmsi == "000000000" or len(mmsi) > 9 else mmsi.encode()
    return Fix(latitude, longitude, east, north, sigma, least, number, CLASS_INDEX[label])
