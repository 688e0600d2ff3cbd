"""Frames for simulators and tests: the four messages that the decoder listens to.

Numbers are in SI and degrees; the wire's integers are made here.
"""

from binascii import crc_hqx
from struct import Struct

from adapters.mavlink.frames import EXTRA, MAGIC_1, MAGIC_2, REVERSED, TLOG_BYTES
from adapters.mavlink.vehicle import GLOBAL_POSITION_INT, GPS_RAW_INT, SYSTEM_TIME

HEARTBEAT = 0
UNKNOWN_U16 = 0xFFFF

_HEARTBEAT = Struct("<IBBBBB")
_SYSTEM_TIME = Struct("<QI")
_GPS_RAW_INT = Struct("<QiiiHHHHBB")
_GPS_EXTENSION = Struct("<iIIIIH")
_GLOBAL_POSITION_INT = Struct("<IiiiihhhH")


def frame(
    message: int,
    payload: bytes,
    *,
    system: int = 1,
    component: int = 1,
    sequence: int = 0,
    version: int = 2,
) -> bytes:
    """One frame around a payload, zeros at its end cut off in MAVLink 2.

    Raises
    ------
    KeyError
        If the message is not known: its checksum cannot be made.
    """
    if version == 1:
        header = bytes((len(payload), sequence & 0xFF, system, component, message))
        magic = MAGIC_1
    else:
        payload = payload.rstrip(b"\0") or b"\0"
        header = bytes((len(payload), 0, 0, sequence & 0xFF, system, component))
        header += message.to_bytes(3, "little")
        magic = MAGIC_2
    body = header + payload
    crc = crc_hqx(EXTRA[message], crc_hqx(body.translate(REVERSED), 0xFFFF))
    return bytes((magic,)) + body + crc.to_bytes(2, "big").translate(REVERSED)


def tlog(time_us: int, data: bytes) -> bytes:
    """A frame as it stands in a telemetry log."""
    return time_us.to_bytes(TLOG_BYTES, "big") + data


def heartbeat(*, system: int = 1, sequence: int = 0, version: int = 2) -> bytes:
    """HEARTBEAT of an active quadrotor (MAV_TYPE 2, MAV_AUTOPILOT 3, MAV_STATE 4)."""
    payload = _HEARTBEAT.pack(0, 2, 3, 0, 4, 3)
    return frame(HEARTBEAT, payload, system=system, sequence=sequence, version=version)


def system_time(
    unix_ns: int, boot_ms: int, *, system: int = 1, sequence: int = 0, version: int = 2
) -> bytes:
    """SYSTEM_TIME: how the boot clock stands to UTC; 0 is *not known*."""
    payload = _SYSTEM_TIME.pack(unix_ns // 1000, boot_ms)
    return frame(SYSTEM_TIME, payload, system=system, sequence=sequence, version=version)


def gps_raw_int(
    latitude_deg: float,
    longitude_deg: float,
    height_msl_m: float,
    *,
    height_hae_m: float | None = None,
    h_acc_m: float | None = None,
    v_acc_m: float | None = None,
    vel_acc_mps: float | None = None,
    hdop: float | None = None,
    time_us: int = 0,
    system: int = 1,
    sequence: int = 0,
    version: int = 2,
) -> bytes:
    """GPS_RAW_INT; the height above the ellipsoid and the accuracies need MAVLink 2."""
    payload = _GPS_RAW_INT.pack(
        time_us,
        round(latitude_deg * 1e7),
        round(longitude_deg * 1e7),
        round(height_msl_m * 1000),
        UNKNOWN_U16 if hdop is None else round(hdop * 100),
        UNKNOWN_U16,
        UNKNOWN_U16,
        UNKNOWN_U16,
        3,
        10,
    )
    if version == 2:
        payload += _GPS_EXTENSION.pack(
            *(round((value or 0.0) * 1000) for value in (height_hae_m, h_acc_m, v_acc_m)),
            round((vel_acc_mps or 0.0) * 1000),
            0,
            0,
        )
    return frame(GPS_RAW_INT, payload, system=system, sequence=sequence, version=version)


def global_position_int(
    boot_ms: int,
    latitude_deg: float,
    longitude_deg: float,
    height_msl_m: float,
    *,
    velocity_enu_mps: tuple[float, float, float] = (0.0, 0.0, 0.0),
    system: int = 1,
    sequence: int = 0,
    version: int = 2,
) -> bytes:
    """GLOBAL_POSITION_INT; its altitude is above mean sea level."""
    east, north, up = velocity_enu_mps
    payload = _GLOBAL_POSITION_INT.pack(
        boot_ms,
        round(latitude_deg * 1e7),
        round(longitude_deg * 1e7),
        round(height_msl_m * 1000),
        0,
        round(north * 100),
        round(east * 100),
        round(-up * 100),
        UNKNOWN_U16,
    )
    return frame(GLOBAL_POSITION_INT, payload, system=system, sequence=sequence, version=version)
