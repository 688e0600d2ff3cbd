"""What the messages of one vehicle say, and what is kept of it between messages.

References
----------
MAVLink common message set (mavlink.io, common.xml): SYSTEM_TIME (2), GPS_RAW_INT (24) with its
MAVLink 2 extension fields, GLOBAL_POSITION_INT (33).
"""

from struct import Struct
from typing import Any, NamedTuple

from model.time import MAX_TIME_NS, NS_PER_S

SYSTEM_TIME = 2
GPS_RAW_INT = 24
GLOBAL_POSITION_INT = 33

_SYSTEM_TIME = Struct("<QI")
_GPS_RAW_INT = Struct("<QiiiHHHHBBiIII")  # up to vel_acc; the last four are extensions
_GPS_RAW_INT_BASE = 30
_GLOBAL_POSITION_INT = Struct("<IiiiihhhH")

LENGTHS = {SYSTEM_TIME: 12, GPS_RAW_INT: _GPS_RAW_INT_BASE, GLOBAL_POSITION_INT: 28}
"""Payload bytes of a MAVLink 1 frame, which is never truncated."""

UNKNOWN_U16 = 0xFFFF
"""UINT16_MAX: not known (eph of GPS_RAW_INT)."""

UERE_M = 5.0
"""User equivalent range error, one sigma, m, by which a dilution of precision becomes metres:
single frequency GPS without differential corrections (Misra & Enge, Global Positioning System,
2nd edition, section 5.2: 5.1 m)."""

GEOID_M = (-110.0, 90.0)
"""Least and greatest height of the geoid above the ellipsoid, m (EGM96: -107 to +85)."""

QUALITY_NS = 10 * NS_PER_S
"""How long the accuracy a receiver told stays true, ns of reception."""

REBOOT_MS = 10_000
"""A boot clock that falls back by more than this has started anew, ms."""


class Position(NamedTuple):
    """A GLOBAL_POSITION_INT in SI; height HAE or NaN; sigma None: not told."""

    time_ns: int | None
    latitude_deg: float
    longitude_deg: float
    height_m: float
    velocity_mps: tuple[float, float, float]
    sigma_m: float | None
    sigma_height_m: float | None
    sigma_velocity_mps: float | None


Vehicle = dict[str, Any]
"""Plain data kept of a vehicle: ``clock`` [unix ms, boot ms], ``boot`` ms last seen, ``geoid`` m,
``sigma`` [received ns, horizontal m or None, vertical m or None, velocity m/s or None]."""


def system_time(vehicle: Vehicle, payload: bytes) -> Vehicle:
    """Keep how the vehicle's boot clock stands to UTC; 0 means that it does not know."""
    unix_us, boot_ms = _SYSTEM_TIME.unpack(payload)
    vehicle = _boot(vehicle, boot_ms)
    if 0 < unix_us * 1000 <= MAX_TIME_NS:
        return {**vehicle, "clock": [unix_us, boot_ms]}
    return vehicle


def gps_raw_int(vehicle: Vehicle, payload: bytes, received: int) -> Vehicle:
    """Keep the accuracy and the height of the geoid; extension fields that are 0 are not told."""
    fields = _GPS_RAW_INT.unpack(payload)
    height_msl, eph = fields[3] / 1000.0, fields[4]
    height_hae, h_acc, v_acc, vel_acc = (value / 1000.0 for value in fields[10:14])
    sigma = h_acc or (eph / 100.0 * UERE_M if 0 < eph < UNKNOWN_U16 else None)
    kept = {**vehicle, "sigma": [received, sigma, v_acc or None, vel_acc or None]}
    if height_hae and GEOID_M[0] <= height_hae - height_msl <= GEOID_M[1]:
        kept["geoid"] = height_hae - height_msl
    return kept


def global_position_int(
    vehicle: Vehicle, payload: bytes, received: int
) -> tuple[Vehicle, Position]:
    """The position, with its height above the ellipsoid where that is known.

    The altitude told is above mean sea level; it becomes HAE by the geoid height that the
    receiver itself gave with GPS_RAW_INT. Without that the height is not measured.
    """
    boot_ms, lat, lon, alt, _, north, east, down, _ = _GLOBAL_POSITION_INT.unpack(payload)
    vehicle = _boot(vehicle, boot_ms)
    clock, geoid = vehicle.get("clock"), vehicle.get("geoid")
    since, sigma, sigma_height, sigma_velocity = vehicle.get("sigma") or (
        received,
        None,
        None,
        None,
    )
    if received - since > QUALITY_NS:
        sigma = sigma_height = sigma_velocity = None
    time_ns = None if clock is None else (clock[0] + (boot_ms - clock[1]) * 1000) * 1000
    return vehicle, Position(
        time_ns,
        lat * 1e-7,
        lon * 1e-7,
        float("nan") if geoid is None else alt / 1000.0 + geoid,
        (east / 100.0, north / 100.0, -down / 100.0),
        sigma,
        sigma_height,
        sigma_velocity,
    )


def padded(message: int, payload: bytes) -> bytes:
    """A payload at its full length: MAVLink 2 cuts off zeros at the end."""
    size = {
        SYSTEM_TIME: _SYSTEM_TIME.size,
        GPS_RAW_INT: _GPS_RAW_INT.size,
        GLOBAL_POSITION_INT: _GLOBAL_POSITION_INT.size,
    }[message]
    return payload.ljust(size, b"\0")[:size]


def _boot(vehicle: Vehicle, boot_ms: int) -> Vehicle:
    """Forget the clock of an earlier boot."""
    if boot_ms + REBOOT_MS < vehicle.get("boot", 0):
        vehicle = {key: value for key, value in vehicle.items() if key not in {"clock", "sigma"}}
    return {**vehicle, "boot": boot_ms}
